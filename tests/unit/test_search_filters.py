"""Whatever people choose at once, the pages show what a look at every single item would find.

The index has been through what happens to one: a batch of an older night came late, one grew, one was replaced by a
smaller one, one went away, people said something.
"""

import json
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.published_lake import bad_row, common, make_settings, publish
from tests.unit.reviews import a_review
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.search import query
from tounum_tasks.search.index import Reader, index_file, reading
from tounum_tasks.search.query import SORTED_BY, Filter, Sort
from tounum_tasks.search.refresh import Refreshed, refresh
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

NIGHTS = ("2026-11-18", "2026-11-19", "2026-11-20")
TAGS = (
    *("class:Photo", "class:Text", "class:Sketch", "review", "reason:class", "flag:blurry", "flag:dark", "duplicate"),
    *("route:photos", "status:ok", "status:quarantined", "no_result", "corrected", "seen", "mark:scan_again", "none"),
)
TEXTS = ("", "dog", "do", "grass dog", '"dog runs"', "scans", "photo", "s", "nothing", "3.png", "x 3", "X 3.png", "( *")


def _rows(settings: Settings, night: str, batch_id: str, number: int, seed: int) -> list[dict]:
    drawn = random.Random(seed)
    rows = []
    for place in range(number):
        row = {**common(f"x {place}.png"), "batch_date": night, "batch_id": batch_id}
        row["original_uri"] = f"file:///{batch_id}/{place}"
        row["image_id"] = f"{batch_id.encode().hex()}{place:02x}".ljust(64, "0")
        if drawn.random() < 0.1:
            rows.append(bad_row(settings, row["source_path"]) | row)
            continue
        label = drawn.choice(["Photo", "Photo", "Text", "Sketch"])
        doubtful = drawn.random() < 0.4
        row |= {
            "status": "ok", "label": label, "model_label": label, "label_source": "model",
            "is_photo": label == "Photo", "confidence": drawn.choice([0.0, 0.05, 0.5, 0.98, 1.0, drawn.random()]),
            "needs_review": doubtful, "review_reasons": ["class"] if doubtful else [],
            "quality_flags_before": [flag for flag in ("blurry", "dark") if drawn.random() < 0.3],
            "duplicate_of": "x 0.png" if drawn.random() < 0.1 else None,
        }  # fmt: skip
        if label == "Photo":
            row |= {
                "caption": drawn.choice(["a dog runs on grass", "a dog sleeps", "a horse runs"]),
                "caption_confidence": drawn.choice([None, 0.25, drawn.random()]),
                "caption_source": "model",
            }
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("lake")
    made = make_settings(folder).model_copy(update={"index_cache": str(folder / "index")})
    first = [(NIGHTS[2], "one-0123456789", 9), (NIGHTS[1], "two-0123456789", 40), (NIGHTS[2], "six-0123456789", 60)]
    for seed, (night, batch_id, number) in enumerate(first):
        publish(made, _rows(made, night, batch_id, number, seed))
    assert refresh(made) == Refreshed(written=3, removed=0, damaged=0)
    publish(made, _rows(made, *first[0][:2], 70, 3), version=2, base_version=1)  # it has grown
    publish(made, _rows(made, *first[2][:2], 21, 4), version=2, base_version=1)
    publish(made, _rows(made, NIGHTS[0], "ten-0123456789", 50, 5))
    shutil.rmtree(folder / "lake" / "manifests" / first[1][0] / first[1][1])
    assert refresh(made) == Refreshed(written=3, removed=1, damaged=0)
    publish(made, _rows(made, NIGHTS[1], "new-0123456789", 33, 6))
    assert refresh(made) == Refreshed(written=1, removed=0, damaged=0)
    with reading(index_file(made.index_cache, made.lake_root)) as index:
        items = index.execute("SELECT * FROM items ORDER BY id").fetchall()
    photographs = [item for item in items if item["label"] == "Photo"]
    for mark, value, about in (
        ("label", "Text", photographs[::7]),
        ("caption", "a grey dog", photographs[1::7]),
        ("scan_again", None, items[::11]),
    ):
        for item in about:
            where = {name: item[name] for name in ("image_id", "batch_date", "batch_id", "source_path", "page")}
            ReviewStore(open_storage(made.lake_root)).add(a_review(mark, value, **where))  # type: ignore[arg-type]
    assert refresh(made) == Refreshed(written=0, removed=0, damaged=0)
    return made


@pytest.fixture(scope="module")
def index(lake: Settings) -> Iterator[Reader]:
    with reading(index_file(lake.index_cache, lake.lake_root)) as found:
        yield found


DATES = st.sampled_from(["", *NIGHTS, "2026-11-21"])
FILTERS = st.builds(
    Filter,
    first_date=DATES,
    last_date=DATES,
    tags=st.lists(st.sampled_from(TAGS), max_size=5, unique=True).map(tuple),
    text=st.sampled_from(TEXTS),
    sort=st.sampled_from(get_args(Sort)),
)
OF_A_BATCH = st.builds(
    lambda wanted, night, batch_id: replace(wanted, first_date=night, last_date=night, batch_id=batch_id),
    FILTERS,
    st.sampled_from(NIGHTS),
    st.sampled_from(["one-0123456789", "two-0123456789", "six-0123456789", "ten-0123456789", "new-0123456789"]),
)


