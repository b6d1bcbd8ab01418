"""What people say of images: what may be said, what is in force, and that two people are never deaf to each other."""

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.s3_server import BUCKET, S3Server
from tests.unit.reviews import BATCH, DATE, IMAGE, a_review, an_undo
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError, DamagedFile
from tounum_tasks.reviews.compaction import compact
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Chain, ItemRef, Review, new_review_id, said, time_of
from tounum_tasks.reviews.store import ReviewConflict, ReviewStore
from tounum_tasks.reviews.text import COMPACTED, path_of
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_storage(f"s3://{BUCKET}/lake")
    (tmp_path / "lake").mkdir()
    return open_storage(f"file://{tmp_path}/lake")


# What may be said


@pytest.mark.parametrize(
    "caption",
    [
        "می\u200cخواهم بروم",
        "a family \U0001f468\u200d\U0001f469\u200d\U0001f467",
        "I \u2764\ufe0f it",
        "שלום\u200f!",
        "क्\u200dष",
    ],
)
def test_a_caption_may_be_written_as_its_language_is(lake: Storage, caption: str) -> None:
    store = ReviewStore(lake)
    first = a_review("caption", caption)
    store.add(first)
    store.add(a_review("caption", "a dog", after=first, old=caption))
    store.add(a_review("good", old=said("Photo", caption)))
    assert [review.value or review.old for review in ReviewStore(lake).all()] == [caption, "a dog", f"Photo: {caption}"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mark": "label", "value": "Cat"}, "'Cat' is no class: choose one of Painting, Photo"),
        ({"mark": "label"}, "is no class"),
        ({"mark": "caption", "value": ""}, "1 to 300 characters"),
        ({"mark": "caption", "value": "a dog "}, "no blank at its ends"),
        ({"mark": "caption", "value": "x" * 301}, "has 301 characters: write 300 at most"),
        ({"mark": "caption", "value": "a\ndog"}, "one line of plain text"),
        ({"mark": "caption", "value": "a \u202edog"}, "one line of plain text"),
        ({"mark": "caption", "value": "a\u00ad dog"}, "cannot be seen (\\u00ad): write one line of plain text"),
        ({"mark": "caption", "value": "\u200d"}, "1 to 300 characters"),
        ({"mark": "scan_again", "value": "yes"}, "has no value"),
        ({"mark": "good", "old": None}, "give the class"),
        ({"mark": "label", "value": "Photo", "author": "a\nb"}, "author: control characters"),
        ({"mark": "label", "value": "Photo", "at": "yesterday"}, "no time in UTC"),
        ({"mark": "label", "value": "Photo", "at": "2026-03-02T10:00:00"}, "no time in UTC"),
        ({"mark": "label", "value": "Photo", "batch_id": "../x"}, "no batch id"),
        ({"mark": "label", "value": "Photo", "review_id": "1"}, "no review id"),
        ({"mark": "label", "value": "Photo", "saw": "20990101T000000000000Z-00000000"}, "not older than this one"),
    ],
)
def test_what_cannot_be_said_is_refused_in_one_sentence(fields: dict, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        a_review(**fields)
    assert told in str(error.value) and "\n" not in str(error.value)


@given(st.datetimes(min_value=dt.datetime(2000, 1, 1), max_value=dt.datetime(2100, 1, 1)), st.timedeltas())
def test_ids_sort_by_time_and_behind_what_they_follow_whatever_the_clock_says(
    now: dt.datetime, wrong: dt.timedelta
) -> None:
    earlier = new_review_id(now=now.replace(tzinfo=dt.UTC))
    assert time_of(earlier) == now.replace(tzinfo=dt.UTC)
    assert new_review_id(after=earlier, now=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) > earlier


# What is in force


@st.composite
def chains(draw: st.DrawFn) -> list[Review]:
    """Corrections and undos of one chain, as people make them one after the other."""
    made: list[Review] = []
    for number in range(draw(st.integers(1, 8))):
        in_force = Effective(made).review_in_force(Chain("label", IMAGE))
        review_id = f"20260301T0000{number:02d}000000Z-{draw(st.integers(0, 2**32 - 1)):08x}"
        fields = {"review_id": review_id, "saw": in_force.review_id if in_force else None}
        undone = draw(st.sampled_from([None, *made]))
        if undone is None:
            made.append(a_review("label", draw(st.sampled_from(CLASSES)), **fields))
        else:
            made.append(a_review("label", undoes=undone.review_id, **fields))
    return made


@given(chains(), st.randoms())
def test_the_order_of_reading_never_matters(reviews: list[Review], random: object) -> None:
    shuffled = [*reviews, *reviews[:2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Effective(shuffled).in_force() == Effective(reviews).in_force()


@given(chains())
def test_undo_gives_what_was_before_and_undo_of_it_what_was_then(reviews: list[Review]) -> None:
    chain = Chain("label", IMAGE)
    now = Effective(reviews).review_in_force(chain)
    new = a_review("label", "Text")
    changed = [*reviews, new]
    assert Effective(changed).label_of(IMAGE) == "Text"
    undo = an_undo(new)
    assert Effective([*changed, undo]).review_in_force(chain) == now
    again = a_review("label", undoes=undo.review_id, review_id=new_review_id(after=undo.review_id))
    assert Effective([*changed, undo, again]).review_in_force(chain) == new


@given(chains())
def test_what_is_in_force_was_said_by_somebody_and_not_taken_back(reviews: list[Review]) -> None:
    found = Effective(reviews).in_force()
    assert len(found) <= 1 and set(found) <= set(reviews)
    assert all(review.undoes is None for review in found)
    assert Effective(found).in_force() == found


def test_class_and_caption_belong_to_the_image_other_marks_to_the_item() -> None:
    reviews = [
        a_review("label", "Photo"),
        a_review("caption", "a dog"),
        a_review("good", old=said("Photo", "a dog: it runs")),
        a_review("scan_again"),
        a_review("taken_care"),
    ]
    found = Effective(reviews)
    assert found.label_of(IMAGE) == "Photo" and found.caption_of(IMAGE) == "a dog"
    assert found.confirmed(IMAGE) == ("Photo", "a dog: it runs")
    item = ItemRef(DATE, BATCH, "a.png", 1)
    assert found.marks_of(item) == ["scan_again", "taken_care"]
    copy = ItemRef("2026-04-01", "other-0123456789", "copy.png", 1)
    assert found.marks_of(copy) == []
    assert [review.mark for review in found.reviews_of(IMAGE, copy)] == ["label", "caption", "good"]
    assert found.reviews_of("b" * 64, copy) == []


# Where it is kept


def test_reviews_are_kept_and_read_in_order(lake: Storage) -> None:
    store = ReviewStore(lake)
    first = a_review("label", "Photo")
    second = a_review("label", "Sketch", after=first)
    other = a_review("scan_again", review_id=new_review_id(after=second.review_id))
    for review in (first, second, other):
        store.add(review)
    assert store.all() == ReviewStore(lake).all() == [first, second, other]
    assert store.since(first.review_id) == [second, other]
    assert ReviewStore(lake).effective().label_of(IMAGE) == "Sketch"


def test_second_of_two_people_hears_of_the_first(lake: Storage) -> None:
    mine = a_review("label", "Photo")
    ReviewStore(lake).add(mine)
    with pytest.raises(ReviewConflict, match="ada was faster") as conflict:
        ReviewStore(lake).add(a_review("label", "Text"))
    assert conflict.value.other == mine
    undo = an_undo(mine, author="eve")
    ReviewStore(lake).add(undo)
    with pytest.raises(ReviewConflict, match=r"eve was faster .took it back") as conflict:
        ReviewStore(lake).add(a_review("label", "Text", after=mine))
    assert conflict.value.other == undo
    assert ReviewStore(lake).all() == [mine, undo]


def test_two_people_at_the_same_instant_in_a_bucket(s3: S3Server) -> None:
    """A bucket has no locks: both have looked when both write. Neither is told that all is well when it is not."""
    lake = open_storage(f"s3://{BUCKET}/lake")
    mine, theirs = a_review("label", "Photo"), a_review("label", "Text", author="eve")

    class Meanwhile(ReviewStore):
        def _require_seen(self, review: Review, before: list[Review]) -> None:
            super()._require_seen(review, before)
            ReviewStore(lake).add(theirs)

    with pytest.raises(ReviewConflict) as conflict:
        Meanwhile(lake).add(mine)
    assert conflict.value.other == theirs
    assert ReviewStore(lake).all() == [theirs]


def test_what_is_not_there_cannot_be_undone_or_followed(lake: Storage) -> None:
    gone = a_review("label", "Photo")
    with pytest.raises(ConfigurationError, match="could be undone"):
        ReviewStore(lake).add(an_undo(gone, saw=None))
    with pytest.raises(ConfigurationError, match="is not there: look at the image again"):
        ReviewStore(lake).add(a_review("label", "Text", after=gone))
    assert ReviewStore(lake).all() == []


def test_compacted_reviews_are_the_same_reviews(lake: Storage) -> None:
    reviews = [a_review("label", "Photo", image_id=str(number)) for number in range(4)]
    reviews.sort(key=lambda review: review.review_id)
    store = ReviewStore(lake)
    for review in reviews:
        store.add(review)
    assert compact(lake, up_to=reviews[1].review_id) == 2
    assert not lake.exists(path_of(reviews[0].review_id)) and lake.exists(path_of(reviews[2].review_id))
    assert store.all() == ReviewStore(lake).all() == reviews
    assert compact(lake, up_to=reviews[1].review_id) == 0
    assert compact(lake, up_to=reviews[3].review_id) == 2
    assert ReviewStore(lake).all() == reviews
    with pytest.raises(ReviewConflict):
        ReviewStore(lake).add(a_review("label", "Text", image_id="0"))


def test_compaction_that_was_killed_loses_and_doubles_nothing(lake: Storage) -> None:
    reviews = [a_review("label", "Photo", image_id=str(number)) for number in range(3)]
    reviews.sort(key=lambda review: review.review_id)
    for review in reviews:
        ReviewStore(lake).add(review)
    contents = {path_of(review.review_id): lake.read_bytes(path_of(review.review_id)) for review in reviews[:2]}
    compact(lake, up_to=reviews[1].review_id)
    for path, content in contents.items():  # as if killed before the single files went
        lake.write_bytes(path, content)
    assert ReviewStore(lake).all() == reviews
    compact(lake, up_to=reviews[2].review_id)
    assert ReviewStore(lake).all() == reviews
    assert [entry.name for entry in lake.list_folder("reviews") if entry.kind == "file"] == []


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"mark": "label"}', b"\xff"])
def test_damaged_review_is_named(lake: Storage, content: bytes) -> None:
    review = a_review("label", "Photo")
    lake.write_bytes(path_of(review.review_id), content)
    with pytest.raises(DamagedFile, match=review.review_id):
        ReviewStore(lake).all()


def test_damaged_compacted_file_is_named(lake: Storage) -> None:
    review = a_review("label", "Photo")
    ReviewStore(lake).add(review)
    compact(lake, up_to=review.review_id)
    (entry,) = lake.list_folder(COMPACTED)
    lake.write_bytes(f"{COMPACTED}/{entry.name}", lake.read_bytes(f"{COMPACTED}/{entry.name}")[:-20])
    with pytest.raises(DamagedFile, match=entry.name):
        ReviewStore(lake).all()
