"""The index of the web pages, made from real manifests."""

import fcntl
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.s3_server import BUCKET, S3Server
from tests.unit.published_lake import DATE, bad_row, make_settings, ok_row, publish
from tests.unit.reviews import a_review
from tounum_airflow.web import lake
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.items import Item, commit_items
from tounum_tasks.manifest.read import history_path
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.search import query
from tounum_tasks.search.index import LAYOUT, index_file, is_built, is_damage, reading, writing
from tounum_tasks.search.query import Filter, count, facets, find, nights, of_image, page, row_of, shards
from tounum_tasks.search.refresh import Refreshed, refresh
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = make_settings(tmp_path).model_copy(update={"index_cache": str(tmp_path / "index")})
    publish(made, _rows(made))
    refresh(made)
    return made


def _rows(settings: Settings) -> list[dict]:
    return [
        ok_row(
            settings,
            "a dog.png",
            "Photo",
            image_id="1" * 64,
            confidence=0.7,
            needs_review=False,
            caption="a café in the snow",
        ),
        ok_row(
            settings, "b.png", "Photo", image_id="2" * 64, confidence=0.5, needs_review=True, review_reasons=["class"]
        ),
        ok_row(
            settings,
            "c.png",
            "Sketch",
            image_id="3" * 64,
            confidence=0.9,
            needs_review=False,
            title="Mühle am Bach",
            inventory_number="Inv 1923/5",
            copyright="Stadtarchiv",
            keywords=["watermill"],
        ),
        ok_row(settings, "d.png", "Text", image_id="3" * 64, confidence=0.8, needs_review=False, duplicate_of="c.png"),
        bad_row(settings, "e.jpg", image_id="4" * 64),
    ]


