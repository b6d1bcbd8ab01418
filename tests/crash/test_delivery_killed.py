"""Intake of a delivery with sidecars and checksums is killed at every step, then run again."""

import hashlib
import os
import time
from pathlib import Path

from tests.crash.killing import run_and_kill
from tests.crash.test_intake_killed import DATE, assert_nothing_lost, intake
from tests.unit.test_take_in import png
from tounum_tasks.items import read_items, read_sidecars, registered_batches
from tounum_tasks.store.open import open_storage

AGE_SECONDS = 10**4


def fill_ingest(ingest: Path) -> dict[str, bytes]:
    files = {"Box/a.png": png(1), "Box/a.xmp": b"<x/>", "Box/METS.xml": b"<mets/>"}
    files["Box/md5sums.txt"] = f"{hashlib.md5(png(1)).hexdigest()}  a.png\n".encode()
    then = int(time.time()) - AGE_SECONDS
    for name, content in files.items():
        path = ingest / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (then, then))
    (ingest / "Box" / "_ready.txt").touch()
    return files


def state(folder: Path) -> list[tuple]:
    lake = open_storage(str(folder / "lake"))
    (batch_id,) = registered_batches(lake, DATE)
    items, sidecars = read_items(lake, DATE, batch_id), read_sidecars(lake, DATE, batch_id)
    assert all(lake.sha256(file.original) == file.sha256 for file in (*items, *sidecars))
    return [
        *((item.source_path, item.sha256, item.checksum, item.checksum_source) for item in items),
        *((sidecar.source_path, sidecar.sha256, sidecar.describes) for sidecar in sidecars),
    ]


def test_killed_at_every_step(tmp_path: Path) -> None:
    fill_ingest(tmp_path / "undisturbed" / "ingest")
    intake(tmp_path / "undisturbed")
    expected = state(tmp_path / "undisturbed")
    assert len(expected) == 4
    number = 1
    while True:
        folder = tmp_path / f"killed before change {number}"
        files = fill_ingest(folder / "ingest")
        killed = run_and_kill(lambda folder=folder: intake(folder), number)
        assert_nothing_lost(folder, files)
        intake(folder)
        assert state(folder) == expected, folder.name
        assert not any((folder / "ingest").rglob("*")), folder.name
        if not killed:
            break
        number += 1
    assert number > 30
