"""Where a secret of the cluster could be read by people who may not have it."""

import contextlib
import json
import re

import psutil

from tests.cluster.cluster import Cluster
from tests.cluster.night import DAG, Night


def secrets_of(cluster: Cluster) -> list[str]:
    """Return the generated secrets."""
    return [value for name, value in cluster.variables.items() if re.search("PASSWORD|SECRET|FERNET|ACCESS_KEY", name)]


def told(cluster: Cluster) -> dict[str, str]:
    """Return what people can see without being trusted: logs, rendered fields of tasks, command lines; by its name."""
    found: dict[str, str] = {}
    for folder in (cluster.folder / "output", cluster.volumes / "logs"):
        for path in folder.rglob("*.log"):
            found[str(path.relative_to(cluster.folder))] = path.read_text(errors="replace")
    night = Night(cluster)
    for run in cluster.api.runs(DAG):
        for task in night.tasks(run["dag_run_id"]):
            found[f"rendered fields of {task['task_id']}, {task['id']}"] = json.dumps(task)
    for container in cluster.containers.values():
        for process in container.processes():
            with contextlib.suppress(psutil.Error):
                found[f"command line of {container.name}, {process.pid}"] = " ".join(process.cmdline())
    return found


def assert_secrets_are_kept(cluster: Cluster) -> None:
    """Fail if a secret stands anywhere there."""
    secrets = secrets_of(cluster)
    assert len(secrets) == 8
    places = told(cluster)
    assert len(places) > 40
    assert {name for name, text in places.items() for secret in secrets if secret in text} == set()
