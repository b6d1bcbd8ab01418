"""A real Airflow with folders of its own, as the tests use it: drop files, start runs, look at what came of them."""

import contextlib
import datetime as dt
import io
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tounum_airflow.local.api import FINISHED, AirflowApi
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.intake.register import register
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.settings import Settings, load_settings

DAG = "tounum_nightly"
RUN_SECONDS = 600  # a fifth of that where nothing else runs


def image_file(seed: int, *, format: str = "PNG") -> bytes:
    """Return a small image; each seed gives another one."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(buffer, format=format)
    return buffer.getvalue()


def _write_batch(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


class AirflowInstallation:
    """Starts the same components as ``make run``, in a temporary folder, with small shards and short waits.

    Args:
        folder: everything lies below it.
        schedule: cron expression of the nightly DAG, which is paused until a test lets it run.
        notify_url: where failed runs are reported.
        statsd_port: where metrics go.
    """

    def __init__(self, folder: Path, *, schedule: str, notify_url: str, statsd_port: int) -> None:
        roots = {name: folder / name for name in ("ingest", "lake", "non_photos", "quarantine")}
        for root in roots.values():
            root.mkdir()
        self.ingest, self.lake = roots["ingest"], roots["lake"]
        self._variables = {
            **{f"TOUNUM_{name.upper()}_ROOT": str(root) for name, root in roots.items()},
            "TOUNUM_SCHEDULE": schedule,
            "TOUNUM_TIMEZONE": "UTC",
            "TOUNUM_SHARD_SIZE": "2",
            "TOUNUM_MAX_FAILURE_RATE": "0.5",
            "TOUNUM_QUIET_SECONDS": "3600",  # nothing settles by itself in a test
            "TOUNUM_WAIT_MINUTES": "10",
            "TOUNUM_DEADLINE_HOURS": "0.001",  # missed when the run begins
        }
        self.airflow = LocalAirflow(
            folder / "airflow",
            workdir=folder,
            defers_later=True,  # serve_deferred is for those whose runs wait
            environment={
                **self._variables,
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
                "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # DAG files and settings stay as they are
                "AIRFLOW__METRICS__STATSD_ON": "True",
                "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
                "AIRFLOW__METRICS__STATSD_PORT": str(statsd_port),
                "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",  # plain StatsD has no tags
                "AIRFLOW_CONN_TOUNUM_NOTIFY": json.dumps({"conn_type": "http", "host": notify_url}),
            },
        )

    def __enter__(self) -> Self:
        self.airflow.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.airflow.__exit__(*exception)

    @property
    def api(self) -> AirflowApi:
        """The REST API."""
        return self.airflow.api

    @property
    def settings(self) -> Settings:
        """The settings that the tasks see."""
        return load_settings(**{name.removeprefix("TOUNUM_").lower(): value for name, value in self._variables.items()})

    # Ingest

    def drop(self, batch: str, files: Mapping[str, bytes], *, ready: bool = True) -> None:
        """Put a batch into ingest; without ``ready`` it counts as still settling."""
        _write_batch(self.ingest / batch, files)
        if ready:
            self.mark_ready(batch)

    def mark_ready(self, batch: str) -> None:
        """Say that a batch is complete."""
        (self.ingest / batch / "_READY").touch()

    def take_in_earlier(self, day: str, batch: str, files: Mapping[str, bytes]) -> RunPlan:
        """Take a batch in as a run of an earlier day did that ended before it worked on the batch."""
        ingest = self.ingest.with_name(f"ingest on {day}")  # what lies in ingest today was not there then
        _write_batch(ingest / batch, {**files, "_READY": b""})
        settings = self.settings.model_copy(update={"ingest_root": f"file://{ingest}"})
        started_at = dt.datetime.fromisoformat(f"{day}T02:00:00+00:00")
        return register(RunRequest(run_id=f"earlier-{day}", started_at=started_at), settings)

    # Runs

    def trigger(self, *, conf: dict | None = None, partition_key: str | None = None) -> str:
        """Start a run by hand and return its id."""
        fields = {"partition_key": partition_key} if partition_key else {}
        return self.api.trigger(DAG, conf=conf, **fields)

    def wait_for(
        self, what: str, condition: Callable[[], Any], *, seconds: float = RUN_SECONDS, every: float = 0.5
    ) -> Any:
        """Return the condition's value as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            self.airflow.check()
            assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
            time.sleep(every)
        return value

    def finish(self, run_id: str) -> str:
        """Wait for the end of a run and return its state."""
        self.wait_for(f"run {run_id} ends", lambda: self.run_state(DAG, run_id) in FINISHED)
        return self.run_state(DAG, run_id)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run."""
        (run,) = self._stored("select state from dag_run where dag_id = ? and run_id = ?", dag_id, run_id)
        return run["state"]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return task, place among those that are mapped, state, process and attempt of each task of a run."""
        columns = "task_id, map_index, state, pid, try_number"
        return self._stored(f"select {columns} from task_instance where dag_id = ? and run_id = ?", dag_id, run_id)

    def _stored(self, query: str, *values: str) -> list[dict[str, Any]]:
        """Return rows of Airflow's database: asked again and again, its API would take a tenth of a processor."""
        with contextlib.closing(sqlite3.connect(self.airflow.home / "airflow.db", timeout=60)) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def states(self, run_id: str) -> dict[str, list[str | None]]:
        """Return the states of each task's instances, mapped ones in order."""
        found: dict[str, list[str | None]] = {}
        for task in sorted(self.tasks(DAG, run_id), key=lambda task: task["map_index"]):
            found.setdefault(task["task_id"], []).append(task["state"])
        return found

    def state(self, run_id: str, task_id: str) -> str | None:
        """Return the state of a task that is not mapped."""
        return self.states(run_id)[task_id][0]

    def log_entries(self, run_id: str, task_id: str, *, map_index: int = -1) -> list[dict]:
        """Return the entries of the log of a task's last attempt, each with its fields."""
        (number,) = [
            task["try_number"]
            for task in self.tasks(DAG, run_id)
            if (task["task_id"], task["map_index"]) == (task_id, map_index)
        ]
        return self.api.log(DAG, run_id, task_id, map_index=map_index, try_number=number)

    def log(self, run_id: str, task_id: str, *, map_index: int = -1) -> str:
        """Return the log of a task's last attempt as one text."""
        entries = self.log_entries(run_id, task_id, map_index=map_index)
        return "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)

    def plan(self, run_id: str) -> RunPlan:
        """Return what ``register`` decided."""
        return RunPlan.from_json(self.api.xcom(DAG, run_id, "register", "plan"))

    def backfill(self, first: str, last: str, *options: str) -> None:
        """Start a backfill of the nightly DAG from the command line, once Airflow counts the one before as over."""
        self.wait_for("no other backfill goes on", self.no_backfill_goes_on, every=1)
        self.airflow.airflow(
            "backfill", "create", "--dag-id", DAG, "--from-date", first, "--to-date", last, *options
        )  # fmt: skip

    def no_backfill_goes_on(self) -> bool:
        """Whether Airflow would accept another backfill; it takes half a minute to notice that one is over."""
        known = self.api.request("GET", "backfills", params={"dag_id": DAG, "limit": 1000})["backfills"]
        return all(backfill["completed_at"] for backfill in known)

    def backfill_runs(self, days: Iterable[str], *, besides: Collection[str] = ()) -> dict[str, str]:
        """Return the runs that backfills made for these days, by day; those in ``besides`` are left out."""
        wanted = set(days)
        return {
            run["partition_key"]: run["dag_run_id"]
            for run in self.api.runs(DAG, run_type="backfill")
            if run["partition_key"] in wanted and run["dag_run_id"] not in besides
        }

    # Kills

    def running(self, run_id: str, task_id: str) -> psutil.Process:
        """Wait until a task that is not mapped to more than one shard runs, and return its process."""

        def found() -> psutil.Process | None:
            (task,) = [task for task in self.tasks(DAG, run_id) if task["task_id"] == task_id]
            assert task["state"] not in FINISHED, f"{task_id} ended before it could be killed"
            if task["state"] != "running" or not task["pid"] or not psutil.pid_exists(task["pid"]):
                return None
            return psutil.Process(task["pid"])

        return self.wait_for(f"{task_id} of {run_id} runs", found, every=0.05)

    def kill_scheduler(self) -> None:
        """Kill the scheduler alone, not the workers that it leaves behind; nobody starts it again."""
        scheduler = self.airflow.process("scheduler")
        scheduler.kill()
        scheduler.wait()

    def start_scheduler(self, **settings: str) -> None:
        """Start the scheduler again, with Airflow's settings of its section ``scheduler`` changed."""
        variables = {f"AIRFLOW__SCHEDULER__{name.upper()}": value for name, value in settings.items()}
        self.airflow.launch("scheduler", variables)

    # Results

    def manifest_file(self, plan: RunPlan, name: str) -> Path:
        """Return the manifest's path of the batch whose id begins with ``name``."""
        (batch,) = [batch for batch in plan.batches if batch.batch_id.startswith(name)]
        return self.lake / "manifests" / batch.batch_date / batch.batch_id / "manifest.parquet"

    def manifest(self, plan: RunPlan, name: str) -> pa.Table:
        """Return the manifest of the batch whose id begins with ``name``."""
        return pq.read_table(self.manifest_file(plan, name))
