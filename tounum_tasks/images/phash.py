"""A hash that stays the same, or nearly, when a picture is resized or saved again."""

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def perceptual_hash(rgb: NDArray[np.uint8]) -> str:
    """Return the 64-bit DCT hash of uint8 HxWx3 ``rgb`` as 16 hexadecimal digits (ImageHash's ``phash``).

    Two pictures are near-duplicates when few of the 64 bits differ (about 10).
    """
    return str(imagehash.phash(Image.fromarray(rgb)))
