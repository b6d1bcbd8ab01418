"""Files side by side: most of the time that one takes is spent waiting for a disk or a store."""

import operator
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from tounum_tasks.batches import in_order

Thing = TypeVar("Thing")
Result = TypeVar("Result")

QUEUED = 1024  # what waits for a thread takes 2 KiB: not all of a batch of a hundred thousand files at once


def side_by_side(work: Callable[[Thing], Result], things: Iterable[Thing], at_once: int) -> list[Result]:
    """Return ``work`` of everything, in order, done by ``at_once`` threads.

    When one fails, those that have begun end, nothing is begun that was not among the :data:`QUEUED` things from it on,
    and what the first of them raised is raised: afterwards nothing is at work any more.
    """
    # Lines that are logged say what the caller's say they are about.
    calls = (partial(copy_context().run, work, thing) for thing in things)
    with ThreadPoolExecutor(at_once, thread_name_prefix="intake") as pool:
        return list(in_order(pool, operator.call, calls, QUEUED - 1))
