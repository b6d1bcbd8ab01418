"""Where files go: each to its bucket, several side by side, the pages of one file together."""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image_files import picture, saved, tiff_pages
from tests.unit.published import plan_for, process, small_settings
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.plan import RunPlan
from tounum_tasks.settings import Settings
from tounum_tasks.steps.shard import ShardWork, run_step

FILES, PAGES = 12, 3


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = small_settings(tmp_path)
    box = tmp_path / "ingest" / "Box"
    box.mkdir(parents=True)
    for number in range(FILES):
        (box / f"{number:02d}.png").write_bytes(saved(picture(40 + number, 60), "PNG"))
    (box / "book.tif").write_bytes(tiff_pages([picture(50, 70 + page) for page in range(PAGES)]))
    (box / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (box / "_READY").touch()
    return settings


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Names of the files that this process opens, one for each time. A hook cannot be taken back: it ends listening."""
    names, is_listening = [], True

    def hear(event: str, arguments: tuple) -> None:
        if is_listening and event == "open":
            names.append(Path(str(arguments[0])).name)

    sys.addaudithook(hear)
    yield names
    is_listening = False


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def originals(tmp_path: Path) -> dict[str, bytes]:
    return files_below(tmp_path / "lake" / "originals")


def routed(plan: RunPlan, settings: Settings) -> dict[str, dict]:
    """Rows by name and page."""
    (shard,) = plan.shards()
    work = ShardWork(plan, shard, settings)
    return {f"{name} {page}": row for (name, page), row in work.results("route").items()}


def route_nothing(tmp_path: Path) -> None:
    """Take away what the step has done."""
    for folder in ("non_photos", "lake/photos", "quarantine", "lake/stages/route"):
        for path in (tmp_path / folder).rglob("*"):
            if path.is_file():
                path.unlink()


def test_files_and_pages_go_where_they_belong(settings: Settings, tmp_path: Path) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings, label="Text")
    came = originals(tmp_path)
    assert files_below(tmp_path / "non_photos") == {name: came[name] for name in came if name != "broken.jpg"}
    quarantined = files_below(tmp_path / "quarantine")
    assert quarantined.pop("broken.jpg") == came["broken.jpg"]
    assert json.loads(quarantined.pop("broken.jpg.reason.json"))["error_code"] == "truncated"
    assert not quarantined
    rows = routed(plan, settings)
    assert len(rows) == FILES + PAGES + 1
    assert len({rows[f"book.tif {page}"]["destination_uri"] for page in range(1, PAGES + 1)}) == 1
    for name, row in rows.items():
        content = came[name.rpartition(" ")[0]]
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert Path(row["destination_uri"].removeprefix("file://")).read_bytes() == content


def test_each_page_of_a_file_with_photographs_is_a_file(settings: Settings, tmp_path: Path) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings, label="Photo")
    photos = files_below(tmp_path / "lake" / "photos")
    assert len(photos) == FILES + PAGES
    assert {name for name in photos if "book" in name} == {f"book.tif.p{page:04d}.png" for page in range(1, PAGES + 1)}


@pytest.mark.parametrize("label", ["Photo", "Text"])
def test_a_file_of_several_pages_is_opened_once(
    settings: Settings, tmp_path: Path, opened: list[str], label: str
) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings, label=label)
    route_nothing(tmp_path)
    opened.clear()
    (shard,) = plan.shards()
    run_step("route", plan, shard, settings)
    assert len(routed(plan, settings)) == FILES + PAGES + 1
    assert opened.count("book.tif") == 1


def test_one_that_is_gone_is_named_and_the_others_are_there(settings: Settings, tmp_path: Path) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings, label="Text")
    route_nothing(tmp_path)
    (gone,) = (tmp_path / "lake" / "originals").rglob("03.png")
    content = gone.read_bytes()
    gone.unlink()
    (shard,) = plan.shards()
    with pytest.raises(EnvironmentFault, match=r"03\.png is gone"):
        run_step("route", plan, shard, settings)
    assert not routed(plan, settings)  # what was not done for all is not done
    gone.write_bytes(content)
    run_step("route", plan, shard, settings)
    came = originals(tmp_path)
    assert files_below(tmp_path / "non_photos") == {name: came[name] for name in came if name != "broken.jpg"}
    assert set(files_below(tmp_path / "quarantine")) == {"broken.jpg", "broken.jpg.reason.json"}
