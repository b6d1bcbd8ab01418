"""What people said, in the index: pages lay it over the manifests' rows at once, long before a run takes it up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.laid_over import laid_over
from tounum_tasks.reviews.review import Chain, ItemRef, Review
from tounum_tasks.reviews.text import from_text, to_text
from tounum_tasks.search.index import unpacked
from tounum_tasks.search.rows import tags_of, words_of
from tounum_tasks.search.tagged import add_tags, take_tags

AT_ONCE = 200  # values of one statement; SQLite takes 999


def take_reviews(index: sqlite3.Connection, reviews: Iterable[Review]) -> None:
    """Write reviews into the index and lay them over the items that they speak of, inside the caller's transaction."""
    new = list(reviews)
    index.executemany(
        "INSERT OR IGNORE INTO reviews VALUES (?, ?, ?, ?)",
        ((review.review_id, review.image_id, _item_text(review.item), to_text(review)) for review in new),
    )
    images = sorted({review.image_id for review in new})
    for begin in range(0, len(images), AT_ONCE):
        some = images[begin : begin + AT_ONCE]
        rows = index.execute(f"SELECT * FROM items WHERE image_id IN ({_marks(some)})", some).fetchall()
        lay_over(index, rows)


def drop_reviews(index: sqlite3.Connection, review_ids: Iterable[str]) -> None:
    """Take reviews out that are not in the lake any more, and what they said off the items, inside a transaction."""
    for review_id in sorted(review_ids):
        found = index.execute("SELECT image_id FROM reviews WHERE review_id = ?", (review_id,)).fetchone()
        index.execute("DELETE FROM reviews WHERE review_id = ?", (review_id,))
        lay_over(index, index.execute("SELECT * FROM items WHERE image_id = ?", (found["image_id"],)).fetchall())


def lay_over(index: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> None:
    """Make items of the index what their manifest's rows are with the reviews over them."""
    for begin in range(0, len(rows), AT_ONCE):
        some = rows[begin : begin + AT_ONCE]
        effective = Effective(reviews_about(index, some))
        for row in some:
            found = index.execute("SELECT row FROM details WHERE id = ?", (row["id"],)).fetchone()
            _rewrite(index, row, with_reviews(unpacked(found["row"]), effective))


def with_reviews(row: Mapping[str, Any], effective: Effective) -> dict[str, Any]:
    """Return a manifest's row as the next run of its batch would write it, as far as that is known without one.

    ``is_seen`` is added: whether somebody has looked at what it says.
    """
    earlier = ["class"] if row.get("needs_review") else []  # the first releases knew that reason alone
    reasons = row.get("review_reasons")
    laid = laid_over(row, effective, earlier if reasons is None else reasons)
    is_good = effective.confirmed(row["image_id"]) == (laid.get("label"), laid.get("caption"))
    others = [mark for mark in laid["marks"] or () if mark != "good"]
    return {**laid, "is_seen": bool(others or ("good" in (laid["marks"] or ()) and is_good))}


def reviews_about(index: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> list[Review]:
    """Return all reviews, in force or not, of the images and the places of some items."""
    about = list(rows)
    images = sorted({row["image_id"] for row in about})
    items = sorted({_item_text(ItemRef(r["batch_date"], r["batch_id"], r["source_path"], r["page"])) for r in about})
    found: dict[str, str] = {}
    for column, values in (("image_id", images), ("item", items)):
        for begin in range(0, len(values), AT_ONCE):
            some = values[begin : begin + AT_ONCE]
            statement = f"SELECT review_id, content FROM reviews WHERE {column} IN ({_marks(some)})"
            found |= {row["review_id"]: row["content"] for row in index.execute(statement, some)}
    return [from_text(found[review_id], where="the index") for review_id in sorted(found)]


def reviews_of_chain(index: sqlite3.Connection, chain: Chain) -> list[Review]:
    """Return all reviews of a chain that the index knows, in order."""
    is_image = isinstance(chain.subject, str)
    column, value = ("image_id", chain.subject) if is_image else ("item", _item_text(chain.subject))  # type: ignore[arg-type]
    rows = index.execute(f"SELECT content FROM reviews WHERE {column} = ? ORDER BY review_id", (value,))
    reviews = (from_text(row["content"], where="the index") for row in rows)
    return [review for review in reviews if review.chain == chain]


def _rewrite(index: sqlite3.Connection, before: sqlite3.Row, row: Mapping[str, Any]) -> None:
    """Replace what an item is found by: its columns, its tags and their counts, its text."""
    number, key = before["id"], (before["batch_date"], before["batch_id"])
    old, new = json.loads(before["tags"]), tags_of(row)
    gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    take_tags(index, number, gone)
    add_tags(index, [(number, come)])
    for tag, change in (*((tag, -1) for tag in gone), *((tag, +1) for tag in come)):
        _count(index, key, tag, change)
    texts = "rowid, caption, source_path, words"
    values = (before["caption"], before["source_path"], before["words"])
    index.execute(f"INSERT INTO texts (texts, {texts}) VALUES ('delete', ?, ?, ?, ?)", (number, *values))
    words = words_of(row)
    index.execute(f"INSERT INTO texts ({texts}) VALUES (?, ?, ?, ?)", (number, row.get("caption"), values[1], words))
    index.execute(
        "UPDATE items SET label = ?, label_source = ?, caption = ?, caption_source = ?, needs_review = ?, is_seen = ?, "
        "words = ?, tags = ? WHERE id = ?",
        (
            *(
                row.get(name)
                for name in ("label", "label_source", "caption", "caption_source", "needs_review", "is_seen")
            ),
            *(words, json.dumps(new), number),
        ),
    )


def _count(index: sqlite3.Connection, key: tuple[str, str], tag: str, change: int) -> None:
    index.execute(
        "INSERT INTO totals VALUES (?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number", (tag, change)
    )
    column = {"review": "to_review", "route:photos": "photos"}.get(tag)
    if column:
        index.execute(
            f"UPDATE batches SET {column} = {column} + ? WHERE batch_date = ? AND batch_id = ?", (change, *key)
        )


def _item_text(item: ItemRef) -> str:
    return json.dumps(item, ensure_ascii=False)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
