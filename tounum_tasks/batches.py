"""Many things, some at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")


def in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size``; only one list is held at a time."""
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch


def in_order(pool: Executor, work: Callable[[T], R], things: Iterable[T], ahead: int) -> Iterator[R]:
    """Yield what ``work`` makes of each thing, in their order, while the pool works on the next ``ahead`` of them.

    Whoever takes the results may be slow: the pool has work meanwhile, and never more results than ``ahead`` wait.
    What one raises is raised in its turn, and nothing is begun afterwards.
    """
    waiting: deque[Future[R]] = deque()
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for one in waiting:
            one.cancel()


def read_ahead(things: Iterable[T]) -> Iterator[T]:
    """Yield the things while a thread fetches the next one."""
    iterator, end = iter(things), object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, iterator, end)
        while (thing := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield cast(T, thing)
