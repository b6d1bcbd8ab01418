"""Small pictures of large ones, and files of them that every browser shows."""

from io import BytesIO
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin  # noqa: F401 - Pillow would load all its formats to find this one

THUMBNAIL_PX = 256
THUMBNAIL_QUALITY = 75
WEBP_MOST_PX = 16_383
_ENOUGH = 2  # times the size that is wanted: from there, averaging once more shows no difference
_LEAST_PX = 64

PictureFormat = Literal["webp", "png"]


def make_thumbnail(rgb: NDArray[np.uint8]) -> bytes:
    """Return a WebP file of an upright page, uint8 HxWx3 sRGB: its longer side has at most 256 pixels.

    The same pixels always give the same bytes. No profile is embedded: browsers take what has none for sRGB.
    """
    return encode_picture(shrink(rgb, THUMBNAIL_PX), "webp")


def shrink(rgb: NDArray[np.uint8], longest_side: int) -> NDArray[np.uint8]:
    """Return uint8 HxWx3 ``rgb`` with its longer side at most ``longest_side``; strips stay at least 1 pixel wide.

    Averages whole squares first, which takes a third of the time; of what is left over of them at the right and the
    bottom less than one pixel of the result goes.
    """
    height, width = rgb.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return rgb
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    factor = min(max(height, width) // (_ENOUGH * longest_side), min(height, width) // _LEAST_PX)
    if factor > 1:
        whole = rgb[: height // factor * factor, : width // factor * factor]
        rgb = _averaged(whole, (width // factor, height // factor))
    return _averaged(rgb, size)


def encode_picture(rgb: NDArray[np.uint8], format: PictureFormat) -> bytes:
    """Return a file with uint8 HxWx3 sRGB pixels: WebP of quality 75, or PNG, without loss.

    Raises:
        ValueError: WebP holds at most 16,383 pixels a side.
    """
    if format == "webp" and max(rgb.shape) > WEBP_MOST_PX:
        raise ValueError(f"WebP holds at most {WEBP_MOST_PX} pixels a side, not {rgb.shape[1]} x {rgb.shape[0]}")
    out = BytesIO()
    if format == "webp":
        # Effort 2 of 6: half the time of the usual 4, for 4 % more bytes.
        Image.fromarray(rgb).save(out, "WEBP", quality=THUMBNAIL_QUALITY, method=2)
    else:
        Image.fromarray(rgb).save(out, "PNG", compress_level=3)
    return out.getvalue()


def _averaged(rgb: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
