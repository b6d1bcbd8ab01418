"""Kills a piece of real code with SIGKILL just before its n-th change to the file system."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

CHANGES = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
WRITING = os.O_WRONLY | os.O_RDWR


def run_and_kill(action: Callable[[], object], at_change: int) -> bool:
    """Run ``action`` in a forked process; return whether it was killed before change number ``at_change`` (from 1).

    Raises:
        AssertionError: the action failed by itself.
    """
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(_killer(at_change))
            action()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a forked child must never return into the test
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return killed


def _killer(at_change: int) -> Callable[[str, tuple[Any, ...]], None]:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if event in CHANGES or writes:
            seen += 1
            if seen == at_change:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
