"""What people say over a row: as often as one likes, and taken back without a trace."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reviews import BATCH, DATE, IMAGE, a_review, an_undo
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.laid_over import laid_over
from tounum_tasks.reviews.review import Review, said

captions = st.text("abc ", min_size=1, max_size=9).map(str.strip).filter(bool)


@st.composite
def rows(draw: st.DrawFn) -> dict:
    """A row as models leave it: without a class, with one, and as a photograph with a caption."""
    label = draw(st.sampled_from([None, *CLASSES]))
    return {
        "image_id": IMAGE,
        "batch_date": DATE,
        "batch_id": BATCH,
        "source_path": "a.png",
        "page": 1,
        "model_label": label,
        "model_caption": draw(captions) if label == "Photo" else None,
    }


@st.composite
def reviews(draw: st.DrawFn) -> list[Review]:
    """At most one review of each mark."""
    made = [
        a_review("label", draw(st.sampled_from(CLASSES))),
        a_review("caption", draw(captions)),
        a_review("good", old=said(draw(st.sampled_from(CLASSES)), draw(st.none() | captions))),
        a_review("scan_again"),
        a_review("taken_care"),
    ]
    return [review for review in made if draw(st.booleans())]


REASONS = st.lists(st.sampled_from(["class", "caption", "end"]), unique=True)


@given(rows(), reviews(), REASONS)
def test_laying_over_twice_is_laying_over_once(row: dict, made: list[Review], reasons: list[str]) -> None:
    once = laid_over(row, Effective(made), reasons)
    assert laid_over(once, Effective(made), reasons) == once


@given(rows(), reviews(), REASONS)
def test_taken_back_nothing_is_left(row: dict, made: list[Review], reasons: list[str]) -> None:
    once = laid_over(row, Effective(made), reasons)
    undone = Effective([*made, *map(an_undo, made)])
    assert laid_over(once, undone, reasons) == laid_over(row, Effective(), reasons)


def test_an_empty_caption_that_was_found_good_is_looked_at_no_more() -> None:
    """As captions are where doubtful ones are left out."""
    row = {"image_id": IMAGE, "batch_date": DATE, "batch_id": BATCH, "source_path": "a.png", "page": 1}
    row |= {"model_label": "Photo", "model_caption": None}
    good = Effective([a_review("good", old=said("Photo"))])
    assert laid_over(row, good, ["caption"])["review_reasons"] == []
    assert laid_over(row | {"model_caption": "a dog"}, good, ["caption"])["review_reasons"] == ["caption"]
    of_a_text = Effective([a_review("good", old=said("Text"))])
    assert laid_over(row, of_a_text, ["caption"])["review_reasons"] == ["caption"]


@given(rows(), reviews(), REASONS)
def test_models_word_stays_and_the_persons_wins(row: dict, made: list[Review], reasons: list[str]) -> None:
    found = laid_over(row, Effective(made), reasons)
    by_mark = {review.mark: review for review in made}
    assert {name: found[name] for name in row} == row
    assert sorted(by_mark) == (found["marks"] or [])
    if row["model_label"] is None:
        assert "label" not in found and "needs_review" not in found
        return
    label = by_mark["label"].value if "label" in by_mark else row["model_label"]
    assert (found["label"], found["label_source"]) == (label, "person" if "label" in by_mark else "model")
    caption = by_mark["caption"].value if "caption" in by_mark else row["model_caption"]
    assert found["caption"] == (caption if label == "Photo" else None)
    assert (found["caption_source"] is None) == (found["caption"] is None)
    assert found["needs_review"] == bool(found["review_reasons"]) and set(found["review_reasons"]) <= set(reasons)
    if not made:
        assert found["review_reasons"] == reasons
