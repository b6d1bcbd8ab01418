"""Shows the tasks of a run as they change, and why they failed."""

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

from tounum_airflow.local.api import FINISHED, AirflowApi
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.errors import EnvironmentFault

WORTH_A_LINE = frozenset({"running", "deferred", "up_for_retry", "success", "failed", "upstream_failed", "skipped"})


def follow(airflow: LocalAirflow, dag_id: str, run_id: str, *, timeout: float) -> str:
    """Print one line per change of a task until the run ends; return the run's state.

    Raises:
        EnvironmentFault: a component of Airflow ended, or the run takes longer than ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    seen: dict[tuple[str, int], str] = {}
    while True:
        state = airflow.api.run(dag_id, run_id)["state"]
        for line in _changes(airflow.api.tasks(dag_id, run_id), seen):
            print(line, flush=True)
        if state in FINISHED:
            return state
        if "deferred" in seen.values():
            airflow.serve_deferred()
        airflow.check()
        if time.monotonic() > deadline:
            raise EnvironmentFault(
                f"The run has not ended within {timeout:.0f} s; its tasks' logs: {airflow.home}/logs."
            )
        time.sleep(0.5)


def _changes(tasks: list[dict[str, Any]], seen: dict[tuple[str, int], str]) -> Iterator[str]:
    for task in sorted(tasks, key=lambda task: task["start_date"] or "9"):
        key, state = (task["task_id"], task["map_index"]), task["state"]
        if state == seen.get(key) or state not in WORTH_A_LINE:
            continue
        seen[key] = state
        name = task["task_id"].rpartition(".")[2] + (f" {task['map_index'] + 1}" if task["map_index"] >= 0 else "")
        duration = f"{task['duration']:.1f} s" if state not in ("running", "deferred") and task["duration"] else ""
        yield f"  {dt.datetime.now():%H:%M:%S}  {name:<24} {state.replace('_', ' '):<16} {duration:>8}"


def reasons(api: AirflowApi, dag_id: str, run_id: str) -> dict[str, str]:
    """Return for each failed task, by its name, the error with which its log ends."""
    found = {}
    for task in api.tasks(dag_id, run_id):
        if task["state"] == "failed":
            errors = api.errors(dag_id, run_id, task)
            found[task["task_id"].rpartition(".")[2]] = errors[-1] if errors else "its log says why"
    return found
