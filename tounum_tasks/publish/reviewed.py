"""What people say now, over the rows of an earlier version."""

from tounum_tasks.caption.confidence import review_reasons as caption_reasons
from tounum_tasks.manifest.sources import BY_PERSON
from tounum_tasks.page_flags.flags import bucket_of, lies_as_photograph
from tounum_tasks.publish.settle import BatchFiles
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.laid_over import laid_over
from tounum_tasks.settings import Settings

# What photographs alone have.
OF_PHOTOGRAPHS = (
    "caption", "caption_source", "model_caption", "caption_words", "caption_log_probability", "caption_confidence",
    "caption_alternatives", "attention_uri", "captioner_version", "features_uri", "extractor_version",
    "fingerprint_extract_features", "fingerprint_caption", "seconds_extract_features", "seconds_caption",
)  # fmt: skip


def lay_again(row: dict, reviews: Effective, files: BatchFiles) -> dict:
    """Return a row of an earlier version with what people say of it now, in place of what they said then.

    An image whose class is another one by that goes where this class belongs. One that was no photograph then and
    is one now has no caption of a model until a run of its batch has worked on it.
    """
    laid = laid_over(row, reviews, _reasons_of(row, files.settings))
    if row["model_label"] is None:
        return laid
    if (bucket := _bucket_of(laid)) != _bucket_of(row):
        laid["destination_uri"], laid["fingerprint_route"] = files.place_of(row, bucket)
    return laid if laid["is_photo"] else {**laid, **dict.fromkeys(OF_PHOTOGRAPHS), **_without_its_turn(row)}


def _without_its_turn(row: dict) -> dict:
    """The columns of a row that say how its photograph lies, without that: only photographs have features."""
    kept = [flag for flag in row["page_flags"] or () if not lies_as_photograph(flag)]
    return {"page_flags": kept, "turn_degrees": None} if len(kept) < len(row["page_flags"] or ()) else {}


def _bucket_of(row: dict) -> str:
    return bucket_of(row["label"], row.get("page_flags"), by_person=row["label_source"] == BY_PERSON)


def _reasons_of(row: dict, settings: Settings) -> list[str]:
    """Why models would have a person look at a published row."""
    if not row["marks"]:
        earlier = ["class"] if row["needs_review"] else []  # the first releases knew that reason alone
        return row["review_reasons"] if row["review_reasons"] is not None else earlier
    is_sure = row["confidence"] is not None and row["confidence"] >= settings.review_confidence
    reasons = ["end"] if row["suspect_end"] else []
    reasons += [] if is_sure else ["class"]
    return reasons + caption_reasons(row["caption_confidence"], settings.caption_review_confidence)
