"""The directories of a TIFF file: which of them are pages, and which file is a camera's raw.

Intake counts pages here, and decoding finds them here, so that both mean the same.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits

_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_ENTRIES = 512  # of a directory; the richest that cameras and programs write have about a hundred
_MAX_DIRECTORIES = 20_000  # pages, thumbnails and masks together, whatever the limit on pages
_MAX_SUB_DIRECTORIES = 16
_MAX_PARTS = 1 << 16  # strips or tiles of a sensor's picture that are looked at

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_MAKE, _SAMPLES, _TILE_WIDTH, _SUB_DIRECTORIES, _DNG_VERSION = 271, 277, 322, 330, 50_706
_REDUCED_OR_MASK = 0b101
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_CFA, _LINEAR_RAW = 32_803, 34_892
_RAW_COMPRESSIONS = (32_767, 32_769, 32_770, 32_867, 34_713, 65_000, 65_535)  # of cameras alone
_RAW_OF_MAKE = {
    b"NIKON": "Nikon NEF", b"SONY": "Sony ARW", b"PENTAX": "Pentax PEF", b"RICOH": "Pentax PEF",
    b"SAMSUNG": "Samsung SRW", b"HASSELBLAD": "Hasselblad 3FR", b"KODAK": "Kodak DCR", b"EASTMAN": "Kodak DCR",
    b"MAMIYA": "Mamiya MEF", b"LEAF": "Leaf MOS", b"SEIKO": "Epson ERF", b"PHASE": "Phase One IIQ",
    b"CANON": "Canon TIFF",
}  # fmt: skip


class Layout:
    """Sizes of the fields of a classic TIFF or a BigTIFF."""

    def __init__(self, data: bytes) -> None:
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\0", b"\0+")
        self.pointer_at = 8 if self.big else 4
        self.pointer = self.order + ("Q" if self.big else "I")
        self.count = self.order + ("Q" if self.big else "H")
        size = "u8" if self.big else "u4"
        self.entry = np.dtype(
            [
                ("tag", self.order + "u2"),
                ("kind", self.order + "u2"),
                ("count", self.order + size),
                ("value", f"V{struct.calcsize(self.pointer)}"),
            ]
        )


@dataclass(frozen=True)
class Directory:
    """One directory: where it lies and what follows it."""

    offset: int
    following: int
    entries: NDArray[Any] = field(repr=False)
    layout: Layout = field(repr=False)
    data: bytes = field(repr=False)

    def integers(self, tag: int, most: int = 1) -> tuple[int, ...]:
        """Return up to ``most`` values of a tag, none if it is missing or no integer (TIFF 6.0, page 14)."""
        found = self.entries[self.entries["tag"] == tag]
        letter = _INTEGERS.get(int(found["kind"][0])) if len(found) else None
        if not letter:
            return ()
        count = min(int(found["count"][0]), most)
        form = f"{self.layout.order}{count}{letter}"
        value = found["value"][0].tobytes()
        if int(found["count"][0]) * struct.calcsize(letter) <= len(value):
            return struct.unpack_from(form, value)
        (at,) = struct.unpack(self.layout.pointer, value)
        return struct.unpack_from(form, self.data, at) if at + struct.calcsize(form) <= len(self.data) else ()

    def integer(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return next(iter(self.integers(tag)), default)

    def has(self, tag: int) -> bool:
        """Whether there is an entry for ``tag``."""
        return bool((self.entries["tag"] == tag).any())

    @property
    def is_reduced(self) -> bool:
        """Whether it describes a smaller copy or a mask of another page (TIFF 6.0, page 36)."""
        if self.has(_NEW_SUBFILE_TYPE):
            return bool(self.integer(_NEW_SUBFILE_TYPE) & _REDUCED_OR_MASK)
        return self.integer(_SUBFILE_TYPE) == 2

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.integer(_HEIGHT), self.integer(_WIDTH)

    def make(self) -> bytes:
        """Return the first bytes of the maker's name, in capitals."""
        found = self.entries[self.entries["tag"] == _MAKE]
        if not len(found):
            return b""
        value = found["value"][0].tobytes()
        if int(found["count"][0]) > len(value):
            (at,) = struct.unpack(self.layout.pointer, value)
            value = bytes(self.data[at : at + 16])
        return value.upper()