def _paths(settings: Settings, wanted: Filter, **options: object) -> list[str]:
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        return [row["source_path"] for row in page(index, wanted, 60, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"junk" * 3000,
        lambda content: bytes(len(content)),
        lambda content: content[: len(content) // 2],
        lambda content: content[:100] + bytes(8000) + content[8100:],
    ],
)
def test_a_damaged_index_is_made_anew(settings: Settings, damage) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    path.write_bytes(damage(path.read_bytes()))
    done = refresh(settings)
    assert done and done.written == 1 and is_built(path)
    assert _paths(settings, Filter()) == ["a dog.png", "b.png", "c.png", "d.png", "e.jpg"]


def test_a_row_that_sqlite_takes_for_whole_is_found_to_be_damaged_and_made_anew(settings: Settings) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    with writing(path) as index:
        index.execute("UPDATE details SET row = CAST(substr(row, 1, 20) || x'0000' || substr(row, 23) AS BLOB)")
    with reading(path) as index, pytest.raises(sqlite3.DatabaseError) as caught:
        row_of(index, page(index, Filter(), 1)[0]["id"])
    assert is_damage(caught.value)
    ReviewStore(open_storage(settings.lake_root)).add(a_review("label", "Sketch", image_id="1" * 64))
    refresh(settings)  # which lays the review over a row
    with reading(path) as index:
        (first,) = page(index, Filter(), 1)
        assert (first["label"], row_of(index, first["id"])["caption"]) == ("Sketch", "a café in the snow")


def test_an_index_that_is_to_be_made_anew_is_removed_by_whoever_may_write_it(settings: Settings) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    before = path.stat().st_ino
    with path.with_suffix(".lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert refresh(settings, anew=True) is None
        assert path.stat().st_ino == before
    assert refresh(settings, anew=True) == Refreshed(written=1, removed=0, damaged=0)


def test_pages_have_a_damaged_index_made_anew_once_in_a_while(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Ended:
        returncode = 0

        def __init__(self, args: list[str], **options: object) -> None:
            self.args = args
            started.append(args[3:])

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(lake.subprocess, "Popen", Ended)
    pages = lake.Lake(settings)
    for _ in range(3):  # on a disk that fails
        pages.make_anew()
    assert started == [["index", "--anew"]] and index_file(settings.index_cache, settings.lake_root).exists()
    now = lake.time.monotonic()
    monkeypatch.setattr(lake.time, "monotonic", lambda: now + lake.FRESH_SECONDS + 1)
    pages.make_anew()
    assert len(started) == 2


def test_an_index_that_cannot_be_written_is_one_sentence(settings: Settings) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    path.unlink()
    path.mkdir()
    with pytest.raises(EnvironmentFault, match=r"^The index \S+ cannot be written"):
        refresh(settings)


def test_a_page_is_in_the_order_of_the_manifest(settings: Settings) -> None:
    assert _paths(settings, Filter()) == ["a dog.png", "b.png", "c.png", "d.png", "e.jpg"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(tags=("class:Photo",)), ["a dog.png", "b.png"]),
        (Filter(tags=("class:Photo", "review")), ["b.png"]),
        (Filter(tags=("reason:class",)), ["b.png"]),
        (Filter(tags=("status:quarantined",)), ["e.jpg"]),
        (Filter(tags=("error:truncated",)), ["e.jpg"]),
        (Filter(tags=("route:non_photos",)), ["c.png", "d.png"]),
        (Filter(tags=("duplicate",)), ["d.png"]),
        (Filter(tags=("nothing:of the kind",)), []),
        (Filter(text="cafe"), ["a dog.png"]),
        (Filter(text="sno"), ["a dog.png"]),
        (Filter(text='"in the snow"'), ["a dog.png"]),
        (Filter(text='"snow the in"'), []),
        (Filter(text=" A Dog.PNG "), ["a dog.png"]),
        (Filter(text="C.png", sort="unsure", tags=("class:Sketch",)), ["c.png"]),
        (Filter(text="c.png", tags=("class:Photo",)), []),
        (Filter(text="Scans", tags=("class:Sketch",)), ["c.png"]),
        (Filter(text='"muhle am bach"'), ["c.png"]),
        (Filter(text='"inv 1923/5"'), ["c.png"]),
        (Filter(text="stadtarchiv watermill"), ["c.png"]),
        (Filter(text='" ( *'), ["a dog.png", "b.png", "c.png", "d.png", "e.jpg"]),
        (Filter(sort="unsure"), ["b.png", "a dog.png", "d.png", "c.png"]),
        (Filter(sort="unsure", tags=("class:Photo",)), ["b.png", "a dog.png"]),
        (Filter(sort="unsure", tags=("class:Photo", "review")), ["b.png"]),
        (Filter(sort="unsure", text="scans", tags=("status:ok",)), ["b.png", "a dog.png", "d.png", "c.png"]),
        (Filter(sort="caption"), []),
        (Filter(first_date=DATE, last_date=DATE), ["a dog.png", "b.png", "c.png", "d.png", "e.jpg"]),
        (Filter(first_date="2026-11-21"), []),
        (Filter(last_date="2026-11-19"), []),
        (Filter(first_date=DATE, batch_id="scans-0123456789", tags=("class:Text",)), ["d.png"]),
        (Filter(first_date=DATE, batch_id="another"), []),
    ],
)
def test_a_filter_finds(settings: Settings, wanted: Filter, expected: list[str]) -> None:
    assert _paths(settings, wanted) == expected
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        assert count(index, wanted) == (len(expected), True)


@pytest.mark.parametrize("few", [0, 8_000])
@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(sort="unsure"),
        Filter(text="scans"),
        Filter(tags=("status:ok",)),
        Filter(text="scans", tags=("status:ok",)),
    ],
)
def test_pages_one_after_another_show_each_item_once_forth_and_back(
    settings: Settings, wanted: Filter, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "FEW", few)  # however many items there are, sorted or met in order
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        whole = [row["id"] for row in page(index, wanted, 60)]
        forth: list[int] = []
        while found := page(index, wanted, 2, after=forth[-1] if forth else None):
            forth += [row["id"] for row in found]
        assert forth == whole
        back: list[int] = [whole[-1]]
        while found := page(index, wanted, 2, after=back[-1], backwards=True):
            back += [row["id"] for row in found]
        assert back == whole[::-1]
        assert len(index.marked) <= 1  # however many pages: bitmaps of a large lake are large


