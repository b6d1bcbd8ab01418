"""Pages that are drawn, so that what is on them is known."""

from functools import cache

import cv2
import numpy as np

from tounum_tasks.sample import texts

EMPTY = ("white", "aged", "show-through", "black")


def written(rng: np.random.Generator, height: int) -> np.ndarray:
    """Return a straight page of text from a scanner, uint8 HxWx3."""
    scan = _scan(int(rng.integers(1, 61)))
    size = (round(height * scan.shape[1] / scan.shape[0]), height)
    is_smaller = height < scan.shape[0]
    return cv2.resize(scan, size, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)


def prose(rng: np.random.Generator, height: int) -> np.ndarray:
    """Return a page of running text from a scanner, uint8 HxWx3, turned by at most two degrees."""
    number = int(rng.integers(1, 61))
    page = texts.article(number) if number % 2 else texts.letter()
    scan = texts.scanned(page, number, skew_degrees=float(rng.uniform(-2, 2)))
    return cv2.resize(scan, (round(height * scan.shape[1] / scan.shape[0]), height), interpolation=cv2.INTER_AREA)


@cache
def _scan(number: int) -> np.ndarray:
    """One of many pages at 150 dpi."""
    draw = (texts.article, texts.inventory)[number % 2]
    return texts.scanned(draw(number), number, skew_degrees=0)


