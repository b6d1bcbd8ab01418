"""Credentials for buckets: from an Airflow connection, and nowhere to be read."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.s3_server import BUCKET, S3Server
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.store import objects as object_storage
from tounum_tasks.store.open import open_storage

SECRET = "a-secret-of-the-connection"


@pytest.fixture
def connection(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import tounum_airflow  # noqa: F401 - says where credentials come from

    said = {"conn_type": "aws", "login": "KEYOFTHECONNECTION", "password": SECRET, "extra": {"endpoint_url": s3.url}}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(said))
    monkeypatch.setenv("TOUNUM_S3_CONNECTION", "store")
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    object_storage._connect.cache_clear()
    yield
    object_storage._connect.cache_clear()


def test_requests_are_signed_with_the_connection(
    connection: None, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed_by: list[str] = []
    with s3.disturbed(lambda request, done: signed_by.append(request.headers["Authorization"])):
        open_storage(f"s3://{BUCKET}/lake").write_bytes("a", b"x")
    assert all("Credential=KEYOFTHECONNECTION/" in header for header in signed_by) and signed_by
    assert SECRET not in caplog.text
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ  # nothing that a child process could read


def test_a_connection_that_is_missing_is_named(connection: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_STORE")
    with pytest.raises(ConfigurationError, match="There is no connection 'store'"):
        open_storage(f"s3://{BUCKET}/lake").check()


def test_no_secret_is_part_of_a_dag(tmp_path: Path) -> None:
    """What Airflow stores and shows of the DAGs, their parameters' defaults included."""
    code = """
import json, pathlib, sys
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1])
assert not bag.import_errors and len(bag.dags) >= 3
print(json.dumps([DagSerialization.to_dict(dag) for dag in bag.dags.values()], default=str))
"""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}",
        "TOUNUM_LAKE_ROOT": f"s3://{BUCKET}/lake",
        "TOUNUM_S3_CONNECTION": "store",
        "AIRFLOW_CONN_STORE": f"aws://KEYOFTHECONNECTION:{SECRET}@",
        "AWS_ACCESS_KEY_ID": "KEYOFTHEENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(REPOSITORY / "dags")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "tounum_nightly" in done.stdout
    for secret in (SECRET, "KEYOFTHECONNECTION", "KEYOFTHEENVIRONMENT"):
        assert secret not in done.stdout + done.stderr
