"""What a page looks like to a person: told, never changed. Names and meanings: docs/page_flags.md."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.page_flags.blank import MARKED_BELOW, marked_share
from tounum_tasks.page_flags.border import Border, border_of
from tounum_tasks.page_flags.flags import BLANK, PageFlag
from tounum_tasks.page_flags.negative import film_evidence
from tounum_tasks.page_flags.reduced import reduced
from tounum_tasks.page_flags.several import Sheet, photographs_on
from tounum_tasks.page_flags.sideways import SURE_FROM, Turn, turn_of
from tounum_tasks.page_flags.skew import ink_of, is_paper, lines_of

SMALLEST_SIDE = 64
"""Pixels; nothing is told of smaller images."""

SKEWED_FROM = 0.5
"""Degrees: readers notice a page that is turned by more."""

LINES_WHOLE_UP_TO = 1_600
"""Pixels of the longer side: lines of such pages are looked at as they are, for half of their letters is too little."""

PHOTOSTAT_BELOW = 64
"""Grey level of a page's ground: what is so dark is looked at as a negative copy, whose writing is light."""

SEVERAL_FROM = 2
"""Photographs on a sheet."""

BORDERED_FROM = 0.005
"""Share of the picture that is border."""


@dataclass(frozen=True)
class PageLook:
    """What was found on a page.

    Attributes:
        flags: in the order of docs/page_flags.md.
        skew_degrees: how far its lines are turned clockwise; None if it has no lines that are sure.
        turn_degrees: by which it has to be turned clockwise to stand upright: 90, 180 or 270; None if that is not sure.
        content_box: left, top, right and bottom of what a border surrounds, in the page's pixels; None without one.
        photo_boxes: of the photographs on a sheet with several: x and y of four corners, clockwise, in its pixels.
    """

    flags: tuple[PageFlag, ...] = ()
    skew_degrees: float | None = None
    turn_degrees: int | None = None
    content_box: tuple[int, int, int, int] | None = None
    photo_boxes: tuple[tuple[float, ...], ...] = ()


def look_at(rgb: NDArray[np.uint8]) -> PageLook:
    """Return what is remarkable about a page, uint8 HxWx3 RGB, upright as its file says."""
    if min(rgb.shape[:2]) < SMALLEST_SIDE:
        return PageLook()
    small, factor = reduced(rgb)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    border = border_of(lab)
    if border and border.share < BORDERED_FROM:
        border = None
    bordered, content_box = _bordered(border), _content_box(border, factor, rgb.shape) if border else None
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    marked = marked_share(_inside(grey, border))
    if marked < MARKED_BELOW:
        blank = PageFlag(BLANK, round(marked, 6), MARKED_BELOW, f"{marked:.3%} of it is marked")
        return PageLook((*bordered, blank), content_box=content_box)
    degrees, turn = _lines(grey if max(rgb.shape) > LINES_WHOLE_UP_TO else cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    sheet = photographs_on(lab, grey)
    boxes = tuple(tuple(factor * place for corner in box for place in corner) for box in sheet.boxes)
    several = _several(sheet)
    return PageLook(
        (*bordered, *_skewed(degrees), *_sideways(turn), *several, *_negative(lab)),
        degrees,
        turn.degrees if turn else None,
        content_box,
        boxes if several else (),
    )


def _inside(grey: np.ndarray, border: Border | None) -> np.ndarray:
    """What a border surrounds."""
    if border is None:
        return grey
    left, top, right, bottom = border.box
    return grey[top:bottom, left:right]


def _lines(grey: np.ndarray) -> tuple[float | None, Turn | None]:
    """How far the lines of a page, uint8 HxW, are turned clockwise, and how it has to be turned; None: not sure."""
    if np.median(grey[::4, ::4]) < PHOTOSTAT_BELOW:
        grey = 255 - grey
    if not is_paper(grey):
        return None, None
    ink = ink_of(grey)
    lines = lines_of(ink)
    return round(lines.degrees, 3) if lines.are_sure else None, turn_of(ink, lines)


def _content_box(border: Border, factor: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The box in pixels of the page; a side without border reaches its edge, whatever the copy left out there."""
    left, top, right, bottom = (factor * place for place in border.box)
    height, width = shape[:2]
    return (
        left,
        top,
        right if "right" in border.sides else width,
        bottom if "bottom" in border.sides else height,
    )


def _bordered(border: Border | None) -> tuple[PageFlag, ...]:
    if border is None:
        return ()
    reason = f"a border is at its {' and '.join(border.sides)}"
    return (PageFlag("border", round(border.share, 4), BORDERED_FROM, reason),)


def _negative(lab: np.ndarray) -> tuple[PageFlag, ...]:
    evidence = film_evidence(lab)
    return (PageFlag("negative", 1.0, 1.0, evidence),) if evidence else ()


def _several(sheet: Sheet) -> tuple[PageFlag, ...]:
    count = len(sheet.boxes)
    if sheet.is_joined:
        return (PageFlag("several", max(count, SEVERAL_FROM), SEVERAL_FROM, "photographs touch or overlap"),)
    if count < SEVERAL_FROM:
        return ()
    return (PageFlag("several", count, SEVERAL_FROM, f"{count} photographs lie apart on it"),)


def _skewed(degrees: float | None) -> tuple[PageFlag, ...]:
    if degrees is None or abs(degrees) < SKEWED_FROM:
        return ()
    direction = "clockwise" if degrees > 0 else "counter-clockwise"
    return (PageFlag("skewed", degrees, SKEWED_FROM, f"its lines are turned {abs(degrees):.2f} degrees {direction}"),)


def _sideways(turn: Turn | None) -> tuple[PageFlag, ...]:
    if turn is None:
        return ()
    what = "its lines are upside down" if turn.degrees == 180 else "its lines run up or down"
    reason = f"{what}: turned by {turn.degrees} degrees clockwise it stands upright"
    return (PageFlag("sideways", round(turn.evidence, 3), SURE_FROM, reason),)
