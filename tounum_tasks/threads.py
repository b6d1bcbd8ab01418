"""Work on the parts of one image by several threads: OpenCV, numpy and OpenVINO leave the interpreter to others."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def processors() -> int:
    """Return how many processors this process may use, as ``taskset`` and container limits of cores say it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[Part], Result], parts: Iterable[Part], *, is_shared: bool = True) -> list[Result]:
    """Return ``work`` of every part, in the order of the parts, computed by as many threads as there are processors.

    ``work`` must not call this function. The threads are those of the process: several images that are worked on
    at once share them.

    Args:
        is_shared: False for parts so small that handing them to threads takes longer than the work: the caller does it.
    """
    waiting = list(parts)
    return [work(part) for part in waiting] if len(waiting) < 2 or not is_shared else list(_pool().map(work, waiting))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="parts")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads are not forked
