"""Watches the processes of a running Airflow: memory and processor time of each kind, and of each task when it ends.

A task is known by its process id, which Airflow knows, too. Its processor time is what the executor's worker is told
when it ends, and what was last seen of the decoders, which end by themselves after it. What is found goes into two
files of JSON Lines in a folder, so that it outlives the program: ``processes.jsonl`` (a line a minute) and
``tasks.jsonl``.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EVERY_SECONDS = 0.5
WRITE_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """One look at a process: seconds of the processor, its own and of its children that ended; memory in MiB."""

    own: float
    ended: float
    resident: float
    peak: float


def look(pid: int) -> Seen | None:
    """Return what the kernel says of a process, or None if it is no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    memory = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("Vm")}
    user, system, ended_user, ended_system = (int(ticks) / TICKS for ticks in stat[11:15])
    return Seen(user + system, ended_user + ended_system, memory.get("VmRSS", 0.0), memory.get("VmHWM", 0.0))


def children(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield the ids of all processes below one."""
    for child in children(pid):
        yield child
        yield from descendants(child)


@dataclass
class Task:
    """A task that runs, by what was seen of it."""

    pid: int
    began: float
    told: float  # what the worker had been told of tasks that ended before
    peak: float = 0.0
    helpers: dict[int, Seen] = field(default_factory=dict)


class Watch(threading.Thread):
    """Looks at an installation twice a second until :meth:`end`.

    Args:
        components: process ids by name; ``scheduler`` is the one whose children are the executor's workers.
        folder: where the two files are.
    """

    def __init__(self, components: Mapping[str, int], folder: Path) -> None:
        super().__init__(daemon=True)
        self._components = components
        self._folder = folder
        self._session = f"{time.time():.0f}"
        self._running: dict[int, Task] = {}
        self._over = threading.Event()
        self._last_written = 0.0

    def run(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            workers = [pid for pid in children(self._components["scheduler"]) if _is_worker(pid)]
            for worker in workers:
                self._look_at_task(worker)
            if time.monotonic() - self._last_written > WRITE_SECONDS:
                self._write_processes(workers)
                self._last_written = time.monotonic()

    def end(self) -> None:
        """Stop looking, and write what the components took to the end."""
        self._over.set()
        self.join()
        self._write_processes([pid for pid in children(self._components["scheduler"]) if _is_worker(pid)])

    def _look_at_task(self, worker: int) -> None:
        runners, before = children(worker), self._running.get(worker)
        at_work = look(worker)  # after its children: a task that has gone since is told of in this look
        if at_work is None:
            return
        if before and before.pid not in runners:
            self._write_task(before, at_work.ended - before.told)
            before = self._running.pop(worker, None) and None
        if runners and not before:
            before = self._running[worker] = Task(runners[0], time.time(), at_work.ended)
        if before and (seen := look(before.pid)):
            before.peak = max(before.peak, seen.peak)
            before.helpers |= {pid: found for pid in descendants(before.pid) if (found := look(pid))}

    def _write_task(self, task: Task, told: float) -> None:
        helpers = task.helpers.values()
        self._append("tasks.jsonl", {
            "pid": task.pid, "began": task.began, "ended": time.time(), "peak_mib": task.peak,
            "cpu": told + sum(helper.own for helper in helpers),
            "helper_peak_mib": max((helper.peak for helper in helpers), default=0.0),
        })  # fmt: skip

    def _write_processes(self, workers: list[int]) -> None:
        rows = [[f"{name}", *_whole(pid, name)] for name, pid in self._components.items()]
        rows += [["executor's worker", pid, seen.own, seen.resident] for pid in workers if (seen := look(pid))]
        self._append("processes.jsonl", {"time": time.time(), "session": self._session, "processes": rows})

    def _append(self, name: str, entry: dict[str, Any]) -> None:
        with (self._folder / name).open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _whole(pid: int, name: str) -> tuple[int, float, float]:
    """Process id, seconds, and MiB of a component with what it has started; of the scheduler, of itself alone."""
    seen = look(pid)
    if seen is None:
        return pid, 0.0, 0.0
    if name == "scheduler":
        return pid, seen.own, seen.resident
    below = [found for child in descendants(pid) if (found := look(child))]
    cpu = seen.own + seen.ended + sum(found.own + found.ended for found in below)
    return pid, cpu, seen.resident + sum(found.resident for found in below)


def _is_worker(pid: int) -> bool:
    try:
        return b"LocalExecutor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
