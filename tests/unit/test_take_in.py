"""Taking batches in: originals are safe before ingest is emptied, and every file becomes an item."""

import hashlib
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from tounum_tasks.intake import take_in as intake
from tounum_tasks.intake.sidecars import describes
from tounum_tasks.items import Item, read_items, read_sidecars, register_path
from tounum_tasks.names import safe_key
from tounum_tasks.settings import Settings
from tounum_tasks.store.folder import FolderStorage
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes

DATE = "2026-03-01"


def png(grey: int) -> bytes:
    return cv2.imencode(".png", np.full((8, 8, 3), grey, np.uint8))[1].tobytes()


class House:
    """An ingest folder, a lake, and what an intake makes of them."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.ingest = folder / "ingest"
        self.ingest.mkdir()
        self.settings = Settings(
            lake_root=str(folder / "lake"),
            ingest_root=str(self.ingest),
            non_photos_root=str(folder / "non_photos"),
            quarantine_root=str(folder / "quarantine"),
            min_free_gib=0,
            **options,  # type: ignore[arg-type]
        )
        self.lake = FolderStorage(f"file://{folder / 'lake'}")

    def drop(self, path: str | bytes, content: bytes) -> Path:
        target = self.ingest / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def ready(self, batch: str) -> None:
        self.drop(f"{batch}/_READY", b"")

    def take(self, date: str = DATE) -> intake.Intake:
        return intake.take_in(open_storage(str(self.ingest)), self.lake, date, self.settings)

    def items(self, taken: intake.Intake) -> list[Item]:
        return [item for batch in taken.batches for item in read_items(self.lake, *batch)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_every_file_is_an_item_and_ingest_is_empty(house: House) -> None:
    house.drop("Box 1/a.png", png(10))
    house.drop("Box 1/deep/er/b.png", png(20))
    house.ready("Box 1")
    taken = house.take()
    items = house.items(taken)
    assert [(item.source_path, item.page, item.format, item.batch_name) for item in items] == [
        ("a.png", 1, "png", "Box 1"),
        ("deep/er/b.png", 1, "png", "Box 1"),
    ]
    assert house.lake.read_bytes(items[1].original) == png(20)
    assert list(house.ingest.iterdir()) == []


def test_pages_of_one_file_are_items(house: House) -> None:
    pages = [Image.new("L", (8, 8), grey) for grey in (0, 100, 200)]
    path = house.drop("box/scan.tif", b"")
    pages[0].save(path, save_all=True, append_images=pages[1:])
    house.ready("box")
    items = house.items(house.take())
    assert [(item.page, item.pages, item.image_id) for item in items] == [
        (page, 3, f"{items[0].sha256}-p000{page}") for page in (1, 2, 3)
    ]


def test_the_second_of_two_equal_files_is_a_duplicate(house: House) -> None:
    for name in ("a.png", "b.png", "c.png"):
        house.drop(f"box/{name}", png(10 if name < "c" else 20))
    house.ready("box")
    assert [item.duplicate_of for item in house.items(house.take())] == [None, "a.png", None]


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>.png",
        "архив.png",
        "写真.png",
        "صورة.png",
        "o'clock \"x\".png",
        "x" * 251 + ".png",
        "-rf.png",
    ],
)  # fmt: skip
def test_odd_names_keep_their_path(house: House, name: str) -> None:
    house.drop(f"box/{name}", png(1))
    house.ready("box")
    (item,) = house.items(house.take())
    assert item.source_path == name and item.error_code is None
    assert item.original.endswith(name)


@pytest.mark.parametrize("name", [b"a\xff.png", b"a\nb.png", b"a\x1b[2J.png", "\u202egnp.exe".encode(), b"a\\b.png"])
def test_refused_names_have_a_row_and_their_bytes_are_kept(house: House, name: bytes) -> None:
    house.drop(b"box/" + name, png(1))
    house.ready("box")
    (item,) = house.items(house.take())
    assert item.error_code == "name_refused" and "rename" in (item.error_message or "")
    assert house.lake.read_bytes(item.original) == png(1)
    assert list(house.ingest.iterdir()) == []


def test_folder_names_of_every_kind(house: House) -> None:
    for name in (b"..hidden", b"A & B <b>", b"box\xff\x01", "日本".encode(), b"x" * 255):
        house.drop(name + b"/a.png", png(1))
        house.drop(name + b"/_READY", b"")
    taken = house.take()
    names = {item.batch_name for item in house.items(taken)}
    assert names == {"A & B <b>", "box\\xff\\u0001", "日本", "x" * 255}


def test_what_is_not_an_image_is_registered_with_its_error(house: House) -> None:
    house.drop("box/a.jpg", b"not an image")
    house.drop("box/b.jpg", b"")
    house.ready("box")
    assert [item.error_code for item in house.items(house.take())] == ["not_an_image", "empty_file"]


def test_ignored_files_and_links_stay_behind(house: House, tmp_path: Path) -> None:
    house.drop("box/a.png", png(1))
    hidden = house.drop("box/.hidden.png", png(2))
    (house.ingest / "box" / "link.png").symlink_to(tmp_path / "elsewhere")
    house.ready("box")
    taken = house.take()
    assert len(house.items(taken)) == 1 and hidden.exists()
    assert "symbolic link" in taken.left_behind[0]
    assert house.take().batches == ()


def test_waiting_batches_stay_and_are_named(house: House) -> None:
    path = house.drop("fresh/a.png", png(1))
    taken = house.take()
    assert taken.batches == () and path.exists() and "fresh" in taken.waiting[0]


def test_the_same_delivery_again_is_not_a_second_batch(house: House) -> None:
    def deliver(grey: int) -> None:
        for path in (house.drop("box/a.png", png(grey)), house.drop("box/_READY", b"")):
            os.utime(path, (1000, 1000))

    deliver(1)
    first = house.take()
    deliver(1)
    assert house.take("2026-03-02").batches == first.batches
    assert list(house.ingest.iterdir()) == []
    deliver(2)  # same name, size and time, other bytes
    third = house.take("2026-03-02")
    assert third.batches != first.batches and house.items(third)[0].sha256 != house.items(first)[0].sha256


def test_a_batch_that_changes_while_it_is_copied_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.drop("box/a.png", png(1))
    late = house.ingest / "box" / "late.png"
    house.ready("box")
    look_again = intake.list_batch

    def file_arrives_then_look(*arguments: object) -> object:
        late.write_bytes(png(2))
        return look_again(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "list_batch", file_arrives_then_look)
    taken = house.take()
    assert taken.batches == () and "changed while it was taken in" in taken.waiting[0]
    monkeypatch.undo()
    assert [item.source_path for item in house.items(house.take())] == ["a.png", "late.png"]


def test_a_batch_that_does_not_fit_stays_and_the_others_come_in(house: House) -> None:
    house.drop("large/a.png", png(1)).open("ab").truncate(2**43)
    house.ready("large")
    house.drop("small/a.png", png(1))
    house.ready("small")
    taken = house.take()
    assert [item.batch_name for item in house.items(taken)] == ["small"]
    assert "'large' stays in ingest: it needs" in taken.faults[0] and (house.ingest / "large" / "a.png").exists()


def test_a_damaged_journal_holds_up_its_own_batch_only(house: House) -> None:
    house.lake.write_bytes("registers/journal/x.json", b"{")
    house.drop("small/a.png", png(1))
    house.ready("small")
    taken = house.take()
    assert len(taken.batches) == 1 and "x.json is damaged" in taken.faults[0]


def test_a_batch_that_changed_leaves_nothing_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.drop("box/a.png", png(1))
    house.ready("box")
    monkeypatch.setattr(intake, "list_batch", lambda *arguments: (_ for _ in ()).throw(FileNotFoundError))
    assert "vanished" in house.take().waiting[0]
    assert not any(house.lake.local_path("").rglob("*.png"))
    assert house.lake.list_folder("registers/batches") == [] == house.lake.list_folder("registers/journal")


@pytest.mark.parametrize("root", ["lake_root", "non_photos_root", "quarantine_root"])
def test_what_killed_writers_left_is_removed_after_a_day(house: House, root: str) -> None:
    storage = open_storage(getattr(house.settings, root))
    for name, age in (("old", 2 * 24 * 3600), ("new", 60)):
        storage.write_bytes(f".tmp/{name}", b"half")
        then = time.time() - age
        os.utime(storage.local_path(f".tmp/{name}"), (then, then))  # type: ignore[attr-defined]
    house.take()
    assert [entry.name for entry in storage.list_folder(".tmp")] == ["new"]


def test_a_file_that_was_touched_only_is_taken_in_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup program or a change of permissions is no other content."""
    path = house.drop("box/a.png", png(1))
    house.ready("box")
    commit, look_again = intake.commit_items, intake.list_batch

    def touch_then(action):
        def act(*arguments: object, **options: object) -> object:
            path.chmod(path.stat().st_mode ^ 0o010)
            return action(*arguments, **options)

        return act

    monkeypatch.setattr(intake, "commit_items", touch_then(commit))
    monkeypatch.setattr(intake, "list_batch", touch_then(look_again))
    assert len(house.items(house.take())) == 1 and list(house.ingest.iterdir()) == []


