"""What was found on a page, as shapes over its picture: the box of its content, and the photographs that lie on it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outline:
    """A shape in pixels of the upright page.

    Attributes:
        points: its corners, as SVG's polygons have them.
        width: of what lies in it, once it is turned straight.
        height: likewise.
        straight: the transformation of SVG that lays its upper left corner at 0, 0 and its sides level.
    """

    points: str
    width: float
    height: float
    straight: str


def content_of(row: dict[str, Any]) -> Outline | None:
    """Return what a border surrounds, None without one."""
    if not row.get("content_box"):
        return None
    left, top, right, bottom = row["content_box"]
    return _outline([(left, top), (right, top), (right, bottom), (left, bottom)])


def photographs_of(row: dict[str, Any]) -> list[Outline]:
    """Return the photographs of a sheet with several, in the order of its row."""
    boxes = row.get("photo_boxes") or ()
    return [_outline(list(zip(box[::2], box[1::2], strict=True))) for box in boxes]


def _outline(corners: Sequence[tuple[float, float]]) -> Outline:
    """The shape of four corners, clockwise: its upper side is the one that is least turned."""
    following = [*corners[1:], corners[0]]
    sides = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in zip(corners, following, strict=True)]
    angles = [math.degrees(math.atan2(down, right)) for right, down in sides]
    upper = min(range(4), key=lambda side: abs(angles[side]))
    x, y = corners[upper]
    return Outline(
        " ".join(f"{x:g},{y:g}" for x, y in corners),
        math.hypot(*sides[upper]),
        math.hypot(*sides[(upper + 1) % 4]),
        f"rotate({-angles[upper]:.3f}) translate({-x:g} {-y:g})",
    )
