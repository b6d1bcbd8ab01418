"""Reviews for tests: of one image unless they say otherwise."""

from tounum_tasks.reviews.review import Mark, Review, make_review, new_review_id

IMAGE = "a" * 64
DATE = "2026-03-01"
BATCH = "box-0123456789"


def a_review(
    mark: Mark = "label", value: str | None = None, *, after: Review | None = None, **fields: object
) -> Review:
    """Return a review that follows another one, as a person makes it who saw that one."""
    review_id = new_review_id(after=after.review_id if after else None)
    if mark == "good":
        fields = {"old": "Text", **fields}
    return make_review(
        **{
            "review_id": review_id,
            "mark": mark,
            "value": value,
            "image_id": IMAGE,
            "batch_date": DATE,
            "batch_id": BATCH,
            "source_path": "a.png",
            "page": 1,
            "manifest_version": 1,
            "author": "ada",
            "at": "2026-03-02T10:00:00+00:00",
            "saw": after.review_id if after else None,
            **fields,
        }
    )


def an_undo(of: Review, **fields: object) -> Review:
    """Return the review that takes another one back, which is in force."""
    where = {name: getattr(of, name) for name in ("image_id", "batch_date", "batch_id", "source_path", "page")}
    return a_review(of.mark, after=of, undoes=of.review_id, **{**where, **fields})
