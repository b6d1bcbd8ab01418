"""What the web pages ask the index: pages of items in an order, their neighbours, counts, nights.

Paging is by key: a page begins after the last item of the one before, wherever that stands now. Tags are combined and
counted as bitmaps; rows of items, which are large, are read for the page, and where few are looked at one by one.
"""

from __future__ import annotations

import json
import math
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, islice
from operator import and_
from typing import Any, Literal

from tounum_tasks.search.index import Reader, numbers_of_batch, numbers_of_day, unpacked
from tounum_tasks.search.rows import ORDERED_BY, PARTS, part_tag
from tounum_tasks.search.tagged import EVERYTHING, Marked, Span, counted
from tounum_tasks.search.text import fts_query
from tounum_tasks.search.texts import matching

Sort = Literal["newest", "unsure", "caption"]
SORTED_BY = {"unsure": "confidence", "caption": "caption_confidence"}
FEW = 500  # so many items are sorted, and more where they are a small share of those that a walk in order meets
MOST_SORTED, SMALL_SHARE = 8_000, 16
LOOKED_AT = 5_000  # items in an order that are looked at for a frequent text, before all that have it are collected
MANY = 30_000  # so many items with a text are collected; where there are more of them, items are looked at for it
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
        return _rows(index, list(islice(_in_order(found, column, last, backwards), count)))
    if after is not None:
        first, end = found.span
        found.span = (first, min(end, after)) if backwards else (max(first, after + 1), end)
    return _rows(index, list(islice(found.numbers(backwards=backwards), count)))


def count(index: Reader, wanted: Filter) -> tuple[int, bool]:
    """Return how many items there are, and whether that is all: counting what a text finds ends beyond ``COUNTED``."""
    found = _Found(index, wanted)
    if found.has_words:
        number = min(len(found.first()), COUNTED + 1)
        return min(number, COUNTED), number <= COUNTED
    if len(found.tags) > 1 or (found.tags and found.nights != EVERYTHING):
        return len(found.tagged()), True
    if found.tags:
        return facets(index, wanted).get(found.tags[0], 0), True
    where, values = _of_batches(wanted)
    return index.execute(f"SELECT coalesce(sum(items), 0) FROM batches {where}", values).fetchone()[0], True


def facets(index: Reader, wanted: Filter) -> dict[str, int]:
    """Return how many items have each tag, in the nights or the batch that are asked for, whatever else is."""
    if not (wanted.first_date or wanted.last_date or wanted.batch_id):
        return {row["tag"]: row["number"] for row in index.execute("SELECT * FROM totals")}
    return counted(index, Marked.of_batches(index.slots, _span(index, wanted)))


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


