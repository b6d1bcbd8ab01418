"""Thumbnails: made by runs, and by a command for lakes that have none; other views of a page."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.image_files import picture, saved, tiff_pages
from tests.unit.published import DATE, caption_all, plan_for, process, small_settings
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.images.thumbnail import THUMBNAIL_PX, make_thumbnail, shrink
from tounum_tasks.items import Item, read_items
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.plan import RunPlan
from tounum_tasks.publish import stage as publish
from tounum_tasks.settings import Settings
from tounum_tasks.steps import caption
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.store.open import open_storage
from tounum_tasks.thumbnails import attention_path, thumbnail_path

LARGE = picture(900, 1200)
TURNED = Image.Exif()
TURNED[274] = 6
FILES = {
    "large.png": saved(LARGE, "PNG"),
    "turned.jpg": saved(np.rot90(LARGE), "JPEG", quality=95, exif=TURNED),
    "folder/pages.tif": tiff_pages([picture(60, 80, seed) for seed in (1, 2)], photometric="rgb"),
    "copy.png": saved(LARGE, "PNG"),
    "broken.jpg": b"\xff\xd8\xff no image",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake into which a box of all kinds of files was taken, and not worked on."""
    found = small_settings(tmp_path)
    box = tmp_path / "ingest" / "Box"
    for name, content in FILES.items():
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_bytes(content)
    (box / "_READY").touch()
    return found


def items_of(settings: Settings, plan: RunPlan) -> dict[str, Item]:
    found = read_items(open_storage(settings.lake_root), DATE, plan.batches[0].batch_id)
    return {f"{item.source_path} {item.page}": item for item in found}


def lake(settings: Settings) -> Path:
    return Path(settings.lake_root.removeprefix("file://"))


def thumbnails(settings: Settings) -> dict[str, bytes]:
    return {str(path.relative_to(lake(settings))): path.read_bytes() for path in lake(settings).rglob("*.webp")}


def decoded(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def command(settings: Settings, plan: RunPlan, *arguments: str | Path) -> int:
    batch = ["--lake", settings.lake_root, "--batch-date", DATE, "--batch", plan.batches[0].batch_id]
    return main(["thumbnail", *batch, *map(str, arguments)])


def assert_looks_like(found: np.ndarray, rgb: np.ndarray) -> None:
    assert found.shape == rgb.shape
    assert np.abs(found.astype(float) - rgb).mean() < 6


def test_a_run_leaves_a_thumbnail_of_every_page_that_it_could_read(settings: Settings) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings)
    found, items = thumbnails(settings), items_of(settings, plan)
    assert set(found) == {thumbnail_path(item.image_id) for item in items.values() if item.source_path != "broken.jpg"}
    large = cv2.resize(LARGE, (256, 192), interpolation=cv2.INTER_AREA)
    assert_looks_like(decoded(found[thumbnail_path(items["large.png 1"].image_id)]), large)
    assert_looks_like(decoded(found[thumbnail_path(items["turned.jpg 1"].image_id)]), large)
    assert_looks_like(decoded(found[thumbnail_path(items["folder/pages.tif 2"].image_id)]), picture(60, 80, 2))
    assert len(found) == 4  # the copy has the same bytes, so the same thumbnail


