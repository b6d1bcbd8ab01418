"""Which items of the index have a tag: a bitmap for each tag.

Several tags at once are a bitwise AND, and their number is a count of bits: neither looks at any item. This is the
bitmap index of P. O'Neil (Model 204 Architecture and Performance, HPTS 1987).

Bit ``n`` of a bitmap stands for the item in *slot* ``n``. Numbers of items are far apart from one batch to the next,
slots are not: a batch has a row of them, wherever there was room when it came. So a bitmap of a million items is read
as 125 kB, however many batches they are in. It is kept in blocks, of which a batch that is written changes few.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property

BATCH_BITS = 22  # of an item's number: its place in its batch
IN_BATCH = (1 << BATCH_BITS) - 1
BLOCK = 1 << 12  # a bitmap takes at most 512 bytes, so it lies within a page of SQLite
SCHEMA = """
CREATE TABLE tag_numbers (number INTEGER PRIMARY KEY, tag TEXT UNIQUE);
CREATE TABLE tagged (tag INTEGER, block INTEGER, bits BLOB, PRIMARY KEY (tag, block)) WITHOUT ROWID;
CREATE TABLE slots (batch INTEGER PRIMARY KEY, slot INTEGER UNIQUE, room INTEGER);
"""

Span = tuple[int, int]  # of numbers of items: the first one, and the first one after the last
EVERYTHING: Span = (0, 1 << 62)


def make_room(index: sqlite3.Connection, first: int, items: int) -> None:
    """Give a batch slots, inside the caller's transaction; it keeps those that it has, if they are enough.

    It has no tags then: what it leaves for more room is free for others.

    Args:
        first: the number of its first item.
        items: how many there are.
    """
    batch = first >> BATCH_BITS
    if index.execute("SELECT 1 FROM slots WHERE batch = ? AND room >= ?", (batch, items)).fetchone():
        return
    index.execute("DELETE FROM slots WHERE batch = ?", (batch,))
    room = (items // 8 + 1) * 8  # whole bytes: a batch is cut out of a bitmap as it is
    index.execute("INSERT INTO slots VALUES (?, ?, ?)", (batch, _free_slot(index, room), room))


def _free_slot(index: sqlite3.Connection, room: int) -> int:
    """The first of the first ``room`` slots in a row that no batch has."""
    end, taken = index.execute("SELECT coalesce(max(slot + room), 0), coalesce(sum(room), 0) FROM slots").fetchone()
    if end == taken:  # no gaps, as in an index that is made anew
        return int(end)
    free = 0
    for slot, size in index.execute("SELECT slot, room FROM slots ORDER BY slot"):
        if slot - free >= room:
            break
        free = slot + size
    return int(free)


def add_tags(index: sqlite3.Connection, tagged: Iterable[tuple[int, Iterable[str]]]) -> None:
    """Give items of batches that have room tags, inside the caller's transaction; those that they have stay."""
    slots: dict[int, int] = {}
    of_tag: dict[str, list[int]] = {}
    for item, tags in tagged:
        batch = item >> BATCH_BITS
        if batch not in slots:
            slots[batch] = _slot_of(index, batch)
        for tag in tags:
            of_tag.setdefault(tag, []).append(slots[batch] + (item & IN_BATCH))
    for tag, found in of_tag.items():
        number = _made_number(index, tag)
        for block, bits in _bitmaps(found).items():
            _write(index, number, block, add=bits)


def take_tags(index: sqlite3.Connection, item: int, tags: Iterable[str]) -> None:
    """Take tags off an item, inside the caller's transaction."""
    block, bit = divmod(_slot_of(index, item >> BATCH_BITS) + (item & IN_BATCH), BLOCK)
    for tag in tags:
        _write(index, _made_number(index, tag), block, take=1 << bit)


def forget_items(index: sqlite3.Connection, first: int) -> None:
    """Take all tags off all items of a batch, inside the caller's transaction; it keeps its slots.

    Args:
        first: the number of its first item.
    """
    found = index.execute("SELECT slot, room FROM slots WHERE batch = ?", (first >> BATCH_BITS,)).fetchone()
    if found is None:
        return
    taken = _bitmaps(range(found[0], found[0] + found[1]))
    rows = index.execute(
        "SELECT tagged.tag, block, bits FROM tag_numbers CROSS JOIN tagged ON tagged.tag = number "
        "AND block BETWEEN ? AND ?",
        (min(taken), max(taken)),
    )
    for tag, block, bits in rows.fetchall():
        if int.from_bytes(bits, "little") & taken[block]:
            _write(index, tag, block, take=taken[block])