def shards(index: Reader, batch_date: str, batch_id: str) -> int:
    """Return into how many shards a batch was divided when it was registered; 0 if its register is lost."""
    tags = facets(index, Filter(batch_date, batch_date, batch_id))
    return sum(tag.startswith("shard:") for tag in tags)


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
    """What a filter leaves, as numbers of items; rows of items are read for it where a text finds very many.

    Attributes:
        nights: the range of numbers that is asked for.
        span: what is left of it before or after the item at which a page begins.
        most: how many of those that have the words are collected at once.
    """

    def __init__(self, index: Reader, wanted: Filter) -> None:
        self.index = index
        self.nights = self.span = _span(index, wanted)
        order = [ORDERED_BY[column]] if (column := SORTED_BY.get(wanted.sort)) else []
        self.tags = tuple(sorted({*wanted.tags, *order}))
        self.most = max(MANY, COUNTED + 1) if order else COUNTED + 1
        self.is_filtered = bool(wanted.tags or wanted.text or self.nights != EVERYTHING)
        name = wanted.text.strip().lower()
        is_name = index.execute("SELECT 1 FROM items WHERE file_name = ?", (name,)).fetchone() is not None
        self.text = None if is_name else fts_query(wanted.text) or None
        self.name = name if is_name else None

    @property
    def has_words(self) -> bool:
        """Whether a text or a name is asked for: then numbers come one by one, and are not counted to the end."""
        return self.text is not None or self.name is not None

    def numbers(self, *, backwards: bool = False) -> Iterator[int]:
        """Yield the numbers of the items in order, or the last one first."""
        if not self.has_words:
            if self.tags:
                yield from self.tagged().numbers(self.span, backwards=backwards)
            else:
                yield from self._walked(self.span, backwards)
            return
        begin, end = self.span
        if self.span != self.nights and self._asked not in self.index.first and not self._are_few:
            # From an item on, for whom nothing is counted: what comes before it is not collected.
            yield from self._with_tags(self._walked(self.span, backwards))
            return
        first = self.first()
        is_all = len(first) < self.most
        if backwards and not is_all and end > first[-1]:
            yield from self._with_tags(self._walked(self.span, backwards))
            return
        within = [number for number in first if begin <= number < end]
        yield from reversed(within) if backwards else within
        if not backwards and not is_all:
            yield from self._with_tags(self._walked((max(begin, first[-1] + 1), end)))

    def first(self) -> list[int]:
        """Return the numbers of the first items that have the words, all of them or ``most``.

        A page and its count begin with them, and so do the pages after it: they are looked for once.
        """
        if self._asked not in self.index.first:
            self.index.first[self._asked] = self._first()
        return self.index.first[self._asked]

    @property
    def _asked(self) -> tuple[Any, ...]:
        return self.text, self.name, self.tags, self.nights, self.most

    @property
    def _are_few(self) -> bool:
        """Whether so few items have the tags that a text is looked for in them."""
        return bool(self.tags) and len(self.tagged()) <= COUNTED

    def _first(self) -> list[int]:
        """Of a frequent text and rare tags, the items with the tags are looked at, not all those with the text."""
        if not self.tags:
            return list(islice(self._walked(self.nights), self.most))
        tagged = self.tagged()
        if self.text is not None and len(tagged) <= FEW:
            return sorted(matching(self.index, self.text, tagged))
        walked = self._walked(self.nights)
        found = list(islice(tagged.among(islice(walked, MANY)), self.most))
        if len(found) == self.most or not (further := list(islice(walked, 1))):
            return found
        if self.text is not None and len(tagged) <= COUNTED:
            return sorted(matching(self.index, self.text, tagged))
        return found + list(islice(tagged.among(chain(further, walked)), self.most - len(found)))

    def marked(self) -> Marked | None:
        """Return all of them as a bitmap, or None where a text finds very many."""
        if not self.has_words:
            return self.tagged()
        found = self.first()
        if len(found) == self.most and self.text is not None:
            return None
        return Marked.of_items(self.index.slots, found) if len(found) < self.most else self.collected()

    def collected(self) -> Marked:
        """Return all of them as a bitmap, however many have the words."""
        return Marked.of_items(self.index.slots, self._with_tags(self._walked(self.nights)))

    def tagged(self) -> Marked:
        """Return the items with all tags, of all the nights: who pages through them asks for the same again."""
        asked = (self.tags, self.nights)
        if asked not in self.index.marked:
            bitmaps = [Marked.with_tag(self.index, self.index.slots, tag, self.nights) for tag in self.tags]
            if self.nights != EVERYTHING:
                bitmaps.append(Marked.of_batches(self.index.slots, self.nights))
            self.index.marked[asked] = reduce(and_, bitmaps)
        return self.index.marked[asked]

    def _with_tags(self, numbers: Iterable[int]) -> Iterator[int]:
        return self.tagged().among(numbers) if self.tags else iter(numbers)

    def _walked(self, span: Span, backwards: bool = False) -> Iterator[int]:
        """The numbers of the items of a range that have the words, if any are asked for, in order."""
        if self.text is not None:
            select, column, values = "SELECT rowid FROM texts WHERE texts MATCH ? AND", "rowid", [self.text]
        elif self.name is not None:
            select, column, values = "SELECT id FROM items WHERE file_name = ? AND", "id", [self.name]
        else:
            select, column, values = "SELECT id FROM items WHERE", "id", []
        rows = self.index.cursor()
        rows.row_factory = None  # rows by name take as long as the walk
        direction = "DESC" if backwards else "ASC"
        rows.execute(f"{select} {column} >= ? AND {column} < ? ORDER BY {column} {direction}", (*values, *span))
        return chain.from_iterable(rows)


def _in_order(found: _Found, column: str, after: sqlite3.Row | None, backwards: bool) -> Iterator[int]:
    """The numbers of the next items in the order of a column of items."""
    if not found.is_filtered:
        return _walk_in_order(found, f"{column} IS NOT NULL", (), column, after, backwards)
    if (marked := found.marked()) is not None:
        return _in_parts(found, marked, column, after, backwards)
    assert found.text is not None
    return _frequent_in_order(found, found.text, column, after, backwards)


def _frequent_in_order(
    found: _Found, text: str, column: str, after: sqlite3.Row | None, backwards: bool
) -> Iterator[int]:
    """The numbers of the next items with a text that very many have: mostly soon met, among those with the tags."""
    candidates = list(islice(_in_parts(found, found.tagged(), column, after, backwards), LOOKED_AT))
    yield from matching(found.index, text, candidates)
    if len(candidates) < LOOKED_AT:
        return
    (last,) = _rows(found.index, candidates[-1:])
    yield from _in_parts(found, found.collected(), column, last, backwards)


def _in_parts(found: _Found, marked: Marked, column: str, after: sqlite3.Row | None, backwards: bool) -> Iterator[int]:
    """The numbers of the next of some items in the order of a column, looked for in one part of it after another:
    they may be anywhere.
    """
    if len(marked) <= FEW:
        yield from _sorted(found, marked, column, after, backwards)
        return
    bounds = (-math.inf, *PARTS, math.inf)
    parts = list(range(len(bounds) - 1))
    if after is not None and after[column] is not None:
        begin = bisect_right(PARTS, after[column])
        parts = parts[: begin + 1] if backwards else parts[begin:]
    for part in reversed(parts) if backwards else parts:
        of_part = Marked.with_tag(found.index, found.index.slots, part_tag(column, part), found.nights)
        here = marked & of_part
        if len(here) <= max(FEW, min(MOST_SORTED, len(of_part) // SMALL_SHARE)):
            yield from _sorted(found, here, column, after, backwards)
        else:
            within = f"{column} >= ? AND {column} < ?"
            walked = _walk_in_order(found, within, bounds[part : part + 2], column, after, backwards)
            yield from here.among(walked)


def _sorted(found: _Found, marked: Marked, column: str, after: sqlite3.Row | None, backwards: bool) -> Iterator[int]:
    """The numbers of the next of few items in the order of a column."""
    if not marked:
        return iter(())
    among = f"{column} IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
    return _walk_in_order(found, among, (json.dumps(list(marked)),), column, after, backwards)


def _walk_in_order(
    found: _Found, condition: str, values: Sequence[Any], column: str, after: sqlite3.Row | None, backwards: bool
) -> Iterator[int]:
    """The numbers of items that meet a condition and are in the range, in the order of a column, from an item on."""
    direction = "DESC" if backwards else "ASC"
    conditions, given = [condition, "id >= ?", "id < ?"], [*values, *found.span]
    if after is not None and after[column] is not None:
        conditions.append(f"({column}, id) {'<' if backwards else '>'} (?, ?)")
        given += [after[column], after["id"]]
    rows = found.index.cursor()
    rows.row_factory = None
    rows.execute(
        f"SELECT id FROM items WHERE {' AND '.join(conditions)} ORDER BY {column} {direction}, id {direction}", given
    )
    return chain.from_iterable(rows)


def _rows(index: sqlite3.Connection, numbers: Sequence[int]) -> list[sqlite3.Row]:
    """The items of these numbers, in this order."""
    rows = index.execute("SELECT * FROM items WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(numbers),))
    of_number = {row["id"]: row for row in rows}
    return [of_number[number] for number in numbers if number in of_number]


def _span(index: sqlite3.Connection, wanted: Filter) -> Span:
    """The range of numbers of the nights or the batch that are asked for."""
    if wanted.batch_id:
        found = batch(index, wanted.first_date, wanted.batch_id)
        return numbers_of_batch(wanted.first_date, found["number"]) if found else (0, 0)
    begin = numbers_of_day(wanted.last_date)[0] if wanted.last_date else 0  # newer nights have smaller numbers
    end = numbers_of_day(wanted.first_date)[1] if wanted.first_date else EVERYTHING[1]
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
