"""What the web pages ask the index: pages of items in an order, their neighbours, counts, nights.

Paging is by key: a page begins after the last item of the one before, wherever that stands now. A query starts from the
rarest of its conditions and stops when the page is full, so it does not get slower with the lake.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tounum_tasks.search.index import numbers_of_batch, numbers_of_day, unpacked
from tounum_tasks.search.text import fts_query

Sort = Literal["newest", "unsure", "caption"]
SORTED_BY = {"unsure": "confidence", "caption": "caption_confidence"}
FEW = 8_000  # so many items are sorted at once rather than met in order
COUNTED = 2_000  # results beyond these are "more than"
TAG_NUMBER = "(SELECT number FROM tag_numbers WHERE tag = ?)"


@dataclass(frozen=True)
class Filter:
    """Which items are asked for, in which order.

    Attributes:
        first_date, last_date: nights from and to, YYYY-MM-DD, both included; empty: no bound.
        batch_id: of one batch, together with its date as ``first_date``; empty: all.
        tags: all of which an item has (see ``tags_of`` in :mod:`tounum_tasks.search.refresh`).
        text: what people typed; empty: everything. Where a file has exactly this name, such files are meant.
        sort: ``newest`` night first; ``unsure``: least sure class first; ``caption``: least sure caption first.
    """

    first_date: str = ""
    last_date: str = ""
    batch_id: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""
    sort: Sort = "newest"


def page(
    index: sqlite3.Connection, wanted: Filter, count: int, *, after: int | None = None, backwards: bool = False
) -> list[sqlite3.Row]:
    """Return the next ``count`` items after the item of number ``after``, or before it, the nearest first.

    An item that is gone meanwhile still says where to go on in the order by night; in others the page is the first.
    """
    query = _Query(index, wanted)
    query.go_on(after, backwards)
    return index.execute(query.statement("items.*", backwards=backwards), [*query.values, count]).fetchall()


def count(index: sqlite3.Connection, wanted: Filter) -> tuple[int, bool]:
    """Return how many items there are, and whether that is all: counting ends beyond ``COUNTED``."""
    stored = _stored_count(index, wanted)
    if stored is not None:
        return stored, True
    query = _Query(index, wanted, is_in_order=False)
    inner = query.counted()
    number = index.execute(f"SELECT count(*) FROM ({inner})", [*query.values, COUNTED + 1]).fetchone()[0]
    return min(number, COUNTED), number <= COUNTED


def facets(index: sqlite3.Connection, wanted: Filter) -> dict[str, int]:
    """Return how many items have each tag, in the nights or the batch that are asked for, whatever else is."""
    if not (wanted.first_date or wanted.last_date or wanted.batch_id):
        return {row["tag"]: row["number"] for row in index.execute("SELECT * FROM totals")}
    where, values = _of_batches(wanted)
    rows = index.execute(f"SELECT tag, sum(number) AS number FROM counts {where} GROUP BY tag", values)
    return {row["tag"]: row["number"] for row in rows}


def nights(index: sqlite3.Connection, limit: int, before: str = "") -> list[sqlite3.Row]:
    """Return the batches of the ``limit`` newest nights (before a date, if one is given), newest first."""
    days = "SELECT DISTINCT batch_date FROM batches WHERE batch_date < ? ORDER BY batch_date DESC LIMIT ?"
    return index.execute(
        f"SELECT * FROM batches WHERE batch_date IN ({days}) ORDER BY batch_date DESC, number",
        (before or "9999-99-99", limit),
    ).fetchall()


def batches_of_run(index: sqlite3.Connection, run_id: str) -> list[sqlite3.Row]:
    """Return the batches whose current manifest a run published, newest first."""
    return index.execute(
        "SELECT * FROM batches WHERE run_id = ? ORDER BY batch_date DESC, number", (run_id,)
    ).fetchall()


def shards(index: sqlite3.Connection, batch_date: str, batch_id: str) -> int:
    """Return into how many shards a batch was divided when it was registered; 0 if its register is lost."""
    found: int = index.execute(
        "SELECT count(*) FROM counts WHERE batch_date = ? AND batch_id = ? AND tag GLOB 'shard:*'",
        (batch_date, batch_id),
    ).fetchone()[0]
    return found


def batch(index: sqlite3.Connection, batch_date: str, batch_id: str) -> sqlite3.Row | None:
    """Return one batch, or None."""
    return index.execute(
        "SELECT * FROM batches WHERE batch_date = ? AND batch_id = ?", (batch_date, batch_id)
    ).fetchone()


def row_of(index: sqlite3.Connection, number: int) -> dict[str, Any]:
    """Return the whole row of an item as its manifest has it, without empty values; of none, an empty one."""
    found = index.execute("SELECT row FROM details WHERE id = ?", (number,)).fetchone()
    return unpacked(found["row"]) if found else {}


def find(
    index: sqlite3.Connection, batch_date: str, batch_id: str, source_path: str, page_number: int
) -> sqlite3.Row | None:
    """Return the item of a key, or None."""
    found = batch(index, batch_date, batch_id)
    if found is None:
        return None
    span = numbers_of_batch(batch_date, found["number"])
    return index.execute(
        "SELECT * FROM items WHERE id >= ? AND id < ? AND source_path = ? AND page = ?",
        (*span, source_path, page_number),
    ).fetchone()


def of_image(index: sqlite3.Connection, image_id: str) -> list[sqlite3.Row]:
    """Return the items with the same bytes, newest night first."""
    return index.execute("SELECT * FROM items WHERE image_id = ? ORDER BY id", (image_id,)).fetchall()


class _Query:
    """What is walked along, and conditions of one query; ``values`` are those of its question marks, but for the limit.

    Args:
        is_in_order: whether items are wanted in their order, or only their number.
    """

    def __init__(self, index: sqlite3.Connection, wanted: Filter, *, is_in_order: bool = True) -> None:
        self.index = index
        self.column = SORTED_BY.get(wanted.sort)
        name = wanted.text.strip().lower()
        is_name = index.execute("SELECT 1 FROM items WHERE file_name = ?", (name,)).fetchone() is not None
        text = "" if is_name else fts_query(wanted.text)
        self.conditions: list[str] = []
        self.values: list[Any] = []
        tags = sorted(set(wanted.tags), key=lambda tag: (_total(index, tag), tag))
        is_many = not tags or (is_in_order and _total(index, tags[0]) > FEW)
        is_met_in_order = self.column is not None and not text and is_many
        # What is walked along, and the number of an item there: rows of items are large, and read for what is left.
        self.walked, self.number = "items", "items.id"
        if text:
            self.walked, self.number = "texts", "texts.rowid"
            self._require("texts MATCH ?", text)
        elif is_name:
            self._require("items.file_name = ?", name)
        elif tags and not is_met_in_order:
            self.walked, self.number = "tags", "tags.item"
            self._require(f"tags.tag = {TAG_NUMBER}", tags.pop(0))
        for tag in tags:
            has_tag = f"o.tag = {TAG_NUMBER} AND o.item = {self.number}"
            self._require(f"EXISTS (SELECT 1 FROM tags AS o WHERE {has_tag})", tag)
        if self.column:
            self._require(f"items.{self.column} IS NOT NULL")
        if span := _span(index, wanted):
            self._require(f"{self.number} >= ? AND {self.number} < ?", *span)

    def _require(self, condition: str, *values: Any) -> None:
        self.conditions.append(condition)
        self.values += values

    def go_on(self, after: int | None, backwards: bool) -> None:
        """Leave out what comes up to the item ``after``, in the order asked for."""
        if after is None:
            return
        beyond = "<" if backwards else ">"
        if not self.column:
            self._require(f"{self.number} {beyond} ?", after)
            return
        found = self.index.execute(f"SELECT {self.column} FROM items WHERE id = ?", (after,)).fetchone()
        if found and found[0] is not None:
            self._require(f"(items.{self.column}, items.id) {beyond} (?, ?)", found[0], after)

    def statement(self, columns: str, *, backwards: bool = False) -> str:
        down = " DESC" if backwards else ""
        keys = [f"items.{self.column}{down}", f"items.id{down}"] if self.column else [f"{self.number}{down}"]
        return f"SELECT {columns} FROM {self._joined()}{self._where()} ORDER BY {', '.join(keys)} LIMIT ?"

    def counted(self) -> str:
        """Return the statement whose rows are to be counted; only an order by a column of items needs items."""
        return f"SELECT 1 FROM {self._joined() if self.column else self.walked}{self._where()} LIMIT ?"

    def _joined(self) -> str:
        return "items" if self.walked == "items" else f"{self.walked} CROSS JOIN items ON items.id = {self.number}"

    def _where(self) -> str:
        return f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""


def _total(index: sqlite3.Connection, tag: str) -> int:
    found = index.execute("SELECT number FROM totals WHERE tag = ?", (tag,)).fetchone()
    return found["number"] if found else 0


def _span(index: sqlite3.Connection, wanted: Filter) -> tuple[int, int] | None:
    """The range of numbers of the nights or the batch that are asked for; None if all are."""
    if wanted.batch_id:
        found = batch(index, wanted.first_date, wanted.batch_id)
        return numbers_of_batch(wanted.first_date, found["number"]) if found else (0, 0)
    if not (wanted.first_date or wanted.last_date):
        return None
    begin = numbers_of_day(wanted.last_date)[0] if wanted.last_date else 0  # newer nights have smaller numbers
    end = numbers_of_day(wanted.first_date)[1] if wanted.first_date else 1 << 62
    return begin, end


def _of_batches(wanted: Filter) -> tuple[str, Sequence[str]]:
    conditions, values = [], []
    if wanted.batch_id:
        conditions, values = ["batch_date = ?", "batch_id = ?"], [wanted.first_date, wanted.batch_id]
    else:
        if wanted.first_date:
            conditions, values = ["batch_date >= ?"], [wanted.first_date]
        if wanted.last_date:
            conditions, values = [*conditions, "batch_date <= ?"], [*values, wanted.last_date]
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), values


def _stored_count(index: sqlite3.Connection, wanted: Filter) -> int | None:
    """The number of results where it is known without looking at them."""
    if fts_query(wanted.text) or len(wanted.tags) > 1 or wanted.sort != "newest":
        return None
    if wanted.tags:
        return facets(index, wanted).get(wanted.tags[0], 0)
    where, values = _of_batches(wanted)
    return int(index.execute(f"SELECT coalesce(sum(items), 0) FROM batches {where}", values).fetchone()[0])
