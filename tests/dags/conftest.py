"""An Airflow home of its own, before anything imports Airflow; no database is needed for these tests."""

import os
import tempfile
from pathlib import Path

HOME = tempfile.TemporaryDirectory(prefix="tounum-dags-", ignore_cleanup_errors=True)  # removed at exit
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[2] / "plugins")
os.environ["AIRFLOW__API__BASE_URL"] = "http://airflow.example:8080"