def test_an_item_has_its_whole_row_its_copies_and_its_place(settings: Settings) -> None:
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        found = find(index, DATE, "scans-0123456789", "d.png", 1)
        assert found is not None
        assert row_of(index, found["id"])["duplicate_of"] == "c.png"
        assert [row["source_path"] for row in of_image(index, "3" * 64)] == ["c.png", "d.png"]
        assert find(index, DATE, "scans-0123456789", "none.png", 1) is None
        assert row_of(index, 5) == {}


def test_nights_count_what_became_of_their_images(settings: Settings) -> None:
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        (night,) = nights(index, 30)
        assert (night["items"], night["photos"], night["to_review"], night["quarantined"], night["failed"]) == (
            5,
            2,
            1,
            1,
            0,
        )
        assert facets(index, Filter())["class:Photo"] == 2
        assert facets(index, Filter(first_date=DATE))["class:Photo"] == 2
        assert facets(index, Filter(first_date="2030-01-01")) == {}


def test_a_new_version_takes_the_place_of_the_old_one(settings: Settings) -> None:
    rows = _rows(settings)
    rows[0] |= {"caption": "a bear on the ice", "label": "Painting"}
    publish(settings, rows, version=2, base_version=1)
    assert refresh(settings) == Refreshed(written=1, removed=0, damaged=0)
    assert _paths(settings, Filter(text="cafe")) == []
    assert _paths(settings, Filter(text="bear")) == ["a dog.png"]
    assert _paths(settings, Filter(tags=("class:Painting",))) == ["a dog.png"]
    assert _paths(settings, Filter(tags=("class:Photo",))) == ["b.png"]
    assert refresh(settings) == Refreshed(written=0, removed=0, damaged=0)


def test_a_batch_that_is_gone_is_taken_out(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "lake" / "manifests" / DATE / "scans-0123456789" / "manifest.parquet").unlink()
    assert refresh(settings) == Refreshed(written=0, removed=1, damaged=0)
    assert _paths(settings, Filter()) == _paths(settings, Filter(text="dog")) == []


def test_images_are_found_by_the_manifest_while_its_version_in_the_history_is_damaged(
    settings: Settings, tmp_path: Path
) -> None:
    batch = publish(settings, [{**row, "batch_id": "other-0123456789"} for row in _rows(settings)])
    (tmp_path / "lake" / history_path(DATE, batch.batch_id, 1)).write_bytes(b"")
    assert refresh(settings) == Refreshed(written=1, removed=0, damaged=0)
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        assert len(of_image(index, "1" * 64)) == 2


def test_a_damaged_manifest_is_named_and_the_others_are_there(settings: Settings, tmp_path: Path) -> None:
    publish(settings, [row | {"batch_id": "other-0123456789"} for row in _rows(settings)])
    path = tmp_path / "lake" / "manifests" / DATE / "scans-0123456789" / "manifest.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert refresh(settings) == Refreshed(written=2, removed=0, damaged=1)
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        faults = {night["batch_id"]: night["fault"] for night in nights(index, 30)}
        assert faults["other-0123456789"] is None
        assert "manifest.parquet" in faults["scans-0123456789"]
    assert len(_paths(settings, Filter())) == 5


def test_a_batch_whose_version_is_gone_from_the_history_is_shown_all_the_same(
    settings: Settings, tmp_path: Path
) -> None:
    for file in Path(settings.index_cache).iterdir():
        file.unlink()
    shutil.rmtree(tmp_path / "lake" / "manifests_history")
    assert refresh(settings) == Refreshed(written=1, removed=0, damaged=0)
    assert len(_paths(settings, Filter())) == 5
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        (night,) = nights(index, 30)
        assert (night["items"], night["published_at"], night["fault"]) == (5, None, None)
    assert refresh(settings) == Refreshed(written=0, removed=0, damaged=0)


def test_a_deleted_index_is_made_anew(settings: Settings) -> None:
    for file in Path(settings.index_cache).iterdir():
        file.unlink()
    assert refresh(settings) == Refreshed(written=1, removed=0, damaged=0)
    assert len(_paths(settings, Filter())) == 5


