"""While a batch is taken in somebody puts another file in the place of one, at every moment: it is copied or it stays.

The other file has the same size and the same time, as rescans of a fixed size have that are copied with their times
(``rsync --times``, ``cp -p``); or it is written into the old one, whose time is set back.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.killing import run_and_disturb, run_and_kill
from tests.crash.test_intake_killed import DATE, intake
from tounum_tasks.items import read_items, registered_batches
from tounum_tasks.store.open import open_storage

OLD, NEW = b"old " * 100, b"NEW " * 100
CLOCKS = {"1904": -2_082_844_800, "2001": 10**9, "2099": 4_070_908_800}


def fill(folder: Path, when: float) -> Path:
    """A marked batch whose file has a time of its own; return the file."""
    path = folder / "ingest" / "box" / "inner" / "a.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(OLD)
    os.utime(path, (when, when))
    (folder / "ingest" / "box" / "_READY").touch()
    return path


def in_place(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.write(NEW)
    os.utime(path, ns=times)


def put_over(path: Path) -> None:
    other = path.with_name(".incoming")
    other.write_bytes(NEW)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def deleted_and_made_again(path: Path) -> None:
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.unlink()  # the next file may get the same inode
    path.write_bytes(NEW)
    os.utime(path, ns=times)


def taken(folder: Path) -> list[bytes]:
    """The contents of all registered files."""
    lake = open_storage(str(folder / "lake"))
    batches = registered_batches(lake, DATE)
    items = [item for batch_id in batches for item in read_items(lake, DATE, batch_id)]
    assert all(lake.sha256(item.original) == item.sha256 for item in items)
    return sorted(lake.read_bytes(item.original) for item in items)


def left(folder: Path) -> list[Path]:
    return [path for path in (folder / "ingest").rglob("*") if path.is_file()]


@pytest.mark.parametrize("replace", [in_place, put_over, deleted_and_made_again])
def test_a_file_that_is_replaced_at_any_moment_is_copied_or_stays(
    replace: Callable[[Path], None], tmp_path: Path
) -> None:
    touch, disturbed, moments = 0, True, set()
    while disturbed:
        touch += 1
        folder = tmp_path / f"before touch {touch}"
        path = fill(folder, CLOCKS["2001"])

        def disturb(path: Path = path) -> None:
            if path.exists():
                replace(path)
            else:  # it was taken: this is a new one
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(NEW)

        disturbed = run_and_disturb(lambda folder=folder: intake(folder), touch, folder / "ingest", disturb)
        if not disturbed:
            break
        contents = taken(folder) + [file.read_bytes() for file in left(folder)]
        assert NEW in contents, folder.name
        moments.add((OLD in taken(folder), NEW in taken(folder)))
        if left(folder):
            (folder / "ingest" / "box" / "_READY").touch()
            intake(folder)
        assert taken(folder).count(NEW) == 1 and left(folder) == [], folder.name
    assert touch > 10 and {(True, False), (False, True)} <= moments, "it came too early and too late"


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_clock_makes_a_batch_come_twice(clock: str, tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        folder = tmp_path / f"killed before change {number}"
        fill(folder, CLOCKS[clock])
        killed = run_and_kill(lambda folder=folder: intake(folder), number)
        intake(folder)
        assert taken(folder) == [OLD] and not any((folder / "ingest").rglob("*")), folder.name
    assert number > 20


def test_a_time_that_the_clock_passes_between_kill_and_repetition_changes_nothing(tmp_path: Path) -> None:
    number, killed = 1, True
    while killed:
        number += 4
        folder = tmp_path / f"killed before change {number}"
        soon = time.time() + 1.5
        fill(folder, soon)
        killed = run_and_kill(lambda folder=folder: intake(folder), number)
        time.sleep(max(0, soon - time.time()) + 0.01)
        intake(folder)
        assert taken(folder) == [OLD] and not any((folder / "ingest").rglob("*")), folder.name
