"""Where files keep metadata: the blocks of JPEG, PNG, WebP, GIF and TIFF files, found without touching a pixel."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tounum_tasks.metadata.directories import LONG, Directory, read_directory, swapped

MAX_BYTES = 4 << 20  # of a block before it is cleaned
MAX_SEGMENTS = 10_000  # of a file

_XMP_IN_JPEG, _MORE_XMP_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_RAW_PROFILE = b"Raw profile type "
PNG_TEXTS = ("Title", "Description", "Copyright", "Author", "Creation Time")
"""Keywords of the texts that are read."""
_RESOURCES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")  # how those of Photoshop, ImageReady and PhotoDeluxe begin
_IPTC_RESOURCE = 0x0404  # Photoshop File Formats, Image Resource IDs
IPTC_TAG, XMP_TAG = 33_723, 700
_RESOURCES_TAG, _PROFILE_TAG = 34_377, 34_675


@dataclass
class Blocks:
    """The blocks of one picture as they stand in the file, empty where there is none.

    Attributes:
        exif: a TIFF structure; not of TIFF files, which are one themselves.
        has_profile: there is an ICC profile.
        texts: of PNG files by their keyword; of several with one keyword the first.
        left_out: what was not read, as sentences.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    has_profile: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def jpeg_blocks(data: bytes) -> Blocks:
    """Return the blocks of a JPEG file (EXIF: CIPA DC-008 4.7; XMP and IPTC: ISO 16684-3, 5.2)."""
    found, resources, has_more = Blocks(), b"", False
    for marker, content in _jpeg_segments(data):
        if marker == 0xE1 and content.startswith(b"Exif\0"):
            found.exif = found.exif or content[6:]
        elif marker == 0xE1 and content.startswith(_XMP_IN_JPEG):
            found.xmp = found.xmp or content[len(_XMP_IN_JPEG) :]
        elif marker == 0xE1 and content.startswith(_MORE_XMP_IN_JPEG):
            has_more = True
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0"):
            found.has_profile = True
        elif marker == 0xED and content.startswith(_PHOTOSHOP):
            resources += content[len(_PHOTOSHOP) :]
    found.iptc = iptc_of_resources(resources)
    if has_more:
        found.left_out = ("XMP: its second part, for one segment does not hold it",)
    return found


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of the segments before the picture."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        if len(data) < at + 4 or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (0xDA, 0xD9):
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : end]
        at = end


def iptc_of_resources(resources: bytes) -> bytes:
    """Return the IPTC datasets among Photoshop's image resources (Photoshop File Formats, Image Resource Blocks)."""
    at = 0
    while resources[at : at + 4] in _RESOURCES and len(resources) >= at + 12:
        (number,) = struct.unpack_from(">H", resources, at + 4)
        name = resources[at + 6] + 1
        size_at = at + 6 + name + name % 2
        start = size_at + 4
        size = int.from_bytes(resources[size_at:start], "big")
        if number == _IPTC_RESOURCE:
            return resources[start : start + size]
        at = start + size + size % 2
    return b""


def png_blocks(data: bytes) -> Blocks:
    """Return the blocks of a PNG file (PNG Third Edition, 11.3; XMP: ISO 16684-3, 5.6)."""
    found, at = Blocks(), 8
    for _ in range(MAX_SEGMENTS):
        if len(data) < at + 12:
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"eXIf":
            found.exif = content[:MAX_BYTES].removeprefix(b"Exif\0\0")
        elif kind == b"iCCP":
            found.has_profile = True
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            try:
                _take_text(found, kind, content)
            except (ValueError, zlib.error) as error:  # the others are good all the same
                found.left_out = (*found.left_out, f"a text of the PNG file: {error}")
        at += 12 + length
    return found


