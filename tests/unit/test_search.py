"""Finding images by words and by likeness."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st

from tests.image_files import picture, saved
from tests.unit.published import DATE, classify_as, pin, plan_for, process, small_settings
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.items import Item, read_items, register_path
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.search.likeness import Likeness, like, open_likeness
from tounum_tasks.search.vectors import SCHEMA, projection, vector_of, vectors_path
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import pin_models
from tounum_tasks.steps.shard import ShardWork, run_step
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes

NAMES = ["beach.png", "beach again.png", "forest.png", "street.png", "street by night.png"]
CAPTION = "a place without people"
SCENE = [0, 0, 1, 2, 2]  # of each, what is to be seen


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TOUNUM_INDEX_CACHE", str(tmp_path / "index"))
    return small_settings(tmp_path, shard_size=2)


def deliver(settings: Settings, name: str, names: list[str]) -> None:
    box = Path(settings.ingest_root.removeprefix("file://"), name)
    box.mkdir(parents=True)
    for one in names:
        (box / one).write_bytes(saved(picture(seed=NAMES.index(one)), "PNG"))
    (box / "_READY").touch()


def features_of(name: str) -> np.ndarray:
    """64 x 2048 float16: those of one scene differ by a little noise."""
    scene = np.random.default_rng(SCENE[NAMES.index(name)]).gamma(0.5, size=2048)
    noise = np.random.default_rng(100 + NAMES.index(name)).gamma(0.5, 0.2, size=2048)
    return np.tile(scene + noise, (64, 1)).astype("<f2")


def publish_photos(settings: Settings, run_id: str, extractor: str = "0123456789abcdef") -> RunPlan:
    """Publish what has no manifest yet, as photographs with features of their scenes."""
    plan = plan_for(settings, run_id, extractor=pin("extractor", extractor))
    plan = plan.model_copy(update={"batches": [batch for batch in plan.batches if batch.base_version == 0]})
    process(plan, settings, label="Photo")
    for shard in plan.shards():
        work = ShardWork(plan, shard, settings)
        common = {"run_id": plan.run_id, "seconds": 0.0}
        seen, said = work.fingerprints("extract_features"), work.fingerprints("caption")
        features = {item.key: features_of(item.source_path).tobytes() for item in work.items}
        rows = [{"fingerprint": seen[key], **common, "features": found} for key, found in features.items()]
        work.cache("extract_features").commit(rows)
        caption = {"caption": CAPTION, "words": CAPTION.split(), "log_probability": -1.0, "alternatives": []}
        work.cache("caption").commit([{"fingerprint": found, **common, **caption} for found in said.values()])
    publish.run(plan, settings)
    return plan


def images(settings: Settings, plan: RunPlan) -> dict[str, Item]:
    lake = open_storage(settings.lake_root)
    return {item.source_path: item for batch in plan.batches for item in read_items(lake, DATE, batch.batch_id)}


def search(settings: Settings, *arguments: str, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    assert main(["search", "--lake", settings.lake_root, "--json", "-", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_photographs_of_the_same_scene_are_alike(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(settings, "Box", NAMES)
    plan = publish_photos(settings, "1")
    found = search(settings, "--like", "beach.png", capsys=capsys)
    assert found[0]["path"] == "beach again.png"
    assert {one["path"] for one in found} == set(NAMES) - {"beach.png"}
    assert found[0]["similarity"] > 0.8 and all(one["similarity"] < 0.3 for one in found[1:])
    by_id = search(settings, "--like", images(settings, plan)["street.png"].image_id, "--count", "1", capsys=capsys)
    assert [one["path"] for one in by_id] == ["street by night.png"]
    lake, folder = open_storage(settings.lake_root), Path(settings.index_cache)
    ids = images(settings, plan)
    ((nearest, similarity),) = like(lake, ids["beach.png"].image_id, 1, folder)
    assert nearest == ids["beach again.png"].image_id and similarity == found[0]["similarity"]


def test_vectors_are_a_cache(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(settings, "Box", NAMES)
    plan = publish_photos(settings, "1")
    lake = open_storage(settings.lake_root)
    path = vectors_path(DATE, plan.batches[0].batch_id)
    content = lake.read_bytes(path)
    before = search(settings, "--like", "beach.png", capsys=capsys)
    lake.remove(path)
    assert search(settings, "--like", "beach.png", capsys=capsys) == before
    assert lake.read_bytes(path) == content
    lake.write_bytes(path, b"damaged")
    publish.run(plan, settings)
    assert lake.read_bytes(path) == content


def test_a_damaged_batch_does_not_keep_others_from_being_found(
    settings: Settings, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lake = open_storage(settings.lake_root)
    batches = []
    for number, names in enumerate((NAMES[:1], NAMES[1:2], NAMES[2:])):
        deliver(settings, f"Box {number}", names)
        batches += publish_photos(settings, str(number)).batches
    for batch in batches:
        lake.remove(vectors_path(DATE, batch.batch_id))
    lake.remove(register_path(DATE, batches[1].batch_id))
    found = search(settings, "--like", "beach.png", capsys=capsys)
    assert {one["path"] for one in found} == set(NAMES[2:])
    assert f"{batches[1].batch_id}/items.parquet is gone" in caplog.text


def test_an_image_of_two_batches_is_found_once(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(settings, "Box", NAMES)
    publish_photos(settings, "1")
    deliver(settings, "Other box", NAMES[1:3])
    publish_photos(settings, "2")
    found = search(settings, "--like", "beach.png", capsys=capsys)
    assert [one["path"] for one in found].count("beach again.png") == 1
    assert found[0]["copies"] == 2
    assert len(found) == len(NAMES) - 1


def test_what_two_extractors_saw_is_not_compared(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(settings, "Box", NAMES[:2])
    publish_photos(settings, "1", extractor="a" * 64)
    deliver(settings, "Other box", NAMES[2:])
    publish_photos(settings, "2", extractor="b" * 64)
    assert {one["path"] for one in search(settings, "--like", "beach.png", capsys=capsys)} == {"beach again.png"}
    assert {one["path"] for one in search(settings, "--like", "street.png", capsys=capsys)} == set(NAMES[2:]) - {
        "street.png"
    }


def test_words_find_captions_and_names(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(settings, "Box", NAMES)
    publish_photos(settings, "1")
    assert {one["path"] for one in search(settings, "street", capsys=capsys)} == {NAMES[3], NAMES[4]}
    assert [one["path"] for one in search(settings, '"by night"', capsys=capsys)] == [NAMES[4]]
    assert len(search(settings, "place", "peop", capsys=capsys)) == len(NAMES)
    assert len(search(settings, "place", "--count", "2", capsys=capsys)) == 2
    assert search(settings, "nothing of the kind", capsys=capsys) == []
    assert main(["search", "--lake", settings.lake_root, "night"]) == 0
    assert "street by night.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Give either words"),
        (["dog", "--like", "beach.png"], "Give either words"),
        (["***"], "no letter and no digit"),
        (["--like", "unknown.png"], "no picture file here"),
        (["--like", "a" * 64], "it is no photograph"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    deliver(settings, "Box", NAMES[:1])
    publish_photos(settings, "1")
    assert main(["search", "--lake", settings.lake_root, *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_picture_file_is_compared_as_the_lake_saw_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The packaged extractor sees a lake's photographs and a picture beside it."""

    deliver(settings, "Box", NAMES)
    plan = plan_for(settings, "1", extractor=pin_models(RunRequest(run_id="x"), settings)["extractor"])
    for shard in plan.shards():
        work = ShardWork(plan, shard, settings)
        run_step("measure_and_enhance", plan, shard, settings)
        classify_as(plan, work, "Photo")
        run_step("route", plan, shard, settings)
        run_step("extract_features", plan, shard, settings)
    publish.run(plan, settings)
    sought = tmp_path / "sought.bmp"
    sought.write_bytes(saved(picture(seed=2), "BMP"))
    found = search(settings, "--like", str(sought), capsys=capsys)
    assert found[0]["path"] == NAMES[2]
    assert found[0]["similarity"] > 0.9 > found[1]["similarity"]


