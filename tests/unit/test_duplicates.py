"""Images that came before are told, in their batch and in earlier ones, whatever came later."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.published import DATE, plan_for, process, small_settings
from tests.unit.published_lake import picture
from tounum_tasks.manifest.published import BatchRef
from tounum_tasks.manifest.read import manifest_path, read_version
from tounum_tasks.publish import stage as publish
from tounum_tasks.publish.duplicates import NEAR_BITS, SCHEMA, _Looks
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

MASTER = picture(1)
BLANK = np.full((60, 80, 3), 250, np.uint8)


def drop(settings: Settings, batch: str, files: dict[str, np.ndarray]) -> None:
    folder = Path(settings.ingest_root.removeprefix("file://"), batch)
    folder.mkdir(parents=True)
    for name, pixels in files.items():
        cv2.imwrite(str(folder / name), pixels)
    (folder / "_READY").touch()


def run(settings: Settings, run_id: str, label: str = "Painting") -> dict[str, dict]:
    """Process everything; return what is published about repetitions, by path."""
    plan = plan_for(settings, run_id)
    process(plan, settings, label=label)
    found = {}
    for batch in publish.run(plan, settings)["batches"]:
        table = read_version(open_storage(settings.lake_root), DATE, batch["batch_id"], batch["version"])
        for row in table.to_pylist():
            found[f"{row['batch_name']}/{row['source_path']}"] = row
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path)


def test_a_master_and_its_access_copy_are_one_photograph(settings: Settings) -> None:
    small = cv2.resize(MASTER, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    drop(settings, "a", {"master.tif": MASTER, "other.png": picture(2), "blank.png": BLANK})
    drop(settings, "b", {"access.jpg": small, "blank.png": BLANK[:50], "master again.tif": MASTER})
    rows = run(settings, "first")
    access, again = rows["b/access.jpg"], rows["b/master again.tif"]
    assert access["near_duplicate_of"] == "master.tif" and access["near_duplicate_of_page"] == 1
    assert access["near_duplicate_of_batch"] == rows["a/master.tif"]["batch_id"]
    assert 0 <= access["near_duplicate_distance"] <= NEAR_BITS and access["duplicate_of"] is None
    assert (again["duplicate_of"], again["near_duplicate_of"]) == ("master.tif", None)
    assert again["duplicate_of_batch"] == rows["a/master.tif"]["batch_id"]
    for name in ("a/master.tif", "a/other.png", "a/blank.png", "b/blank.png"):
        assert rows[name]["duplicate_of"] is None and rows[name]["near_duplicate_of"] is None


def test_within_a_batch_the_first_stands_for_all(settings: Settings) -> None:
    drop(settings, "a", {"1.png": MASTER, "2.jpg": MASTER, "3.png": MASTER})
    rows = run(settings, "first")
    assert rows["a/2.jpg"]["near_duplicate_of"] == "1.png" and rows["a/2.jpg"]["near_duplicate_of_batch"] is None
    assert rows["a/3.png"]["duplicate_of"] == "1.png" and rows["a/3.png"]["duplicate_of_batch"] is None


def test_pages_of_text_look_alike_and_are_not_compared(settings: Settings) -> None:
    drop(settings, "a", {"1.png": MASTER, "2.jpg": MASTER, "3.png": MASTER})
    rows = run(settings, "first", label="Text")
    assert rows["a/2.jpg"]["near_duplicate_of"] is None and rows["a/3.png"]["duplicate_of"] == "1.png"


def test_what_came_later_changes_nothing_and_the_cache_can_be_filled_again(settings: Settings, tmp_path: Path) -> None:
    drop(settings, "b", {"1.png": MASTER, "2.png": picture(2)})
    before = run(settings, "first")
    manifest = open_storage(settings.lake_root).read_bytes(manifest_path(DATE, before["b/1.png"]["batch_id"]))
    drop(settings, "c", {"1.jpg": MASTER})
    after = run(settings, "second")
    assert open_storage(settings.lake_root).read_bytes(manifest_path(DATE, before["b/1.png"]["batch_id"])) == manifest
    assert after["c/1.jpg"]["near_duplicate_of"] == "1.png"
    hashes = sorted((tmp_path / "lake" / "search" / "hashes").rglob("*.parquet"))
    contents = [path.read_bytes() for path in hashes]
    hashes[0].write_bytes(b"damaged")
    again = run(settings, "third")
    assert {path: row["near_duplicate_of"] for path, row in again.items()} == {
        path: row["near_duplicate_of"] for path, row in after.items()
    }
    assert [path.read_bytes() for path in hashes] == contents


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=6), max_size=4),
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(0, 63), max_size=8),
)
def test_the_nearest_is_the_nearest(batches: list[list[int]], look: int, bits: list[int]) -> None:
    if batches and batches[0]:
        batches[0][-1] = look ^ sum(1 << bit for bit in set(bits))
    tables = [
        (
            BatchRef(DATE, f"b{number}"),
            pa.table(
                [
                    [f"{n}" for n in range(len(looks))],
                    [1] * len(looks),
                    ["x"] * len(looks),
                    pa.array(looks, pa.uint64()),
                ],
                schema=SCHEMA,
            ),
        )
        for number, looks in enumerate(batches)
    ]
    wanted = [
        ((one ^ look).bit_count(), f"b{number}", f"{position}")
        for number, looks in enumerate(batches)
        for position, one in enumerate(looks)
        if (one ^ look).bit_count() <= NEAR_BITS
    ]
    found = _Looks.of(tables, room=1).nearest(look)
    told = (
        (found["near_duplicate_distance"], found["near_duplicate_of_batch"], found["near_duplicate_of"])
        if found
        else None
    )
    assert told == min(wanted, default=None)
