"""Metadata as files hold them, where Pillow's writers have no parameter for it: IPTC in JPEG, everything in TIFF."""

import struct

from tounum_tasks.metadata.containers import IPTC_TAG, XMP_TAG
from tounum_tasks.metadata.directories import UNDEFINED, Directory, Entry, first_directory, read_directory, written
from tounum_tasks.metadata.embedded import Metadata
from tounum_tasks.metadata.exif import CAMERA, PLACE

_BYTE = 1
_POINTER_AT = 4  # where the header of a TIFF file points to its first directory


def iptc_segment(iptc: bytes) -> bytes:
    """Return a JPEG segment with IPTC datasets (ISO 16684-3, 5.2.4), nothing if there are none."""
    if not iptc:
        return b""
    content = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def tiff_with(tiff: bytes, metadata: Metadata) -> bytes:
    """Return a little-endian TIFF file of one page with metadata: its directory is written anew at the end.

    What the file says itself, of its pixels and their resolution, is left as it is.
    """
    main, inner = _tags_of(metadata.exif)
    if metadata.xmp:
        main[XMP_TAG] = Entry(_BYTE, metadata.xmp)
    if metadata.iptc:
        main[IPTC_TAG] = Entry(UNDEFINED, metadata.iptc)
    if not main and not any(inner.values()):
        return tiff
    main |= read_directory(tiff, first_directory(tiff), most=len(tiff))
    padding = bytes(len(tiff) % 2)
    place = len(tiff) + len(padding)
    pixels = memoryview(tiff)[_POINTER_AT + 4 :]  # a large scan is copied once
    return b"".join((tiff[:_POINTER_AT], struct.pack("<I", place), pixels, padding, written(main, inner, place)))


def _tags_of(block: bytes) -> tuple[Directory, dict[int, Directory]]:
    """The main directory of an EXIF block of ours without its pointers, and the directories that those point to."""
    if not block:
        return {}, {}
    main = read_directory(block, first_directory(block), most=len(block))
    pointers = {tag: main.pop(tag).integer() for tag in (CAMERA, PLACE) if tag in main}
    inner = {tag: read_directory(block, at, most=len(block)) for tag, at in pointers.items() if at is not None}
    return main, inner
