"""The command ``verify``: the originals of a lake are what was taken in, or somebody is told."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from werkzeug.wrappers import Request, Response

from tests.s3_server import S3Server, error
from tests.unit.test_take_in import House, png
from tests.unit.test_take_in_s3 import House as Bucket
from tounum_tasks.cli.main import main
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.history import verify as verification
from tounum_tasks.history.verify import READERS, compare
from tounum_tasks.intake.journal import Journal
from tounum_tasks.intake.readiness import FileState, Listing
from tounum_tasks.intake.take_in import claim_path
from tounum_tasks.items import register_path
from tounum_tasks.manifest.read import history_path, manifest_path
from tounum_tasks.store import objects as object_storage

ATTEMPTS = 4  # at most, in half a second


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path, incomplete="take")
    house.drop("box/a.png", png(1))
    house.drop("box/b.png", png(2))
    house.drop("box/b.xmp", b"<x/>")
    house.drop("box/sums.md5", b"0" * 32 + b"  lost.png\n")
    house.ready("box")
    house.drop("other/c.png", png(3))
    house.ready("other")
    house.take()
    return house


def verify(house: House, *options: str) -> int:
    return main(["verify", "--lake", house.settings.lake_root, *options])


def original(house: House, name: str) -> Path:
    (path,) = house.lake.local_path("originals").rglob(name)
    return path


def test_a_whole_lake_has_no_difference(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(house) == 0
    assert capsys.readouterr().out == "5 files of 2 batches compared, 0 differences.\n"


def test_every_difference_is_a_line_and_nothing_is_changed(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    original(house, "a.png").write_bytes(png(9))
    original(house, "b.xmp").unlink()
    stranger = original(house, "b.png").with_name("stranger.png")
    stranger.write_bytes(png(4))
    assert verify(house) == 1
    *lines, total = capsys.readouterr().out.splitlines()
    assert total == "5 files of 2 batches compared, 3 differences."
    assert [line.partition(":")[0] for line in lines] == ["different", "missing", "unknown"]
    assert "a.png" in lines[0] and "b.xmp" in lines[1] and "stranger.png" in lines[2]
    assert stranger.exists() and original(house, "a.png").read_bytes() == png(9)


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_register_that_is_lost_is_told(house: House, capsys: pytest.CaptureFixture[str], is_alone: bool) -> None:
    register = next(house.lake.local_path("registers").rglob("box-*/items.parquet")).parent
    shutil.rmtree(register)
    assert verify(house, *(["--batch", register.name] if is_alone else [])) == 1
    line, total = capsys.readouterr().out.splitlines()
    assert line.startswith(f"missing: registers/2026-03-01/{register.name}: restore it from a backup")
    assert total == ("0 files of 1 batch" if is_alone else "1 file of 2 batches") + " compared, 1 difference."


def test_a_batch_that_is_being_taken_in_is_no_difference(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    files = (FileState("a.png", 1, 1),)
    journal = Journal("new-0123456789", "2026-03-02", Listing("new", files, (), (), (), 1))
    house.lake.write_bytes(journal.path, journal.to_json())
    house.lake.write_bytes(journal.original("a.png"), b"half")
    assert verify(house) == 0


def test_one_batch_alone_and_as_json(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    original(house, "a.png").unlink()
    entries = house.lake.list_folder("registers/2026-03-01")
    box, other = (entry.name for entry in entries)
    assert verify(house, "--batch", other) == 0
    capsys.readouterr()
    assert verify(house, "--batch", box, "--json", "-") == 1
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["batch_id"], found["verdict"]) == (box, "missing") and found["path"].endswith("/a.png")


def test_a_batch_that_is_not_there_is_said_so(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(house, "--batch", "nobody-0123456789") == 2
    assert "no batch 'nobody-0123456789'" in capsys.readouterr().err


def test_a_damaged_register_is_a_difference_and_the_others_are_compared(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(house.lake.local_path("registers").rglob("box-*/items.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    assert verify(house) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("unreadable: registers/") and "1 file of 2 batches" in lines[1]


def test_a_batch_that_waits_is_no_difference(house: House) -> None:
    """As its checksum is wrong, it was copied and given up again; earlier releases left its empty folders."""
    house.settings = house.settings.model_copy(update={"incomplete": "wait"})
    house.drop("wrong/deep/d.png", png(4))
    house.drop("wrong/sums.md5", b"0" * 32 + b"  deep/d.png\n")
    house.ready("wrong")
    assert house.take("2026-03-02").batches == ()
    assert house.lake.list_folder("originals/2026-03-02") == []
    house.lake.local_path("originals/2026-03-02/wrong-0123456789/deep").mkdir(parents=True)
    assert verify(house) == 0


def test_a_batch_that_is_taken_in_meanwhile_is_no_difference(house: House) -> None:
    original(house, "a.png").unlink()
    differences = compare(house.lake)
    assert next(differences).verdict == "missing"
    house.drop("late/d.png", png(4))
    house.ready("late")
    assert len(house.take().batches) == 1
    assert list(differences) == []


@pytest.mark.parametrize("path", ["2026-03-01/.DS_Store", "2026-03-01/@eaDir/a.png", "lost+found/#1/a"])
def test_what_other_programs_leave_beside_batches_is_no_batch(house: House, path: str) -> None:
    house.lake.write_bytes(f"originals/{path}", b"\0")
    assert verify(house) == 0


@pytest.mark.parametrize(
    ("missing", "at_once"),
    [("a.png", 1), ("a.png", 256), ("c.png", 256)],
    ids=["within a batch", "between batches", "after the last one"],
)
def test_a_lake_that_is_unmounted_meanwhile_is_no_difference(
    house: House, monkeypatch: pytest.MonkeyPatch, missing: str, at_once: int
) -> None:
    """What is left of it is an empty folder, in which everything is missing, or nothing."""
    monkeypatch.setattr(verification, "AT_ONCE", at_once)
    original(house, missing).unlink()
    differences, root = compare(house.lake), house.lake.local_path("")
    assert next(differences).path.endswith(missing)
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    with pytest.raises(EnvironmentFault, match=r"items\.parquet is gone since .* \(mounted\), then run again"):
        list(differences)


def test_in_a_bucket_a_batch_that_waits_is_no_difference(s3: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    """There are no locks there, so that its originals and its claim stay."""
    bucket = Bucket()
    bucket.drop(a=png(1))
    bucket.ingest.write_bytes("box/sums.md5", b"0" * 32 + b"  a.png\n")
    assert bucket.take().batches == ()
    assert len(bucket.lake.list_tree("originals")) == 2 and list(compare(bucket.lake)) == []
    assert "was never registered, and is not published" in caplog.text


def test_a_store_that_goes_away_meanwhile_is_no_difference(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody shall restore originals from a backup, or wait two minutes for each, because the store was away."""
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 0.5)  # with pauses of at least .05, .1 and .2 s
    bucket = Bucket()
    bucket.drop(**{f"{name}": png(number) for number, name in enumerate("abcdefghij")})
    bucket.take()
    seen: list[str] = []
    registers: list[str] = []

    def away(request: Request, done: bool) -> Response | None:
        if not done:
            seen.extend([request.path] if "/originals/" in request.path else [])
            registers.extend([request.url] if "/items.parquet" in request.url and len(seen) > 2 else [])
        return error(503, "SlowDown") if len(seen) > 2 else None

    with s3.disturbed(away):
        assert main(["verify", "--lake", bucket.settings.lake_root]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "cannot be reached (SlowDown)" in err.splitlines()[-1]
    assert len({*seen}) <= 2 + READERS and 0 < len(registers) <= ATTEMPTS  # each waits for one file, and one asks again

    def denied(request: Request, done: bool) -> Response | None:
        return error(403, "AccessDenied") if request.path == seen[0] else None

    with s3.disturbed(denied):
        assert main(["verify", "--lake", bucket.settings.lake_root]) == 1
    out, err = capsys.readouterr()
    assert out.count("unreadable: ") == 1 and "10 files of 1 batch compared, 1 difference." in out


@pytest.mark.parametrize("left", [manifest_path, partial(history_path, version=1)], ids=["manifest", "history"])
def test_in_a_bucket_a_register_that_is_lost_is_told_of_what_was_published_or_has_no_claim(
    s3: S3Server, left: Callable[[str, str], str]
) -> None:
    bucket = Bucket()
    bucket.drop(a=png(1))
    ((date, batch),) = bucket.take().batches
    bucket.lake.remove(register_path(date, batch))
    assert list(compare(bucket.lake)) == []
    bucket.lake.write_bytes(left(date, batch), b"published")
    assert [lost.batch_id for lost in compare(bucket.lake)] == [batch]
    bucket.lake.remove(left(date, batch))
    bucket.lake.remove(claim_path(batch))
    assert [lost.batch_id for lost in compare(bucket.lake)] == [batch]
