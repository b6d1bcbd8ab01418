"""Photographs that lie on one sheet: their rotated boxes."""

from dataclasses import dataclass

import cv2
import numpy as np

from tounum_tasks.page_flags.joined import is_joined_outline, share_in_common

_WORKED_ON = 700  # pixels of the longer side: enough for a box to be right within a pixel or two
_FRAME = 0.02  # of the shorter side: the outermost part of the sheet, where its ground is seen
_SEEN_OF_FRAME = 2_000  # pixels of it: enough to tell its colour
_EVEN_FROM = 0.7  # share of the frame that must look alike, or there is no ground to lie on
_FARTHEST, _NEAREST = 40.0, 14.0  # grey levels between the frame's middle colour and what is surely no ground
_FAINTEST = 1.0  # levels beyond the ground's own unevenness: white sky on white paper differs by no more
_LEVELS = (1.0, 2.0, 4.0)  # of the faintest difference: faint edges are seen first, and shadows fall away last
_BRUSH = np.ones((5, 5), np.uint8)  # pixels: lines are narrower
_SMALLEST_SHARE = 0.005  # of the sheet
_SMALL_SHARE = 0.02  # of the sheet: a smaller thing may be a stamp or a word, and must be a better rectangle
_SHORTEST = 36.0  # pixels: in less, nothing can be told
_LARGEST_SHARE = 0.9
_NARROWEST = 0.3  # width to length: lines of writing are narrower than photographs
_FILLED_FROM = 0.8  # share of a box that differs from the ground: photographs do nearly everywhere, writing does not
_RECTANGLE_FROM = 0.9  # share of its box that a thing fills whose four sides are seen
_WHOLE_FROM = 0.97  # likewise, of a thing that cannot be two which lie side by side
_MOST_ALIKE = 0.4  # share of a thing that has nearly the same grey: paper and drawn boxes have more, photographs less
_MOST_ALIKE_RECTANGLE = 0.8  # likewise, of a thing with four sides on a scan: much of a photograph may be sky or wall
_MOST_ALIKE_JOINED = 0.3  # likewise, of photographs that touch: drawings have steps, too
_MOST_ALIKE_JOINED_GRAINY = 0.55  # likewise, where that grey has the grain of a scan: one of them may be mostly sky
_MOST_FLAT = 0.15  # share of a thing that has the very same grey: bars of charts are flatter than sky
_MOST_SMOOTH = 0.24  # share of a thing's even part where neighbours are of one grey: in drawn boxes more are
_QUIET = 0.3  # levels: the ground of a page that was drawn, and not scanned, is more even
_FEWEST_GROUND = 0.3  # share of the sheet
_WRITING = 40.0  # levels from the ground: between lines of writing there is less, as narrow gaps
_GAP = np.ones((7, 7), np.uint8)  # pixels: the widest gap between close lines
_MOST_GAPS = 0.12  # share of a thing: writing has more
_MOST_GAPS_STRAIGHT = 0.2  # likewise, of a thing with straight sides: photographs have dark details on dark ground
_MOST_GROUND = (
    0.2  # share of a thing that looks like the ground: between lines of writing and of drawings there is more
)
_AROUND = 3  # pixels outside a side in which its edge is looked for
_MOVED_BY = 0.02  # of the length: as far inwards, so that a photograph's white border is not lost
_SMALLEST_JOINED = 0.08  # of the sheet: smaller steps are those of charts and tables


@dataclass(frozen=True)
class Sheet:
    """What lies on a sheet.

    Attributes:
        boxes: of the photographs, each four corners (x, y) in pixels of the picture that was looked at, clockwise.
        is_joined: whether some of them touch or overlap, so that one box may hold several.
    """

    boxes: tuple[tuple[tuple[float, float], ...], ...] = ()
    is_joined: bool = False


@dataclass(frozen=True)
class _Thing:
    """What differs from the ground: the smallest rotated rectangle around it, and the share of that which it fills."""

    box: np.ndarray
    filled: float
    is_joined: bool


