"""Which items of the index have a tag: a bitmap for each tag and block of items.

Several tags at once are a bitwise AND, and their number is a count of bits: neither looks at any item. This is the
bitmap index of P. O'Neil (Model 204 Architecture and Performance, HPTS 1987). A bitmap is a whole number in which bit
``n`` stands for item ``n`` of the block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

BLOCK_BITS = 12  # a bitmap takes at most 512 bytes, so it lies within a page of SQLite
BLOCK = 1 << BLOCK_BITS
SCHEMA = """
CREATE TABLE tag_numbers (number INTEGER PRIMARY KEY, tag TEXT UNIQUE);
CREATE TABLE tagged (tag INTEGER, block INTEGER, bits BLOB, PRIMARY KEY (tag, block)) WITHOUT ROWID;
"""

Bitmaps = dict[int, int]  # by block, the bitmap of its items


def add_tags(index: sqlite3.Connection, tagged: Iterable[tuple[int, Iterable[str]]]) -> None:
    """Give items tags, each with its number, inside the caller's transaction; those that they have stay."""
    of_tag: dict[str, list[int]] = {}
    for item, tags in tagged:
        for tag in tags:
            of_tag.setdefault(tag, []).append(item)
    for tag, items in of_tag.items():
        for block, bits in bitmaps(items).items():
            _write(index, _made_number(index, tag), block, add=bits)


def take_tags(index: sqlite3.Connection, item: int, tags: Iterable[str]) -> None:
    """Take tags off an item, inside the caller's transaction."""
    block, bit = divmod(item, BLOCK)
    for tag in tags:
        _write(index, _made_number(index, tag), block, take=1 << bit)


def forget_items(index: sqlite3.Connection, tags: Iterable[str], span: tuple[int, int]) -> None:
    """Take these tags off all items of a range of numbers, which begins and ends with a block."""
    first, end = (number >> BLOCK_BITS for number in span)
    for tag in tags:
        index.execute(
            "DELETE FROM tagged WHERE tag = ? AND block >= ? AND block < ?", (_made_number(index, tag), first, end)
        )


def with_tags(
    index: sqlite3.Connection, tags: Sequence[str], span: tuple[int, int], *, backwards: bool = False
) -> Iterator[tuple[int, int]]:
    """Yield the blocks in which items of a range of numbers have all of the tags, in order, each with its bitmap.

    Args:
        tags: one or more; it is quickest to begin with the rarest.
        span: the first number, and the first one after the last.
        backwards: whether the last block comes first.
    """
    found = [index.execute("SELECT number FROM tag_numbers WHERE tag = ?", (tag,)).fetchone() for tag in tags]
    if None in found or span[0] >= span[1]:
        return
    others = range(1, len(tags))
    joined = "".join(f" CROSS JOIN tagged AS t{n} ON t{n}.tag = ? AND t{n}.block = t0.block" for n in others)
    rows = index.cursor()
    rows.row_factory = None
    rows.execute(
        f"SELECT t0.block, t0.bits{''.join(f', t{n}.bits' for n in others)} FROM tagged AS t0{joined} "
        f"WHERE t0.tag = ? AND t0.block >= ? AND t0.block <= ? ORDER BY t0.block {'DESC' if backwards else 'ASC'}",
        [*(row[0] for row in (*found[1:], found[0])), span[0] >> BLOCK_BITS, (span[1] - 1) >> BLOCK_BITS],
    )
    first, end = span
    for block, *blobs in rows:
        bits = -1
        for blob in blobs:
            bits &= int.from_bytes(blob, "little")
        begin = block << BLOCK_BITS
        if begin < first:
            bits = bits >> (first - begin) << (first - begin)
        if begin + BLOCK > end:
            bits &= (1 << (end - begin)) - 1
        if bits:
            yield block, bits


def bitmaps(items: Iterable[int]) -> Bitmaps:
    """Return the bitmaps in which these items, and no others, are marked."""
    found: dict[int, bytearray] = {}
    for item in items:
        block, bit = item >> BLOCK_BITS, item & (BLOCK - 1)
        if block not in found:
            found[block] = bytearray(BLOCK // 8)
        found[block][bit >> 3] |= 1 << (bit & 7)
    return {block: int.from_bytes(bits, "little") for block, bits in found.items()}


def holds(marked: Bitmaps, item: int) -> bool:
    """Whether an item is marked."""
    return bool(marked.get(item >> BLOCK_BITS, 0) >> (item & (BLOCK - 1)) & 1)


def items_of(block: int, bits: int, *, backwards: bool = False) -> Iterator[int]:
    """Yield the numbers of the items that a bitmap marks, in order."""
    while bits:
        bit = bits.bit_length() - 1 if backwards else (bits & -bits).bit_length() - 1
        bits ^= 1 << bit
        yield block << BLOCK_BITS | bit


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
