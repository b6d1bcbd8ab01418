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
