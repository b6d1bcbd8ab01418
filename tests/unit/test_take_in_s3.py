"""Taking batches in from a bucket: the same promises as for folders, where other means have to keep them."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.wrappers import Request

from tests.s3_server import BUCKET, S3Server
from tests.unit.test_take_in import DATE, png
from tounum_tasks.intake import take_in as intake
from tounum_tasks.intake.readiness import scan
from tounum_tasks.items import Item, read_items
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage


class House:
    """An ingest bucket, a lake, and what an intake makes of them."""

    def __init__(self) -> None:
        self.settings = Settings(lake_root=f"s3://{BUCKET}/lake", ingest_root=f"s3://{BUCKET}/ingest")
        self.ingest, self.lake = open_storage(self.settings.ingest_root), open_storage(self.settings.lake_root)

    def drop(self, **files: bytes) -> None:
        """Deliver a marked batch ``box``."""
        for name, content in files.items():
            self.ingest.write_bytes(f"box/{name}.png", content)
        self.ingest.write_bytes("box/_READY", b"")

    def take(self) -> intake.Intake:
        return intake.take_in(self.ingest, self.lake, DATE, self.settings)

    def items(self) -> list[Item]:
        """All items of the lake; their originals are what they say."""
        batches = [entry.name for entry in self.lake.list_folder(f"registers/{DATE}")]
        items = [item for batch in batches for item in read_items(self.lake, DATE, batch)]
        for item in items:
            assert self.lake.sha256(item.original) == item.sha256
        return items

    def left(self) -> list[str]:
        return [f"{entry.name}/{file.name}" for entry in self.ingest.list_folder() for file in self._files(entry.name)]

    def _files(self, folder: str) -> list:
        return self.ingest.list_folder(folder)


@pytest.fixture
def house(s3: S3Server) -> House:
    return House()


def test_every_file_is_an_item_and_ingest_is_empty(house: House) -> None:
    house.ingest.write_bytes("box/", b"")  # a folder as some tools mark it
    house.ingest.write_bytes("box/deep/", b"")
    house.ingest.write_bytes("box/deep/b.png", png(2))
    house.drop(a=png(1))
    assert len(house.take().batches) == 1
    assert [(item.source_path, item.batch_name) for item in house.items()] == [("a.png", "box"), ("deep/b.png", "box")]
    assert house.ingest.list_folder() == []


def test_a_batch_without_marker_is_ready_when_nothing_changed_for_a_while(house: House) -> None:
    house.ingest.write_bytes("box/a.png", png(1))
    house.ingest.write_bytes("loose.png", png(2))
    assert len(scan(house.ingest, quiet_seconds=300, now_ns=time.time_ns()).waiting) == 2
    later = time.time_ns() + 301 * 10**9
    assert [listing.name for listing in scan(house.ingest, quiet_seconds=300, now_ns=later).ready] == [
        "box", "loose files",
    ]  # fmt: skip


def test_folders_and_buckets_mix(s3: S3Server, tmp_path: Path) -> None:
    house = House()
    house.drop(a=png(1))
    folder = open_storage(str(tmp_path / "lake"))
    taken = intake.take_in(house.ingest, folder, DATE, Settings(lake_root=str(tmp_path / "lake"), min_free_gib=0))
    assert [item.source_path for item in read_items(folder, *taken.batches[0])] == ["a.png"]
    assert house.ingest.list_folder() == []


def test_names_that_are_no_paths_have_a_row_and_their_bytes_are_kept(house: House) -> None:
    for name in ("box/x\\y.png", "box/a\x1b[2J.png", "box/" + "d" * 100 + "/" + "n" * 700 + ".png"):
        house.ingest.write_bytes(name, png(1))
    house.ingest.write_bytes("box//no path.png", png(2))
    house.ingest.write_bytes("box/../lake.png", png(3))  # one key, not a way out
    house.drop(a=png(4))
    taken = house.take()
    refused = {item.source_path[:3] for item in house.items() if item.error_code == "name_refused"}
    assert refused == {"x\\\\", "a\\u", "ddd"} and len(house.items()) == 4
    assert "'box/' was left in ingest" in taken.left_behind[0]
    assert house.ingest.read_bytes("box//no path.png") == png(2) and not house.lake.exists("lake.png")


def while_reading(s3: S3Server, name: str, action: Callable[[], None]) -> None:
    """Do ``action`` when the first file of this name has been read."""

    def disturb(request: Request, done: bool) -> None:
        if done and request.method == "GET" and request.path.endswith(name) and not begun:
            begun.append(True)
            # From another thread: this one is busy with an answer.
            worker = threading.Thread(target=action)
            worker.start()
            worker.join()

    begun: list[bool] = []
    s3._disturbance = disturb


def test_a_file_that_is_replaced_while_it_is_taken_in_stays_and_comes_in_as_it_is_then(
    house: House, s3: S3Server
) -> None:
    """The same size within the same second: nothing but the version tells them apart."""
    house.drop(a=png(1), b=png(2))
    with s3.disturbed(lambda request, done: None):
        while_reading(s3, "ingest/box/b.png", lambda: house.ingest.write_bytes("box/a.png", png(3)))
        taken = house.take()
    assert taken.batches == () and "changed while it was taken in; it stays in ingest" in taken.waiting[0]
    assert len(house.take().batches) == 1
    assert {house.lake.read_bytes(item.original) for item in house.items()} == {png(2), png(3)}


def test_a_batch_that_is_deleted_while_it_is_taken_in_is_no_batch(house: House, s3: S3Server) -> None:
    house.drop(a=png(1), b=png(2))

    def delete() -> None:
        for name in ("a.png", "b.png", "_READY"):
            house.ingest.remove(f"box/{name}")

    with s3.disturbed(lambda request, done: None):
        while_reading(s3, "ingest/box/a.png", delete)
        taken = house.take()
    assert taken.batches == () and "while it was taken in" in taken.waiting[0]
    assert house.items() == [] and house.take().batches == ()
    assert house.lake.list_folder("registers/journal") == []


def test_what_arrives_after_the_register_stays_for_the_next_time(house: House, s3: S3Server) -> None:
    """A file is replaced between the last look and its removal: the new one is not deleted unread."""
    house.drop(a=png(1))

    def replace_when_registered(request: Request, done: bool) -> None:
        if done and request.method == "PUT" and request.path.endswith("items.parquet"):
            worker = threading.Thread(target=house.ingest.write_bytes, args=("box/a.png", png(9)))
            worker.start()
            worker.join()

    with s3.disturbed(replace_when_registered):
        house.take()
    assert house.ingest.read_bytes("box/a.png") == png(9)
    house.drop()
    house.take()
    assert [house.lake.read_bytes(item.original) for item in house.items()].count(png(9)) == 1
    assert house.ingest.list_folder() == []


def test_an_original_that_the_store_damaged_keeps_its_batch_in_ingest(house: House, s3: S3Server) -> None:
    house.drop(a=png(1))

    def damage(request: Request, done: bool) -> None:
        if done and request.method == "PUT" and "/originals/" in request.path and not damaged:
            damaged.append(True)
            path = request.path.removeprefix(f"/{BUCKET}/lake/")
            worker = threading.Thread(target=house.lake.write_bytes, args=(path, b"damage"))
            worker.start()
            worker.join()

    damaged: list[bool] = []
    with s3.disturbed(damage):
        taken = house.take()
    assert taken.batches == () and "does not hold the bytes" in taken.faults[0]
    assert house.ingest.read_bytes("box/a.png") == png(1)
    assert len(house.take().batches) == 1


def test_an_intake_that_was_held_up_while_another_finished_its_batch_changes_nothing(
    house: House, s3: S3Server
) -> None:
    """As when a worker is given up for dead, its task is given to another, and it wakes up."""
    house.drop(a=png(1), b=png(2))
    other: list[intake.Intake] = []

    with s3.disturbed(lambda request, done: None):
        while_reading(s3, "ingest/box/a.png", lambda: other.append(House().take()))
        first = house.take()
    assert first.batches == other[0].batches and len(first.batches) == 1
    assert [item.source_path for item in house.items()] == ["a.png", "b.png"]
    assert house.ingest.list_folder() == [] == house.lake.list_folder("registers/journal")
    assert intake.batch_date_of(house.lake, first.batches[0][1]) == DATE


def test_intakes_at_once_take_it_once(house: House) -> None:
    house.drop(**{str(number): png(number) for number in range(8)})
    workers = [threading.Thread(target=House().take) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    house.take()
    assert sorted(item.source_path for item in house.items()) == [f"{number}.png" for number in range(8)]
    assert house.ingest.list_folder() == []