def test_a_file_that_cannot_be_put_back_under_its_name_stays_under_another(house: House, tmp_path: Path) -> None:
    """Somebody delivers the next file of a name while the one before is looked at for the last time."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"next")
    (folder / f".{safe_key('a.png')}.taken").write_bytes(b"before")  # as a killed process left it
    storage = open_storage(str(folder), untrusted=True)
    taken = hashlib.sha256(b"what was read").hexdigest()
    assert not storage.remove_unchanged("a.png", sha256=taken, version="")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.png": b"next", "a.1.png": b"before"}
    assert storage.remove_unchanged("a.png", sha256=hashlib.sha256(b"next").hexdigest(), version="")
    assert [path.name for path in folder.iterdir()] == ["a.1.png"]


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_any_more_stays(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "a.png"
    if kind == "folder":
        target.mkdir()
        (target / "inner").write_bytes(b"x")
    elif kind == "link":
        target.symlink_to("/etc/passwd")
    else:
        os.mkfifo(target)
    storage = open_storage(str(tmp_path), untrusted=True)
    assert not storage.remove_unchanged("a.png", sha256=hashlib.sha256(b"x").hexdigest(), version="")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and os.path.lexists(target)


def test_two_intakes_at_once_take_it_once(house: House) -> None:
    for number in range(20):
        house.drop(f"box/{number}.png", png(number))
    house.ready("box")
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            house.take()
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    batches = [entry.name for entry in house.lake.list_folder(f"registers/{DATE}")]
    assert len(batches) == 1 and len(read_items(house.lake, DATE, batches[0])) == 20


@hypothesis_settings(max_examples=20, deadline=None)
@given(files=st.integers(1, 30), shard_size=st.integers(1, 12))
def test_shards_hold_every_item_once_and_at_most_shard_size(
    tmp_path_factory: pytest.TempPathFactory, files: int, shard_size: int
) -> None:
    house = House(tmp_path_factory.mktemp("house"), shard_size=shard_size)
    for number in range(files):
        house.drop(f"box/{number}.png", png(number))
    house.ready("box")
    items = house.items(house.take())
    sizes = [sum(item.shard == shard for item in items) for shard in range(max(item.shard for item in items) + 1)]
    assert sum(sizes) == files and max(sizes) <= shard_size and min(sizes) > 0
    assert all(size == shard_size for size in sizes[:-1])


def test_a_large_batch_gets_larger_shards_not_more(tmp_path: Path) -> None:
    """Each shard more makes Airflow's scheduler slower."""
    house = House(tmp_path, shard_size=2, batch_shards=4)
    for number in range(11):
        house.drop(f"box/{number:02d}.png", png(number))
    house.ready("box")
    assert [item.shard for item in house.items(house.take())] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]


