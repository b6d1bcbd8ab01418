"""Files side by side: the same register as one after the other, and nobody at work any more after a failure."""

import hashlib
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tounum_tasks.intake.side_by_side import QUEUED, side_by_side
from tounum_tasks.intake.take_in import Intake, take_in
from tounum_tasks.items import Item, read_items
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

DATE = "2026-03-01"


def files_of_a_batch() -> dict[str, bytes]:
    """Forty images in two folders, each third one twice, some of them broken, and a sidecar."""
    files = {"Box/notes.txt": b"taken from the attic"}
    for number in range(40):
        image = cv2.imencode(".png", np.full((8, 8, 3), number - number % 3, np.uint8))[1].tobytes()
        files[f"Box/{'inner/' * (number % 2)}{number:02}.png"] = image[:-9] if number % 10 == 7 else image
    return files


def take(folder: Path, at_once: int, checksums: dict[str, str] | None = None) -> Intake:
    ingest, lake = open_storage(str(folder / "ingest")), open_storage(str(folder / "lake"))
    for name, content in files_of_a_batch().items():
        ingest.write_bytes(name, content)
    for name, digest in (checksums or {}).items():
        ingest.write_bytes("Box/checksums.sha256", f"{digest}  {name}\n".encode())
    ingest.write_bytes("Box/_READY", b"")
    return take_in(ingest, lake, DATE, settings_of(folder, at_once))


def settings_of(folder: Path, at_once: int) -> Settings:
    return Settings(
        lake_root=str(folder / "lake"),
        non_photos_root=str(folder / "non_photos"),
        quarantine_root=str(folder / "quarantine"),
        min_free_gib=0,
        files_at_once=at_once,
    )


def registered(folder: Path, at_once: int) -> list[tuple]:
    """What the register says of every item; the id of the batch follows from the times of the files."""
    taken = take(folder, at_once)
    ((_, batch_id),) = taken.batches
    return [described(item) for item in read_items(open_storage(str(folder / "lake")), DATE, batch_id)]


def described(item: Item) -> tuple:
    return item.source_path, item.sha256, item.duplicate_of, item.error_code, item.error_message, item.shard


def test_the_register_does_not_depend_on_how_many_files_are_copied_at_once(tmp_path: Path) -> None:
    one, many = (registered(tmp_path / str(at_once), at_once) for at_once in (1, 16))
    assert one == many
    assert [path for path, *_ in many] == sorted(path for path, *_ in many) and len(many) == 40
    assert sum(duplicate_of is not None for _, _, duplicate_of, *_ in many) > 20
    assert {sha256 for _, sha256, *_ in many} == {
        hashlib.sha256(content).hexdigest() for name, content in files_of_a_batch().items() if name.endswith(".png")
    }


def test_one_file_with_another_checksum_leaves_all_of_a_batch_in_ingest(tmp_path: Path) -> None:
    taken = take(tmp_path, 16, {"00.png": "0" * 64})
    assert not taken.batches
    assert "00.png" in " ".join(taken.waiting)
    for name, content in files_of_a_batch().items():
        assert (tmp_path / "ingest" / name).read_bytes() == content
    assert not [path for path in (tmp_path / "lake" / "originals").rglob("*") if path.is_file()]


def test_results_come_in_the_order_of_the_things_whoever_ends_first() -> None:
    last_ended = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert last_ended.wait(30)
        if number == 3:
            last_ended.set()
        return number * number

    assert side_by_side(work, range(4), 4) == [0, 1, 4, 9]


def test_after_a_failure_what_has_begun_ends_and_the_rest_is_not_begun() -> None:
    failed = threading.Event()
    begun, ended = [], []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            failed.set()
            raise FileNotFoundError("a.png")
        assert failed.wait(30)
        ended.append(number)

    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        side_by_side(work, range(10_000), 2)
    assert sorted(ended) == sorted(set(begun) - {0})
    assert len(begun) <= QUEUED


def test_no_more_are_at_work_than_may_be() -> None:
    meeting = threading.Barrier(3)
    lock = threading.Lock()
    at_work = most = 0

    def work(_: int) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        meeting.wait(30)  # three meet, or nobody goes on
        with lock:
            at_work -= 1

    side_by_side(work, range(9), 3)
    assert most == 3
