"""Film that is a negative, told by what surrounds the picture: its holes on a light base, or the orange mask of colour
negatives. What the picture itself looks like proves nothing, and is not asked."""

import cv2
import numpy as np

from tounum_tasks.page_flags.colours import distances

_BAND = 0.22  # of the depth of the picture, from a side: where holes lie
_LEAST_BRIGHT, _MOST_BRIGHT = 0.01, 0.6  # share of a band that its holes may be; most of paper is brighter
_FEWEST_HOLES = 5
_LIGHT_FROM = 235  # grey level of a hole, through which the lamp shines
_FILLED_FROM = 0.75  # of its box, by a hole with round corners
_MOST_UNLIKE = 0.2  # of its median, that sizes of holes may differ
_MOST_UNEVEN = 0.15  # of their distance, that places of holes may differ
_WIDEST = 0.7  # of their distance, that holes take; cells of a table take nearly all of it
_BASE_FROM = 80.0  # lightness of clear film beside the holes, 0 to 255; that of positives is black
_ORANGE = (138.0, 150.0)  # Lab, green to red and blue to yellow: from here on film base is masked
_EVEN = 14.0  # distance in Lab within which base looks alike
_MOSTLY, _FEWEST_PIXELS = (
    0.6,
    20,
)  # share of what surrounds holes that is base, where letters stand in it, and its least
_REBATE = 0.02  # of the shorter side: the outermost part of a frame without holes
_EVEN_FROM = 0.9
_VIVID = (160.0, 144.0)  # lightness and red in Lab: no wood or cardboard is so light and so red
_LIGHTER_BY = 50  # RGB levels above clear film, which nothing on it is lighter than, whatever the scanner made of it
_FEWEST_LIGHTER = 0.01  # share of a picture from which its ground is no film, but wood, cardboard, or a toned mount


def film_evidence(lab: np.ndarray) -> str:
    """Return what says that a picture, uint8 HxWx3 in Lab, is a scan of negative film; an empty text if nothing."""
    for turned in (lab, lab[::-1], lab.transpose(1, 0, 2), lab[:, ::-1].transpose(1, 0, 2)):
        band = turned[: max(round(_BAND * turned.shape[0]), 8)]
        base = _base_beside_holes(band)
        if base is not None and base[0] >= _BASE_FROM:
            return "the holes of film lie on its clear base" if not _is_orange(base) else "its film has an orange mask"
    return "its film has an orange mask" if _has_orange_rebate(lab) else ""


def _base_beside_holes(band: np.ndarray) -> np.ndarray | None:
    """The colour of film around a row of holes in a band, uint8 HxWx3 in Lab; None without such a row."""
    bright = np.ascontiguousarray(band[..., 0] >= _LIGHT_FROM).astype(np.uint8)
    if not _LEAST_BRIGHT <= bright.mean() <= _MOST_BRIGHT:
        return None
    _, _, stats, centres = cv2.connectedComponentsWithStats(bright, connectivity=4)
    stats, centres = stats[1:], centres[1:]
    boxes = stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    rims = np.minimum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    like_holes = (stats[:, cv2.CC_STAT_AREA] >= _FILLED_FROM * boxes) & (rims >= 4) & (boxes < 0.02 * bright.size)
    stats, centres = stats[like_holes], centres[like_holes]
    if len(stats) < _FEWEST_HOLES:
        return None
    sizes = stats[:, cv2.CC_STAT_AREA]
    alike = np.abs(sizes - np.median(sizes)) <= _MOST_UNLIKE * np.median(sizes)
    if alike.sum() < _FEWEST_HOLES:
        return None
    height = np.median(stats[alike, cv2.CC_STAT_HEIGHT])
    alike &= np.abs(centres[:, 1] - np.median(centres[alike, 1])) <= 0.5 * height
    places = np.sort(centres[alike, 0])
    if len(places) < _FEWEST_HOLES:
        return None
    gaps = np.diff(places)
    even = np.abs(gaps - np.median(gaps)) <= _MOST_UNEVEN * np.median(gaps)
    is_row = even.sum() >= _FEWEST_HOLES - 1 and even.mean() >= 0.8
    is_long = places[-1] - places[0] >= 0.5 * band.shape[1]
    is_apart = np.median(stats[alike, cv2.CC_STAT_WIDTH]) <= _WIDEST * np.median(gaps)
    if not (is_row and is_long and is_apart):
        return None
    row = slice(int(stats[alike, cv2.CC_STAT_TOP].min()), int(np.median(centres[alike, 1]) + height / 2) + 1)
    around = band[row].reshape(-1, 3)
    around = around[around[:, 0] < _LIGHT_FROM - 25].astype(np.float32)
    if len(around) < _FEWEST_PIXELS:
        return None
    base = np.median(around, axis=0)
    is_even = (distances(around, base) <= _EVEN).mean() >= _MOSTLY
    return np.asarray(base) if is_even else None


def _has_orange_rebate(lab: np.ndarray) -> bool:
    """Whether two opposite sides of a picture, uint8 HxWx3 in Lab, are even, light and orange, as masked film is.

    Wood, cardboard and toned mounts are brown or darker. So is some film; nothing on that is lighter than its base.
    """
    depth = max(round(_REBATE * min(lab.shape[:2])), 2)
    for sides in ((lab[:depth], lab[-depth:]), (lab[:, :depth], lab[:, -depth:])):
        if all(map(_is_masked, sides)):
            film = np.concatenate(sides)
            base = np.median(film.reshape(-1, 3), axis=0)
            return bool(base[0] >= _VIVID[0] and base[1] >= _VIVID[1]) or not _has_lighter(lab, film)
    return False


def _has_lighter(lab: np.ndarray, film: np.ndarray) -> bool:
    """Whether more than specks of a picture, uint8 HxWx3 in Lab, are lighter than film in one of red, green and blue;
    the lamp itself, which shines beside it, does not count."""
    rgb = cv2.cvtColor(np.ascontiguousarray(lab[::4, ::4]), cv2.COLOR_LAB2RGB).astype(np.int16)
    clear = np.median(cv2.cvtColor(np.ascontiguousarray(film), cv2.COLOR_LAB2RGB).reshape(-1, 3), axis=0)
    lighter = (rgb > clear + _LIGHTER_BY).any(axis=2) & (rgb.min(axis=2) < _LIGHT_FROM)
    return bool(lighter.mean() > _FEWEST_LIGHTER)


def _is_masked(side: np.ndarray) -> bool:
    """Whether a side, uint8 HxWx3 in Lab, is even, light and orange."""
    channels = np.ascontiguousarray(side.reshape(-1, 3).T)
    base = np.median(channels, axis=1)
    if base[0] < _BASE_FROM or not _is_orange(base):
        return False
    return bool((distances(side, base.astype(np.float32)) <= _EVEN).mean() >= _EVEN_FROM)


def _is_orange(base: np.ndarray) -> bool:
    return bool(base[1] >= _ORANGE[0] and base[2] >= _ORANGE[1])
