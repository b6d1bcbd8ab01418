"""Tiles: what a page shows of an item, and what its keys need to know of it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request

from tounum_airflow.web.render import link
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import ItemRef
from tounum_tasks.search.reviewed import reviews_about

TILE = 180  # pixels of the longer side


def key_of(row: Mapping[str, Any] | sqlite3.Row) -> dict[str, Any]:
    """Return what names an item in an address."""
    return {"date": row["batch_date"], "batch": row["batch_id"], "path": row["source_path"], "page": row["page"]}


def tiles(
    request: Request, index: sqlite3.Connection, rows: Iterable[sqlite3.Row], values: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return a tile for each item.

    Args:
        values: of the address of the page, which the item's own page goes on with.
    """
    shown = list(rows)
    effective = Effective(reviews_about(index, shown))
    return [_tile(request, row, effective, values) for row in shown]


def _tile(request: Request, row: sqlite3.Row, effective: Effective, values: Mapping[str, Any]) -> dict[str, Any]:
    key = key_of(row)
    width, height = shown_size(row["width_px"], row["height_px"])
    return {
        **dict(row),
        "key": json.dumps({**key, "saw": seen(effective, row)}, ensure_ascii=False),
        "name": row["source_path"].rpartition("/")[2],
        "href": link(request, "image", {**key, **{f"in.{name}": value for name, value in values.items()}}),
        "picture": picture_link(request, row),
        "width": width,
        "height": height,
        "marks": marks(effective, row),
    }


def seen(effective: Effective, row: sqlite3.Row) -> dict[str, str]:
    """Return the reviews in force of an item by their mark, as its page shows them: a correction names what it saw."""
    found = effective.reviews_of(row["image_id"], item_of(row))
    return {review.mark: review.review_id for review in found}


def marks(effective: Effective, row: sqlite3.Row) -> list[str]:
    """Return what people said of an item, as words for its tile."""
    words = {"label": "class corrected", "caption": "caption corrected", "good": "good as it is"}
    words |= {"scan_again": "scan again", "taken_care": "taken care of"}
    return [words[mark] for mark in seen(effective, row)]


def picture_link(request: Request, row: Mapping[str, Any] | sqlite3.Row) -> str:
    """Return the address of an item's thumbnail; what it shows never changes."""
    if row["status"] != "ok":
        return ""
    return link(request, f"thumbnail/{row['image_id']}", key_of(row))


def shown_size(width: int | None, height: int | None, longest: int = TILE) -> tuple[int, int]:
    """Return the size of a thumbnail in a tile, so that nothing moves when it arrives."""
    if not width or not height:
        return longest, longest
    scale = longest / max(width, height)
    return max(round(width * scale), 1), max(round(height * scale), 1)


def item_of(row: sqlite3.Row) -> ItemRef:
    """Return what reviews know an item by."""
    return ItemRef(row["batch_date"], row["batch_id"], row["source_path"], row["page"])
