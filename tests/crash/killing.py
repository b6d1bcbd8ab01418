"""Kills a piece of real code with SIGKILL just before its n-th change to the file system, or does something to its
files just before it touches one of them for the n-th time."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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
    killed, succeeded = _end_of(child)
    assert killed or succeeded, "the action failed by itself"
    return killed


def run_and_disturb(action: Callable[[], object], at_touch: int, folder: Path, disturb: Callable[[], None]) -> bool:
    """Run ``action`` in a forked process; return whether ``disturb`` was called before touch number ``at_touch``.

    A touch is a system call that opens, renames, links or removes something in ``folder``.

    Raises:
        AssertionError: the action failed.
    """
    was_disturbed, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(_disturber(at_touch, folder, lambda: (disturb(), os.write(tell, b"x"))))
            action()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a forked child must never return into the test
            traceback.print_exc()
            os._exit(1)
    os.close(tell)
    with os.fdopen(was_disturbed, "rb") as told:
        disturbed = told.read() == b"x"
    assert _end_of(child) == (False, True), "the action failed"
    return disturbed


def _end_of(child: int) -> tuple[bool, bool]:
    """Whether a process was killed, and whether it succeeded."""
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return killed, os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def _disturber(at_touch: int, folder: Path, disturb: Callable[[], object]) -> Callable[[str, tuple[Any, ...]], None]:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in CHANGES | {"open", "os.scandir"} and str(folder) in _where(arguments):
            seen += 1
            if seen == at_touch:
                disturb()

    return hook


def _where(arguments: tuple[Any, ...]) -> str:
    """The paths among the arguments of a system call; a name in an open folder counts as that folder's."""
    links = [Path(f"/proc/self/fd/{value}") for value in arguments if isinstance(value, int) and value > 2]
    return " ".join([*map(str, arguments), *(str(link.readlink()) for link in links if link.is_symlink())])


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
