"""What archives hold and data sets lack: old prints of photographs, halftones, light lines on dark ground, small pages.

Each function keeps the class of what it is given: a print of a photograph is a photograph, a blueprint of a diagram is
a diagram. All take uint8 RGB (height x width x 3) and draw from the given generator only.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Tones = NDArray[np.floating]
Rng = np.random.Generator

FONTS = ("DejaVuSerif", "STIXGeneral", "cmr10", "cmtt10", "DejaVuSansMono", "DejaVuSans", "STIXGeneralItalic")
LETTERS = "eeeeettttaaaooiinnsshhrrddllccuummwwffggyyppbbvkjxqz"


def old_photograph(rgb: Pixels, rng: Rng) -> Pixels:
    """Return a photograph as it lies in an album: black and white or toned, faded, halftoned, on a mount; or its film.

    One in eight is a negative, one in four a halftone, two in three have the edge of a print or a mount around them.
    """
    tones: Tones = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32) / 255
    tones = np.clip((tones - 0.5) * rng.uniform(0.6, 1.3) + 0.5 + rng.uniform(-0.05, 0.15), 0, 1)
    tones = np.clip(tones + rng.normal(0, rng.choice([0, 0.02, 0.05]), tones.shape), 0, 1).astype(np.float32)
    kind = rng.random()
    if kind < 0.12:
        return _tinted(1 - tones, np.array([rng.uniform(0, 40)] * 3), np.full(3, rng.uniform(170, 250)))
    if kind < 0.37:
        tones = _halftone(tones, rng)
    dark, light = np.full(3, rng.uniform(0, 60)), np.full(3, rng.uniform(200, 255))
    if rng.random() < 0.6:
        dark = np.array([60, 40, 20]) * rng.uniform(0.3, 1.4)
        light = np.array([250, rng.uniform(225, 245), rng.uniform(180, 230)]) * rng.uniform(0.8, 1)
    return _mounted(_tinted(tones, dark, light), rng) if rng.random() < 0.65 else _tinted(tones, dark, light)


def light_on_dark(rgb: Pixels, rng: Rng) -> Pixels:
    """Return a drawing in light lines on dark ground: white on black, chalk on a board, a blueprint, a negative."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    dark, light = np.percentile(grey, [0.5, rng.uniform(40, 80)])
    ink = np.clip((light - grey) / max(light - dark, 20), 0, 1)[..., None] ** rng.uniform(0.6, 1.2)
    height, width = grey.shape
    kind = rng.random()
    if kind < 0.45:
        ground, line = np.zeros(3), np.full(3, 255.0)
    elif kind < 0.6:
        ground, line = np.full(3, rng.uniform(5, 60)), np.full(3, rng.uniform(170, 255))
    elif kind < 0.85:
        ground = np.array([rng.uniform(0, 60), rng.uniform(30, 110), rng.uniform(90, 190)])
        line = np.array([rng.uniform(180, 255), rng.uniform(210, 255), 255])
    else:
        ground = np.array([rng.uniform(15, 60), rng.uniform(40, 80), rng.uniform(20, 65)])
        line = np.array([250, 250, rng.uniform(180, 250)])
    clouds: Tones = np.zeros((height, width, 1))
    if rng.random() < 0.5 and kind >= 0.45:
        mottle = rng.normal(0, rng.uniform(3, 16), (8, 8)).astype(np.float32)
        clouds = np.asarray(cv2.resize(mottle, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)[..., None]
        clouds = clouds + rng.normal(0, rng.uniform(0, 8), (height, width, 1))
    return np.clip(ground + clouds + ink * (line - ground), 0, 255).astype(np.uint8)


def small_page(rgb: Pixels, rng: Rng) -> Pixels:
    """Return a page so small that its lines can hardly be read: of type, of handwriting, a ledger, or ``rgb``."""
    kind = rng.random()
    page: Tones
    if kind < 0.35:
        page = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32) / 255
    elif kind < 0.7:
        page = _typeset(rng)
    else:
        page = _handwritten(rng, ruled=kind > 0.85)
    height = int(rng.uniform(90, 260))
    width = max(int(height * page.shape[1] / page.shape[0]), 60)
    page = np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    if rng.random() < 0.2:
        page = np.hstack([page, page[:, ::-1] * rng.uniform(0.85, 1)])
    ink = np.array([rng.uniform(10, 90), rng.uniform(10, 70), rng.uniform(10, 70)])
    sheet = np.array([250, 240, rng.uniform(190, 245)]) * rng.uniform(0.65, 1)
    mottle = rng.normal(1, rng.uniform(0, 0.06), (6, 6)).astype(np.float32)
    mottled = np.asarray(cv2.resize(mottle, page.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    result = _tinted(page * np.clip(mottled, 0.7, 1), ink, sheet)
    return _mounted(result, rng) if rng.random() < 0.4 else result


def _tinted(tones: Tones, dark: NDArray[np.float64], light: NDArray[np.float64]) -> Pixels:
    """Lay tones, 0 to 1, between two colours."""
    return np.clip(dark + tones[..., None] * (light - dark), 0, 255).astype(np.uint8)


def _halftone(tones: Tones, rng: Rng) -> Tones:
    """Print in dots of one size of screen, larger where it is darker."""
    height, width = tones.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, pitch = rng.uniform(0, np.pi / 2), rng.uniform(1.8, 4.5)
    along, across = columns * np.cos(angle) + rows * np.sin(angle), rows * np.cos(angle) - columns * np.sin(angle)
    screen = 0.5 + 0.25 * (np.cos(2 * np.pi * along / pitch) + np.cos(2 * np.pi * across / pitch))
    dots = 1 / (1 + np.exp(-rng.uniform(3, 15) * (tones - screen)))
    return np.asarray(cv2.GaussianBlur(dots.astype(np.float32), (0, 0), rng.uniform(0.3, 0.8)), np.float32)


def _mounted(rgb: Pixels, rng: Rng) -> Pixels:
    """Lay a sheet on a mount, a lid or an album's page, sometimes with the white edge of a print between them."""
    height, width = rgb.shape[:2]
    if rng.random() < 0.5:
        edge = max(int(rng.uniform(0.01, 0.05) * min(height, width)), 1)
        rgb = framed(rgb, [edge] * 4, rng.uniform(215, 255) * np.array([1, 0.98, rng.uniform(0.85, 1)]))
    sides = [int(side * rng.uniform(0, 0.12)) for side in (height, height, width, width)]
    tint = np.array([1, rng.uniform(0.88, 1), rng.uniform(0.7, 1)])
    return framed(rgb, sides, float(rng.choice([rng.uniform(0, 60), rng.uniform(110, 245)])) * tint)


def framed(rgb: Pixels, sides: list[int], colour: NDArray[np.float64]) -> Pixels:
    """Return the picture with a frame of one colour: so many pixels at the top, the bottom, the left and the right."""
    top, bottom, left, right = sides
    framed = cv2.copyMakeBorder(rgb, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour.tolist())
    return np.asarray(framed, np.uint8)


def _typeset(rng: Rng) -> Tones:
    """A page of type: a heading, one to three columns of paragraphs, a number at the foot."""
    width, height = 600, int(rng.uniform(700, 900))
    page = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(page)
    size = int(rng.integers(9, 20))
    name = str(rng.choice(FONTS))
    type_, heading = font(name, size), font(name, size * 2)
    margin, top = int(rng.uniform(25, 90)), int(rng.uniform(30, 120))
    if rng.random() < 0.5:
        draw.text((margin + rng.uniform(0, 150), top), words(18, rng), fill=0, font=heading)
        top += size * 4
    columns = int(rng.choice([1, 1, 1, 2, 3]))
    room = (width - 2 * margin) / columns
    for column in range(columns):
        line, left = float(top), margin + column * room
        while line < height - margin:
            share = 1.0 if rng.random() < 0.8 else rng.uniform(0.2, 0.9)
            letters = int(share * (room - 10) / (size * 0.52))
            draw.text((left, line), words(letters, rng), fill=int(rng.integers(0, 60)), font=type_)
            line += size * (1.3 if rng.random() < 0.93 else 2.4)
    draw.text((width / 2, height - margin / 2), str(rng.integers(1, 400)), fill=0, font=type_)
    return np.asarray(page, np.float32) / 255


def font(name: str, pixels: int) -> ImageFont.FreeTypeFont:
    """One of the ``FONTS``, which come with matplotlib, in a size."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), pixels)


def words(letters: int, rng: Rng) -> str:
    """Return so many letters and spaces that look like words."""
    text = ""
    while len(text) < letters:
        text += "".join(rng.choice(list(LETTERS), int(rng.integers(1, 11)))) + " "
    return text[:letters]


def _handwritten(rng: Rng, *, ruled: bool) -> Tones:
    """A page of lines of loops, as handwriting looks from afar; a ledger has rules and columns of short words."""
    width, height = 600, int(rng.uniform(600, 900))
    page = np.full((height, width), 255, np.uint8)
    leading, margin = rng.uniform(18, 42), rng.uniform(20, 100)
    slant, tall = rng.uniform(0, 0.7), rng.uniform(0.25, 0.5)
    stops = np.sort(rng.uniform(margin, width - 20, int(rng.integers(2, 6)))).tolist() if ruled else []
    line = margin + leading
    while line < height - margin / 2:
        start, ends = margin + rng.uniform(0, 15), [*stops, width - 10 - rng.exponential(25)]
        for end in ends:
            while start < end - 15:
                length = min(rng.uniform(15, 90), end - start)
                _word(page, start, line, length, leading * tall, slant, rng)
                start += length + rng.uniform(6, 14) + (rng.uniform(0, 80) if ruled else 0)
            start = end + 4
        if ruled:
            cv2.line(page, (0, int(line + 4)), (width, int(line + 4)), 150, 1, cv2.LINE_AA)
        line += leading * rng.uniform(0.95, 1.05)
    for stop in stops:
        cv2.line(page, (int(stop), 0), (int(stop), height), 130, 1, cv2.LINE_AA)
    return page.astype(np.float32) / 255


def _word(page: Pixels, left: float, base: float, length: float, tall: float, slant: float, rng: Rng) -> None:
    """Write loops of ``length`` pixels on the line ``base``, some of them tall."""
    steps = np.arange(0, length, 1.2)
    turns = steps / (tall * rng.uniform(0.5, 0.8)) * 2 * np.pi / 1.3
    peaks = np.repeat(rng.choice([0.5, 0.55, 0.6, 1.3, -0.9], len(steps) // 6 + 1, p=[0.3, 0.3, 0.2, 0.12, 0.08]), 6)
    rise = (0.5 - 0.5 * np.cos(turns)) * peaks[: len(steps)] * tall
    across = left + steps + np.sin(turns) * tall * 0.25 + slant * rise
    points = np.stack([across, base - rise], axis=1)
    cv2.polylines(page, [np.round(points * 8).astype(np.int32)], False, int(rng.integers(0, 90)), 1, cv2.LINE_AA, 3)
