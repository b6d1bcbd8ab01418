"""A run of the nightly DAG on the cluster, and what can happen to it: each fault waits for its moment, then strikes."""

import contextlib
import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.cluster.cluster import Cluster, Container, wait_until
from tests.cluster.roots import READY
from tests.cluster.store import AWAY, FULL, THROTTLED
from tounum_airflow.local.api import FINISHED

DAG = "tounum_nightly"
MOMENT_SECONDS = 7200  # how long a fault waits for its moment; minutes where nothing else runs
OUTAGE_SECONDS = 60
FULL_MESSAGE = "No space is left"


def cluster_settings(**others: str) -> dict[str, str]:
    """Return settings for a small machine: two workers, one for models, whose queue holds a task while it works."""
    passed = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    return {
        "TOUNUM_API_WORKERS": "1",
        "TOUNUM_WORKERS": "2",
        "TOUNUM_WORKER_CONCURRENCY": "1",
        "TOUNUM_MODEL_WORKERS": "1",
        "TOUNUM_MODEL_SLOTS": "4",
        "TOUNUM_QUIET_SECONDS": "3600",  # nothing settles by itself
        "TOUNUM_MAX_FAILURE_RATE": "0.5",
        # Passed a moment ago, today: unpausing the DAG starts a scheduled run.
        "TOUNUM_SCHEDULE": f"{passed.minute} {passed.hour} * * *",
        **others,
    }


# Every root in the store of the profile s3, as docs/cluster.md says.
ROOTS_IN_STORE = {
    "AWS_ENDPOINT_URL": "http://store:9000",
    "AWS_DEFAULT_REGION": "us-east-1",
    "TOUNUM_INGEST_ROOT": "s3://scans-in/archive",
    "TOUNUM_LAKE_ROOT": "s3://scans/lake",
    "TOUNUM_NON_PHOTOS_ROOT": "s3://scans/non_photos",
    "TOUNUM_QUARANTINE_ROOT": "s3://scans/quarantine",
}


@dataclass(frozen=True)
class Running:
    """A task that is running: its row in the API, its process, and the worker that it runs on."""

    task: Mapping[str, Any]
    process: psutil.Process
    worker: Container


