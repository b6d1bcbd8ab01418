"""The launcher behind `make run` and `make ui`, as far as it can be tested without starting Airflow."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tounum_airflow.local import installation
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.errors import ConfigurationError

# A component that obeys SIGTERM, and a task in a process group of its own that does not.
COMPONENT = """
import os, signal, subprocess, sys, time
task = "import os, signal, time; os.setpgid(0, 0); signal.signal(signal.SIGTERM, signal.SIG_IGN);"
task += "print('up', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", task, "airflow task"], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_stopping_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "STOP_SECONDS", 1)
    component = subprocess.Popen(
        [sys.executable, "-c", COMPONENT, "airflow component"], stdout=subprocess.PIPE, start_new_session=True
    )
    with component:
        assert component.stdout is not None
        task = psutil.Process(int(component.stdout.readline()))
        installation._stop_sessions({component.pid})
        component.wait(timeout=5)
    assert not task.is_running() or task.status() == psutil.STATUS_ZOMBIE


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    first = LocalAirflow(tmp_path, workdir=tmp_path).environment()
    again = LocalAirflow(tmp_path, workdir=tmp_path).environment()
    keys = ["AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"]
    assert [first[key] for key in keys] == [again[key] for key in keys]
    assert len({first[key] for key in keys}) == len(keys)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_environment_of_the_machine_cannot_lead_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONFIG", "/etc/airflow/airflow.cfg")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "7")
    environment = LocalAirflow(tmp_path, workdir=tmp_path).environment()
    assert "AIRFLOW_CONFIG" not in environment
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith(f"sqlite:///{tmp_path}/")
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "7"
    assert environment.get("HOME") == os.environ.get("HOME")


@pytest.mark.parametrize("name", ["what?", "a:b", "issue #3"])
def test_folders_that_airflow_cannot_work_in_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="move"):
        LocalAirflow(tmp_path / name, workdir=tmp_path)
