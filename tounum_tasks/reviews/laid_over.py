"""Laying what people said over what models said: the effective class and caption of a row, and whose they are.

Publishing, restores and pages do it by this one function, so that pages show what the next run will write.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.manifest.sources import BY_MODEL, BY_PERSON
from tounum_tasks.page_flags.flags import bucket_of
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import ItemRef


def laid_over(row: Mapping[str, Any], reviews: Effective, reasons: Sequence[str]) -> dict[str, Any]:
    """Return a row with what people said of it.

    Args:
        row: of a manifest, with what models said (``model_label``, ``model_caption``; absent or None: nothing).
        reviews: what is in force.
        reasons: why models would have a person look at it: class, caption, end.
    """
    image_id, item = row["image_id"], _item_of(row)
    said = reviews.reviews_of(image_id, item)
    laid = {
        **row,
        "marks": sorted(review.mark for review in said) or None,
        "reviewed_by": said[-1].author if said else None,
        "reviewed_at": said[-1].at if said else None,
    }
    if row.get("model_label") is None:  # it could not be read, or got no result
        return laid
    label = reviews.label_of(image_id)
    laid |= {"label": label or row["model_label"], "label_source": BY_PERSON if label else BY_MODEL}
    is_photo = bucket_of(laid["label"], row.get("page_flags"), by_person=label is not None) == PHOTO
    by_person = reviews.caption_of(image_id) if is_photo else None
    caption = by_person or (row.get("model_caption") if is_photo else None)
    source = BY_PERSON if by_person else BY_MODEL if caption else None
    laid |= {"is_photo": is_photo, "caption": caption, "caption_source": source}
    open_reasons = [reason for reason in reasons if reason not in _answered(laid, reviews)]
    return laid | {"needs_review": bool(open_reasons), "review_reasons": open_reasons}


def _item_of(row: Mapping[str, Any]) -> ItemRef:
    return ItemRef(row["batch_date"], row["batch_id"], row["source_path"], row["page"])


def _answered(row: Mapping[str, Any], reviews: Effective) -> set[str]:
    """The reasons for a look that somebody has had: by a correction, or by finding good what the row says."""
    label, caption = reviews.confirmed(row["image_id"])
    answered = {
        "class": row["label_source"] == BY_PERSON or label == row["label"],
        "caption": row.get("caption_source") == BY_PERSON
        or (label, caption) == (row["label"], row.get("caption"))
        or (row["label_source"] == BY_PERSON and not row["is_photo"]),  # by that it has no caption
        "end": label == row["label"] or "taken_care" in (row["marks"] or ()),
    }
    return {reason for reason, is_answered in answered.items() if is_answered}
