"""The part of Airflow's REST API that the launcher and the tests speak."""

import datetime as dt
from typing import Any

import httpx

from tounum_tasks.errors import TounumError

FINISHED = frozenset({"success", "failed"})


class ApiError(TounumError):
    """Airflow refused a request; the message holds its answer."""


class NotFoundError(ApiError):
    """There is nothing at this address."""


class AirflowApi:
    """A client of one Airflow; logs in by itself and again when its token has expired."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self.base_url = base_url
        self._credentials = {"username": user, "password": password}
        self._client = httpx.Client(base_url=base_url, timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of an answer, or None if it has no body.

        Raises:
            NotFoundError, ApiError: the status is 404, or any other of 400 and above.
            httpx.TransportError: nobody answers.
        """
        answer = self._answer(method, f"/api/v2/{path}", **options)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFoundError(f"{method} {path}: {answer.text[:1000]}")
        if answer.is_error:
            raise ApiError(f"{method} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json() if answer.content else None

    def page(self, address: str) -> str:
        """Return the text of a page of the UI, such as ``/tounum/gallery``.

        Raises:
            ApiError: there is no such page, or none for this user.
            httpx.TransportError: nobody answers.
        """
        answer = self._answer("GET", address, headers={"Accept": "text/html"})
        if not answer.is_success:
            raise ApiError(f"GET {address}: {answer.status_code} {answer.text[:1000]}")
        return answer.text

    def _answer(self, method: str, address: str, **options: Any) -> httpx.Response:
        answer = self._client.request(method, address, **options)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._client.request(method, address, **options)
        return answer

    def _log_in(self) -> None:
        answer = self._client.post("/auth/token", json=self._credentials)
        if answer.is_error:
            raise ApiError(f"Airflow refused the login: {answer.status_code} {answer.text[:200]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def health(self) -> dict[str, str | None]:
        """Return the state of each component by its name; needs no login."""
        answer = self._client.get("/api/v2/monitor/health")
        answer.raise_for_status()
        return {name: part["status"] for name, part in answer.json().items()}

    def import_errors(self) -> list[str]:
        """Return why DAG files could not be read."""
        return [error["stack_trace"] for error in self.request("GET", "importErrors")["import_errors"]]

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has read the DAG."""
        return any(dag["dag_id"] == dag_id for dag in self.request("GET", "dags", params={"limit": 1000})["dags"])

    def dag(self, dag_id: str) -> dict[str, Any]:
        """Return what Airflow knows about a DAG."""
        return self.request("GET", f"dags/{dag_id}")

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG or let it run."""
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": paused})

    def trigger(self, dag_id: str, *, conf: dict | None = None, **fields: Any) -> str:
        """Start a run and return its id; ``fields`` are those of the API, such as ``partition_key``."""
        body = {"logical_date": None, "conf": conf or {}, **fields}
        return self.request("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]

    def runs(self, dag_id: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        return self.request("GET", f"dags/{dag_id}/dagRuns", params={"limit": 1000, "order_by": "id", **filters})[
            "dag_runs"
        ]

    def is_at_rest(self, dag_id: str) -> bool:
        """Whether no run of a DAG is at work, and none is due that Airflow has yet to make up for."""
        due = self.dag(dag_id)["next_dagrun_run_after"]
        is_due = due is not None and dt.datetime.fromisoformat(due) <= dt.datetime.now(dt.UTC)
        return not is_due and not self.runs(dag_id, state=["queued", "running"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run."""
        return self.request("GET", f"dags/{dag_id}/dagRuns/{run_id}")

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """End a run by hand as ``success`` or ``failed``; its running tasks are stopped."""
        self.request("PATCH", f"dags/{dag_id}/dagRuns/{run_id}", json={"state": state})

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, mapped ones one by one."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:  # Airflow gives a hundred at a time, however many are asked for
            page = self.request("GET", path, params={"limit": 100, "offset": len(found), "order_by": "id"})
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1) -> Any:
        """Return what a task left for others, or None."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self.request("GET", path, params={"map_index": map_index})["value"]
        except NotFoundError:
            return None

    def log(
        self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1
    ) -> list[dict[str, Any]]:
        """Return the log of one attempt of a task: entries with ``event``, ``level`` and, perhaps, ``error_detail``."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.request("GET", path, params={"map_index": map_index, "full_content": True})["content"]
        return [{"event": entry} if isinstance(entry, str) else entry for entry in content]

    def errors(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[str]:
        """Return the messages of the exceptions in the log of a task's last attempt."""
        entries = self.log(dag_id, run_id, task["task_id"], try_number=task["try_number"], map_index=task["map_index"])
        return [error["exc_value"] for entry in entries for error in entry.get("error_detail") or []]
