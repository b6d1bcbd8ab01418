"""Many things, some at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size``; only one list is held at a time."""
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch
