"""Photographs that lie on one sheet: their rotated boxes."""

from dataclasses import dataclass

import cv2
import numpy as np

from tounum_tasks.page_flags.colours import distances

_WORKED_ON = 700  # pixels of the longer side: enough for a box to be right within a pixel or two
_FRAME = 0.02  # of the shorter side: the outermost part of the sheet, where its ground is seen
_EVEN_FROM = 0.7  # share of the frame that must look alike, or there is no ground to lie on
_FARTHEST, _NEAREST = 40.0, 14.0  # distance in Lab between ground and photograph
_SMALLEST_SHARE = 0.02  # of the sheet: a smaller thing is a stamp or a word
_LARGEST_SHARE = 0.9
_NARROWEST = 0.3  # width to length: lines of writing are narrower than photographs
_FILLED_FROM = 0.8  # share of a box that differs from the ground: photographs do nearly everywhere, writing does not
_MOST_ALIKE = 0.4  # share of a thing that has nearly the same grey: paper and drawn boxes have more, photographs less
_MOST_GROUND = (
    0.2  # share of a thing that looks like the ground: between lines of writing and of drawings there is more
)
_NEARLY_RIGHT = 0.22  # cosine of the angle: 13 degrees beside a right one
_FEWEST_CORNERS = 5  # that point outwards, of two rectangles that touch
_JOINED_FROM = 0.72  # share of their hull that rectangles which touch fill


@dataclass(frozen=True)
class Sheet:
    """What lies on a sheet.

    Attributes:
        boxes: of the photographs, each four corners (x, y) in pixels of the picture that was looked at, clockwise.
        is_joined: whether some of them touch or overlap, so that one box may hold several.
    """

    boxes: tuple[tuple[tuple[float, float], ...], ...] = ()
    is_joined: bool = False


def photographs_on(rgb: np.ndarray) -> Sheet:
    """Return the photographs that lie on a sheet, uint8 HxWx3, from the left above to the right below.

    What differs from the colour of the sheet's frame, fills its smallest rotated rectangle, and is varied within, is a
    photograph. A sheet without an even frame has none: it is a photograph itself.
    """
    scale = min(_WORKED_ON / max(rgb.shape[:2]), 1.0)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    apart = _apart_from_ground(small)
    if apart is None:
        return Sheet()
    things = _without_holes(apart)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    found, is_joined = [], False
    outlines, _ = cv2.findContours(things, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        box = cv2.minAreaRect(outline)
        share = box[1][0] * box[1][1] / things.size
        if not _SMALLEST_SHARE <= share <= _LARGEST_SHARE or min(box[1]) < _NARROWEST * max(box[1]):
            continue
        inside = cv2.drawContours(np.zeros_like(things), [outline], -1, 255, cv2.FILLED)
        if _share_alike(grey, inside) > _MOST_ALIKE or _touches_edge(outline, things.shape):
            continue
        if (apart[inside > 0] == 0).mean() > _MOST_GROUND:
            continue
        if cv2.contourArea(outline) < _FILLED_FROM * box[1][0] * box[1][1]:
            is_joined = is_joined or _is_joined(outline)
            continue
        found.append(cv2.boxPoints(box) / scale)
    found.sort(key=lambda corners: corners[:, 1].mean() + corners[:, 0].mean())
    boxes = tuple(tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners) for corners in found)
    return Sheet(boxes, is_joined)


def _share_alike(grey: np.ndarray, inside: np.ndarray) -> float:
    """The largest share of a thing that lies within nine neighbouring grey levels."""
    histogram = cv2.calcHist([grey], [0], inside, [256], [0, 256]).ravel()
    return float(np.convolve(histogram, np.ones(9), "same").max() / histogram.sum())


def _touches_edge(outline: np.ndarray, shape: tuple[int, ...]) -> bool:
    left, top, width, height = cv2.boundingRect(outline)
    return left <= 1 or top <= 1 or left + width >= shape[1] - 1 or top + height >= shape[0] - 1


def _apart_from_ground(rgb: np.ndarray) -> np.ndarray | None:
    """What differs from the ground, uint8 HxW of 0 and 255; None if there is no even ground."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), 1)
    depth = max(round(_FRAME * min(rgb.shape[:2])), 2)
    sides = (smooth[:depth], smooth[-depth:], smooth[:, :depth], smooth[:, -depth:])
    frame = _lab(np.concatenate([side.reshape(-1, 1, 3) for side in sides]))[:, 0].astype(np.float32)
    ground = np.median(frame, axis=0)
    departures = distances(frame, ground)
    limit = float(np.clip(1.5 * np.percentile(departures, 90), _NEAREST, _FARTHEST))
    if (departures < limit / 1.4).mean() < _EVEN_FROM:
        return None
    lab = _lab(smooth)
    squares = (np.arange(256, dtype=np.float32)[:, None] - ground) ** 2  # of the distance, for each value of a channel
    distance = cv2.transform(cv2.LUT(lab, squares[:, None]), np.ones((1, 3), np.float32))
    apart = (distance > limit**2).astype(np.uint8) * 255
    return np.asarray(cv2.morphologyEx(apart, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))


def _lab(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)


def _without_holes(apart: np.ndarray) -> np.ndarray:
    outlines, _ = cv2.findContours(apart, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(np.zeros_like(apart), outlines, -1, 255, cv2.FILLED)


def _is_joined(outline: np.ndarray) -> bool:
    """Whether an outline is that of several rectangles: straight sides, right angles, corners that point inwards."""
    if cv2.contourArea(outline) < _JOINED_FROM * cv2.contourArea(cv2.convexHull(outline)):
        return False
    length = cv2.arcLength(outline, True)
    corners = cv2.approxPolyDP(outline, 0.01 * length, True)[:, 0].astype(np.float64)
    if not 6 <= len(corners) <= 14:
        return False
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    lengths = np.linalg.norm(before, axis=1)
    straight = lengths[lengths > 0.04 * length].sum() / lengths.sum()
    outwards = turns > 0 if (turns > 0).sum() > (turns < 0).sum() else turns < 0
    cosines = (before * after).sum(axis=1) / np.maximum(lengths * np.roll(lengths, -1), 1e-9)
    right_angles = int((np.abs(cosines[outwards]) < _NEARLY_RIGHT).sum())
    is_rectangular = right_angles >= _FEWEST_CORNERS and right_angles >= 0.8 * outwards.sum()
    return bool(straight > 0.85 and (~outwards).any() and is_rectangular)
