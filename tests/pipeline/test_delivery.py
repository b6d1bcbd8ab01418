"""A delivery as a scanning service hands it over goes through ``run``; what became of each file is told."""

from pathlib import Path

import pandas as pd
import pytest

from tests.pipeline.conftest import Command
from tounum_tasks.sample.delivery import DIFFERENT, MISSING, write_sample_delivery

# Status, error, what it repeats, what it looks like, and how many sidecars it has.
OUTCOMES = {
    "data/access/0001.jpg": ("ok", None, None, None, 0),
    "data/camera/0005.dng": ("ok", None, None, None, 0),
    "data/camera/0006.heic": ("ok", None, None, None, 0),
    "data/masters/0001.tif": ("ok", None, None, "data/access/0001.jpg", 1),
    "data/masters/0002 again.tif": ("ok", None, None, None, 0),
    "data/masters/0002.tif": ("ok", None, "data/masters/0002 again.tif", None, 0),
    "data/film/0007.jpg": ("ok", None, None, None, 0),
    DIFFERENT: ("quarantined", "checksum_differs", None, None, 0),
    MISSING: ("quarantined", "missing", None, None, 0),
    "data/pages/aged back.jpg": ("ok", None, None, None, 0),
    "data/pages/album.jpg": ("ok", None, None, None, 0),
    "data/pages/bordered.jpg": ("ok", None, None, None, 0),
    "data/pages/crooked.jpg": ("ok", None, None, None, 0),
    "data/pages/fax.tif": ("ok", None, None, None, 0),
    "data/pages/letter.jpg": ("ok", None, None, None, 1),
    "data/pages/sideways.jpg": ("ok", None, None, None, 0),
    "data/pages/white back.jpg": ("ok", None, None, None, 0),
}
# What a person would see at once; of all others nothing.
FLAGS = {
    "data/film/0007.jpg": ["negative"],
    "data/pages/aged back.jpg": ["blank"],
    "data/pages/album.jpg": ["several"],
    "data/pages/bordered.jpg": ["border"],
    "data/pages/crooked.jpg": ["skewed"],
    "data/pages/letter.jpg": ["skewed"],
    "data/pages/sideways.jpg": ["sideways"],
    "data/pages/white back.jpg": ["blank"],
}
SIDECARS = {"METS.xml", "titles.csv", "checksums of the scanner.md5", "bagit.txt", "manifest-sha256.txt"}


@pytest.fixture
def places(tmp_path: Path) -> tuple[str | Path, ...]:
    write_sample_delivery(tmp_path / "ingest" / "Box 17")
    return "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake"


def test_what_is_short_waits_and_the_run_says_what_is_wrong(tounum: Command, places: tuple, tmp_path: Path) -> None:
    done = tounum("run", *places)
    assert done.returncode == 0 and "'Box 17' must wait" in done.stdout
    assert f"'{MISSING}' is missing" in done.stdout
    assert (tmp_path / "ingest" / "Box 17" / "data" / "METS.xml").exists()
    assert not list((tmp_path / "lake" / "originals").rglob("*.tif"))


def test_what_is_short_is_taken_on_request_and_every_file_has_its_fate(
    tounum: Command, places: tuple, tmp_path: Path
) -> None:
    done = tounum("run", *places, "--max-failure-rate", "0.5", TOUNUM_INCOMPLETE="take")
    assert done.returncode == 0, done.stderr
    assert f"'{DIFFERENT}' is not what" in done.stderr and f"'{MISSING}' is missing" in done.stderr
    rows = pd.read_parquet(tmp_path / "lake" / "manifests")
    columns = ["status", "error_code", "duplicate_of", "near_duplicate_of"]
    fates = rows[columns].astype(object).where(rows[columns].notna(), None).itertuples(index=False, name=None)
    found = {
        path: (*fate, len(sidecars))
        for path, fate, sidecars in zip(rows.source_path, fates, rows.sidecars, strict=True)
    }
    assert found == OUTCOMES
    sizes = rows.set_index("source_path")[["format", "width_px", "height_px", "dpi", "dpi_x", "dpi_y"]]
    assert tuple(sizes.loc["data/camera/0005.dng"][:3]) == ("raw", 450, 300)
    assert tuple(sizes.loc["data/camera/0006.heic"][:3]) == ("heic", 480, 360)
    assert tuple(sizes.loc["data/pages/fax.tif"]) == ("tiff", 1240, 1753, 204, 204, 98)
    flags = {
        path: [flag["flag"] for flag in told]
        for path, told in zip(rows.source_path, rows.page_flags, strict=True)
        if told is not None and len(told)
    }
    assert flags == FLAGS
    pages = rows.set_index("source_path")
    assert pages.skew_degrees["data/pages/crooked.jpg"] == pytest.approx(3, abs=0.1)
    assert pages.turn_degrees["data/pages/sideways.jpg"] == 90
    assert len(pages.photo_boxes["data/pages/album.jpg"]) == 3
    assert list(pages.content_box["data/pages/bordered.jpg"]) == pytest.approx([110, 60, 1350, 1814], abs=3)
    assert pages.inventory_number["data/masters/0001.tif"] == "17/0001"
    assert list(pages.keywords["data/masters/0001.tif"]) == ["portrait"]
    assert not rows.metadata_left_out.map(len).any()
    backs = pages.destination_uri[["data/pages/white back.jpg", "data/pages/aged back.jpg"]]
    assert backs.str.contains("/non_photos/blank/").all()
    assert rows.checksum.str.startswith("sha256:").all()
    assert set(rows.checksum_source) == {"manifest-sha256.txt"}
    assert [path.name for path in (tmp_path / "ingest").rglob("*") if path.is_file()] == ["Thumbs.db"]
    shown = tounum("show", "--lake", tmp_path / "lake", "--batch", rows.batch_id.iloc[0])
    beside = next(line for line in shown.stdout.splitlines() if line.startswith("Beside the images: "))
    assert all(name in beside for name in SIDECARS)
    verified = tounum("verify", "--lake", tmp_path / "lake")
    assert verified.returncode == 0 and "0 differences" in verified.stdout, verified.stdout
