"""What a file is and how many pages it has, from its header alone."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import pdf, structure, tiff
from tounum_tasks.images.limits import ImageLimits, hostile_input


class ImageFormat(StrEnum):
    """The formats that are read; the values are written to ``format`` in the manifest."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"
    WEBP = "webp"
    BMP = "bmp"
    GIF = "gif"
    JPEG2000 = "jpeg2000"
    PDF = "pdf"


@dataclass(frozen=True)
class FileInfo:
    """The header of a file.

    Attributes:
        format: by content; the extension of the name plays no part.
        pages: 1 but for TIFF and PDF files; pages are numbered from 1.
    """

    format: ImageFormat
    pages: int


# Pillow's own guards are settings of the whole process, so they cannot follow the limits of one call. They
# are set here once: sizes are checked by ImageLimits before anything is decoded (Pillow's default would
# refuse a scanned A0 sheet), and a file that ends early is an error, never a half grey picture.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False

PILLOW_READERS: dict[ImageFormat, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImagePlugin.JpegImageFile,
    ImageFormat.PNG: PngImagePlugin.PngImageFile,
    ImageFormat.TIFF: TiffImagePlugin.TiffImageFile,
    ImageFormat.WEBP: WebPImagePlugin.WebPImageFile,
    ImageFormat.BMP: BmpImagePlugin.BmpImageFile,
    ImageFormat.GIF: GifImagePlugin.GifImageFile,
    ImageFormat.JPEG2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
}

_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"II*\0", ImageFormat.TIFF),
    (b"MM\0*", ImageFormat.TIFF),
    (b"II+\0", ImageFormat.TIFF),
    (b"MM\0+", ImageFormat.TIFF),
    (b"GIF87a", ImageFormat.GIF),
    (b"GIF89a", ImageFormat.GIF),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ImageFormat.JPEG2000),
    (b"\xff\x4f\xff\x51", ImageFormat.JPEG2000),
    (b"%PDF-", ImageFormat.PDF),
)
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
_KNOWN_BUT_UNSUPPORTED: tuple[tuple[bytes, int, str], ...] = (
    (b"8BPS", 0, "Photoshop"),
    (b"ftypavif", 4, "AVIF"),
    (b"ftypheic", 4, "HEIC"),
    (b"ftypheix", 4, "HEIC"),
    (b"ftypmif1", 4, "HEIF"),
    (b"%!PS-Adobe", 0, "PostScript"),
    (b"<svg", 0, "SVG"),
    (b"AT&TFORM", 0, "DjVu"),
    (b"\x76\x2f\x31\x01", 0, "OpenEXR"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL"),
)


def detect_format(data: bytes, name: str = "") -> ImageFormat:
    """Return the format of ``data`` by its first bytes; ``name`` is only used in messages.

    Raises:
        ItemError: EMPTY_FILE, UNSUPPORTED (a known format that is not read) or NOT_AN_IMAGE.
    """
    if not data:
        raise ItemError(ErrorCode.EMPTY_FILE, "the file has no content (0 bytes)")
    for magic, found in _MAGIC:
        if data.startswith(magic):
            return found
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return ImageFormat.BMP
    if b"%PDF-" in data[:1024]:  # readers accept a preamble of up to a kilobyte
        return ImageFormat.PDF
    for magic, offset, known in _KNOWN_BUT_UNSUPPORTED:
        if data.startswith(magic, offset):
            raise ItemError(ErrorCode.UNSUPPORTED, f"{known} files are not read; convert it to TIFF or PNG")
    if not data.strip(b"\0"):
        raise ItemError(ErrorCode.NOT_AN_IMAGE, "the file holds nothing but zero bytes; was it copied completely?")
    suffix = PurePosixPath(name).suffix.lower()
    claims = f", whatever its ending {suffix} says" if suffix.isascii() and suffix[1:].isalnum() else ""
    raise ItemError(ErrorCode.NOT_AN_IMAGE, f"the content is no image of a known format{claims}")


def inspect(data: bytes, name: str = "", *, limits: ImageLimits) -> FileInfo:
    """Read the header of a file: its format and its number of pages. Nothing is decoded.

    Animated GIF, PNG and WebP files count as one page, their first frame. Thumbnails and masks inside a TIFF
    are no pages. The size of a page of a TIFF or PDF is checked when that page is decoded, so that one page
    which is too large does not cost the others.

    Raises:
        ItemError: EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PAGES or
            TOO_MANY_PIXELS.
    """
    found = detect_format(data, name)
    pages = 1
    with hostile_input(found):
        if found is ImageFormat.PDF:
            pages = pdf.page_count(data)
        elif found is ImageFormat.TIFF:
            pages = len(tiff.page_offsets(data, limits))
        else:
            limits.check_size(*header_size(data, found))
    limits.check_pages(pages)
    return FileInfo(found, pages)


def header_size(data: bytes, found: ImageFormat) -> tuple[int, int]:
    """Return (width, height) in pixels of a file with one page, as its header gives it.

    Any exception may be raised for damaged headers: call it inside ``hostile_input``.
    """
    if found is ImageFormat.PNG:
        if data[12:16] != b"IHDR":
            raise ItemError(ErrorCode.CORRUPT, "the PNG file does not begin with its header")
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if found is ImageFormat.JPEG:
        return structure.jpeg_size(data)
    if found is ImageFormat.WEBP:
        return _webp_size(data)
    return PILLOW_READERS[found](BytesIO(data)).size


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the canvas size; Pillow allocates the canvas when it opens a WebP file, which is too early.

    Layouts: https://developers.google.com/speed/webp/docs/riff_container and RFC 9649, sections 2.5 to 2.7.
    """
    kind, payload = data[12:16], data[20:30]
    if kind == b"VP8X":
        return int.from_bytes(payload[4:7], "little") + 1, int.from_bytes(payload[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(payload[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", payload[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise ItemError(ErrorCode.CORRUPT, "the WebP file does not begin with an image")
