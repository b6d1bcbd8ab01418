"""How an image is looked at for training: as it is, in a mirror, and through smaller windows.

A captioner learns some thousand images by heart, the way they look to the extractor. Through a window the same things
look different: the extractor's 8 x 8 positions fall elsewhere, and what is in them is larger.
"""

from __future__ import annotations

import os
import zlib

import numpy as np
from numpy.typing import NDArray

WHOLE, MIRRORED, FIRST_WINDOW = 0, 1, 2
MOST_WINDOWS = 100
SHORTEST_SIDE = 0.65


def view(rgb: NDArray[np.uint8], number: int, name: str) -> NDArray[np.uint8]:
    """One view of uint8 H x W x 3 ``rgb``; the same for the same number and name.

    Args:
        number: 0 the image as it is, 1 its mirror image, further ones windows somewhere in it whose sides are 65 to
            100 % of the image's, every second of them mirrored.
        name: the image's own, on which the window's place and size depend.
    """
    if number >= FIRST_WINDOW:
        generator = np.random.default_rng([number, zlib.crc32(os.fsencode(name))])
        sides = np.array(rgb.shape[:2])
        window = np.maximum(1, np.round(sides * generator.uniform(SHORTEST_SIDE, 1.0, size=2))).astype(int)
        top, left = generator.integers(0, sides - window + 1)
        rgb = rgb[top : top + window[0], left : left + window[1]]
    return rgb[:, ::-1] if number % 2 else rgb
