"""Random samples: drawn once and for all, large enough, and honest about what they say."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reviews import BATCH, DATE, a_review, an_undo
from tounum_tasks.errors import ConfigurationError, DamagedFile
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.sample import SAMPLES, Sample, SampledItem, draw, keep, kept, kept_one, rate, size_for, told
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.store.open import open_storage


def images(count: int) -> list[SampledItem]:
    return [
        SampledItem(
            source_path=f"{number}.png",
            page=1,
            image_id=f"image {number}",
            label="Photo" if number % 2 else "Text",
            caption="a dog runs" if number % 2 else None,
        )
        for number in range(count)
    ]


def sample(size: int, of: int = 40, version: int = 3) -> Sample:
    return draw((DATE, BATCH), version, size, images(of))


@given(st.integers(1, 60), st.randoms())
def test_a_sample_depends_on_batch_version_and_size_alone(size: int, random: object) -> None:
    shuffled = images(40)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = draw((DATE, BATCH), 3, size, shuffled)
    assert again == sample(size)
    assert len(again.items) == min(size, 40) and again.population == 40
    assert sample(size + 1).items[: min(size, 40)] == again.items
    assert len(set(again.items)) == len(again.items)


def test_another_version_draws_others() -> None:
    assert {item.image_id for item in sample(20).items} != {item.image_id for item in sample(20, version=4).items}


def test_every_image_is_drawn_as_often_as_every_other() -> None:
    drawn = [item.source_path for version in range(600) for item in sample(10, version=version).items]
    counts = [drawn.count(f"{number}.png") for number in range(40)]
    assert min(counts) > 100 and max(counts) < 205  # 150 expected, 11 is the standard deviation


@pytest.mark.parametrize(
    ("population", "within", "expected", "size"),
    [
        (10**6, 0.05, 0.5, 384),
        (1000, 0.05, 0.5, 278),
        (100, 0.05, 0.5, 80),
        (10, 0.05, 0.5, 10),
        (10**6, 0.02, 0.1, 864),
    ],
)
def test_size_is_that_of_the_textbooks(population: int, within: float, expected: float, size: int) -> None:
    found = size_for(population, within, expected=expected)
    assert found.images == size
    assert f"{size:,} of {population:,} images" in found.sentence


@pytest.mark.parametrize(("population", "within"), [(0, 0.05), (10, 0), (10, 0.5), (10, -1), (10, math.nan)])
def test_no_size_for_what_cannot_be_had(population: int, within: float) -> None:
    with pytest.raises(ConfigurationError):
        size_for(population, within)


def test_interval_is_that_of_wilson() -> None:
    found = rate(8, 100)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0411, 0.1500)
    assert rate(0, 20).low == 0 and round(rate(0, 20).high, 4) == 0.1611
    assert rate(20, 20).high == 1
    assert (rate(0, 0).low, rate(0, 0).high) == (0, 1)
    assert told(found, "class") == (
        "8 of 100 have a wrong class: of the whole batch it is 4.1 to 15.0 %, with 95 % certainty."
    )


@given(st.integers(0, 500), st.integers(1, 500))
def test_interval_holds_what_was_seen_and_shrinks_with_the_sample(wrong: int, looked_at: int) -> None:
    wrong = min(wrong, looked_at)
    found, larger = rate(wrong, looked_at), rate(4 * wrong, 4 * looked_at)
    assert 0 <= found.low <= wrong / looked_at <= found.high <= 1
    assert larger.high - larger.low < found.high - found.low


def test_outcome_counts_what_was_looked_at_for_it(tmp_path: Path) -> None:
    lake = open_storage(f"file://{tmp_path}")
    drawn = sample(40)
    by_number = {item.source_path: item for item in drawn.items}

    def say(number: int, mark: str, value: str | None = None, **fields: object) -> None:
        item = by_number[f"{number}.png"]
        where = {"image_id": item.image_id, "source_path": item.source_path}
        old = f"{item.label}: {item.caption}" if item.caption else item.label
        fields = {"sample": drawn.sample_id, "old": old, **fields}
        ReviewStore(lake).add(a_review(mark, value, **where, **fields))  # type: ignore[arg-type]

    assert told(drawn.judged(Effective()).classes, "class").startswith("Nobody has looked")
    say(0, "good")
    say(1, "good")
    say(3, "caption", "a cat sleeps")
    say(5, "label", "Text")
    say(7, "label", "Photo")  # as it was
    say(9, "label", "Text", sample=None)  # for another reason
    taken_back = a_review("label", "Sketch", image_id="image 2", source_path="2.png", sample=drawn.sample_id)
    ReviewStore(lake).add(taken_back)
    ReviewStore(lake).add(an_undo(taken_back))
    reviews = ReviewStore(lake).effective()
    found = keep(lake, drawn, reviews)
    assert found.outcome is not None
    assert (found.outcome.classes.wrong, found.outcome.classes.looked_at) == (1, 5)
    assert (found.outcome.captions.wrong, found.outcome.captions.looked_at) == (1, 3)
    assert len(drawn.left(reviews)) == 35
    assert kept(lake) == [found] and kept_one(lake, drawn.sample_id) == found
    assert len(ReviewStore(lake).all()) == 8  # samples are no reviews
    with pytest.raises(ConfigurationError, match="no sample 'x'"):
        kept_one(lake, "x")
    lake.write_bytes(f"{SAMPLES}/x.json", b"{}")
    with pytest.raises(DamagedFile, match=r"x\.json"):
        kept(lake)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no image of box"):
        draw((DATE, BATCH), 1, 5, [])
    with pytest.raises(ConfigurationError, match="at least one"):
        draw((DATE, BATCH), 1, 0, images(3))