def give_up_room(index: sqlite3.Connection, first: int) -> None:
    """Take the slots of a batch that is gone, inside the caller's transaction.

    Args:
        first: the number of its first item.
    """
    index.execute("DELETE FROM slots WHERE batch = ?", (first >> BATCH_BITS,))


class Slots:
    """Where the items of all batches stand in bitmaps, as a connection sees it that reads one state of the index."""

    def __init__(self, index: sqlite3.Connection) -> None:
        self._index = index
        self._blocks: dict[Span, Span] = {}

    @cached_property
    def size(self) -> int:
        """The bytes of a bitmap."""
        last = _cursor(self._index).execute("SELECT slot + room FROM slots ORDER BY slot DESC LIMIT 1").fetchone()
        return last[0] // 8 if last else 0

    @cached_property
    def of_batch(self) -> dict[int, int]:
        """The first slot of each batch."""
        return dict(_cursor(self._index).execute("SELECT batch, slot FROM slots"))

    def at(self, slot: int) -> tuple[int, int, int]:
        """Return the batch that has a slot, its first slot, and how many it has."""
        found: tuple[int, int, int] = (
            _cursor(self._index)
            .execute("SELECT batch, slot, room FROM slots WHERE slot <= ? ORDER BY slot DESC LIMIT 1", (slot,))
            .fetchone()
        )
        return found

    def blocks(self, span: Span) -> Span:
        """Return the first and the last block of bitmaps in which items of a range of numbers are."""
        if span not in self._blocks:
            rows = _cursor(self._index).execute(
                "SELECT min(slot), max(slot + room) FROM slots WHERE batch >= ? AND batch <= ?", _batches(span)
            )
            begin, end = rows.fetchone()
            self._blocks[span] = (0, -1) if begin is None else (begin // BLOCK, (end - 1) // BLOCK)
        return self._blocks[span]

    def within(self, span: Span, *, backwards: bool = False) -> Iterator[tuple[int, int, int]]:
        """Return the batches that a range of numbers touches, in order: the batch, its first slot, and how many."""
        return _cursor(self._index).execute(
            "SELECT batch, slot, room FROM slots WHERE batch >= ? AND batch <= ? "
            f"ORDER BY batch {'DESC' if backwards else 'ASC'}",
            _batches(span),
        )


class Marked:
    """Items of the index, as a bitmap of their slots."""

    def __init__(self, slots: Slots, bits: int) -> None:
        self._slots = slots
        self._bits = bits

    @classmethod
    def with_tag(cls, index: sqlite3.Connection, slots: Slots, tag: str, span: Span = EVERYTHING) -> Marked:
        """Return the items that have a tag: all that are in a range of numbers, and maybe some that are not."""
        found = bytearray()
        rows = _cursor(index).execute(
            "SELECT block, bits FROM tagged WHERE tag = (SELECT number FROM tag_numbers WHERE tag = ?) "
            "AND block >= ? AND block <= ? ORDER BY block",
            (tag, *slots.blocks(span)),
        )
        for block, bits in rows:
            found.extend(bytes(block * BLOCK // 8 - len(found)))  # the blocks in which nothing has it
            found += bits
        return cls(slots, int.from_bytes(found, "little"))

    @classmethod
    def of_batches(cls, slots: Slots, span: Span) -> Marked:
        """Return the items of all batches that a range of numbers touches."""
        bits = bytearray(slots.size)
        for _, slot, room in slots.within(span):
            bits[slot // 8 : (slot + room) // 8] = b"\xff" * (room // 8)
        return cls(slots, int.from_bytes(bits, "little"))

    @classmethod
    def of_items(cls, slots: Slots, items: Iterable[int]) -> Marked:
        """Return these items."""
        of_batch, bits = slots.of_batch, bytearray(slots.size)
        for item in items:
            slot = of_batch[item >> BATCH_BITS] + (item & IN_BATCH)
            bits[slot >> 3] |= 1 << (slot & 7)
        return cls(slots, int.from_bytes(bits, "little"))

    def __and__(self, other: Marked) -> Marked:
        return Marked(self._slots, self._bits & other._bits)

    def __len__(self) -> int:
        return self._bits.bit_count()

    @cached_property
    def _bytes(self) -> bytes:
        return self._bits.to_bytes(self._slots.size, "little")

    def __iter__(self) -> Iterator[int]:
        """Yield their numbers, in no order."""
        first, slots = 0, range(0)  # of the batch that was met last
        for at in range(0, len(self._bytes), BLOCK // 8):
            for bit in _bits(int.from_bytes(self._bytes[at : at + BLOCK // 8], "little")):
                slot = at * 8 + bit
                if slot not in slots:
                    batch, begin, room = self._slots.at(slot)
                    first, slots = batch << BATCH_BITS, range(begin, begin + room)
                yield first + slot - slots.start

    def numbers(self, span: Span = EVERYTHING, *, backwards: bool = False) -> Iterator[int]:
        """Yield the numbers of those in a range, in order, or the last one first."""
        first, end = span
        if not self:
            return
        for batch, slot, room in self._slots.within(span, backwards=backwards):
            offsets = range(0, room, BLOCK)
            for offset in reversed(offsets) if backwards else offsets:
                at, size = (slot + offset) // 8, min(BLOCK, room - offset) // 8
                bits = int.from_bytes(self._bytes[at : at + size], "little")
                begin = (batch << BATCH_BITS) + offset
                if bits and begin < first:
                    bits = bits >> (first - begin) << (first - begin)
                if bits and begin + BLOCK > end:
                    bits &= (1 << max(0, end - begin)) - 1
                for bit in _bits(bits, backwards=backwards):
                    yield begin + bit

    def among(self, items: Iterable[int]) -> Iterator[int]:
        """Yield those of some items that are marked, in the order in which they come."""
        of_batch, bits = self._slots.of_batch, self._bytes
        for item in items:
            slot = of_batch[item >> BATCH_BITS] + (item & IN_BATCH)
            if bits[slot >> 3] >> (slot & 7) & 1:
                yield item


def counted(index: sqlite3.Connection, marked: Marked) -> dict[str, int]:
    """Return how many of some items have each tag, if any have; nobody asks for the parts of an order."""
    whole = marked._bytes
    blocks = [int.from_bytes(whole[at : at + BLOCK // 8], "little") for at in range(0, len(whole), BLOCK // 8)]
    begin = next((block for block, bits in enumerate(blocks) if bits), 0)
    end = next((block + 1 for block in reversed(range(len(blocks))) if blocks[block]), 0)
    rows = _cursor(index).execute(
        "SELECT tag_numbers.tag, block, bits FROM tag_numbers CROSS JOIN tagged ON tagged.tag = number "
        "AND block >= ? AND block < ? WHERE tag_numbers.tag NOT GLOB 'order:*:*'",
        (begin, end),
    )
    found: Counter[str] = Counter()
    for tag, block, bits in rows:
        found[tag] += (int.from_bytes(bits, "little") & blocks[block]).bit_count()
    return dict(+found)


def _cursor(index: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor of plain tuples: rows by name take longer than all else here."""
    rows = index.cursor()
    rows.row_factory = None
    return rows


def _bits(bits: int, *, backwards: bool = False) -> Iterator[int]:
    """Yield the places of the bits of a number that are set."""
    while bits:
        bit = bits.bit_length() - 1 if backwards else (bits & -bits).bit_length() - 1
        bits ^= 1 << bit
        yield bit


def _batches(span: Span) -> Span:
    """The first and the last batch that a range of numbers touches."""
    return span[0] >> BATCH_BITS, (span[1] - 1) >> BATCH_BITS


def _slot_of(index: sqlite3.Connection, batch: int) -> int:
    slot: int = index.execute("SELECT slot FROM slots WHERE batch = ?", (batch,)).fetchone()[0]
    return slot


def _bitmaps(slots: Iterable[int]) -> dict[int, int]:
    """The bitmaps in which these slots, and no others, are marked, by block."""
    found: dict[int, bytearray] = {}
    for slot in slots:
        block, bit = divmod(slot, BLOCK)
        if block not in found:
            found[block] = bytearray(BLOCK // 8)
        found[block][bit >> 3] |= 1 << (bit & 7)
    return {block: int.from_bytes(bits, "little") for block, bits in found.items()}


def _made_number(index: sqlite3.Connection, tag: str) -> int:
    """The number of a tag; one that the index has not met before gets its number now."""
    index.execute("INSERT OR IGNORE INTO tag_numbers (tag) VALUES (?)", (tag,))
    number: int = index.execute("SELECT number FROM tag_numbers WHERE tag = ?", (tag,)).fetchone()[0]
    return number


def _write(index: sqlite3.Connection, tag: int, block: int, *, add: int = 0, take: int = 0) -> None:
    key = (tag, block)
    found = index.execute("SELECT bits FROM tagged WHERE tag = ? AND block = ?", key).fetchone()
    bits = (int.from_bytes(found[0], "little") if found else 0) & ~take | add
    if bits:
        blob = bits.to_bytes(-(-bits.bit_length() // 8), "little")
        index.execute("INSERT OR REPLACE INTO tagged VALUES (?, ?, ?)", (*key, blob))
    else:
        index.execute("DELETE FROM tagged WHERE tag = ? AND block = ?", key)
