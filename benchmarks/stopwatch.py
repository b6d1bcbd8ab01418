"""Wall time of the stages."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PASSES = ("cold", "warm")
Seconds = dict[str, float]


@contextmanager
def timed(seconds: Seconds, stage: str) -> Iterator[None]:
    """Add the wall time of the block to ``seconds[stage]`` and say it on standard error."""
    started = time.perf_counter()
    yield
    taken = time.perf_counter() - started
    seconds[stage] = seconds.get(stage, 0.0) + taken
    print(f"    {stage}: {taken:.2f} s", file=sys.stderr, flush=True)
