"""A hash that stays the same, or nearly, when a picture is resized or saved again."""

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ENOUGH_PX = 256  # the hash looks at 32 x 32 pixels: averaging down to this first is 20 times as fast on a scan


def perceptual_hash(rgb: NDArray[np.uint8]) -> str:
    """Return the 64-bit DCT hash of uint8 HxWx3 ``rgb`` as 16 hexadecimal digits (ImageHash's ``phash``).

    Two pictures are near-duplicates when few of the 64 bits differ (about 10).
    """
    grey = Image.fromarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    factor = min(grey.size) // _ENOUGH_PX
    return str(imagehash.phash(grey.reduce(factor) if factor > 1 else grey))
