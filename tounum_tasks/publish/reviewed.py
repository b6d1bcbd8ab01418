"""Laying what people said over what models said: the effective class and caption of a row, and whose they are."""

from collections.abc import Sequence

from tounum_tasks.caption.confidence import review_reasons as caption_reasons
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.manifest.schema import BY_MODEL, BY_PERSON
from tounum_tasks.publish.settle import BatchFiles
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import ItemRef
from tounum_tasks.settings import Settings

# What photographs alone have.
OF_PHOTOGRAPHS = (
    "caption", "caption_source", "model_caption", "caption_words", "caption_log_probability", "caption_confidence",
    "caption_alternatives", "attention_uri", "captioner_version", "features_uri", "extractor_version",
    "fingerprint_extract_features", "fingerprint_caption", "seconds_extract_features", "seconds_caption",
)  # fmt: skip


def lay_over(row: dict, reviews: Effective, reasons: Sequence[str]) -> dict:
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
    label, caption = reviews.label_of(image_id), None
    laid |= {"label": label or row["model_label"], "label_source": BY_PERSON if label else BY_MODEL}
    laid["is_photo"] = laid["label"] == PHOTO
    if laid["is_photo"]:
        caption = reviews.caption_of(image_id)
        laid["caption"] = caption or row.get("model_caption")
        laid["caption_source"] = BY_PERSON if caption else BY_MODEL if laid["caption"] else None
    open_reasons = [reason for reason in reasons if reason not in _answered(laid, reviews)]
    return laid | {"needs_review": bool(open_reasons), "review_reasons": open_reasons}


def lay_again(row: dict, reviews: Effective, files: BatchFiles) -> dict:
    """Return a row of an earlier version with what people say of it now, in place of what they said then.

    An image whose class is another one by that goes where this class belongs. One that was no photograph then and
    is one now has no caption of a model until a run of its batch has worked on it.
    """
    laid = lay_over(row, reviews, _reasons_of(row, files.settings))
    if row["model_label"] is None:
        return laid
    if laid["label"] != row["label"]:
        laid["destination_uri"], laid["fingerprint_route"] = files.place_of(row, laid["label"])
    return laid if laid["is_photo"] else {**laid, **dict.fromkeys(OF_PHOTOGRAPHS)}


def _reasons_of(row: dict, settings: Settings) -> list[str]:
    """Why models would have a person look at a published row."""
    if not row["marks"]:
        earlier = ["class"] if row["needs_review"] else []  # the first releases knew that reason alone
        return row["review_reasons"] if row["review_reasons"] is not None else earlier
    is_sure = row["confidence"] is not None and row["confidence"] >= settings.review_confidence
    reasons = ["end"] if row["suspect_end"] else []
    reasons += [] if is_sure else ["class"]
    if row["model_caption"] is not None:
        reasons += caption_reasons(row["caption_confidence"], settings.caption_review_confidence)
    return reasons


def _item_of(row: dict) -> ItemRef:
    return ItemRef(row["batch_date"], row["batch_id"], row["source_path"], row["page"])


def _answered(row: dict, reviews: Effective) -> set[str]:
    """The reasons for a look that somebody has had: by a correction, or by finding good what the row says."""
    label, caption = reviews.confirmed(row["image_id"])
    answered = {
        "class": row["label_source"] == BY_PERSON or label == row["label"],
        "caption": row.get("caption_source") == BY_PERSON or (caption is not None and caption == row.get("caption")),
        "end": label == row["label"] or "taken_care" in (row["marks"] or ()),
    }
    return {reason for reason, is_answered in answered.items() if is_answered}