# The vectors themselves


def test_a_projection_keeps_angles_and_never_changes() -> None:
    columns = projection("0123456789ab")
    assert np.allclose(columns.T @ columns, np.eye(128), atol=1e-5)
    assert columns[0, :3].tolist() == pytest.approx([0.0197, 0.0345, -0.0028], abs=1e-4)
    assert not np.allclose(columns, projection("0123456789ac"))
    assert vector_of(np.zeros((64, 2048)), "0123456789ab").tolist() == [0] * 128


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)


def made(folder: Path, vectors: dict[str, np.ndarray]) -> Likeness:
    """A lake of given vectors."""
    rows = [
        {"image_id": image_id, "source_path": "a", "page": 1, "fingerprint": "f", "extractor": "e",
         "vector": vector.astype("<f2").tobytes()}
        for image_id, vector in vectors.items()
    ]  # fmt: skip
    (folder / "lake").mkdir(exist_ok=True)
    lake = open_storage(str(folder / "lake"))
    lake.write_bytes(vectors_path(DATE, "box-1"), parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
    return open_likeness(lake, folder / "cache")


@limited(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_the_nearest_are_those_of_an_exhaustive_comparison(
    tmp_path_factory: pytest.TempPathFactory, number: int, count: int, seed: int
) -> None:
    """Also where many are equally similar: then by id."""
    random = np.random.default_rng(seed)
    few = random.standard_normal((max(number // 3, 1), 128)).astype(np.float16)
    vectors = {f"{place:064x}": few[random.integers(len(few))] for place in range(number)}
    likeness = made(tmp_path_factory.mktemp("lake"), vectors)
    asked = f"{random.integers(number):064x}"
    all_of = np.stack(list(vectors.values())).astype(np.float64)
    centred = all_of - all_of.mean(axis=0)
    lengths = np.maximum(np.linalg.norm(centred, axis=1), 1e-9)
    similarities = centred @ centred[int(asked, 16)] / lengths / lengths[int(asked, 16)]
    found = likeness.like(asked, count)
    assert len(found) == min(count, number - 1)
    assert asked not in dict(found)
    assert found == sorted(found, key=lambda entry: (-entry[1], entry[0]))
    if len(few) > 1 and lengths.min() > 1e-3:
        for image_id, similarity in found:
            assert abs(similarities[int(image_id, 16)] - similarity) < 1e-3
        rest = [similarities[place] for place in range(number) if f"{place:064x}" not in {asked, *dict(found)}]
        assert not rest or max(rest) <= min(similarity for _, similarity in found) + 1e-3


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"junk" * 100), lambda path: path.unlink(), flip_a_bit]
)
def test_damaged_copies_of_vectors_are_made_again(tmp_path: Path, damage) -> None:
    random = np.random.default_rng(0)
    vectors = {f"{place:064x}": random.standard_normal(128).astype(np.float16) for place in range(50)}
    expected = made(tmp_path, vectors).like("0" * 64, 5)
    lake = open_storage(str(tmp_path / "lake"))
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(files) == 6
    for path in files:
        damage(path)
        assert open_likeness(lake, tmp_path / "cache").like("0" * 64, 5) == expected


def bytes_read() -> int:
    """How many bytes this process has read from files."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


def test_copies_of_vectors_are_read_for_their_checksum_once(tmp_path: Path) -> None:
    """Until they change. What is mapped into memory does not count as read."""
    random = np.random.default_rng(0)
    vectors = {f"{place:064x}": random.standard_normal(128).astype(np.float16) for place in range(4_000)}
    made(tmp_path, vectors)
    lake = open_storage(str(tmp_path / "lake"))
    (path,) = (tmp_path / "cache").rglob("vectors.npy")
    read = []
    for _ in range(3):
        before = bytes_read()
        open_likeness(lake, tmp_path / "cache")
        read.append(bytes_read() - before)
    assert read[0] > path.stat().st_size > 20 * max(read[1:])
    content = path.read_bytes()
    time.sleep(0.02)  # clocks of file systems tick
    flip_a_bit(path)
    open_likeness(lake, tmp_path / "cache")
    assert path.read_bytes() == content


def test_an_empty_lake_has_nothing_alike(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    likeness = open_likeness(open_storage(str(tmp_path / "lake")), tmp_path / "cache")
    assert likeness.nearest(np.ones(128), "e", 5) == []
    with pytest.raises(ConfigurationError, match="no photograph"):
        likeness.like("a" * 64, 5)