def _take_text(found: Blocks, kind: bytes, content: bytes) -> None:
    """Take in a text of a PNG file, or the block that it holds (PNG Third Edition, 11.3.3).

    None is unpacked for nothing.
    """
    keyword, _, rest = content.partition(b"\0")
    name = keyword.decode("latin-1")
    is_text = name in PNG_TEXTS and name not in found.texts
    is_xmp = keyword == b"XML:com.adobe.xmp" and not found.xmp
    if not (is_text or is_xmp or keyword.startswith(_RAW_PROFILE)):
        return
    if kind == b"iTXt":
        text = _international_text(rest)
    else:
        text = _unpacked(rest[1:]) if kind == b"zTXt" else rest[:MAX_BYTES]
    if is_text:
        found.texts[name] = text.decode("utf-8" if kind == b"iTXt" else "latin-1", "replace")
    elif is_xmp:
        found.xmp = text
    else:
        _take_raw_profile(found, keyword.removeprefix(_RAW_PROFILE), text)


def _international_text(content: bytes) -> bytes:
    """Return the text of an iTXt chunk, given what follows its keyword (PNG Third Edition, 11.3.3.4)."""
    *_, text = content[2:].split(b"\0", 2)
    return _unpacked(text) if content[:1] == b"\1" else text[:MAX_BYTES]


def _unpacked(packed: bytes) -> bytes:
    return zlib.decompressobj().decompress(packed, MAX_BYTES)


def _take_raw_profile(found: Blocks, name: bytes, text: bytes) -> None:
    """Take in a block as ImageMagick and ExifTool write it into a text: its name, its size, and lines of hex digits."""
    _, size, *lines = text.split()
    content = bytes.fromhex(b"".join(lines).decode())[: int(size)]
    if name in (b"exif", b"APP1") and content.startswith(b"Exif\0\0"):
        found.exif = found.exif or content[6:]
    elif name in (b"xmp", b"APP1"):
        found.xmp = found.xmp or content.removeprefix(_XMP_IN_JPEG)
    elif name in (b"iptc", b"8bim"):
        found.iptc = found.iptc or (iptc_of_resources(content) if content.startswith(b"8BIM") else content)


def webp_blocks(data: bytes) -> Blocks:
    """Return the blocks of a WebP file (RFC 9649, 2.7.1)."""
    found, at = Blocks(), 12
    for _ in range(MAX_SEGMENTS):
        if len(data) < at + 8:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        content = slice(at + 8, at + 8 + min(length, MAX_BYTES))
        if kind == b"EXIF":
            found.exif = data[content].removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            found.xmp = data[content]
        elif kind == b"ICCP":
            found.has_profile = True
        at += 8 + length + length % 2
    return found


def gif_blocks(data: bytes) -> Blocks:
    """Return the blocks of a GIF file, which has XMP at most (GIF89a, 26; XMP: ISO 16684-3, 5.3)."""
    at = 13 + _colours_of_gif(data[10])
    for _ in range(MAX_SEGMENTS):
        if data[at : at + 14] == b"\x21\xff\x0bXMP DataXMP":
            # The packet stands there as it is. Numbers follow that lead whoever takes it for blocks to its end.
            return Blocks(xmp=bytes(data[at + 14 : data.find(b"\x01\xff\xfe\xfd", at)][:MAX_BYTES]))
        if data[at : at + 1] == b"\x21":
            at += 2
        elif data[at : at + 1] == b"\x2c" and len(data) > at + 10:
            at += 11 + _colours_of_gif(data[at + 9])
        else:
            break
        while len(data) > at and data[at]:
            at += 1 + data[at]
        at += 1
    return Blocks()


def _colours_of_gif(flags: int) -> int:
    """How many bytes a table of colours has that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def tiff_blocks(data: object, offset: int) -> Blocks:
    """Return the blocks of the page of a TIFF file whose directory lies at ``offset``.

    Args:
        data: the file, bytes or mapped.
    """
    found: Directory = read_directory(data, offset, MAX_BYTES)
    xmp = found[XMP_TAG].content if XMP_TAG in found else b""
    return Blocks(xmp=xmp, iptc=_tiff_iptc(found), has_profile=_PROFILE_TAG in found)


def _tiff_iptc(found: Directory) -> bytes:
    if IPTC_TAG in found:
        entry = found[IPTC_TAG]
        # Many programs declare the datasets as numbers, and still write them as bytes whatever the file's order is.
        is_swapped = entry.kind == LONG and not entry.content.startswith(b"\x1c")
        return swapped(entry.content) if is_swapped else entry.content
    return iptc_of_resources(found[_RESOURCES_TAG].content) if _RESOURCES_TAG in found else b""
