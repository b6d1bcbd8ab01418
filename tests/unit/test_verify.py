"""The command ``verify``: the originals of a lake are what was taken in, or somebody is told."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.test_take_in import House, png
from tounum_tasks.cli.main import main
from tounum_tasks.intake.journal import Journal
from tounum_tasks.intake.readiness import FileState, Listing


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