def photographs_on(lab: np.ndarray, grey: np.ndarray) -> Sheet:
    """Return the photographs that lie on a sheet, uint8 HxWx3 in Lab and HxW, from the left above to the right below.

    What differs from the colour of the sheet's frame, fills its smallest rotated rectangle, and is varied within, is a
    photograph. It is looked for with several limits: where its own edge is nearly as light as the sheet, the lowest
    shows all of it; where it throws a shadow, or a stain lies beside it, the highest does. A sheet without an even
    frame has none: it is a photograph itself.
    """
    scale = min(_WORKED_ON / max(lab.shape[:2]), 1.0)
    if scale < 1:
        lab, grey = (cv2.resize(whole, None, fx=scale, fy=scale) for whole in (lab, grey))
    limits = _limits(cv2.GaussianBlur(lab, (5, 5), 1))
    if limits is None:
        return Sheet()
    departure, lowest = limits
    things = _things(departure, lowest, grey)
    chosen = _chosen([thing for thing in things if not thing.is_joined])
    is_joined = any(thing.is_joined and not _is_told(thing, chosen) for thing in things)
    found = [_fitted(thing.box, departure) / scale for thing in chosen]
    found.sort(key=lambda corners: corners[:, 1].mean() + corners[:, 0].mean())
    boxes = tuple(tuple((round(float(x), 1), round(float(y), 1)) for x, y in corners) for corners in found)
    return Sheet(boxes, is_joined)


def _chosen(things: list[_Thing]) -> list[_Thing]:
    """Of things that were found with several limits and lie on one another, the best rectangle; the first of equals."""
    chosen: list[_Thing] = []
    for thing in sorted(things, key=lambda thing: -min(thing.filled, _RECTANGLE_FROM)):
        if all(share_in_common(thing.box, other.box) < 0.1 for other in chosen):
            chosen.append(thing)
    return chosen


def _is_told(joined: _Thing, chosen: list[_Thing]) -> bool:
    """Whether boxes say already what photographs that seem to touch are: some apart, or one that was seen in part.

    Of the whole of that one, all four sides were seen with another limit: two that touch leave some of theirs empty.
    """
    on_it = [thing for thing in chosen if share_in_common(thing.box, joined.box) > 0.5]
    return len(on_it) > 1 or any(
        thing.filled >= _WHOLE_FROM and cv2.contourArea(thing.box) > 0.7 * cv2.contourArea(joined.box)
        for thing in on_it
    )