def page_offsets(data: bytes, limits: ImageLimits) -> list[int]:
    """Return the offset of the directory of each page; thumbnails, masks and smaller levels of a pyramid are left out.

    Raises:
        ItemError: TRUNCATED if the chain of directories leaves the file or lies in its zero-filled end, TOO_MANY_PAGES,
            CORRUPT.
    """
    pages: list[Directory] = []
    others: list[Directory] = []
    try:
        for directory in _chain(data):
            is_level = bool(pages) and not directory.is_reduced and _is_level_of(directory, pages[-1], others)
            (others if directory.is_reduced or is_level else pages).append(directory)
            if pages:
                limits.check_pages(len(pages))
        pages = (
            pages or [inner for outer in others for inner in _inner(outer) if not inner.is_reduced][:1] or others[:1]
        )
    except struct.error as error:
        raise ItemError(ErrorCode.TRUNCATED, "the TIFF file ends before its list of pages does") from error
    if not pages:
        raise ItemError(ErrorCode.CORRUPT, "the TIFF file holds no page")
    return [page.offset for page in pages]


def _chain(data: bytes) -> Iterator[Directory]:
    layout = Layout(data)
    seen: dict[int, int] = {}
    (offset,) = struct.unpack_from(layout.pointer, data, layout.pointer_at)
    while offset and offset not in seen:  # a chain that bites its tail ends there
        if len(seen) == _MAX_DIRECTORIES:
            raise ItemError(ErrorCode.TOO_MANY_PAGES, f"the TIFF file has more than {_MAX_DIRECTORIES} directories")
        directory = _directory(data, layout, offset)
        seen[offset] = offset + directory.entries.nbytes
        yield directory
        offset = directory.following
    spans = sorted(seen.items())
    if any(following < end for (_, end), (following, _) in pairwise(spans)):
        raise ItemError(ErrorCode.CORRUPT, "the pages of the TIFF file lie within each other")


def _directory(data: bytes, layout: Layout, offset: int) -> Directory:
    (count,) = struct.unpack_from(layout.count, data, offset)
    if not count:
        if not bytes(data[offset:]).strip(b"\0"):
            raise ItemError(ErrorCode.TRUNCATED, "the TIFF file ends in zero bytes; was it copied completely?")
        raise ItemError(ErrorCode.CORRUPT, "a page of the TIFF file has no tags")
    first = offset + struct.calcsize(layout.count)
    end = first + count * layout.entry.itemsize
    (following,) = struct.unpack_from(layout.pointer, data, end)
    if count > _MAX_ENTRIES:
        raise ItemError(ErrorCode.CORRUPT, f"a page of the TIFF file has more than {_MAX_ENTRIES} tags")
    entries = np.frombuffer(data, layout.entry, count, first)
    return Directory(offset, following, entries, layout, data)


def _inner(directory: Directory) -> list[Directory]:
    """Return the directories that hang on another (Adobe PageMaker 6.0 TIFF technical notes, SubIFDs).

    Raises:
        ItemError: TRUNCATED if one lies outside of the file.
    """
    offsets = directory.integers(_SUB_DIRECTORIES, _MAX_SUB_DIRECTORIES)
    count_size = struct.calcsize(directory.layout.count)
    if any(offset > len(directory.data) - count_size for offset in offsets):
        raise ItemError(ErrorCode.TRUNCATED, "the file ends before a list of what is in it")
    return [_directory(directory.data, directory.layout, offset) for offset in offsets if offset]


def _is_level_of(directory: Directory, page: Directory, others: list[Directory]) -> bool:
    """Whether a tiled directory without subfile type halves the page before it, or the level before it.

    Programs that write pyramids in that way are many (openslide's generic tiled TIFF, libvips before 8.9).
    """
    if directory.has(_NEW_SUBFILE_TYPE) and directory.integer(_NEW_SUBFILE_TYPE):
        return False
    above = others[-1] if others and others[-1].offset > page.offset and others[-1].has(_TILE_WIDTH) else page
    alike = (_BITS, _SAMPLES, _PHOTOMETRIC, _COMPRESSION)
    if not (directory.has(_TILE_WIDTH) and above.has(_TILE_WIDTH)):
        return False
    if any(directory.integers(tag) != above.integers(tag) for tag in alike):
        return False
    return any(
        all(abs(large - side * ratio) < ratio for side, large in zip(directory.shape, above.shape, strict=True))
        for ratio in (2, 4)
    )


