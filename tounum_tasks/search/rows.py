"""What a row of a manifest is found by in the index: its tags and its words."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from tounum_tasks.page_flags.flags import names_of

# Columns by which items are put in order, and the tag of those that have a value there.
ORDERED_BY = {"confidence": "order:unsure", "caption_confidence": "order:caption"}
# Where the parts of an order begin, but for the first: twentieths, and finer ones near 1, where models are mostly sure.
# They are kept as tags: whoever changes them raises LAYOUT of the index.
PARTS = (*(n / 20 for n in range(1, 20)), *(1 - 0.05 / 2**n for n in range(1, 9)))
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
    for column, tag in ORDERED_BY.items():
        if _is_number(value := row.get(column)):
            tags += [tag, part_tag(column, bisect_right(PARTS, value))]
    return list(dict.fromkeys(tags))


def part_tag(column: str, part: int) -> str:
    """Return the tag of the items that are in a part of the order of a column, from 0 on."""
    return f"{ORDERED_BY[column]}:{part}"


def _is_number(value: float | None) -> TypeGuard[float]:
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