@given(
    wanted=FILTERS | OF_A_BATCH,
    place=st.floats(0, 1, exclude_max=True),
    few=st.sampled_from([0, 4, 500]),
    many=st.sampled_from([1, 10, 30_000]),
    counted=st.sampled_from([1, 8, 2_000]),
    looked_at=st.sampled_from([1, 3, 5_000]),
    anew=st.booleans(),
)
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_filter_finds_what_a_look_at_every_item_finds(
    index: Reader, wanted: Filter, place: float, few: int, many: int, counted: int, looked_at: int, anew: bool
) -> None:
    expected = _expected(index, wanted)
    index.marked.clear()
    index.first.clear()
    with pytest.MonkeyPatch.context() as patch:
        # However many items there are: looked at one by one, or met in order.
        for name, value in (("FEW", few), ("MANY", many), ("COUNTED", counted), ("LOOKED_AT", looked_at)):
            patch.setattr(query, name, value)
        assert _numbers(query.page(index, wanted, 500)) == expected
        number, is_all = query.count(index, wanted)
        assert (number, is_all) in ((len(expected), True), (counted, False))
        assert is_all or (wanted.text and len(expected) > counted)
        if expected:
            at = int(place * len(expected))
            if anew:  # as another request does, which knows nothing of the page before
                index.first.clear()
            forth = query.page(index, wanted, 7, after=expected[at])
            back = query.page(index, wanted, 7, after=expected[at], backwards=True)
            assert _numbers(forth) == expected[at + 1 : at + 8]
            assert _numbers(back) == expected[:at][::-1][:7]


@given(wanted=FILTERS | OF_A_BATCH)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_beside_the_filters_are_those_of_the_nights(index: Reader, wanted: Filter) -> None:
    asked = Filter(wanted.first_date, wanted.last_date, wanted.batch_id)
    tags = Counter(tag for item in _items(index) if _is_within(item, asked) for tag in json.loads(item["tags"]))
    assert query.facets(index, asked) == {tag: n for tag, n in tags.items() if tag.count(":") < 2}


def test_it_is_the_index_that_is_made_at_once(lake: Settings, index: Reader, tmp_path: Path) -> None:
    anew = lake.model_copy(update={"index_cache": str(tmp_path)})
    refresh(anew)
    with reading(index_file(anew.index_cache, anew.lake_root)) as other:
        for wanted in (Filter(), *(Filter(tags=(tag,)) for tag in TAGS), *(Filter(text=text) for text in TEXTS)):
            pages = [[_place(row) for row in query.page(one, wanted, 500)] for one in (index, other)]
            assert sorted(pages[0]) == sorted(pages[1])
            assert query.count(index, wanted) == query.count(other, wanted)


def _place(row: sqlite3.Row) -> tuple[str, str, str]:
    return row["batch_date"], row["batch_id"], row["source_path"]


def _numbers(rows: list[sqlite3.Row]) -> list[int]:
    return [row["id"] for row in rows]


def _items(index: Reader) -> list[sqlite3.Row]:
    return index.execute("SELECT * FROM items ORDER BY id").fetchall()


def _expected(index: Reader, wanted: Filter) -> list[int]:
    items = _items(index)
    name = wanted.text.strip().lower()
    is_name = any(item["file_name"] == name for item in items)
    found = [
        item
        for item in items
        if _is_within(item, wanted)
        and set(wanted.tags) <= set(json.loads(item["tags"]))
        and (item["file_name"] == name if is_name else _says(item, wanted.text))
    ]
    if column := SORTED_BY.get(wanted.sort):
        found = sorted(
            (item for item in found if item[column] is not None), key=lambda item: (item[column], item["id"])
        )
    return _numbers(found)


def _is_within(item: sqlite3.Row, wanted: Filter) -> bool:
    if wanted.batch_id:
        return (item["batch_date"], item["batch_id"]) == (wanted.first_date, wanted.batch_id)
    return (wanted.first_date or "0") <= item["batch_date"] <= (wanted.last_date or "9")


def _says(item: sqlite3.Row, text: str) -> bool:
    """Whether each word or phrase of a text is in a column; the last word may be the beginning of one."""
    columns = [" ".join(["", *_words(item[name] or ""), ""]) for name in ("caption", "source_path", "words")]
    terms = [term for term in re.findall(r'"[^"]*"|[^"\s]+', text) if _words(term)]
    for number, term in enumerate(terms, 1):
        wanted = " " + " ".join(_words(term)) + ("" if number == len(terms) and term[0] != '"' else " ")
        if not any(wanted in column for column in columns):
            return False
    return True


def _words(text: str) -> list[str]:
    return re.findall("[a-z0-9]+", text.lower())