class Night:
    """Batches in ingest, and runs over them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.archive = cluster.archive
        self.beside: list[str] = []  # runs that must succeed as well

    def clear(self) -> None:
        """Empty ingest, lake and buckets, so that the same batches are new to the next run."""
        self.archive.clear()

    def drop(self, batches: list[Path], *, ready: bool = True) -> None:
        """Put copies of batches into ingest; without ``ready`` they count as still settling."""
        for batch in batches:
            self.archive.ingest.deliver(batch, ready=ready)

    def mark_ready(self, batches: list[Path]) -> None:
        for batch in batches:
            self.archive.ingest.write(f"{batch.name}/{READY}", b"")

    def trigger(self, **conf: Any) -> str:
        """Start a run by hand and return its id."""
        return self.cluster.api.trigger(DAG, conf=conf)

    def scheduled(self) -> str:
        """Let the schedule start a run and return its id."""
        self.unpause()
        runs = wait_until("a scheduled run begins", lambda: self.cluster.api.runs(DAG, run_type="scheduled"))
        return runs[-1]["dag_run_id"]

    def unpause(self) -> None:
        wait_until("the DAG has been read", lambda: self.cluster.api.has_dag(DAG))
        self.cluster.api.set_paused(DAG, False)

    def tasks(self, run_id: str, task_id: str | None = None) -> list[dict[str, Any]]:
        return [task for task in self.cluster.api.tasks(DAG, run_id) if task_id in (None, task["task_id"])]

    def states(self, run_id: str) -> dict[str, list[str | None]]:
        """Return the states of each task's instances."""
        found: dict[str, list[str | None]] = {}
        for task in self.tasks(run_id):
            found.setdefault(task["task_id"], []).append(task["state"])
        return found

    def finish(self, run_id: str, *, seconds: float = 3600) -> str:
        """Wait for the end of a run and of those beside it; return its state. No task may be left behind."""
        for name in (run_id, *self.beside):
            wait_until(f"run {name} ends", lambda name=name: self._state(name) in FINISHED, seconds=seconds, every=2)
            unfinished = [task for task in self.tasks(name) if task["state"] in ("running", "queued", "scheduled")]
            assert unfinished == [], f"stuck: {unfinished}"
        for name in self.beside:
            assert self._state(name) == "success", self.states(name)
        return self._state(run_id)

    def _state(self, run_id: str) -> str:
        return self.cluster.api.run(DAG, run_id)["state"]

    def logged(self, run_id: str, text: str) -> bool:
        """Return whether a task of the run has said so in its log."""
        logs = (self.cluster.volumes / "logs").rglob("*.log")
        return any(f"run_id={run_id}" in file.parts and text in file.read_text(errors="replace") for file in logs)

    def running(self, run_id: str, task_id: str) -> Running:
        """Wait until an instance of a task is running, and not for the last time; return one with the fewest tries."""
        return self.moment(f"{task_id} is running", run_id, lambda: self._running(run_id, task_id))

    def running_spared(self, run_id: str, task_id: str) -> Running:
        """The same for a fault that meets everything: wait until nothing at all is running for the last time."""

        def found() -> Running | None:
            tasks = [task for run in (run_id, *self.beside) for task in self.tasks(run) if task["state"] == "running"]
            return self._running(run_id, task_id) if all(map(_has_tries_left, tasks)) else None

        return self.moment(f"{task_id} is running, and nothing for the last time", run_id, found)

    def moment(self, what: str, run_id: str, condition: Callable[[], Any]) -> Any:
        """Wait for a condition that can come true only while a run goes on; return its value."""

        def holds() -> Any:
            value = condition()
            assert value or self._state(run_id) not in FINISHED, (
                f"the run ended and never: {what}; {self.states(run_id)}"
            )
            return value

        return wait_until(what, holds, seconds=MOMENT_SECONDS, every=0.3)

    def _running(self, run_id: str, task_id: str) -> Running | None:
        for task in sorted(self.tasks(run_id, task_id), key=lambda task: task["try_number"]):
            if task["state"] == "running" and task["pid"] and _has_tries_left(task):
                with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, StopIteration):
                    process = psutil.Process(task["pid"])
                    return Running(task, process, self._worker(os.getsid(process.pid)))
        return None

    def _worker(self, session: int) -> Container:
        return next(container for container in self.cluster.containers.values() if container.pid == session)


def _has_tries_left(task: Mapping[str, Any]) -> bool:
    """Return whether a fault may still strike the task: one that fails at its last try rightly ends the run."""
    return task["try_number"] <= task["max_tries"]


Fault = Callable[[Night, str], None]


def worker_killed_in(task_id: str) -> Fault:
    """SIGKILL to a whole worker while it runs a task."""

    def strike(night: Night, run_id: str) -> None:
        night.cluster.kill(night.running(run_id, task_id).worker.name)

    return strike


def task_out_of_memory(night: Night, run_id: str) -> None:
    """SIGKILL to a task's own process: what the kernel does where a container's memory ends."""
    night.running(run_id, "shard.extract_features").process.kill()


def scheduler_killed(night: Night, run_id: str) -> None:
    """SIGKILL to the scheduler while tasks are running and others are queued."""
    night.running(run_id, "shard.measure_and_enhance")
    night.cluster.kill("scheduler-1")


def database_restarted(night: Night, run_id: str) -> None:
    """SIGKILL to Postgres while a task is running; it recovers when it starts again."""
    night.running_spared(run_id, "shard.classify")
    night.cluster.kill("postgres-1")


def queue_lost(night: Night, run_id: str) -> None:
    """Redis is killed and starts empty, while the only model worker works and another task waits in its queue."""

    def is_waiting() -> bool:
        states = [task["state"] for task in night.tasks(run_id) if task["queue"] == "tounum_model"]
        return "running" in states and "queued" in states

    night.moment("a task waits in the queue of models while another runs", run_id, is_waiting)
    night.cluster.wipe("redis-1")


