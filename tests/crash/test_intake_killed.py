"""Intake is killed at every step, then run again: nothing lost, nothing twice, the same register."""

import os
import time
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from tests.crash.killing import run_and_kill
from tounum_tasks.intake.take_in import take_in
from tounum_tasks.items import read_items, registered_batches
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

DATE = "2026-03-01"
SPACING_SECONDS = 10**4


def fill_ingest(ingest: Path) -> dict[str, bytes]:
    """A marked batch, with a sub-folder, a duplicate and a broken file, and loose files; all with fixed times."""
    image = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    files = {
        "Box 1/a.png": image,
        "Box 1/inner/copy of a.png": image,
        "Box 1/inner/broken.jpg": b"no image",
        "loose.png": image[:-4] + b"\0\0\0\0",
    }
    for number, (name, content) in enumerate(files.items()):
        path = ingest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        then = time.time() - SPACING_SECONDS * (number + 1)
        os.utime(path, (int(then), int(then)))
    (ingest / "Box 1" / "_READY").touch()
    return files


def intake_in(folder: Path):
    fill_ingest(folder / "ingest")
    return lambda: intake(folder)


def intake(folder: Path) -> None:
    ingest, lake = open_storage(str(folder / "ingest")), open_storage(str(folder / "lake"))
    take_in(ingest, lake, DATE, Settings(lake_root=str(folder / "lake"), min_free_gib=0))


def state(folder: Path) -> dict[str, list]:
    """The register of every batch; the id's hash of times is left out, for every trial has times of its own."""
    lake = open_storage(str(folder / "lake"))
    found = {}
    for batch_id in registered_batches(lake, DATE):
        found[batch_id.rpartition("-")[0]] = [
            (item.source_path, item.page, item.sha256, item.shard, item.duplicate_of, item.error_code)
            for item in read_items(lake, DATE, batch_id)
        ]
        for item in read_items(lake, DATE, batch_id):
            assert lake.sha256(item.original) == item.sha256
    return found


def test_killed_at_every_step(tmp_path: Path) -> None:
    intake_in(tmp_path / "undisturbed")()
    expected = state(tmp_path / "undisturbed")
    assert len(expected) == 2
    for number in count(1):  # files are copied side by side: how many changes there are is not the same every time
        folder = tmp_path / f"killed before change {number}"
        files = fill_ingest(folder / "ingest")
        if not run_and_kill(lambda folder=folder: intake(folder), number):
            break
        assert_nothing_lost(folder, files)
        intake(folder)
        assert state(folder) == expected, folder.name
        assert not any((folder / "ingest").rglob("*")), folder.name
        assert list((folder / "lake" / "registers" / "journal").iterdir()) == []
    assert number > 30


def assert_nothing_lost(folder: Path, files: dict[str, bytes]) -> None:
    """Every file's bytes lie in ingest or in the lake at every instant."""
    contents = [
        path.read_bytes()
        for place in (folder / "ingest", folder / "lake" / "originals")
        for path in place.rglob("*") if path.is_file()
    ]  # fmt: skip
    for name, content in files.items():
        assert content in contents, f"{name} was lost: {folder.name}"


def test_killed_twice_in_a_row(tmp_path: Path) -> None:
    for number in count(3, 7):
        folder = tmp_path / str(number)
        fill_ingest(folder / "ingest")
        if not run_and_kill(lambda folder=folder: intake(folder), number):
            break
        run_and_kill(lambda folder=folder: intake(folder), max(2, number // 2))
        intake(folder)
        assert sum(len(rows) for rows in state(folder).values()) == 4