def test_what_describes_images_is_kept_beside_them_and_is_no_image(house: House) -> None:
    files = {
        "a.png": png(1),
        "a.xmp": b"<x:xmpmeta/>",
        "b.png": png(2),
        "b.png.json": b"{}",
        "alto/B.xml": b"<alto/>",
        "METS.xml": b"<mets/>",
        "empty.csv": b"",
        "Picasa.ini": b"[a.png]",
        "catalogue.txt": b"P1 and P2: two photographs",
        "README": b"Box 7 of 9",
        "schema/mets.xsd": b"<xs:schema/>",
        "Museum.accdb": b"\0\1\0\0Standard ACE DB",
        "sums.md5.asc": b"-----BEGIN PGP SIGNATURE-----",
    }
    for name, content in files.items():
        house.drop(f"Box/{name}", content)
    house.ready("Box")
    taken = house.take()
    assert [(item.source_path, item.error_code) for item in house.items(taken)] == [("a.png", None), ("b.png", None)]
    sidecars = read_sidecars(house.lake, *taken.batches[0])
    assert {sidecar.source_path: sidecar.describes for sidecar in sidecars} == {
        "METS.xml": [],
        "Museum.accdb": [],
        "README": [],
        "schema/mets.xsd": [],
        "sums.md5.asc": [],
        "Picasa.ini": [],
        "a.xmp": ["a.png"],
        "alto/B.xml": ["b.png"],
        "b.png.json": ["b.png"],
        "catalogue.txt": [],
        "empty.csv": [],
    }
    for sidecar in sidecars:
        assert house.lake.read_bytes(sidecar.original) == files[sidecar.source_path]
    assert list(house.ingest.iterdir()) == []


def test_an_image_is_one_whatever_its_suffix_says(house: House) -> None:
    house.drop("box/a.txt", png(1))
    house.drop("box/b.xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    house.drop("box/c.md5", b"\x89PNG\r\n\x1a\n")
    house.drop("box/list.csv", b"name;title")
    house.ready("box")
    found = {item.source_path: item.error_code for item in house.items(house.take())}
    assert found.keys() == {"a.txt", "b.xml", "c.md5"} and found["a.txt"] is None


def test_a_sidecar_of_a_refused_name_is_kept(house: House) -> None:
    house.drop(b"box/a\xff.xmp", b"<x/>")
    house.drop(b"box/a\xff.png", png(1))
    house.ready("box")
    taken = house.take()
    (sidecar,) = read_sidecars(house.lake, *taken.batches[0])
    (item,) = house.items(taken)
    assert item.error_code == "name_refused" and sidecar.describes == [item.source_path]
    assert house.lake.read_bytes(sidecar.original) == b"<x/>"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"listing": null, "batch_id": "box-1", "batch_date": "2026-03-01"}',
        b'{"listing": {"folder": "box", "files": [], "changed_ns": 0},"batch_id": "box-1", "batch_date": "2026-03-0q"}',
    ],
)
def test_a_damaged_journal_is_named_and_the_other_batches_come_in(house: House, content: bytes) -> None:
    house.lake.write_bytes("registers/journal/box.json", content)
    house.drop("good/a.png", png(1))
    house.ready("good")
    taken = house.take()
    assert len(taken.batches) == 1 and "journal/box.json is damaged" in "".join(taken.faults)
    assert not [entry.name for entry in house.lake.list_folder("registers/2026-03-0q")]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"junk")])
def test_what_is_delivered_again_takes_the_place_of_what_the_lake_has_lost(house: House, damage) -> None:
    contents = {"a.png": png(10), "a.xmp": b"<x/>", "b.png": png(20)}

    def deliver() -> intake.Intake:
        for name, content in contents.items():
            os.utime(house.drop(f"Box/{name}", content), (10**9, 10**9))
        house.ready("Box")
        return house.take()

    first = deliver()
    folder = house.lake.local_path(f"originals/{'/'.join(first.batches[0])}")
    for name in ("a.png", "a.xmp"):
        damage(folder / name)
    assert deliver().batches == first.batches
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
    assert not list(house.ingest.iterdir())


def test_what_is_delivered_again_and_cannot_be_put_back_stays(house: House) -> None:
    def deliver() -> intake.Intake:
        os.utime(house.drop("Box/a.png", png(10)), (10**9, 10**9))
        house.ready("Box")
        return house.take()

    first = deliver()
    original = house.lake.local_path(f"originals/{'/'.join(first.batches[0])}/a.png")
    original.unlink()
    original.mkdir()
    again = deliver()
    assert not again.batches and "a.png cannot be used" in "".join(again.faults)
    assert (house.ingest / "Box" / "a.png").read_bytes() == png(10)
    original.rmdir()
    assert house.take().batches == first.batches and original.read_bytes() == png(10)


def test_the_same_delivery_with_another_sidecar_is_another_batch(house: House) -> None:
    def deliver(title: bytes) -> None:
        for path in (house.drop("box/a.png", png(1)), house.drop("box/a.xmp", title), house.drop("box/_READY", b"")):
            os.utime(path, (1000, 1000))

    deliver(b"one")
    first = house.take()
    deliver(b"two")
    second = house.take()
    deliver(b"two")
    assert house.take().batches == second.batches != first.batches
    assert list(house.ingest.iterdir()) == []


def test_a_register_of_the_first_release_is_read(house: House) -> None:
    house.drop("box/a.png", png(1))
    house.ready("box")
    taken = house.take()
    path = register_path(*taken.batches[0])
    table = pq.read_table(house.lake.local_path(path)).drop_columns(["checksum", "checksum_source"])
    house.lake.write_bytes(path, parquet_bytes(table))
    (item,) = house.items(taken)
    assert item.source_path == "a.png" and item.checksum is None


def test_sidecars_are_found_by_the_names_that_programs_give_them() -> None:
    images = ["img/0001.tif", "img/0002.tif", "IMG_1.JPG", "a/plate.tif", "b/plate.tif", "box/media/0003.tif"]
    found = describes(
        [
            "img/0001.tif.alto.xml", "img/0001_alto.xml", "img/0001.ocr.txt", "ALTO/0001.alto.xml",
            "metadata/0001.tif.xml",
            "IMG_1.jpg.supplemental-metadata.json", "box/ocr/alto/0003.xml", "ocr/alto/plate.xml",
            "img/0001_letter.txt", "box_meta.xml",
        ],
        images,
    )  # fmt: skip
    assert list(found.values()) == [
        ["img/0001.tif"], ["img/0001.tif"], ["img/0001.tif"], ["img/0001.tif"], ["img/0001.tif"],
        ["IMG_1.JPG"], ["box/media/0003.tif"], [], [],
        [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sidecar", "images", "described"),
    [
        ("vol2/ocr/0150.xml", ["vol1/tif/0150.tif", "vol2/tif/0149.tif"], []),
        ("vol2/ocr/alto/0150.xml", ["vol1/tif/0150.tif", "vol2/images/tif/0150.tif"], ["vol2/images/tif/0150.tif"]),
        ("vol2/ocr/alto/0150.xml", ["vol1/tif/0149.tif", "vol2/images/tif/0150.tif"], ["vol2/images/tif/0150.tif"]),
        ("0150.xml", ["vol1/tif/0150.tif", "vol2/tif/0149.tif"], []),
        ("ocr/alto/0150.xml", ["images/tif/0149.tif", "images/tif/0150.tif"], ["images/tif/0150.tif"]),
        ("ocr/alto/0150.xml", ["0149.tif", "0150.tif"], ["0150.tif"]),
        ("0001.xmp", ["0001"], ["0001"]),
        ("0001.xmp", ["0001", "0001.tif"], ["0001"]),
        ("a.xmp", ["a.tif", "a.jpg"], ["a.tif", "a.jpg"]),
        ("a.tif.xmp", ["a.tif.jpg", "a.tif"], ["a.tif"]),
        ("a.tif.xmp", ["a.tif.jpg"], ["a.tif.jpg"]),
        ("meta/a.tif.xmp", ["web/a.tif.jpg", "img/a.tif"], ["img/a.tif"]),
        ("a.tif.alto.xml", ["a.tif.jpg", "a.tif"], ["a.tif"]),
    ],
)  # fmt: skip
def test_a_sidecar_describes_no_image_of_another_volume_and_none_twice(
    sidecar: str, images: list[str], described: list[str]
) -> None:
    assert describes([sidecar], images)[sidecar] == described


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), min_size=1, max_size=8, unique=True))
def test_every_sidecar_describes_images_that_are_there(names: list[str]) -> None:
    found = describes([f"{name}.xmp" for name in names], [f"{name}.tif" for name in names])
    for name in names:
        assert f"{name}.tif" in found[f"{name}.xmp"]


def test_a_batch_that_an_earlier_release_began_is_finished(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.drop("box/a.png", png(1))
    house.ready("box")
    finish = intake._finish

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(intake, "_finish", killed)
    with pytest.raises(KeyboardInterrupt):
        house.take()
    monkeypatch.setattr(intake, "_finish", finish)
    (entry,) = house.lake.list_folder("registers/journal")
    path = f"registers/journal/{entry.name}"
    journal = json.loads(house.lake.read_bytes(path))
    for name in ("markers", "unfinished_ns"):
        del journal["listing"][name]
    journal["listing"]["has_marker"] = True
    house.lake.write_bytes(path, json.dumps(journal).encode())
    assert len(house.items(house.take())) == 1 and list(house.ingest.iterdir()) == []
