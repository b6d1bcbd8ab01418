"""What a row of a manifest is found by in the index: its tags and its words."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tounum_tasks.page_flags.flags import names_of

# Columns by which items are put in order, and the tag of those that have a value there.
ORDERED_BY = {"confidence": "order:unsure", "caption_confidence": "order:caption"}
SAID_BY_DELIVERY = ("title", "description", "inventory_number", "copyright", "device", "captured_at")


def tags_of(row: Mapping[str, Any]) -> list[str]:
    """Return what people filter a row by, each once."""
    tags = [f"status:{row['status']}", f"route:{_route(row)}"]
    if row.get("label"):
        tags.append(f"class:{row['label']}")
    if row.get("needs_review"):
        tags += ["review", *(f"reason:{reason}" for reason in row.get("review_reasons") or ())]
    tags += [f"flag:{flag}" for flag in _flags(row)]
    if row["status"] != "ok":
        tags.append("no_result")
    if row.get("error_code"):
        tags.append(f"error:{row['error_code']}")
    if row.get("duplicate_of"):
        tags.append("duplicate")
    if row.get("enhancement_accepted"):
        tags.append("enhanced")
    if "person" in (row.get("label_source"), row.get("caption_source")):
        tags.append("corrected")
    tags += [f"mark:{mark}" for mark in row.get("marks") or ()]
    if "shard" in row:
        tags.append(f"shard:{row['shard']}")
    if row.get("is_seen"):
        tags.append("seen")
    tags += [tag for column, tag in ORDERED_BY.items() if _is_number(row.get(column))]
    return list(dict.fromkeys(tags))


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)  # SQLite keeps NaN as NULL


def _route(row: Mapping[str, Any]) -> str:
    if row["status"] != "ok":
        return "none"
    return "photos" if row.get("is_photo") else "non_photos"


def words_of(row: Mapping[str, Any]) -> str:
    """Return what a row is found by besides its caption and its name: the batch's name, its class and flags, and what
    the delivery said of it.
    """
    words: Iterable[Any] = (
        row.get("batch_name"), row.get("label"), row.get("format"), *_flags(row),
        *(row.get(name) for name in SAID_BY_DELIVERY), *(row.get("keywords") or ()),
    )  # fmt: skip
    return " ".join(str(word) for word in words if word)


def file_name_of(path: str) -> str:
    """Return the name of a file in small letters, without its folders: what people type who know what they want."""
    return path.rpartition("/")[2].lower()


def _flags(row: Mapping[str, Any]) -> list[str]:
    """The flags of the image's quality, and those of the page as a person sees it."""
    return [*(row.get("quality_flags_before") or ()), *names_of(row.get("page_flags"))]
