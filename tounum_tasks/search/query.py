"""What the web pages ask the index: pages of items in an order, their neighbours, counts, nights.

Paging is by key: a page begins after the last item of the one before, wherever that stands now. Tags are combined and
counted as bitmaps, and rows of items, which are large, are read for the page alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from tounum_tasks.search.index import Reader, numbers_of_batch, numbers_of_day, unpacked
from tounum_tasks.search.rows import ORDERED_BY
from tounum_tasks.search.tagged import Bitmaps, bitmaps, holds, items_of, with_tags
from tounum_tasks.search.text import fts_query

Sort = Literal["newest", "unsure", "caption"]
SORTED_BY = {"unsure": "confidence", "caption": "caption_confidence"}
ALL = 1 << 62  # beyond the number of any item
FEW = 8_000  # so many items are sorted; more of them are met soon enough on a walk in order
COUNTED = 2_000  # what a text finds beyond these is "more than"


@dataclass(frozen=True)
class Filter:
    """Which items are asked for, in which order.

    Attributes:
        first_date, last_date: nights from and to, YYYY-MM-DD, both included; empty: no bound.
        batch_id: of one batch, together with its date as ``first_date``; empty: all.
        tags: all of which an item has (see ``tags_of`` in :mod:`tounum_tasks.search.rows`).
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
    index: Reader, wanted: Filter, count: int, *, after: int | None = None, backwards: bool = False
) -> list[sqlite3.Row]:
    """Return the next ``count`` items after the item of number ``after``, or before it, the nearest first.

    An item that is gone meanwhile still says where to go on in the order by night; in others the page is the first.
    """
    found = _Found(index, wanted)
    if column := SORTED_BY.get(wanted.sort):
        last = index.execute("SELECT * FROM items WHERE id = ?", (after,)).fetchone()
        return _in_order(found, column, count, last, backwards)
    if after is not None:
        first, end = found.span
        found.span = (first, min(end, after)) if backwards else (max(first, after + 1), end)
    return _rows(index, list(islice(found.numbers(backwards=backwards), count)))


def count(index: Reader, wanted: Filter) -> tuple[int, bool]:
    """Return how many items there are, and whether that is all: counting what a text finds ends beyond ``COUNTED``."""
    found = _Found(index, wanted)
    if found.has_words:
        number = sum(1 for _ in islice(found.numbers(), COUNTED + 1))
        return min(number, COUNTED), number <= COUNTED
    if len(found.tags) > 1:
        return sum(map(int.bit_count, found.marked().values())), True
    if found.tags:
        return facets(index, wanted).get(found.tags[0], 0), True
    where, values = _of_batches(wanted)
    return index.execute(f"SELECT coalesce(sum(items), 0) FROM batches {where}", values).fetchone()[0], True


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


class _Found:
    """What a filter leaves, as numbers of items; no row of an item is read for it.

    Attributes:
        nights: the range of numbers that is asked for.
        span: what is left of it before or after the item at which a page begins.
    """

    def __init__(self, index: Reader, wanted: Filter) -> None:
        self.index = index
        self.nights = self.span = _span(index, wanted)
        order = [ORDERED_BY[column]] if (column := SORTED_BY.get(wanted.sort)) else []
        self.tags = sorted({*wanted.tags, *order}, key=lambda tag: (_total(index, tag), tag))
        self.filters_by_tag = bool(wanted.tags)
        name = wanted.text.strip().lower()
        is_name = index.execute("SELECT 1 FROM items WHERE file_name = ?", (name,)).fetchone() is not None
        self.text = None if is_name else fts_query(wanted.text) or None
        self.name = name if is_name else None

    @property
    def has_words(self) -> bool:
        """Whether a text or a name is asked for: then numbers come one by one, and are not counted to the end."""
        return self.text is not None or self.name is not None

    def numbers(self, *, backwards: bool = False) -> Iterator[int]:
        """Return the numbers of the items in order, or the last one first."""
        if self.text is not None:
            walked = self._walked("SELECT rowid FROM texts WHERE texts MATCH ? AND", "rowid", (self.text,), backwards)
        elif self.name is not None:
            walked = self._walked("SELECT id FROM items WHERE file_name = ? AND", "id", (self.name,), backwards)
        elif self.tags:
            blocks = with_tags(self.index, self.tags, self.span, backwards=backwards)
            return (item for block, bits in blocks for item in items_of(block, bits, backwards=backwards))
        else:
            return self._walked("SELECT id FROM items WHERE", "id", (), backwards)
        if not self.tags:
            return walked
        marked = self._tagged()
        return (number for number in walked if holds(marked, number))

    def marked(self) -> Bitmaps:
        """Return all of them as bitmaps."""
        if self.has_words:
            return bitmaps(self.numbers())
        return self._tagged()

    def _tagged(self) -> Bitmaps:
        """Those with all tags, of all the nights: who pages through them asks for the same again."""
        asked = (tuple(self.tags), self.nights)
        if asked not in self.index.marked:
            self.index.marked[asked] = dict(with_tags(self.index, self.tags, self.nights))
        return self.index.marked[asked]

    def _walked(self, select: str, column: str, values: Sequence[Any], backwards: bool) -> Iterator[int]:
        rows = self.index.cursor()
        rows.row_factory = None  # rows by name take as long as the walk
        direction = "DESC" if backwards else "ASC"
        rows.execute(f"{select} {column} >= ? AND {column} < ? ORDER BY {column} {direction}", (*values, *self.span))
        return chain.from_iterable(rows)


def _in_order(found: _Found, column: str, count: int, after: sqlite3.Row | None, backwards: bool) -> list[sqlite3.Row]:
    """The next items in the order of a column of items."""
    direction = "DESC" if backwards else "ASC"
    order = f"ORDER BY {column} {direction}, id {direction}"
    conditions = [f"{column} IS NOT NULL", "id >= ?", "id < ?"]
    values: list[Any] = [*found.span]
    if after is not None and after[column] is not None:
        conditions.append(f"({column}, id) {'<' if backwards else '>'} (?, ?)")
        values += [after[column], after["id"]]
    marked = found.marked() if found.has_words or found.filters_by_tag else None
    if marked is not None and sum(map(int.bit_count, marked.values())) <= FEW:
        conditions.append("id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps([number for block, bits in marked.items() for number in items_of(block, bits)]))
        marked = None
    rows = found.index.execute(f"SELECT id FROM items WHERE {' AND '.join(conditions)} {order}", values)
    return _rows(found.index, list(islice((row[0] for row in rows if marked is None or holds(marked, row[0])), count)))


def _rows(index: sqlite3.Connection, numbers: Sequence[int]) -> list[sqlite3.Row]:
    """The items of these numbers, in this order."""
    rows = index.execute("SELECT * FROM items WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(numbers),))
    of_number = {row["id"]: row for row in rows}
    return [of_number[number] for number in numbers if number in of_number]


def _total(index: sqlite3.Connection, tag: str) -> int:
    found = index.execute("SELECT number FROM totals WHERE tag = ?", (tag,)).fetchone()
    return found["number"] if found else 0


def _span(index: sqlite3.Connection, wanted: Filter) -> tuple[int, int]:
    """The range of numbers of the nights or the batch that are asked for."""
    if wanted.batch_id:
        found = batch(index, wanted.first_date, wanted.batch_id)
        return numbers_of_batch(wanted.first_date, found["number"]) if found else (0, 0)
    begin = numbers_of_day(wanted.last_date)[0] if wanted.last_date else 0  # newer nights have smaller numbers
    end = numbers_of_day(wanted.first_date)[1] if wanted.first_date else ALL
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
