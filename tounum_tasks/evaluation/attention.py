"""Pictures of what a word of a caption paid attention to."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 128.0
LEAST = 0.25


def attention_in_fog(pixels: NDArray[np.uint8], weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """``pixels`` in grey fog where a word paid no attention; unlike shade, fog shows on dark photographs, too.

    Args:
        pixels: uint8 H x W x 3.
        weights: 64 attention weights, 8 x 8 positions row by row over the whole image; their range is stretched to
            the range from fog to clear.
    """
    height, width = pixels.shape[:2]
    grid = np.asarray(weights, np.float32).reshape(8, 8)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip((smooth - grid.min()) / max(float(grid.max() - grid.min()), 1e-9), 0, 1)[..., None]
    clear = LEAST + (1 - LEAST) * share
    return np.asarray(pixels * clear + GREY * (1 - clear), np.uint8)
