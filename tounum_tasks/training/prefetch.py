"""Batches that are made while the network learns from the one before."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")
AHEAD = 2


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the same items, with the next two made by a thread while one is used; its errors are raised here."""
    made: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=AHEAD)

    def make() -> None:
        try:
            for item in items:
                made.put(("item", item))
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            made.put(("error", error))
        else:
            made.put(("end", None))

    threading.Thread(target=make, daemon=True).start()
    while True:
        kind, item = made.get()
        if kind == "end":
            return
        if kind == "error":
            raise item
        yield item