def test_what_another_release_kept_of_the_same_lake_is_removed(settings: Settings) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    earlier = path.with_name(path.name.replace(f"-{LAYOUT}.", "-1."))
    of_another_lake = path.with_name("lake-0000000000000000-1.sqlite")
    for old in (earlier, earlier.with_suffix(".lock"), of_another_lake):
        old.write_bytes(b"")
    refresh(settings)
    assert of_another_lake.exists() and path.exists()
    assert not [file.name for file in path.parent.iterdir() if file.name.startswith(earlier.stem)]


def test_a_shard_is_found_as_it_was_registered(settings: Settings, tmp_path: Path) -> None:
    """Whatever the settings say of the size of shards today."""
    rows = [row | {"batch_id": "cut-0123456789"} for row in _rows(settings)]
    named = ("batch_id", "batch_date", "batch_name", "source_path", "page", "pages", "image_id", "sha256", "bytes")
    items = [
        Item(**{name: row[name] for name in named}, format="png", original="here", shard=shard)
        for row, shard in zip(rows, [0, 0, 1, 1, 2], strict=True)
    ]
    commit_items(open_storage(settings.lake_root), items)
    publish(settings, rows)
    refresh(settings)
    asked = {"first_date": DATE, "last_date": DATE, "batch_id": "cut-0123456789"}
    assert _paths(settings, Filter(**asked, tags=("shard:0",))) == ["a dog.png", "b.png"]
    assert _paths(settings, Filter(**asked, tags=("shard:1",))) == ["c.png", "d.png"]
    assert _paths(settings, Filter(**asked, tags=("shard:3",))) == []
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        assert shards(index, DATE, "cut-0123456789") == 3
        assert shards(index, DATE, "scans-0123456789") == 0  # nobody registered it
    damaged = tmp_path / "lake" / "registers" / DATE / "cut-0123456789" / "items.parquet"
    damaged.write_bytes(b"nothing")
    publish(settings, rows, version=2, base_version=1)
    assert refresh(settings) == Refreshed(written=1, removed=0, damaged=0)
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        assert shards(index, DATE, "cut-0123456789") == 0


def test_a_bucket_is_asked_once_for_all_manifests(s3: S3Server, tmp_path: Path) -> None:
    """However many batches there are, a refresh that finds nothing new sends the same few requests."""
    in_bucket = {"lake_root": f"s3://{BUCKET}/lake", "index_cache": str(tmp_path / "index")}
    settings = make_settings(tmp_path).model_copy(update=in_bucket)
    sent = []
    for batches in (["one-0123456789"], ["six-0123456789", "ten-0123456789", "two-0123456789"]):
        for batch_id in batches:
            publish(settings, [row | {"batch_id": batch_id} for row in _rows(settings)])
        assert refresh(settings) == Refreshed(written=len(batches), removed=0, damaged=0)
        s3.requests.clear()
        assert refresh(settings) == Refreshed(written=0, removed=0, damaged=0)
        sent.append(len(s3.requests))
    assert len(_paths(settings, Filter())) == 20
    assert sent[0] == sent[1] > 0


def test_what_is_no_manifest_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "manifests"
    whole = (folder / DATE / "scans-0123456789" / "manifest.parquet").read_bytes()
    for place in (
        "manifest.parquet",
        f"{DATE}/manifest.parquet",
        f"{DATE}/Copy of it/manifest.parquet",
        "yesterday/scans-0123456789/manifest.parquet",
        f"{DATE}/scans-0123456789/old/manifest.parquet",
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(whole)
    assert refresh(settings) == Refreshed(written=0, removed=0, damaged=0)


def test_a_reader_cannot_write(settings: Settings) -> None:
    path = index_file(settings.index_cache, settings.lake_root)
    with reading(path) as index, pytest.raises(sqlite3.OperationalError, match="readonly"):
        index.execute("DELETE FROM items")
    with writing(path) as index:
        assert index.execute("SELECT count(*) FROM items").fetchone()[0] == 5