def turned(page: np.ndarray, degrees: float) -> np.ndarray:
    """Return a page turned clockwise about its middle; its outermost pixels go on where nothing would be."""
    height, width = page.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    return cv2.warpAffine(page, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def empty(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return an empty page of one of the kinds of :data:`EMPTY`, with a scanner's noise, dust and shadow."""
    height = int(rng.integers(600, 2_400))
    width = round(height / rng.uniform(1.2, 1.6))
    colours = {
        "white": (252, 252, 250),
        "aged": (222, 202, 158),
        "show-through": (240, 235, 222),
        "black": (14, 13, 15),
    }
    page = np.full((height, width, 3), colours[kind], np.float32) + rng.normal(0, 4, 3)
    if kind == "aged":
        page -= 30 * _clouds(rng, height, width)[..., None]
    if kind == "show-through":
        back = cv2.resize(written(rng, height)[:, ::-1], (width, height)).astype(np.float32)
        soft = cv2.GaussianBlur(back, (0, 0), height / rng.uniform(600, 900))
        page += rng.uniform(0.03, 0.08) * (soft - np.median(soft))
    if kind != "black":
        page -= 40 * np.exp(-np.arange(width, dtype=np.float32) / 30)[None, :, None]
    for _ in range(int(rng.integers(0, 40))):
        cv2.circle(page, (int(rng.integers(width)), int(rng.integers(height))), 1, (120, 118, 115), -1)
    page += rng.normal(0, rng.uniform(0.5, 4), (height, width, 1))
    return np.clip(page, 0, 255).astype(np.uint8)


def one_line(rng: np.random.Generator) -> np.ndarray:
    """Return an otherwise empty page with one line of handwriting-like text, in ink or pencil."""
    page = empty(rng, ("white", "aged", "show-through")[int(rng.integers(3))]).copy()
    height, width = page.shape[:2]
    place = (int(width * rng.uniform(0.1, 0.3)), int(height * rng.uniform(0.1, 0.9)))
    ink = int(rng.integers(30, 130))
    font = cv2.FONT_HERSHEY_SCRIPT_SIMPLEX
    cv2.putText(
        page, "for the archive", place, font, height / 1_400, (ink, ink, ink), max(height // 700, 1), cv2.LINE_AA
    )
    return page


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stains with soft edges, float32 HxW, 0 to 1."""
    coarse = rng.random((6, 5)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


GROUNDS = ("white", "black", "textured")


def album(
    rng: np.random.Generator, photographs: list[np.ndarray], ground: str, *, overlap: bool = False
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a sheet, uint8 1400 x 1000 x 3, with one to four photographs on it, and corners, float32 4x2 each.

    Photographs lie apart, each in a quarter of the sheet, turned by up to ten degrees; with ``overlap`` the second one
    lies partly on the first.
    """
    sheet = _ground(rng, ground)
    corners: list[np.ndarray] = []
    for place, photograph in enumerate(photographs):
        centre = np.array([250 + 500 * (place % 2), 350 + 700 * (place // 2)]) + rng.uniform(-12, 12, 2)
        width = 340.0
        height = width * photograph.shape[0] / photograph.shape[1]
        if height > 500:
            width, height = width * 500 / height, 500.0
        if overlap and place == 1:
            centre = corners[0].mean(axis=0) + np.array([0.8 * width, rng.uniform(0.2, 0.5) * height])
        corners.append(_lay(sheet, photograph, centre, (width, height), float(rng.uniform(-10, 10))))
    return _scanned(rng, sheet), corners


def touching(rng: np.random.Generator, first: np.ndarray, second: np.ndarray, ground: str) -> np.ndarray:
    """Return a sheet, uint8 1400 x 1000 x 3, with two photographs whose sides touch.

    The second one is smaller, or turned against the first by three to eight degrees.
    """
    sheet = _ground(rng, ground)
    degrees, is_smaller = float(rng.uniform(-8, 8)), bool(rng.random() < 0.5)
    width = 340 * float(rng.uniform(0.6, 0.9)) if is_smaller else 340.0
    askew = 0.0 if is_smaller else float(rng.uniform(3, 8) * rng.choice([-1, 1]))
    along = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    centre = np.array([280, 600]) + rng.uniform(-20, 20, 2)
    heights = [min(side * photo.shape[0] / photo.shape[1], 480) for side, photo in ((340, first), (width, second))]
    _lay(sheet, first, centre, (340, heights[0]), degrees)
    _lay(sheet, second, centre + (169 + width / 2) * along, (width, heights[1]), degrees + askew)
    return _scanned(rng, sheet)


def _lay(
    sheet: np.ndarray, photograph: np.ndarray, centre: np.ndarray, size: tuple[float, float], degrees: float
) -> np.ndarray:
    """Lay a photograph on a sheet, turned clockwise; return its corners, float32 4x2."""
    box = cv2.boxPoints((tuple(centre), size, degrees)).astype(np.float32)
    source = np.array([[0, photograph.shape[0]], [0, 0], [photograph.shape[1], 0]], np.float32)
    turn = cv2.getAffineTransform(source, box[:3])
    laid = cv2.warpAffine(photograph, turn, (1_000, 1_400), flags=cv2.INTER_AREA)
    mask = cv2.fillConvexPoly(np.zeros((1_400, 1_000), np.uint8), box.round().astype(np.int32), 1, cv2.LINE_8)
    sheet[mask > 0] = laid[mask > 0]
    return box


def _scanned(rng: np.random.Generator, sheet: np.ndarray) -> np.ndarray:
    """A sheet, uint8 HxWx3, with the noise of a scanner."""
    noisy = sheet + rng.normal(0, 2, sheet.shape[:2])[..., None]
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _ground(rng: np.random.Generator, kind: str) -> np.ndarray:
    """An empty sheet, float32 1400 x 1000 x 3."""
    colour = {"white": (248, 247, 243), "black": (22, 21, 23), "textured": (104, 84, 62)}[kind]
    sheet = np.full((1_400, 1_000, 3), colour, np.float32)
    if kind == "textured":
        fibres = cv2.GaussianBlur(rng.normal(0, 1, (1_400, 1_000)), (0, 0), 0.8)
        sheet += (9 * fibres / fibres.std() + 14 * (_clouds(rng, 1_400, 1_000) - 0.5))[..., None]
    return sheet


FILM = ("colour negative", "colour negative without holes", "grey negative", "slide")


def film(rng: np.random.Generator, picture: np.ndarray, kind: str) -> np.ndarray:
    """Draw a frame of 35 mm film with its holes (ISO 1007: 4.75 mm apart), uint8 HxWx3, as a scanner sees it."""
    length = int(rng.integers(500, 1_200))
    millimetre = length / 36
    height = round(24 * millimetre)
    seen = cv2.resize(picture, (length, height)).astype(np.float32)
    if kind == "slide":
        base = np.full(3, rng.uniform(5, 30))
    elif kind == "grey negative":
        seen = np.repeat(20 + 0.75 * (255 - seen).mean(axis=2, keepdims=True), 3, axis=2)
        base = np.full(3, rng.uniform(150, 215))
    else:
        seen = (255 - seen) * (0.95, 0.72, 0.5) + (10, 5, 0)
        base = np.array([235, 150, 90]) + rng.normal(0, 8, 3)
    sheet = np.ones((round(35 * millimetre), round(1.12 * length), 3)) * base
    top, left = (sheet.shape[0] - height) // 2, (sheet.shape[1] - length) // 2
    sheet[top : top + height, left : left + length] = seen
    if kind == "colour negative without holes":
        sheet = sheet[top - round(0.05 * height) : top + round(1.05 * height)]
    else:
        _punch(sheet, millimetre, rng.uniform(0, 4.75))
    sheet += rng.normal(0, rng.uniform(1, 4), sheet.shape)
    scan = turned(np.clip(sheet, 0, 255).astype(np.uint8), rng.normal(0, 0.5))
    return np.ascontiguousarray(scan.transpose(1, 0, 2)) if rng.random() < 0.5 else scan


def _punch(sheet: np.ndarray, millimetre: float, first: float) -> None:
    """Let light through the holes of film, 2.8 mm x 1.98 mm along both of its sides."""
    for x in np.arange(first * millimetre, sheet.shape[1], 4.75 * millimetre):
        for y in (2.9 * millimetre, sheet.shape[0] - 2.9 * millimetre):
            begin = (round(x - 0.99 * millimetre), round(y - 1.4 * millimetre))
            cv2.rectangle(
                sheet, begin, (round(x + 0.99 * millimetre), round(y + 1.4 * millimetre)), (252, 252, 252), -1
            )


def bordered(rng: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Lay a picture, uint8 HxWx3, on a dark or coloured ground; return the scan and the box of the picture in it."""
    colour = np.array([(20, 20, 22), (35, 30, 60), (150, 30, 30), (20, 90, 40)][int(rng.integers(4))])
    height, width = picture.shape[:2]
    left, top, right, bottom = (
        int(rng.integers(3, 0.12 * min(height, width))) * int(rng.random() < 0.7) for _ in range(4)
    )
    left = left or 8
    scan = np.ones((height + top + bottom, width + left + right, 3)) * colour
    scan += rng.normal(0, 2, scan.shape)
    scan = np.clip(scan, 0, 255).astype(np.uint8)
    scan[top : top + height, left : left + width] = picture
    return scan, (left, top, left + width, top + height)
