"""The installation that `make run` and `make ui` start: private, on loopback only, one at a time."""

import contextlib
import os
import stat
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.airflow_installation import AirflowInstallation
from tounum_airflow.local.__main__ import TASK_API
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.errors import ConfigurationError, EnvironmentFault

pytestmark = pytest.mark.e2e


def test_listens_on_loopback_only(airflow: AirflowInstallation) -> None:
    addresses = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # short-lived ones may end while they are asked
            addresses.update(c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN)
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("path", ["api/v2/dags", "api/v2/dags/tounum_nightly/dagRuns", "api/v2/pools"])
def test_asks_for_a_login(airflow: AirflowInstallation, path: str) -> None:
    assert httpx.get(f"{airflow.airflow.base_url}/{path}").status_code == 401


def test_builds_its_api_for_tasks_when_it_is_asked(airflow: AirflowInstallation) -> None:
    assert "healthy" in airflow.api.page(TASK_API)


def test_hands_no_token_to_anybody(airflow: AirflowInstallation) -> None:
    url = f"{airflow.airflow.base_url}/auth/token"
    assert httpx.get(url).is_error
    assert httpx.post(url, json={"username": "admin", "password": "admin"}).status_code == 401


def test_secrets_can_be_read_by_their_owner_only(airflow: AirflowInstallation) -> None:
    home = airflow.airflow.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("passwords.json", "secrets.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_password_is_in_no_log(airflow: AirflowInstallation) -> None:
    password = airflow.airflow.password.encode()
    logs = [path for path in (airflow.airflow.home / "logs").rglob("*") if path.is_file()]
    assert logs and not [path for path in logs if password in path.read_bytes()]


def test_second_launcher_is_refused(airflow: AirflowInstallation) -> None:
    with pytest.raises(EnvironmentFault, match="running already"):
        LocalAirflow(airflow.airflow.home, workdir=airflow.airflow.workdir).prepare()


def test_busy_port_is_refused(airflow: AirflowInstallation, tmp_path: Path) -> None:
    other = LocalAirflow(tmp_path / "airflow", workdir=tmp_path, port=airflow.airflow.port)
    with pytest.raises(ConfigurationError, match=f"Port {airflow.airflow.port} is in use"):
        other.start()
    other.stop()


def test_writes_nothing_into_the_home_folder(airflow: AirflowInstallation) -> None:
    environment = airflow.airflow.environment()
    for name in ("AIRFLOW_HOME", "KERAS_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME"):
        assert environment[name].startswith(str(airflow.airflow.home))
    assert environment.get("HOME") == os.environ.get("HOME")