def _fitted(box: np.ndarray, departure: np.ndarray) -> np.ndarray:
    """A box, float32 4x2, whose sides lie where the difference to the ground rises most: shadows are left outside."""
    across, down = box[2] - box[1], box[0] - box[1]
    width, height = (max(float(np.linalg.norm(side)), 1.0) for side in (across, down))
    across, down = across / width, down / height
    origin = box[1] - _AROUND * (across + down)
    size = (round(width) + 2 * _AROUND, round(height) + 2 * _AROUND)
    place = np.array([[across[0], down[0], origin[0]], [across[1], down[1], origin[1]]])
    upright = cv2.warpAffine(departure, place, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP).sum(axis=2)
    inner = np.s_[size[1] // 8 : size[1] - size[1] // 8], np.s_[size[0] // 8 : size[0] - size[0] // 8]
    rows, columns = upright[:, inner[1]].mean(axis=1), upright[inner[0]].mean(axis=0)
    left, right = _rise(columns), width - _rise(columns[::-1])
    top, bottom = _rise(rows), height - _rise(rows[::-1])
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    return np.array([box[1] + x * across + y * down for x, y in corners], np.float32)


def _rise(profile: np.ndarray) -> float:
    """Where a profile that begins around a side rises most: pixels inwards of that side."""
    farthest = 2 * _AROUND + round(_MOVED_BY * len(profile))
    return float(np.diff(profile[:farthest]).argmax() + 0.5 - _AROUND)


def _things(departure: np.ndarray, lowest: np.ndarray, grey: np.ndarray) -> list[_Thing]:
    """What differs from the ground by more than one of the limits (lowest: float 3, in Lab), and may be photographs.

    What is large with a higher limit is part of something large with the lowest: without that, nothing is looked for.
    """
    is_scan = bool(lowest[0] > _QUIET + _FAINTEST)
    channels = cv2.split(departure)
    things: list[_Thing] = []
    for level in _LEVELS:
        limit = np.minimum(level * lowest, _FARTHEST)
        over = [
            cv2.threshold(channel, most, 255, cv2.THRESH_BINARY)[1]
            for channel, most in zip(channels, limit, strict=True)
        ]
        apart = cv2.morphologyEx(cv2.max(cv2.max(over[0], over[1]), over[2]), cv2.MORPH_OPEN, _BRUSH)
        outlines, _ = cv2.findContours(apart, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        large = [outline for outline in outlines if _is_large(outline, apart.size)]
        if not large:
            break
        is_faint = 2 * limit[0] < _WRITING
        found = (_thing(outline, apart, channels[0], grey, is_scan=is_scan, is_faint=is_faint) for outline in large)
        things += [thing for thing in found if thing is not None]
    return things


def _is_large(outline: np.ndarray, size: int) -> bool:
    """Whether a thing may be large enough, seen from its length and its upright box, which takes a moment only."""
    if len(outline) < 2 * (_SHORTEST - 1):
        return False
    _, _, width, height = cv2.boundingRect(outline)
    return min(width, height) >= _SHORTEST and width * height >= _SMALLEST_SHARE * size


def _thing(
    outline: np.ndarray, apart: np.ndarray, lightness: np.ndarray, grey: np.ndarray, *, is_scan: bool, is_faint: bool
) -> _Thing | None:
    """What lies within an outline, if it may be a photograph or several.

    Args:
        lightness: by how much each pixel differs from the ground in it.
        is_faint: whether the limit was so low that gaps between lines of writing belong to what is apart. With higher
            ones a photograph's sky is taken for ground, and its outline has steps: so none is seen to be joined.
    """
    if _touches_edge(outline, apart.shape):
        return None
    rectangle = cv2.minAreaRect(outline)
    area = rectangle[1][0] * rectangle[1][1]
    share = area / apart.size
    shortest = max(_SHORTEST, _NARROWEST * max(rectangle[1]))
    if not _SMALLEST_SHARE <= share <= _LARGEST_SHARE or min(rectangle[1]) < shortest:
        return None
    filled = cv2.contourArea(outline) / area
    if share < _SMALL_SHARE and filled < _RECTANGLE_FROM:
        return None
    is_joined = is_faint and share >= _SMALLEST_JOINED and filled < _WHOLE_FROM and is_joined_outline(outline)
    if not is_joined and filled < _FILLED_FROM:
        return None
    left, top, width, height = cv2.boundingRect(outline)
    here = np.s_[top : top + height, left : left + width]
    inside = cv2.drawContours(np.zeros((height, width), np.uint8), [outline - (left, top)], -1, 255, cv2.FILLED)
    pixels = cv2.countNonZero(inside)
    if cv2.countNonZero(cv2.bitwise_and(apart[here], inside)) < (1 - _MOST_GROUND) * pixels:
        return None
    is_even = is_scan and (is_joined or (share >= _SMALL_SHARE and filled >= _RECTANGLE_FROM))
    if not _is_varied(grey[here], inside, is_even=is_even, is_joined=is_joined):
        return None
    is_straight = is_joined or (share >= _SMALL_SHARE and filled >= _WHOLE_FROM)
    most_gaps = _MOST_GAPS_STRAIGHT if is_straight else _MOST_GAPS
    if is_faint and _share_of_gaps(lightness[here], inside) > most_gaps:
        return None
    return _Thing(cv2.boxPoints(rectangle), filled, is_joined)


def _is_varied(grey: np.ndarray, inside: np.ndarray, *, is_even: bool, is_joined: bool) -> bool:
    """Whether a thing has many greys.

    Args:
        is_even: whether it is on a scan, and its sides are seen: much of it may then be even, but for its grain.
    """
    histogram = cv2.calcHist([grey], [0], inside, [256], [0, 256]).ravel()
    histogram = histogram / histogram.sum()
    near = np.convolve(histogram, np.ones(9), "same")
    alike, middle = float(near.max()), int(near.argmax())
    if is_joined and alike <= _MOST_ALIKE_JOINED:
        return True
    if not is_joined and alike <= _MOST_ALIKE:
        return bool(histogram.max() <= _MOST_FLAT) or _is_grainy(grey, inside, middle)
    most_alike = _MOST_ALIKE_JOINED_GRAINY if is_joined else _MOST_ALIKE_RECTANGLE
    return is_even and alike <= most_alike and _is_grainy(grey, inside, middle)


def _is_grainy(grey: np.ndarray, inside: np.ndarray, middle: int) -> bool:
    """Whether the part of a thing that is nearly of one grey, its middle, changes from pixel to pixel, as scans do."""
    here = grey[:-1, :-1]
    even = (cv2.absdiff(here, np.full_like(here, middle)) <= 4) & (inside[:-1, :-1] > 0)
    smooth = (here == grey[:-1, 1:]) & (here == grey[1:, :-1])
    return bool(smooth[even].mean() <= _MOST_SMOOTH)


def _share_of_gaps(lightness: np.ndarray, inside: np.ndarray) -> float:
    """The share of a thing that is light as the ground, and narrow: between lines and letters."""
    ground = cv2.bitwise_and(cv2.threshold(lightness, _WRITING - 1, 255, cv2.THRESH_BINARY_INV)[1], inside)
    wide = cv2.morphologyEx(ground, cv2.MORPH_OPEN, _GAP)
    return (cv2.countNonZero(ground) - cv2.countNonZero(wide)) / cv2.countNonZero(inside)


def _touches_edge(outline: np.ndarray, shape: tuple[int, ...]) -> bool:
    left, top, width, height = cv2.boundingRect(outline)
    return left <= 1 or top <= 1 or left + width >= shape[1] - 1 or top + height >= shape[0] - 1


def _limits(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """How far each pixel is from its ground, and by how much ground itself may be: both in Lab; None: no even ground.

    The ground is a smooth surface through what looks like the frame of the sheet: paper yellows unevenly, and scanners
    light it so.
    """
    depth = max(round(_FRAME * min(lab.shape[:2])), 2)
    sides = (lab[:depth], lab[-depth:], lab[:, :depth], lab[:, -depth:])
    frame = np.concatenate([side.reshape(-1, 3) for side in sides]).astype(np.float32)
    frame = frame[:: max(len(frame) // _SEEN_OF_FRAME, 1)]
    middle = np.median(frame, axis=0)
    departures = np.linalg.norm(frame - middle, axis=1)
    limit = float(np.clip(1.5 * np.percentile(departures, 90), _NEAREST, _FARTHEST))
    if (departures < limit / 1.4).mean() < _EVEN_FROM:
        return None
    step = max(max(lab.shape[:2]) // 40, 1)
    seen = lab[::step, ::step].astype(np.float32)
    terms = _terms(*seen.shape[:2])
    is_ground = np.linalg.norm(seen - middle, axis=2) < limit
    for _ in range(3):
        _, surface = cv2.solve(terms[is_ground], seen[is_ground], flags=cv2.DECOMP_NORMAL | cv2.DECOMP_CHOLESKY)
        left = np.abs(seen - terms @ surface)
        spread = np.median(left[is_ground], axis=0)
        is_ground &= (left <= 4 * spread + 1).all(axis=2)
    if is_ground.mean() < _FEWEST_GROUND:
        return None
    ground = (terms @ surface).astype(np.float32)
    uneven = np.percentile(left[is_ground], 95, axis=0)
    whole = cv2.resize(np.clip(ground, 0, 255).round().astype(np.uint8), lab.shape[1::-1])
    return cv2.absdiff(lab, whole), 1.5 * uneven + _FAINTEST


def _terms(height: int, width: int) -> np.ndarray:
    """The terms of a surface of the second order, float32 HxWx6."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
