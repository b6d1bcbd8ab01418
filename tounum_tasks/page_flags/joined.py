"""Outlines of photographs that touch or overlap."""

import itertools

import cv2
import numpy as np

_NEARLY_RIGHT = 0.22  # cosine of the angle: 13 degrees beside a right one
_NEARLY_RIGHT_INWARDS = 0.45  # likewise, where one photograph is turned against the other: 27 degrees
_COARSENESS = (0.005, 0.01, 0.02, 0.03)  # of the outline's length: small steps are seen first, dents fall away last
_STRAIGHT_FROM = 0.88  # share of the outline that is long sides
_FEWEST_CORNERS = 5  # that point outwards, of two rectangles that touch
_MOST_DENTS = 6  # the deepest ones: photographs that touch leave two
_SHALLOWEST = 2.5  # pixels
_SMALLEST_PART = 0.15  # of what is cut in two
_PARTS_FILLED_FROM = 0.955  # share of their boxes that both parts fill
_PARTS_BETTER_BY = 0.015  # by how much more that is than what the whole fills of its own
_MOST_COMMON = 0.5  # share of the smaller box that lies on the other one
_JOINED_FROM = 0.72  # share of their hull that rectangles which touch fill


def share_in_common(box: np.ndarray, other: np.ndarray) -> float:
    """Return what two boxes, float32 4x2, have in common, as a share of the smaller one."""
    area = cv2.intersectConvexConvex(box, other)[0]
    return float(area / min(cv2.contourArea(box), cv2.contourArea(other)))


def is_joined_outline(outline: np.ndarray) -> bool:
    """Return whether an outline, int32 Nx1x2, is that of rectangles that touch or overlap.

    It is that of two, or it has straight sides, right angles, and corners that point inwards.
    """
    if cv2.contourArea(outline) < _JOINED_FROM * cv2.contourArea(cv2.convexHull(outline)):
        return False
    return any(_is_stepped(outline, coarseness) for coarseness in _COARSENESS) or _is_two_rectangles(outline)


def _is_two_rectangles(outline: np.ndarray) -> bool:
    """Whether an outline is that of two rectangles, which lie to either side of a line from one dent to another."""
    # In the order of the outline, as OpenCV demands: where an outline meets itself, its hull comes in another one.
    hull = np.sort(cv2.convexHull(outline, returnPoints=False), axis=0)
    dents = cv2.convexityDefects(outline, hull)
    if dents is None:
        return False
    deepest = sorted(dents.reshape(-1, 4).tolist(), key=lambda dent: -dent[3])[:_MOST_DENTS]
    places = sorted(place for _, _, place, depth in deepest if depth > _SHALLOWEST * 256)
    area = cv2.contourArea(outline)
    whole = cv2.contourArea(_box(outline))
    for first, second in itertools.combinations(places, 2):
        parts = (outline[first : second + 1], np.concatenate([outline[second:], outline[: first + 1]]))
        if min(map(cv2.contourArea, parts)) < _SMALLEST_PART * area:
            continue
        boxes = [_box(part) for part in parts]
        common = share_in_common(*boxes)
        covered = sum(map(cv2.contourArea, boxes)) - common * min(map(cv2.contourArea, boxes))
        least = max(_PARTS_FILLED_FROM, area / whole + _PARTS_BETTER_BY)
        if common < _MOST_COMMON and area / covered >= least:
            return True
    return False


def _box(outline: np.ndarray) -> np.ndarray:
    """The smallest rotated rectangle around an outline, float32 4x2."""
    return cv2.boxPoints(cv2.minAreaRect(outline))


def _is_stepped(outline: np.ndarray, coarseness: float) -> bool:
    """Whether the polygon that stays within a share of an outline's length has the corners of several rectangles."""
    length = cv2.arcLength(outline, True)
    corners = cv2.approxPolyDP(outline, coarseness * length, True)[:, 0].astype(np.float64)
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
    inwards = np.abs(cosines[~outwards])
    is_clear = len(inwards) > 0 and inwards.max() < _NEARLY_RIGHT_INWARDS
    return bool(straight > _STRAIGHT_FROM and is_clear and is_rectangular)
