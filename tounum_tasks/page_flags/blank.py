"""Whether nothing is on a page: white, aged, black, or with what shines through from its other side."""

import cv2
import numpy as np

MARKED_BELOW = 0.0003
"""A page is blank if less of it is marked. One line of handwriting marks 0.0009 and more."""

_CONTRAST = 13  # grey levels from which ink and pencil count; what shines through is fainter, and soft
_DARK_BELOW = 128  # grey level of the lightest ground of what is dark: a dim photograph has less contrast than ink
_LEAST_CONTRAST = 5  # there, and so many times what most of it differs from its surroundings, which is noise
_ABOVE_NOISE = 4.5
_SMALLEST_IN_THE_DARK = 40  # pixels: by so little contrast, dust is larger
_SMALLEST = 16  # pixels: dust is smaller
_MARKED_BY_HOLES = 0.03  # share of a page: no holes mark more
_HOLE_STANDS_OUT = 25  # grey levels
_HOLE = (0.012, 0.035)  # of the longer side: 4 to 10 mm of A4
_ROUND = (0.62, 0.85)  # share of its square that a disc fills, small ones less
_NEAR_A_SIDE = 0.12  # of the page
_DEEPEST = 70  # grey levels between the lightest and the darkest part of empty paper


def marked_share(grey: np.ndarray) -> float:
    """Return the share of a page, uint8 HxW, that is marked, 0 to 1; 1 for pictures, whose ground is not even.

    Marks stand out from their surroundings and are larger than dust. The margins, a twentieth on each side, where
    scanners leave shadows and edges, do not count, nor do holes of a punch. Where the middle third of a page is
    enough to make it a written one, the rest is not looked at.
    """
    share = _marked_share(grey)
    if MARKED_BELOW <= share < _MARKED_BY_HOLES:
        filled = _without_holes(grey)
        return share if filled is None else _marked_share(filled)
    return share


def _without_holes(grey: np.ndarray) -> np.ndarray | None:
    """A page, uint8 HxW, whose holes of a punch are filled with paper: round, even, and near a side; None: it has
    none."""
    paper = np.median(grey[::4, ::4])
    apart = (cv2.absdiff(grey, np.full_like(grey, paper)) > _HOLE_STANDS_OUT).astype(np.uint8)
    _, _, found, centres = cv2.connectedComponentsWithStats(apart, connectivity=8)
    shape = np.array(grey.shape[::-1])
    sizes, areas = found[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]], found[1:, cv2.CC_STAT_AREA]
    places = centres[1:] / shape
    are_holes = (
        (sizes.min(axis=1) > _HOLE[0] * shape.max()) & (sizes.max(axis=1) < _HOLE[1] * shape.max())
        & (sizes.max(axis=1) < 1.15 * sizes.min(axis=1))
        & (areas > _ROUND[0] * sizes.prod(axis=1)) & (areas < _ROUND[1] * sizes.prod(axis=1))
        & (np.minimum(places, 1 - places).min(axis=1) < _NEAR_A_SIDE)
    )  # fmt: skip
    if not are_holes.any():
        return None
    filled = grey.copy()
    for left, top, width, height in found[1:][are_holes, : cv2.CC_STAT_HEIGHT + 1]:
        rim = max(width // 4, 3)
        filled[max(top - rim, 0) : top + height + rim, max(left - rim, 0) : left + width + rim] = paper
    return filled


def _marked_share(grey: np.ndarray) -> float:
    """The share of a page, uint8 HxW, that is marked, holes of a punch and all."""
    height, width = grey.shape
    inner = grey[height // 20 : height - height // 20, width // 20 : width - width // 20]
    side = max(min(height, width) // 24, 9) | 1
    ground = cv2.blur(inner, (side, side))
    low, high = np.percentile(ground[::4, ::4], (2, 98))
    if high - low > _DEEPEST:
        return 1.0
    smooth = cv2.GaussianBlur(inner, (3, 3), 0)
    differences = cv2.absdiff(smooth, ground)
    share = _share(differences > _CONTRAST, _SMALLEST)
    if share < MARKED_BELOW and high < _DARK_BELOW:
        noise = np.median(differences[::4, ::4])
        contrast = max(_CONTRAST * high / _DARK_BELOW, _ABOVE_NOISE * noise, _LEAST_CONTRAST)
        share = max(share, _share(differences > contrast, _SMALLEST_IN_THE_DARK))
    return share


def _share(marks: np.ndarray, smallest: int) -> float:
    """The share of a page that is marked, bool HxW, by marks that are larger than dust; of its middle, if that is
    enough."""
    marks = marks.astype(np.uint8)
    third = len(marks) // 3
    in_the_middle = _marked_pixels(marks[third : 2 * third], smallest) / marks.size
    return in_the_middle if in_the_middle >= MARKED_BELOW else _marked_pixels(marks, smallest) / marks.size


def _marked_pixels(marks: np.ndarray, smallest: int) -> int:
    """How many pixels of marks, uint8 HxW of 0 and 1, belong to one of at least ``smallest``: dust is smaller."""
    _, _, found, _ = cv2.connectedComponentsWithStats(marks, connectivity=8)
    areas = found[1:, cv2.CC_STAT_AREA]
    return int(areas[areas >= smallest].sum())
