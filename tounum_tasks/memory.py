"""Keeps the memory of a process small that works on images with several threads.

glibc keeps what was freed for what is asked for next, in a heap for each thread: after large pages and images of many
sizes that is as much again as is in use. Other C libraries keep less, or cannot be told.
"""

import ctypes
import sys
from functools import cache

from tounum_tasks.threads import processors

_M_ARENA_MAX = -8  # malloc.h


def share_heaps() -> None:
    """Have no more heaps than processors; called before there are threads, it makes them use each other's memory."""
    if libc := _glibc():
        libc.mallopt(_M_ARENA_MAX, processors())


def give_back() -> None:
    """Give what is free on all heaps back to the system: milliseconds, and as many again when it is needed anew."""
    if libc := _glibc():
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "malloc_trim") else None