def camera_raw_name(data: bytes) -> str | None:
    """Return what kind of camera raw lies in a TIFF container, whose readable pictures are nothing but thumbnails.

    None if it is no camera raw, or its first directory cannot be read.
    """
    if bytes(data[:4]) not in _HEADS:
        return None
    try:
        first = next(_chain(data), None)
        if first is None:
            return None
        if first.has(_DNG_VERSION):
            return "DNG"
        if not any(_is_raw(directory) for directory in [first, *_inner(first)]):
            return None
    except (struct.error, OverflowError, ValueError, ItemError):
        return None
    make = first.make()
    return next((name for start, name in _RAW_OF_MAKE.items() if make.startswith(start)), "TIFF/EP")


def check_camera_raw(data: bytes) -> None:
    """Look whether the sensor's data that a TIFF container names lie within the file; other files are not looked at.

    Raises:
        ItemError: TRUNCATED if they do not, CORRUPT for a DNG that has previews alone.
    """
    name = camera_raw_name(data)
    if not name:
        return
    try:
        directories = [inner for outer in _chain(data) for inner in (outer, *_inner(outer))]
    except struct.error as error:
        raise ItemError(ErrorCode.TRUNCATED, "the camera raw file ends before a list of what is in it") from error
    sensors = [directory for directory in directories if directory.integer(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)]
    if name == "DNG" and not sensors:
        raise ItemError(ErrorCode.CORRUPT, "the DNG file holds previews, but nothing of a sensor")
    for sensor in sensors:
        for starts, lengths in ((_STRIP_OFFSETS, _STRIP_BYTES), (_TILE_OFFSETS, _TILE_BYTES)):
            parts = zip(sensor.integers(starts, _MAX_PARTS), sensor.integers(lengths, _MAX_PARTS), strict=False)
            if any(start + length > len(data) for start, length in parts):
                raise ItemError(ErrorCode.TRUNCATED, "the camera raw file ends before its picture does")


def _is_raw(directory: Directory) -> bool:
    return (
        directory.integer(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW) or directory.integer(_COMPRESSION) in _RAW_COMPRESSIONS
    )


def point_to(data: Any, offset: int) -> None:
    """Make the header of a writable TIFF file point at the page whose directory lies at ``offset``."""
    layout = Layout(data)
    struct.pack_into(layout.pointer, data, layout.pointer_at, offset)


def with_photometric(data: bytes, offset: int) -> bytes | None:
    """Return the file with the photometric interpretation that a page lacks, None if it has one.

    libtiff (``TIFFRGBAImageBegin``) takes three samples for RGB, fax for white on zero, and anything else for black
    on zero;
    the tag is required (TIFF 6.0, page 37), so decoders answer in different ways. The directory is written anew at
    the end.
    """
    layout = Layout(data)
    directory = _directory(data, layout, offset)
    if directory.has(_PHOTOMETRIC):
        return None
    samples, compression = directory.integer(_SAMPLES, 1), directory.integer(_COMPRESSION, 1)
    value = 2 if samples >= 3 else 0 if compression in (2, 3, 4) else 1
    entry = np.zeros(1, layout.entry)
    entry["tag"], entry["kind"], entry["count"] = _PHOTOMETRIC, 3, 1
    entry["value"] = np.void(struct.pack(layout.order + "H", value).ljust(layout.entry["value"].itemsize, b"\0"))
    entries = np.concatenate([directory.entries, entry])
    entries = entries[np.argsort(entries["tag"], kind="stable")]
    end = len(data) + len(data) % 2
    out = bytearray(data)
    out += bytes(end - len(data)) + struct.pack(layout.count, len(entries)) + entries.tobytes()
    out += bytes(struct.calcsize(layout.pointer))
    point_to(out, end)
    return bytes(out)
