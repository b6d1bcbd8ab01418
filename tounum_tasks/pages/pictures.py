"""Small pictures for the report: thumbnails, details at full size, attention overlays, as data URIs.

A report must not fail because an image cannot be shown: whatever is gone or unreadable becomes a reason in words.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import EnvironmentFault, ItemError
from tounum_tasks.images import thumbnail
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.names import validate_relative_path
from tounum_tasks.store.base import Storage

Pixels = NDArray[np.uint8]

LONGEST_SIDE = 320
DETAIL_WIDTH, DETAIL_HEIGHT = 200, 140
# Larger pages would cost more time and memory than a thumbnail is worth.
LIMITS = ImageLimits(max_pixels=60_000_000, pdf_dpi=72)


@dataclass(frozen=True)
class Picture:
    """An image in the page: a data URI with its size in pixels, or the reason why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""


class PictureMissing(Exception):
    """The picture cannot be shown; the message says why."""


class Pictures:
    """Reads images below the known roots, and encodes pictures until ``budget`` bytes are used."""

    def __init__(self, roots: Sequence[Storage], budget: int) -> None:
        self._roots = roots
        self._left = budget

    def read(self, uri: str, page: int = 1) -> Pixels:
        """Return the upright pixels of one page, uint8 HxWx3 sRGB.

        Raises:
            PictureMissing: the file is gone, lies elsewhere, cannot be decoded or is too large to be worth it.
        """
        for root in self._roots:
            if uri.startswith(root.root + "/"):
                try:
                    path = validate_relative_path(root.relative(uri))
                    return decode(root.read_bytes(path), page=page, limits=LIMITS).rgb
                except FileNotFoundError:
                    raise PictureMissing("the file is gone") from None
                except (ItemError, EnvironmentFault) as error:
                    raise PictureMissing(str(error)) from error
        raise PictureMissing("the file lies outside the roots of these settings")

    def picture(self, pixels: Pixels) -> Picture:
        """Encode uint8 HxWx3 pixels as JPEG."""
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 78])[1].tobytes()
        data = base64.b64encode(encoded).decode()
        if len(data) > self._left:
            return Picture(missing="left out: the page would become too large")
        self._left -= len(data)
        return Picture(f"data:image/jpeg;base64,{data}", pixels.shape[1], pixels.shape[0])

    def thumbnail(self, uri: str, page: int, longest_side: int = LONGEST_SIDE) -> Picture:
        """Return a thumbnail of one page of a file."""
        try:
            return self.picture(shrink(self.read(uri, page), longest_side))
        except PictureMissing as missing:
            return Picture(missing=str(missing))


def shrink(pixels: Pixels, longest_side: int = LONGEST_SIDE) -> Pixels:
    """Return ``pixels`` with its longer side at most ``longest_side``; very long strips stay at least 1 pixel wide."""
    return thumbnail.shrink(pixels, longest_side)


def detail_window(pixels: Pixels) -> tuple[slice, slice]:
    """Return the window of at most DETAIL_WIDTH x DETAIL_HEIGHT pixels in which most happens.

    Thumbnails average noise and blur away, so a change shows only at full size.
    """
    height, width = pixels.shape[:2]
    window_height, window_width = min(height, DETAIL_HEIGHT), min(width, DETAIL_WIDTH)
    best, best_score = (0, 0), -1.0
    for top in np.linspace(0, height - window_height, 6).astype(int):
        for left in np.linspace(0, width - window_width, 6).astype(int):
            score = float(pixels[top : top + window_height : 2, left : left + window_width : 2, 1].std())
            if score > best_score:
                best, best_score = (int(top), int(left)), score
    top, left = best
    return slice(top, top + window_height), slice(left, left + window_width)


def attention_overlay(pixels: Pixels, weights: NDArray[np.floating]) -> Pixels:
    """Return ``pixels`` darkened where a word of the caption paid no attention.

    Args:
        pixels: uint8 HxWx3.
        weights: 64 attention weights, 8 x 8 positions row by row over the whole image.
    """
    height, width = pixels.shape[:2]
    grid = np.asarray(weights, np.float32).reshape(8, 8)
    light = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.clip((light - grid.min()) / max(float(grid.max() - grid.min()), 1e-9), 0, 1)
    return np.asarray(pixels * (0.3 + 0.7 * light[..., None]), np.uint8)
