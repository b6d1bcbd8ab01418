"""The border that a scanner or a camera leaves around a page: dark or coloured, even, with a straight edge."""

from dataclasses import dataclass

import cv2
import numpy as np

from tounum_tasks.page_flags.colours import distances

_SIDES = ("left", "top", "right", "bottom")
_OUTERMOST = 3  # pixels at a side whose colour is taken for that of the border
_DARK_BELOW = 90.0  # lightness, 0 to 255
_COLOURED_FROM = (130.0, 200.0), (25.0, 45.0)  # distance from grey in Lab, by lightness: no paper is so coloured
_NEAR = 16.0  # distance in Lab of what belongs to the border
_STANDS_OUT_FROM = 40.0  # distance in Lab between the border and what begins behind it
_CORNERS = 0.06  # of a side, left out at either end: the borders of two sides meet there
_STRAIGHT = 0.004  # of the length: so far the edge may be from its line
_STRAIGHT_FROM = 0.92  # share of the edge that is so near
_MOST_TILT = 0.07  # of the length: four degrees
_LARGEST_DUST = 0.007  # of the longer side
_THINNEST, _THICKEST = 0.006, 0.35  # of the depth of the picture


@dataclass(frozen=True)
class Border:
    """A border around a page.

    Attributes:
        sides: that have one: of left, top, right, bottom.
        box: left, top, right and bottom of the content, in pixels; all of it lies inside.
        share: of the picture that lies outside the box.
    """

    sides: tuple[str, ...]
    box: tuple[int, int, int, int]
    share: float


def border_of(lab: np.ndarray) -> Border | None:
    """Return the border of a picture, uint8 HxWx3 in Lab as OpenCV has it, or None.

    At each side, the outermost pixels give the colour; where the picture departs from it must be one straight line,
    behind which something else begins. Neither a night sky nor the ground of a white-on-black drawing ends so.
    """
    height, width = lab.shape[:2]
    depths = {side: _depth(_with_side_above(lab, side)) for side in _SIDES}
    if not any(depths.values()):
        return None
    colours = [_outermost(_with_side_above(lab, side)) for side, depth in depths.items() if depth]
    for side in _SIDES:  # a thick border beside it hides the edge of one that is as dark
        across = ("top", "bottom") if side in ("left", "right") else ("left", "right")
        before, after = (depths[other] for other in across)
        seen = _with_side_above(lab, side)
        if not depths[side] and max(before, after) > _CORNERS * seen.shape[1]:
            between = seen[:, before : seen.shape[1] - after]
            alike = any(np.linalg.norm(_outermost(between) - colour) <= _NEAR for colour in colours)
            depths[side] = _depth(between) if alike else 0
    box = (depths["left"], depths["top"], width - depths["right"], height - depths["bottom"])
    share = 1 - (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
    return Border(tuple(side for side, depth in depths.items() if depth), box, share)


def _with_side_above(lab: np.ndarray, side: str) -> np.ndarray:
    """The picture with one of its sides at the top; what was at the left or above is at the left."""
    match side:
        case "left":
            return lab.transpose(1, 0, 2)
        case "right":
            return lab[:, ::-1].transpose(1, 0, 2)
        case "bottom":
            return lab[::-1]
    return lab


def _outermost(lab: np.ndarray) -> np.ndarray:
    """The colour at the top of a picture."""
    return np.asarray(np.median(lab[:_OUTERMOST].reshape(-1, 3), axis=0))


def _depth(lab: np.ndarray) -> int:
    """How many rows at the top of a picture, uint8 HxWx3 in Lab, are a border and nothing else; 0: there is none."""
    height, width = lab.shape[:2]
    colour = _outermost(lab)
    if colour[0] > _DARK_BELOW and np.hypot(*(colour[1:] - 128)) < np.interp(colour[0], *_COLOURED_FROM):
        return 0
    first = round(_CORNERS * width)
    last = width - first
    deepest = round(_THICKEST * height)
    strip = distances(lab[: deepest + 1, first:last], colour.astype(np.float32))
    is_apart = strip > _NEAR
    dust = round(_LARGEST_DUST * max(height, width)) | 1
    without_dust = cv2.morphologyEx(is_apart.astype(np.uint8), cv2.MORPH_OPEN, np.ones((dust, dust), np.uint8))
    return _depth_of_line(strip, is_apart, lab.shape) or _depth_of_line(strip, without_dust != 0, lab.shape)


def _depth_of_line(strip: np.ndarray, is_apart: np.ndarray, shape: tuple[int, ...]) -> int:
    """The depth of a border above what is apart from it, if that begins at a straight line; else 0.

    Args:
        strip: distances from the colour of the border.
        shape: of the picture.
    """
    height, width = shape[:2]
    deepest = len(strip) - 1
    ends = np.where(is_apart.any(axis=0), is_apart.argmax(axis=0), deepest)
    places = np.arange(len(ends))
    slope, start = _line(places, ends)
    near = np.abs(ends - (slope * places + start)) <= max(_STRAIGHT * width, 1.5)
    depth = int(min(start, slope * (len(ends) - 1) + start, *ends[near])) if near.any() else 0
    is_line = near.mean() >= _STRAIGHT_FROM and abs(slope) <= _MOST_TILT
    if not is_line or not _THINNEST * height <= depth < 0.95 * deepest:
        return 0
    behind = np.minimum(ends + 4, deepest)
    contrast = np.median(strip[behind[near], places[near]])
    return depth if contrast >= _STANDS_OUT_FROM else 0


def _line(places: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    """The line along most of the ends: a median of slopes over half the length, and of what is left (Theil and Sen)."""
    half = len(ends) // 2
    slope = float(np.median((ends[half : 2 * half] - ends[:half]) / half)) if half else 0.0
    return slope, float(np.median(ends - slope * places))
