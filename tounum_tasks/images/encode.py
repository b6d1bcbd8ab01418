"""From sRGB pixels back to a file."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.images.formats import ImageFormat
from tounum_tasks.images.jpeg2000 import with_resolution

_EXTENSIONS = {
    ImageFormat.JPEG: ".jpg",
    ImageFormat.PNG: ".png",
    ImageFormat.TIFF: ".tif",
    ImageFormat.WEBP: ".webp",
    ImageFormat.BMP: ".bmp",
    ImageFormat.JPEG2000: ".jp2",
}
_PREDICTOR = 317
_LARGEST_SIDE = {ImageFormat.JPEG: 65_500, ImageFormat.WEBP: 16_383}


def stored_as(format: str) -> ImageFormat:
    """Return the format in which enhanced pixels of a file of ``format`` are stored.

    The same format, but PNG for what cannot hold them without loss of colours (GIF) or is no image format
    (PDF).
    """
    return next((writable for writable in _EXTENSIONS if writable == format), ImageFormat.PNG)


def extension(format: str) -> str:
    """Return the extension, with the dot, of what ``encode`` writes for ``format``."""
    return _EXTENSIONS[stored_as(format)]


def encode(rgb: NDArray[np.uint8], *, format: str, dpi: float | None = None) -> bytes:
    """Encode uint8 HxWx3 sRGB pixels as ``stored_as(format)``; the same pixels always give the same bytes.

    JPEG is written with quality 95 and full colour resolution, all other formats without loss; PNG and WebP
    at the fastest effort, which costs some 15 % more bytes and saves three quarters of the time. The
    resolution is stated for both axes. No profile is embedded: the pixels are sRGB, which is what every program
    assumes.

    Raises:
        ValueError: the pixels are of another kind, or the format cannot hold so many.
    """
    format = stored_as(format)
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"expected uint8 pixels HxWx3, got {rgb.dtype} {rgb.shape}")
    if max(rgb.shape) > _LARGEST_SIDE.get(format, max(rgb.shape)):
        raise ValueError(f"{format} cannot hold {rgb.shape[1]} x {rgb.shape[0]} pixels")
    image = Image.fromarray(rgb)
    resolution = {"dpi": (dpi, dpi)} if dpi else {}
    out = BytesIO()
    if format is ImageFormat.JPEG:
        image.save(out, "JPEG", quality=95, subsampling=0, optimize=False, **resolution)
    elif format is ImageFormat.PNG:
        image.save(out, "PNG", compress_level=1, **resolution)
    elif format is ImageFormat.TIFF:
        image.save(out, "TIFF", compression="tiff_lzw", tiffinfo={_PREDICTOR: 2}, **resolution)
    elif format is ImageFormat.WEBP:
        image.save(out, "WEBP", lossless=True, quality=20, method=0, exif=_resolution_exif(dpi))
    elif format is ImageFormat.BMP:
        image.save(out, "BMP", **resolution)
    else:
        image.save(out, "JPEG2000", irreversible=False)
        return with_resolution(out.getvalue(), dpi) if dpi else out.getvalue()
    return out.getvalue()


def _resolution_exif(dpi: float | None) -> bytes:
    """Return an EXIF block with the resolution, which is the only place that WebP has for it."""
    exif = Image.Exif()
    if dpi:
        exif[282] = exif[283] = dpi
        exif[296] = 2
    return exif.tobytes() if dpi else b""
