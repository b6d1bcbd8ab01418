"""A real Airflow with users of every role, over a lake that a real run has filled."""

import json
import subprocess
import sys
from pathlib import Path

from tounum_airflow.local.installation import PROJECT, LocalAirflow

USERS = {"admin": "admin", "olga": "op", "ute": "user", "vera": "viewer"}


def roots(folder: Path) -> dict[str, str]:
    """Return the settings of everything below one folder, as environment variables."""
    names = ("ingest", "lake", "non_photos", "quarantine")
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
    found = {f"TOUNUM_{name.upper()}_ROOT": str(folder / name) for name in names}
    return found | {
        "TOUNUM_INDEX_CACHE": str(folder / "index"),
        "TOUNUM_MODEL_CACHE": str(folder / "model_cache"),
        "TOUNUM_TRAINING_ROOT": str(folder / "training"),
        "TOUNUM_DATASETS_ROOT": str(folder / "datasets"),
    }


def airflow_over(folder: Path, *, port: int | None = None, **more: str) -> LocalAirflow:
    """Return an Airflow, not yet started, whose settings lie below ``folder``."""
    users = ",".join(f"{name}:{role}" for name, role in USERS.items())
    environment = {
        **roots(folder),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users,
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # DAG files and settings stay as they are
        **more,
    }
    return LocalAirflow(folder / "airflow", workdir=folder, port=port, environment=environment)


def passwords(airflow: LocalAirflow) -> dict[str, str]:
    """Return the passwords of all users."""
    found: dict[str, str] = json.loads(airflow.passwords_file.read_text())
    return found


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ``tounum_tasks`` with the settings of ``folder``."""
    import os

    environment = {**os.environ, **roots(folder), "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"}
    return subprocess.run(
        [sys.executable, "-m", "tounum_tasks", *arguments],
        env=environment,
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )
