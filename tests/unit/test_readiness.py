"""Which batches are taken and which must wait."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.intake.readiness import Scan, list_batch, scan
from tounum_tasks.store.open import open_storage

QUIET = 300


def look(root: Path, *, seconds_later: float = 0) -> Scan:
    return scan(open_storage(str(root)), quiet_seconds=QUIET, now_ns=time.time_ns() + int(seconds_later * 1e9))


def names(found: Scan) -> list[str]:
    return [listing.name for listing in found.ready]


def drop(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make_old(folder: Path, seconds: float = 2 * QUIET) -> None:
    """Give everything an old modification time, as ``cp -a`` does when it has finished."""
    then = time.time() - seconds
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (then, then), follow_symlinks=False)


def test_a_fresh_batch_waits_and_the_sentence_says_why_and_what_to_do(tmp_path: Path) -> None:
    drop(tmp_path / "box 7" / "a.jpg")
    found = look(tmp_path)
    assert not found.ready
    assert "box 7" in found.waiting[0] and "300 s" in found.waiting[0] and "_READY" in found.waiting[0]


def test_a_quiet_batch_is_taken(tmp_path: Path) -> None:
    drop(tmp_path / "box" / "deep" / "a.jpg")
    assert names(look(tmp_path, seconds_later=QUIET - 5)) == []
    assert names(look(tmp_path, seconds_later=QUIET + 5)) == ["box"]


def test_the_marker_makes_a_batch_ready_at_once_and_is_no_image(tmp_path: Path) -> None:
    drop(tmp_path / "box" / "a.jpg")
    drop(tmp_path / "box" / "_READY")
    (listing,) = look(tmp_path).ready
    assert [file.path for file in listing.files] == ["a.jpg"]


def test_a_marker_in_a_sub_folder_does_not_count(tmp_path: Path) -> None:
    drop(tmp_path / "box" / "a" / "_READY")
    drop(tmp_path / "box" / "a" / "a.jpg")
    assert not look(tmp_path).ready


def test_preserved_times_do_not_make_a_running_copy_look_finished(tmp_path: Path) -> None:
    drop(tmp_path / "box" / "sub" / "a.jpg")
    make_old(tmp_path / "box")
    assert names(look(tmp_path)) == ["box"]
    os.utime(drop(tmp_path / "box" / "sub" / "b.jpg"), (0, 0))  # a second file arrives, its time is preserved
    assert names(look(tmp_path)) == []


def test_a_wrong_clock_in_the_future_does_not_block_forever(tmp_path: Path) -> None:
    path = drop(tmp_path / "box" / "a.jpg")
    os.utime(path, (time.time() + 10**6,) * 2)
    assert names(look(tmp_path, seconds_later=QUIET + 5)) == ["box"]


def test_loose_files_form_one_batch_that_waits_for_all_of_them(tmp_path: Path) -> None:
    old, new = drop(tmp_path / "a.jpg"), drop(tmp_path / "b.jpg")
    os.utime(old, (0, 0))
    assert "loose files" in look(tmp_path).waiting[0]
    os.utime(new, (0, 0))
    (listing,) = look(tmp_path).ready
    assert [file.path for file in listing.files] == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("name", [".hidden", "._a.jpg", "Thumbs.db", "desktop.ini", "a.jpg.part", "a.tmp"])
def test_ignored_names_neither_come_in_nor_block(tmp_path: Path, name: str) -> None:
    drop(tmp_path / "box" / "a.jpg")
    make_old(tmp_path / "box")
    drop(tmp_path / name)
    drop(tmp_path / "box" / name)
    make_old(tmp_path)
    (listing,) = look(tmp_path).ready
    assert [file.path for file in listing.files] == ["a.jpg"]


def test_links_are_never_followed_and_are_named(tmp_path: Path) -> None:
    root = tmp_path / "ingest"
    secret = drop(tmp_path / "secret" / "key.jpg")
    drop(root / "box" / "a.jpg")
    (root / "box" / "link.jpg").symlink_to(secret)
    (root / "box" / "linked folder").symlink_to(secret.parent)
    (root / "linked batch").symlink_to(secret.parent)
    found = look(root, seconds_later=QUIET + 5)
    (listing,) = found.ready
    assert [file.path for file in listing.files] == ["a.jpg"]
    assert len(found.left_behind) == 3 and all("symbolic link" in sentence for sentence in found.left_behind)


def test_a_pipe_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    os.mkfifo(tmp_path / "box" / "pipe.jpg")
    assert "no regular file" in look(tmp_path, seconds_later=QUIET + 5).left_behind[0]


def test_empty_folders_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "box" / "inner").mkdir(parents=True)
    assert look(tmp_path, seconds_later=10**6) == Scan((), (), ())


def test_a_missing_root_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"does not exist: create the folder"):
        look(tmp_path / "absent")


def test_hundreds_of_nested_folders_are_listed(tmp_path: Path) -> None:
    deep = tmp_path / "box" / "/".join(["d"] * 400)
    drop(deep / "a.jpg")
    (listing,) = look(tmp_path, seconds_later=QUIET + 5).ready
    assert len(listing.files) == 1


@given(st.lists(st.integers(0, 2 * QUIET), min_size=1, max_size=5), st.booleans())
def test_ready_exactly_when_marked_or_quiet(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], marked: bool
) -> None:
    root = tmp_path_factory.mktemp("ingest")
    now = time.time_ns()
    for number, age in enumerate(ages):
        path = drop(root / "box" / f"{number}.jpg")
        os.utime(path, ns=(now - age * 10**9,) * 2)
    if marked:
        drop(root / "box" / "_READY")
    os.utime(root / "box", (0, 0))
    found = scan(open_storage(str(root)), quiet_seconds=QUIET, now_ns=now)
    assert bool(found.ready) == (marked or min(ages) >= QUIET)
    assert bool(found.ready) != bool(found.waiting)


def test_the_digest_sees_names_sizes_and_times(tmp_path: Path) -> None:
    ingest = open_storage(str(tmp_path))
    path = drop(tmp_path / "box" / "a.jpg")
    os.utime(path, (100, 100))
    first = list_batch(ingest, "box").digest
    assert list_batch(ingest, "box").digest == first
    os.utime(path, (101, 101))
    assert list_batch(ingest, "box").digest != first
    os.utime(path, (100, 100))
    path.rename(path.with_name("b.jpg"))
    assert list_batch(ingest, "box").digest != first


@pytest.mark.parametrize("others", [[], ["half.part"], [".hidden", "deep/x.tmp"]])
def test_a_marked_batch_without_a_file_to_take_is_named_and_nobody_waits_for_it(
    tmp_path: Path, others: list[str]
) -> None:
    for name in ("_READY", *others):
        drop(tmp_path / "box" / name)
    found = look(tmp_path)
    assert found.ready == () == found.waiting
    (sentence,) = found.left_behind
    assert "'box' was left in ingest" in sentence and "_READY" in sentence and "remove it" in sentence


@pytest.mark.parametrize("when", [-2_082_844_800, 0, 4_070_908_800])
def test_wrong_clocks_change_nothing(tmp_path: Path, when: int) -> None:
    """Of 1904, of 1970 and of 2099: what is fresh waits, what is quiet is taken, and it is the same batch each time."""
    path = drop(tmp_path / "box" / "a.jpg")
    os.utime(path, (when, when))
    assert names(look(tmp_path)) == [] and names(look(tmp_path, seconds_later=QUIET + 5)) == ["box"]
    first = list_batch(open_storage(str(tmp_path)), "box")
    assert first.files[0].mtime_ns == when * 10**9
    path.chmod(0o600)  # the file system notes a change of attributes
    again = list_batch(open_storage(str(tmp_path)), "box")
    assert again.digest == first.digest and again.files[0].identity != first.files[0].identity


SYSTEM_FOLDERS = [
    "~snapshot",
    "Icon\uf00d",
    "found.000",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "lost+found",
    "__MACOSX",
    "System Volume Information",
]


@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
def test_folders_of_the_system_are_left_behind_with_all_that_is_in_them(tmp_path: Path, name: str) -> None:
    drop(tmp_path / "box" / "a.jpg")
    drop(tmp_path / "box" / name / "a.jpg" / "SYNOPHOTO_THUMB_M.jpg")
    drop(tmp_path / name / "b.jpg")
    (listing,) = look(tmp_path, seconds_later=QUIET + 5).ready
    assert [file.path for file in listing.files] == ["a.jpg"]


UNFINISHED = [
    "a.tif.filepart", "a.tif.partial", "a.tif.crdownload", "a.tif.aria2", "a.tif.part", ".a.tif.Xy12Zk", "a.tif.upload",
    "a.tif.!sync", "a.tif_.gstmp", "a.tif.ffs_tmp", "a.tif.fdmdownload", "a.tif.8fC01dE2", ".sftpgo-upload.x.a.tif",
    ".~lock.list.ods#", "~$list.xlsx", "a.tif.opdownload", "list.txt~", ".list.txt.swp", ".in.a.tif.", "a.tif.download",
]  # fmt: skip


@pytest.mark.parametrize("marker", [True, False])
@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_upload_holds_its_batch_back_while_it_changes(tmp_path: Path, name: str, marker: bool) -> None:
    drop(tmp_path / "box" / "a.jpg")
    if marker:
        drop(tmp_path / "box" / "_READY")
    half = drop(tmp_path / "box" / name)
    make_old(tmp_path)
    half.write_bytes(b"more")
    (sentence,) = look(tmp_path).waiting
    assert "not finished" in sentence
    (listing,) = look(tmp_path, seconds_later=QUIET + 5).ready
    assert [file.path for file in listing.files] == ["a.jpg"]


@pytest.mark.parametrize("name", ["a.tif.download", ".rsync-partial"])
def test_a_folder_that_is_not_finished_holds_its_batch_back_while_a_file_in_it_changes(
    tmp_path: Path, name: str
) -> None:
    drop(tmp_path / "box" / "a.jpg")
    half = drop(tmp_path / "box" / name / "deep" / "a.tif")
    make_old(tmp_path)
    half.write_bytes(b"more")
    (sentence,) = look(tmp_path).waiting
    assert "not finished" in sentence
    assert names(look(tmp_path, seconds_later=QUIET + 5)) == ["box"]


def test_what_is_not_finished_is_named_wherever_it_lies(tmp_path: Path) -> None:
    drop(tmp_path / "Box 7.part" / "a.jpg")
    drop(tmp_path / "Box 8" / "a.jpg.part")
    drop(tmp_path / "proofs~" / "a.jpg")
    found = look(tmp_path, seconds_later=2 * QUIET)
    assert found.ready == ()
    assert [sentence.split("'")[1] for sentence in found.left_behind] == ["Box 8/a.jpg.part", "Box 7.part", "proofs~"]


@pytest.mark.parametrize(
    ("name", "is_named"),
    [
        (".a.tif.Xy12Zk", True), (".a.tif.icloud", True), (".in.a.tif.", True), (".pureftpd-upload.1.15.2.a", True),
        (".~lock.list.ods#", False), ("~$list.xlsx", False), (".list.txt.swp", False), (".goutputstream-XYZ", False),
        (".index.sqlite", False), (".README.BACKUP", False), ("._map.backup", False), ("._a.tif.Xy12Zk", False),
        (".a.tif.abcde1", True), (".a.tif.abcDef", True),
    ],
)  # fmt: skip
def test_a_hidden_upload_that_broke_off_is_named_and_a_lock_is_not(tmp_path: Path, name: str, is_named: bool) -> None:
    drop(tmp_path / "box" / "b.jpg")
    drop(tmp_path / "box" / name)
    found = look(tmp_path, seconds_later=QUIET + 5)
    assert names(found) == ["box"] and [name in sentence for sentence in found.left_behind] == [True] * is_named


@pytest.mark.parametrize(
    "name",
    ["scan.tif.20240131", "scan.tif.7f071235", "scan.tif.8FC01DE2", "a.icloud.tif", "Teil.part2.tif", "a.tmp.jpg"],
)
def test_names_that_only_look_unfinished_are_taken(tmp_path: Path, name: str) -> None:
    drop(tmp_path / "box" / name)
    assert names(look(tmp_path, seconds_later=QUIET + 5)) == ["box"]


@pytest.mark.parametrize("name", ["_ready", "_Ready.TXT", "_READY.txt", "_READY"])
def test_the_marker_is_known_in_any_case_and_as_editors_write_it(tmp_path: Path, name: str) -> None:
    drop(tmp_path / "box" / "a.jpg")
    drop(tmp_path / "box" / name)
    drop(tmp_path / "loose.jpg")
    drop(tmp_path / name)
    assert [[file.path for file in listing.files] for listing in look(tmp_path).ready] == [["a.jpg"], ["loose.jpg"]]


@pytest.mark.parametrize("patterns", [("*.XMP", "proofs", "pru\u0308f*"), ("deep/a.xmp", "a.xmp", "Proofs/", "PRÜF*")])
def test_what_the_setting_names_stays_out(tmp_path: Path, patterns: tuple[str, ...]) -> None:
    for name in ("a.jpg", "a.xmp", "proofs/b.jpg", "deep/a.xmp", "deep/proofs/b.jpg", "Prüfung.jpg", "Pru\u0308f.jpg"):
        drop(tmp_path / "box" / name)
    listing = list_batch(open_storage(str(tmp_path)), "box", patterns)
    assert [file.path for file in listing.files] == ["a.jpg"]


def test_a_batch_of_descriptions_alone_stays_and_is_named(tmp_path: Path) -> None:
    drop(tmp_path / "box" / "list of boxes.txt", b"Box 17")
    drop(tmp_path / "box" / "_READY")
    drop(tmp_path / "other" / "scan.txt", b"\xff\xd8\xff\xe0")
    drop(tmp_path / "other" / "_READY")
    found = look(tmp_path)
    assert names(found) == ["other"] and found.waiting == ()
    assert "'box' was left in ingest" in found.left_behind[0] and "no image" in found.left_behind[0]
