"""Pages without colours, which hold the same three times."""

import cv2
import numpy as np
from numpy.typing import NDArray

_ROWS = 512


def is_grey(rgb: NDArray[np.uint8]) -> bool:
    """Whether all pixels of a page, uint8 HxWx3, are shades of grey."""
    for top in range(0, rgb.shape[0], _ROWS):  # a page in colour shows it in its first rows
        red, green, blue = cv2.split(rgb[top : top + _ROWS])
        if cv2.norm(red, green, cv2.NORM_INF) or cv2.norm(green, blue, cv2.NORM_INF):
            return False
    return True
