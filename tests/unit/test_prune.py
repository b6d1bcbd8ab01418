"""The command ``prune``: it takes what nothing needs, and nothing else."""

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from tests.unit.published import DATE, Night, caption_all, pin
from tounum_tasks.cli.main import main
from tounum_tasks.history.prune import Superfluous, prune
from tounum_tasks.history.restore import restore
from tounum_tasks.manifest.read import versions
from tounum_tasks.thumbnails import attention_path

DAY = 24 * 3600
CAPTIONS = ["a dog", "a cat", "a cow", "a hen"]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Four versions, each with another captioner, the last two without enhancement."""
    found = Night(tmp_path, noisy=True)
    for number, caption in enumerate(CAPTIONS):
        enhancement = "classic" if number < 2 else "off"
        plan = found.plan(str(number), captioner=pin("captioner", str(number)), enhancement=enhancement)
        caption_all(plan, found.settings, caption)
        found.publish(plan)
    return found


def age(lake: Path, days: float) -> None:
    """Let every file have been written so long ago."""
    then = time.time() - days * DAY
    for path in lake.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def clear(night: Night, *, in_days: float, keep_days: int, remove: bool = True) -> list[Superfluous]:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=in_days)
    return list(prune(night.lake, keep_days=keep_days, now=now, remove=remove))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_young_files_and_versions_stay(night: Night) -> None:
    assert clear(night, in_days=29, keep_days=30) == []


def test_what_the_current_version_needs_stays_and_the_rest_goes(night: Night) -> None:
    lake = night.root / "lake"
    before = contents(lake)
    found = clear(night, in_days=31, keep_days=30, remove=False)
    assert contents(lake) == before
    assert clear(night, in_days=31, keep_days=30) == found
    gone = {path: content for path, content in before.items() if path not in contents(lake)}
    assert set(gone) == {one.path for one in found}
    assert sum(one.bytes for one in found) == sum(map(len, gone.values()))
    assert versions(night.lake, DATE, night.batch_id) == [4]
    assert {path.split("/")[0] for path in gone} == {"manifests_history", "stages", "features"}
    assert not list(lake.rglob("enhanced/*"))  # the current version has no enhanced photographs
    # What is left is what a run needs to compute nothing.
    plan = night.plan("again", captioner=pin("captioner", "3"), enhancement="off")
    work = plan.shards()
    from tounum_tasks.steps.shard import run_step

    assert [run_step("measure_and_enhance", plan, shard, night.settings)["computed"] for shard in work] == [0, 0]
    assert [run_step("route", plan, shard, night.settings)["computed"] for shard in work] == [0, 0]
    assert night.publish(plan)["outcome"] == "unchanged"
    assert clear(night, in_days=60, keep_days=30) == []


def test_a_version_that_was_current_within_the_window_can_be_restored(night: Night) -> None:
    """Version 2 was replaced today, so it was current 30 days ago, however long ago it was made."""
    photo = next((night.root / "lake" / "photos").rglob("0.png"))
    pixels = {number: restored_pixels(night, number, photo) for number in (2, 4)}
    age(night.root / "lake", 300)
    clear(night, in_days=0.5, keep_days=1)
    assert versions(night.lake, DATE, night.batch_id)[:4] == [1, 2, 3, 4]
    assert restored_pixels(night, 2, photo) == pixels[2] != pixels[4]


def restored_pixels(night: Night, number: int, photo: Path) -> bytes:
    restore(night.settings, DATE, night.batch_id, number)
    return photo.read_bytes()


def test_results_of_a_run_that_has_not_published_yet_stay(night: Night) -> None:
    age(night.root / "lake", 300)
    going_on = night.plan("going on", captioner=pin("captioner", "9"), enhancement="off")
    caption_all(going_on, night.settings, "a new caption")
    clear(night, in_days=0.5, keep_days=1)
    assert night.publish(going_on)["outcome"] == "published"
    assert night.column(going_on, "caption") == ["a new caption"] * 3 + [None]


def test_the_command_shows_before_it_removes(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    lake = night.root / "lake"
    age(lake, 300)
    left_over = next((lake / "stages" / "caption").rglob("*.parquet"))
    left_over.write_bytes(b"damaged, and of no use")
    os.utime(left_over, (1, 1))
    before = contents(lake)
    assert main(["prune", "--lake", str(lake), "--keep-days", "1", "--list"]) == 0
    told = capsys.readouterr().out
    assert str(left_over.relative_to(lake)) in told and "Nothing was removed: --yes" in told
    assert contents(lake) == before
    assert main(["prune", "--lake", str(lake), "--keep-days", "1", "--yes"]) == 0
    assert "Removed" in capsys.readouterr().out and not left_over.exists()
    assert main(["prune", "--lake", str(lake), "--keep-days", "1", "--yes"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out
    assert main(["prune", "--lake", str(lake), "--keep-days", "0"]) == 2
    assert "TOUNUM_KEEP_DAYS" in capsys.readouterr().err


def test_pictures_of_attention_go_and_thumbnails_stay(night: Night) -> None:
    lake = night.root / "lake"
    small = set(lake.rglob("*.webp"))
    picture = lake / attention_path("a" * 64, "b" * 64)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(b"made again when somebody looks")
    assert not any(one.kind == "thumbnails" for one in clear(night, in_days=29, keep_days=30))
    found = clear(night, in_days=31, keep_days=30)
    assert [one.path for one in found if one.kind == "thumbnails"] == [str(picture.relative_to(lake))]
    assert not picture.exists()
    assert small and set(lake.rglob("*.webp")) == small
