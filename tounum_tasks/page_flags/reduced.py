"""The copy of a page that flags are told from, so that a page of 300 dpi costs little more than a small one."""

import math

import cv2
import numpy as np

LONGEST_SIDE = 1_200
NARROWEST = 300  # pixels that strips (receipts, scrolls, panoramas) keep across: writing would vanish in fewer


def reduced(rgb: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a copy of a page, uint8 HxWx3, with at most :data:`LONGEST_SIDE` pixels, and how many times smaller it is.

    A strip may have more, so that its shorter side keeps :data:`NARROWEST`.
    The factor is a whole number: means over whole blocks of pixels are fast, and keep lines where they are.
    """
    factor = min(math.ceil(max(rgb.shape[:2]) / LONGEST_SIDE), min(rgb.shape[:2]) // NARROWEST)
    if factor <= 1:
        return rgb, 1
    height, width = (max(side // factor, 1) for side in rgb.shape[:2])
    whole = rgb[: height * factor, : width * factor]
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), factor
