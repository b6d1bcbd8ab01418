"""Directories of tags, as TIFF files and EXIF blocks have them: read entry by entry, and written anew elsewhere.

Values keep their types and bytes; numbers become little-endian, the one order that is written (TIFF 6.0, section 2).
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_ENTRIES = 512  # of a directory; the richest that cameras and programs write have about a hundred
HEADER = b"II*\0\x08\0\0\0"  # of a block whose directory follows at once

ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
# Bytes of a value, and of the numbers that it consists of, by type. BigTIFF's own types have no place in other files,
# 129 is UTF-8 (EXIF 3.0).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_NUMBERS = {**_SIZES, 5: 4, 10: 4}


@dataclass(frozen=True)
class Entry:
    """One tag's values: their type (TIFF 6.0, page 15) and bytes, little-endian."""

    kind: int
    content: bytes

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.content) // _SIZES[self.kind]

    def integer(self) -> int | None:
        """Return the first value, None if there is none or it is no integer."""
        form = {1: "<B", SHORT: "<H", LONG: "<I", 13: "<I"}.get(self.kind)
        return struct.unpack_from(form, self.content)[0] if form and self.count else None


Directory = dict[int, Entry]


def is_tiff(data: Any) -> bool:
    """Whether bytes or a mapped file begin as TIFF and BigTIFF do, and most camera raw."""
    return bytes(data[:4]) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def first_directory(data: Any) -> int:
    """Return where the first directory of a TIFF structure lies.

    Args:
        data: bytes or a mapped file.

    Raises:
        ValueError: it is no such structure.
    """
    if not is_tiff(data):
        raise ValueError("it does not begin as TIFF does")
    order, big = _layout(data)
    return int(_unpack(order + ("Q" if big else "I"), data, 8 if big else 4))


def read_directory(data: Any, offset: int, most: int) -> Directory:
    """Return the entries of the directory at ``offset``, without those that leave the file.

    Args:
        data: a TIFF structure, bytes or a mapped file.
        most: bytes that one entry may have; longer ones are left out.

    Raises:
        ValueError: no directory lies there.
    """
    order, big = _layout(data)
    count = _unpack(order + ("Q" if big else "H"), data, offset)
    if not 0 < count <= MAX_ENTRIES:
        raise ValueError(f"a directory with {count} entries")
    at, size = offset + (8 if big else 2), 20 if big else 12
    found: Directory = {}
    for number in range(count):
        entry = _entry(data, at + number * size, order, big, most)
        if entry:
            found.setdefault(*entry)
    return found


def _entry(data: Any, at: int, order: str, big: bool, most: int) -> tuple[int, Entry] | None:
    head = bytes(data[at : at + (20 if big else 12)])
    if len(head) < (20 if big else 12):
        raise ValueError("a directory that ends early")
    tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), head)
    size = count * _SIZES.get(kind, 0)
    if not 0 < size <= most:
        return None
    value = head[12:] if big else head[8:]
    if size > len(value):
        (start,) = struct.unpack(order + ("Q" if big else "I"), value)
        value = bytes(data[start : start + size])
    return (tag, Entry(kind, _little_endian(value[:size], kind, order))) if len(value) >= size else None


def swapped(content: bytes) -> bytes:
    """Return content with the bytes of each number of 32 bits the other way round; a rest of up to three is cut."""
    return np.frombuffer(content[: len(content) // 4 * 4], "<u4").byteswap().tobytes()


def _little_endian(content: bytes, kind: int, order: str) -> bytes:
    if order == "<" or _NUMBERS[kind] == 1:
        return content
    return np.frombuffer(content, f">u{_NUMBERS[kind]}").byteswap().tobytes()


def _layout(data: Any) -> tuple[str, bool]:
    """The byte order, and whether it is BigTIFF."""
    head = bytes(data[:4])
    return "<" if head[:2] == b"II" else ">", head[2:] in (b"+\0", b"\0+")


def _unpack(form: str, data: Any, at: int) -> int:
    content = bytes(data[at : at + struct.calcsize(form)])
    if at < 0 or len(content) < struct.calcsize(form):
        raise ValueError("a directory outside of the file")
    return int(struct.unpack(form, content)[0])


def written(main: Directory, inner: dict[int, Directory], at: int) -> bytes:
    """Return a directory and those that hang on it as they stand in a little-endian file.

    Args:
        inner: by the tag that points to each; empty ones are left out.
        at: offset in the file at which the bytes will lie, even.
    """
    inner = {tag: directory for tag, directory in inner.items() if directory}
    pointers = {tag: Entry(LONG, bytes(4)) for tag in inner}
    following = at + len(_one(main | pointers, at))
    out = b""
    for tag, directory in sorted(inner.items()):
        pointers[tag] = Entry(LONG, struct.pack("<I", following + len(out)))
        out += _one(directory, following + len(out))
    return _one(main | pointers, at) + out


def _one(directory: Directory, at: int) -> bytes:
    values_at = at + 2 + 12 * len(directory) + 4
    head, values = struct.pack("<H", len(directory)), b""
    for tag, entry in sorted(directory.items()):
        content = entry.content
        if len(content) > 4:
            content = struct.pack("<I", values_at + len(values))
            values += entry.content + bytes(len(entry.content) % 2)
        head += struct.pack("<HHI", tag, entry.kind, entry.count) + content.ljust(4, b"\0")
    return head + bytes(4) + values