def test_an_enhanced_photograph_is_shown_as_it_came(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    noisy = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    box = tmp_path / "ingest" / "Box"
    box.mkdir(parents=True)
    (box / "noisy.png").write_bytes(saved(noisy, "PNG"))
    (box / "_READY").touch()
    plan = plan_for(settings, "1", enhancement="classic")
    process(plan, settings, label="Photo")
    (content,) = thumbnails(settings).values()
    assert content == make_thumbnail(noisy)


def test_thumbnails_are_a_cache(settings: Settings) -> None:
    """Those that are there stay as they are, and without them the same manifest comes out."""
    first = plan_for(settings, "1")
    process(first, settings)
    path = lake(settings) / thumbnail_path(items_of(settings, first)["large.png 1"].image_id)
    as_it_was = make_thumbnail(np.zeros((20, 30, 3), np.uint8))
    path.write_bytes(as_it_was)
    for other in lake(settings).rglob("*.webp"):
        if other != path:
            other.unlink()
    publish.run(first, settings)
    manifest = open_storage(settings.lake_root).read_bytes(manifest_path(DATE, first.batches[0].batch_id))
    again = plan_for(settings, "2", items="all")
    process(again, settings)
    assert path.read_bytes() == as_it_was
    assert publish.run(again, settings)["batches"][0]["outcome"] == "unchanged"
    assert open_storage(settings.lake_root).read_bytes(manifest_path(DATE, again.batches[0].batch_id)) == manifest
    assert len(thumbnails(settings)) == 4


@pytest.mark.parametrize("cut", [lambda whole: b"", lambda whole: whole[:-10], lambda whole: bytes(len(whole))])
def test_a_thumbnail_that_a_power_failure_has_cut_is_made_again(
    settings: Settings, capsys: pytest.CaptureFixture[str], cut: Callable[[bytes], bytes]
) -> None:
    plan = plan_for(settings, "1")
    process(plan, settings)
    path = lake(settings) / thumbnail_path(items_of(settings, plan)["large.png 1"].image_id)
    whole = path.read_bytes()
    path.write_bytes(cut(whole))
    assert command(settings, plan) == 0
    assert capsys.readouterr().out.startswith("1 thumbnail made")
    assert path.read_bytes() == whole
    path.write_bytes(cut(whole))
    process(plan_for(settings, "2", items="all"), settings)
    assert path.read_bytes() == whole


def test_a_lake_that_takes_no_thumbnails_stops_no_run(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_for(settings, "1")
    (lake(settings) / "thumbnails").write_bytes(b"a file where the folder should be")
    process(plan, settings)
    assert publish.run(plan, settings)["batches"][0]["counts"] == {"ok": 5, "quarantined": 1}
    assert "no thumbnail" in caplog.text


def test_the_command_makes_what_a_lake_lacks(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for(settings, "1")
    assert command(settings, plan) == 0
    out, err = capsys.readouterr()
    assert out == "4 thumbnails made; 1 page cannot be shown.\n"
    assert "broken.jpg" in err
    made = thumbnails(settings)
    process(plan, settings)
    assert thumbnails(settings) == made
    for path in lake(settings).rglob("*.webp"):
        path.unlink()
    process(plan_for(settings, "2", items="all"), settings)
    assert thumbnails(settings) == made  # the command and a run make the same bytes


def test_views_of_one_page(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_for(settings, "1")
    out = tmp_path / "out" / "view.png"
    assert command(settings, plan, "--source-path", "large.png", "--size", "1600", out) == 0
    assert np.array_equal(decoded(out.read_bytes()), LARGE)
    assert command(settings, plan, "--source-path", "turned.jpg", "--size", "600", out) == 0
    assert_looks_like(decoded(out.read_bytes()), cv2.resize(LARGE, (600, 450), interpolation=cv2.INTER_AREA))
    assert command(settings, plan, "--source-path", "large.png", "--crop", "1100,800,300,50", out) == 0
    assert np.array_equal(decoded(out.read_bytes()), LARGE[800:850, 1100:])
    assert command(settings, plan, "--source-path", "folder/pages.tif", "--page", "2", "--size", "full", out) == 0
    assert np.array_equal(decoded(out.read_bytes()), picture(60, 80, 2))
    assert command(settings, plan, "--source-path", "large.png") == 0
    assert set(thumbnails(settings)) == {thumbnail_path(items_of(settings, plan)["large.png 1"].image_id)}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--source-path", "broken.jpg", "OUT"], 1, "ends before its end marker"),
        (["--source-path", "large.png", "--enhanced", "OUT"], 1, "not published yet"),
        (["--source-path", "large.png", "--attention", "OUT"], 1, "not published yet"),
        (["--source-path", "large.png", "--crop", "5000,0,10,10", "OUT"], 1, "outside"),
        (["--source-path", "../large.png", "OUT"], 2, "has no page 1 of '../large.png'"),
        (["--source-path", "large.png", "--page", "2", "OUT"], 2, "has no page 2"),
        (["--source-path", "large.png", "--size", "512"], 2, "needs OUT"),
        (["--source-path", "large.png", "OUT.jpg"], 2, "must end in .webp or .png"),
        (["OUT"], 2, "--source-path"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    settings: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    plan = plan_for(settings, "1")
    places = {"OUT": str(tmp_path / "view.webp"), "OUT.jpg": str(tmp_path / "view.jpg")}
    assert command(settings, plan, *(places.get(part, part) for part in arguments)) == code
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "view.webp").exists()


def test_a_batch_that_is_not_there_is_one_sentence(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ["--lake", settings.lake_root]
    assert main(["thumbnail", *lake, "--batch-date", DATE, "--batch", "none", "--source-path", "a"]) == 2
    assert "has no batch none" in capsys.readouterr().err
    assert main(["thumbnail", *lake, "--batch-date", "../..", "--batch", "none", "--source-path", "a"]) == 2
    assert "no batch date" in capsys.readouterr().err


def test_what_the_pipeline_made_of_a_photograph_and_where_its_words_looked(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "ingest" / "Box" / "noisy.png").write_bytes(
        saved(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), "PNG")
    )
    plan = plan_for(settings, "1", enhancement="classic")
    caption_all(plan, settings, "a dog")
    item = items_of(settings, plan)["noisy.png 1"]
    work = ShardWork(plan, plan.shards()[0], settings)
    maps = np.zeros((2, 64))
    maps[0, 9], maps[1, 0], maps[1, 63] = 0.5, 0.25, 1
    fingerprint = work.fingerprints("caption")[item.key]
    row = {"fingerprint": fingerprint, "words": ["a", "dog"], "attention": maps.astype("<f2").tobytes()}
    caption.attention_of(work).commit([row])
    publish.run(plan, settings)
    out = tmp_path / "view.png"
    assert command(settings, plan, "--source-path", "noisy.png", "--enhanced", "--size", "full", out) == 0
    enhanced = next((lake(settings) / "photos").rglob("noisy.png")).read_bytes()
    assert np.array_equal(decoded(out.read_bytes()), decoded(enhanced))
    assert command(settings, plan, "--source-path", "noisy.png", "--attention") == 0
    strip = Image.open(lake(settings) / attention_path(item.image_id, fingerprint))
    expected = np.zeros((8, 16), np.uint8)
    expected[1, 1], expected[0, 8], expected[7, 15] = 255, 64, 255
    assert strip.mode == "L" and np.array_equal(np.asarray(strip), expected)
    assert command(settings, plan, "--source-path", "broken.jpg", "--enhanced", out) == 1


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_thumbnails_keep_the_shape_of_the_page(height: int, width: int) -> None:
    found = shrink(np.full((height, width, 3), 200, np.uint8), THUMBNAIL_PX)
    assert max(found.shape[:2]) == min(max(height, width), THUMBNAIL_PX)
    longer, shorter = max(height, width), min(height, width)
    assert abs(min(found.shape[:2]) - max(shorter * min(1, THUMBNAIL_PX / longer), 1)) <= 0.5
    assert (found == 200).all()


@pytest.mark.parametrize("image_id", ["", "..", "a" * 63, "A" * 64, f"{'a' * 64}-p1", f"{'a' * 64}/.."])
def test_places_are_of_image_ids_alone(image_id: str) -> None:
    with pytest.raises(ConfigurationError, match="no image id"):
        thumbnail_path(image_id)