def worker_asleep(night: Night, run_id: str) -> None:
    """A worker stops (SIGSTOP) in the middle of a task, which another gets; then it wakes and goes on where it was."""
    running = night.running(run_id, "shard.measure_and_enhance")
    index, first = running.task["map_index"], running.task["try_number"]
    running.worker.send(signal.SIGSTOP)

    def given_away() -> bool:
        (task,) = (t for t in night.tasks(run_id, "shard.measure_and_enhance") if t["map_index"] == index)
        return task["try_number"] > first and task["state"] in ("running", "success")

    try:
        night.moment("the task was given to another worker", run_id, given_away)
    finally:
        running.worker.send(signal.SIGCONT)


def second_run(night: Night, run_id: str) -> None:
    """Another run begins on one of the batches while the first one works on it; both must succeed."""
    night.running(run_id, "shard.measure_and_enhance")
    batch = min(name.split("/")[2] for name in night.archive.lake.names("originals"))
    night.beside.append(night.trigger(batch_id=batch))


def triggerer_killed(night: Night, run_id: str) -> None:
    """SIGKILL to the triggerer while the first task of a scheduled run is deferred."""
    night.moment("the run waits", run_id, lambda: night.states(run_id)["wait"] == ["deferred"])
    time.sleep(1)  # the trigger is running by now, or about to
    night.cluster.kill("triggerer-1")


def disk_full(night: Night, run_id: str) -> None:
    """The lake's disk has no room left until a task has failed because of that."""
    night.running_spared(run_id, "shard.extract_features")
    disk = night.cluster.disks["lake"]
    disk.fill()
    try:
        night.moment("a task says that the disk is full", run_id, lambda: night.logged(run_id, FULL_MESSAGE))
    finally:
        disk.make_room()


def store_full(night: Night, run_id: str) -> None:
    """The store takes nothing until a task has failed because of that."""
    night.running_spared(run_id, "shard.extract_features")
    with night.cluster.store_is(FULL):
        night.moment("a task says that the store is full", run_id, lambda: night.logged(run_id, FULL_MESSAGE))


def store_away(night: Night, run_id: str) -> None:
    """Nobody can connect to the store for a minute; a task waits for it."""
    night.running(run_id, "shard.measure_and_enhance")
    with night.cluster.store_is(AWAY):
        time.sleep(OUTAGE_SECONDS)
        night.moment("a task waits", run_id, lambda: night.logged(run_id, "ConnectionError; trying again"))


def store_throttled(night: Night, run_id: str) -> None:
    """For a minute the store answers most requests with 503 SlowDown."""
    night.running(run_id, "shard.classify")
    with night.cluster.store_is(THROTTLED):
        time.sleep(OUTAGE_SECONDS)
        night.moment("a task slows down", run_id, lambda: night.logged(run_id, "SlowDown; trying again"))


# In the order in which their moments come.
FAULTS: dict[str, Fault] = {
    "worker killed in register": worker_killed_in("register"),
    "two runs on one batch": second_run,
    "scheduler killed": scheduler_killed,
    "worker stopped, awake again later": worker_asleep,
    "worker killed in measure_and_enhance": worker_killed_in("shard.measure_and_enhance"),
    "storage unreachable for a minute": store_away,
    "queue lost": queue_lost,
    "worker killed in classify": worker_killed_in("shard.classify"),
    "storage throttled for a minute": store_throttled,
    "Postgres restarted": database_restarted,
    "worker killed in route": worker_killed_in("shard.route"),
    "worker out of memory": task_out_of_memory,
    "worker killed in extract_features": worker_killed_in("shard.extract_features"),
    "disk full": disk_full,
    "storage full": store_full,
    "worker killed in caption": worker_killed_in("shard.caption"),
    "worker killed in publish": worker_killed_in("publish"),
}
STORE_FAULTS = tuple(name for name in FAULTS if name.startswith("storage "))  # only with ROOTS_IN_STORE
DISK_FAULTS = ("disk full",)  # only where the lake is a folder on a disk of its own


def faults_on(cluster: Cluster) -> dict[str, Fault]:
    """Return the faults that can strike a cluster, in the order in which their moments come."""
    impossible = set() if "lake" in cluster.disks else set(DISK_FAULTS)
    if "TOUNUM_LAKE_ROOT" not in cluster.variables:
        impossible |= set(STORE_FAULTS)
    return {name: fault for name, fault in FAULTS.items() if name not in impossible}
