"""The size of a picture as the header of its file gives it."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import IO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PcxImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import jpeg2000, netpbm, structure
from tounum_tasks.images.formats import ImageFormat

# Pillow's own guards are settings of the whole process, so they cannot follow the limits of one call. They
# are set here once: sizes are checked by ImageLimits before anything is decoded (Pillow's default would
# refuse a scanned A0 sheet), and a file that ends early is an error, never a half grey picture. Long texts and
# profiles of PNG files are left out before Pillow sees them (structure.without_bulk).
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_CHUNK = structure.MAX_PNG_PROFILE

PILLOW_READERS: dict[ImageFormat, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImagePlugin.JpegImageFile,
    ImageFormat.PNG: PngImagePlugin.PngImageFile,
    ImageFormat.TIFF: TiffImagePlugin.TiffImageFile,
    ImageFormat.WEBP: WebPImagePlugin.WebPImageFile,
    ImageFormat.AVIF: AvifImagePlugin.AvifImageFile,
    ImageFormat.BMP: BmpImagePlugin.BmpImageFile,
    ImageFormat.GIF: GifImagePlugin.GifImageFile,
    ImageFormat.PCX: PcxImagePlugin.PcxImageFile,
    ImageFormat.JPEG2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
}


def header_size(data: bytes, found: ImageFormat) -> tuple[int, int]:
    """Return (width, height) in pixels of a file with one page, as its header gives it.

    Any exception may be raised for damaged headers: call it inside ``hostile_input``.
    """
    if found is ImageFormat.PNG:
        if data[12:16] == b"CgBI":
            raise ItemError(
                ErrorCode.UNSUPPORTED, "PNG files as Apple's tools pack them for phones (CgBI) are not read; convert it"
            )
        if data[12:16] != b"IHDR":
            raise ItemError(ErrorCode.CORRUPT, "the PNG file does not begin with its header")
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if found is ImageFormat.JPEG:
        return structure.jpeg_size(data)
    if found is ImageFormat.WEBP:
        return _webp_size(data)
    if found in (ImageFormat.AVIF, ImageFormat.HEIC):
        return structure.heif_size(data)
    if found is ImageFormat.JPEG2000:
        return jpeg2000.size(data)
    if found is ImageFormat.PNM:
        header = netpbm.read_header(data)
        return header.width, header.height
    if found is ImageFormat.PCX:
        left, top, right, bottom = struct.unpack_from("<4H", data, 4)
        return right - left + 1, bottom - top + 1
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
