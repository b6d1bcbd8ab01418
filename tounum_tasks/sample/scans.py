"""Scans as hurried people make them: crooked, sideways, in a black border, empty, an album, film."""

import cv2
import numpy as np

from tounum_tasks.sample import photos, texts
from tounum_tasks.sample.texts import Pixels

_HOLE, _HOLES_APART = (1.98, 2.8), 4.75  # millimetres of 35 mm film (ISO 1007)


def as_scanned() -> dict[str, Pixels]:
    """Return pages by their names, each uint8 HxWx3."""
    return {
        "crooked": texts.scanned(texts.letter(), 2, skew_degrees=-3.0),
        "sideways": np.ascontiguousarray(np.rot90(texts.scanned(texts.article(), 3, skew_degrees=0.3))),
        "bordered": _in_border(texts.scanned(texts.inventory(), 4, skew_degrees=0)),
        "album": _album(),
        "white back": _paper((252, 252, 250), 5),
        "aged back": _aged(_paper((216, 198, 156), 6)),
    }


def negative(positive: Pixels) -> Pixels:
    """Return a frame of colour negative film, uint8 HxWx3, with its orange mask and holes along both of its sides."""
    frame = cv2.resize(positive, (720, 480), interpolation=cv2.INTER_AREA)
    millimetre = frame.shape[0] / 24
    film = np.empty((round(35 * millimetre), 800, 3), np.uint8)
    film[:] = (236, 152, 92)
    top = (len(film) - len(frame)) // 2
    film[top : top + len(frame), 40:760] = (255 - frame) * np.array([0.92, 0.6, 0.36])
    width, height = (round(side * millimetre) for side in _HOLE)
    for left in np.arange(18, film.shape[1] - width, _HOLES_APART * millimetre).astype(int):
        for upper in (round(1.5 * millimetre), len(film) - round(1.5 * millimetre) - height):
            film[upper : upper + height, left : left + width] = 253
    return film


def _paper(colour: tuple[int, int, int], seed: int) -> Pixels:
    """An empty page of A4 at 75 dpi, with the noise of a scanner."""
    noise = np.random.default_rng(seed).normal(0, 2, (877, 620, 1))
    return np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)


def _aged(page: Pixels) -> Pixels:
    """The page with stains that have soft edges."""
    stains = np.random.default_rng(7).random((6, 5)).astype(np.float32)
    soft = cv2.resize(stains, page.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(page - 24 * soft[..., None], 0, 255).astype(np.uint8)


def _in_border(page: Pixels) -> Pixels:
    """The page on the black ground of an open scanner."""
    height, width = page.shape[:2]
    glass = np.full((height + 150, width + 180, 3), (16, 16, 18), np.uint8)
    glass[60 : 60 + height, 110 : 110 + width] = page
    return glass


def _album() -> Pixels:
    """A page of an album with three photographs that lie apart, each a little turned."""
    sheet = np.full((1_400, 1_000, 3), (244, 241, 232), np.uint8)
    shown = photos.photographs()
    for name, centre, degrees in (("astronaut", (270, 330), 3), ("coffee", (700, 690), -4), ("cat", (300, 1_080), 2)):
        photograph = shown[name]
        height, width = photograph.shape[:2]
        scale = 420 / max(height, width)
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
        turn[:, 2] += np.array(centre) - (width / 2, height / 2)
        laid = cv2.warpAffine(photograph, turn, sheet.shape[1::-1], flags=cv2.INTER_AREA)
        mask = cv2.warpAffine(np.full((height, width), 255, np.uint8), turn, sheet.shape[1::-1])
        sheet[mask > 127] = laid[mask > 127]
    return sheet
