"""What stages take: wall time, and the processor time of a process and of all that it started; and peak memory."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PASSES = ("cold", "warm")


@dataclass(frozen=True)
class Spent:
    """Seconds: ``wall`` time, and ``cpu`` time on all processors together."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.wall + other.wall, self.cpu + other.cpu)


Stages = dict[str, Spent]


@contextmanager
def timed(stages: Stages, stage: str) -> Iterator[None]:
    """Add what the block takes to ``stages[stage]`` and say it on standard error."""
    started, worked = time.perf_counter(), processor_seconds()
    yield
    taken = Spent(time.perf_counter() - started, processor_seconds() - worked)
    stages[stage] = stages.get(stage, Spent()) + taken
    print(f"    {stage}: {taken.wall:.2f} s, processors {taken.cpu:.2f} s", file=sys.stderr, flush=True)


def processor_seconds() -> float:
    """Return the processor time of this process and of all that it and they started (those count in hundredths)."""
    ended = os.times()
    seconds = time.process_time() + ended.children_user + ended.children_system
    for process in psutil.Process().children(recursive=True):
        try:
            seconds += sum(process.cpu_times()[:4])  # user, system, and both of its children that ended
        except psutil.NoSuchProcess:
            continue
    return seconds


def peak_mib() -> float:
    """Return the largest resident memory that this process had, and that of each running one that it started, added."""
    started = [process.pid for process in psutil.Process().children(recursive=True)]
    return sum(_largest_resident(process) for process in (os.getpid(), *started))


def _largest_resident(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
