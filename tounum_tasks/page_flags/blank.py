"""Whether nothing is on a page: white, aged, black, or with what shines through from its other side."""

import cv2
import numpy as np

MARKED_BELOW = 0.0003
"""A page is blank if less of it is marked. One line of handwriting marks 0.0009 and more."""

_CONTRAST = 13  # grey levels from which ink and pencil count; what shines through is fainter, and soft
_SMALLEST = 16  # pixels: dust is smaller
_DEEPEST = 70  # grey levels between the lightest and the darkest part of empty paper


def marked_share(grey: np.ndarray) -> float:
    """Return the share of a page, uint8 HxW, that is marked, 0 to 1; 1 for pictures, whose ground is not even.

    Marks stand out from their surroundings and are larger than dust. The margins, a twentieth on each side, where
    scanners leave shadows and edges, do not count. Where the middle third of a page is enough to make it a
    written one, the rest is not looked at.
    """
    height, width = grey.shape
    inner = grey[height // 20 : height - height // 20, width // 20 : width - width // 20]
    side = max(min(height, width) // 24, 9) | 1
    ground = cv2.blur(inner, (side, side))
    low, high = np.percentile(ground[::4, ::4], (2, 98))
    if high - low > _DEEPEST:
        return 1.0
    smooth = cv2.GaussianBlur(inner, (3, 3), 0)
    marks = (cv2.absdiff(smooth, ground) > _CONTRAST).astype(np.uint8)
    third = len(marks) // 3
    in_the_middle = _marked_pixels(marks[third : 2 * third]) / marks.size
    return in_the_middle if in_the_middle >= MARKED_BELOW else _marked_pixels(marks) / marks.size


def _marked_pixels(marks: np.ndarray) -> int:
    """How many pixels of marks, uint8 HxW of 0 and 1, belong to one that is larger than dust."""
    _, _, found, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    areas = found[1:, cv2.CC_STAT_AREA]
    return int(areas[areas >= _SMALLEST].sum())
