"""Text pages: a letter, an article, an inventory; as a scanner delivers them."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 1240, 1754  # A4 at 150 dpi

_SENTENCES = (
    "The boxes came up from the cellar in the spring, forty of them, each with a number in red chalk.",
    "Nobody knew any longer in which order they had been filled, nor by whom.",
    "Some of the photographs were glued to grey cardboard; others lay loose between receipts and letters.",
    "We began with the plates, because glass does not forgive a second fall.",
    "Every picture was given a number, every number a line in the book, and every line a place on the shelf.",
    "What could not be read was put aside, and what was put aside was not forgotten.",
    "By the end of the summer the list had reached the harbour, the market hall and the old observatory.",
    "The ink of the early entries has turned brown, yet the hand remains as even as print.",
    "Where a name was missing we left a space, hoping that a reader would know.",
    "In this way the collection found its order, page by page, without ever having been arranged.",
)


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size)


def _prose(count: int, seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(_SENTENCES[index] for index in rng.integers(0, len(_SENTENCES), count))


def _write(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, left: int, top: int, width: int, bottom: int
) -> int:
    """Write ``text`` in lines of at most ``width`` pixels until ``bottom``; return where the next line would be."""
    words, line = text.split(), ""
    leading = round(font.size * 1.45)
    for word in [*words, ""]:
        if word and draw.textlength(f"{line} {word}".strip(), font) <= width:
            line = f"{line} {word}".strip()
            continue
        if top + leading > bottom:
            return top
        draw.text((left, top), line, fill=25, font=font)
        line, top = word, top + leading
    return top


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("L", (WIDTH, HEIGHT), 250)
    return page, ImageDraw.Draw(page)


def scanned(page: Pixels, seed: int, *, skew_degrees: float) -> Pixels:
    """Return uint8 HxW ``page`` as uint8 HxWx3 from a flatbed: a little skewed, with dust, shadow and noise."""
    rng = np.random.default_rng(seed)
    height, width = page.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), skew_degrees, 1)
    grey = cv2.warpAffine(page, turn, (width, height), borderValue=225).astype(np.float32)
    grey -= 46 * np.exp(-np.arange(width, dtype=np.float32) / 40)[None]  # the shadow of the binding
    for _ in range(60):
        cv2.circle(grey, (int(rng.integers(width)), int(rng.integers(height))), int(rng.integers(1, 3)), 130, -1)
    grey = cv2.GaussianBlur(grey, (0, 0), 0.7) + rng.normal(0, 3, grey.shape)
    return np.clip(grey[..., None] * np.array([1.0, 0.985, 0.94]), 0, 255).astype(np.uint8)


def letter() -> Pixels:
    """Return a typewritten letter, uint8 HxW."""
    page, draw = _blank()
    font = _font("DejaVuSansMono", 26)
    draw.text((130, 130), "Municipal Archive\n12 Harbour Street", fill=25, font=font, spacing=10)
    draw.text((780, 250), "4 November 1931", fill=25, font=font)
    draw.text((130, 380), "Dear Madam,", fill=25, font=font)
    top = 450
    for paragraph in range(4):
        top = _write(draw, _prose(4, paragraph), font, 130, top, WIDTH - 260, HEIGHT - 330) + 36
    draw.text((130, top + 20), "Yours faithfully,", fill=25, font=font)
    draw.line(
        [(150, top + 150), (190, top + 95), (215, top + 150), (260, top + 110), (330, top + 140)], fill=50, width=4
    )
    return np.array(page)


def article(number: int = 1) -> Pixels:
    """Return page ``number`` of a printed article in two columns, uint8 HxW."""
    page, draw = _blank()
    body, heading = _font("DejaVuSerif", 22), _font("DejaVuSerif-Bold", 42)
    top = 150
    if number == 1:
        draw.text((120, 120), "On the Ordering of a Collection", fill=15, font=heading)
        draw.text((120, 190), "A report to the committee", fill=40, font=_font("DejaVuSerif-Italic", 26))
        top = 270
    for column in range(2):
        left = 120 + column * 520
        place, paragraph = top, 0
        while place < HEIGHT - 190:
            text = _prose(4, 100 * number + 10 * column + paragraph)
            place = _write(draw, text, body, left, place, 470, HEIGHT - 160) + 18
            paragraph += 1
    draw.text((WIDTH // 2 - 10, HEIGHT - 110), str(number), fill=25, font=body)
    return np.array(page)


def inventory(number: int = 1) -> Pixels:
    """Return page ``number`` of an inventory in a ruled table, uint8 HxW."""
    page, draw = _blank()
    rng = np.random.default_rng(number)
    font, bold = _font("DejaVuSans", 24), _font("DejaVuSans-Bold", 26)
    draw.text((100, 90), f"INVENTORY   Box {16 + number}", fill=15, font=_font("DejaVuSans-Bold", 38))
    columns = (100, 220, 760, 930, 1140)
    things = (
        "Glass plate, harbour", "Albumen print, portrait", "Plan of the market hall", "Receipt, coal merchant",
        "Letter, two sheets", "Photograph, damaged", "Sketch of a bridge", "Map, coloured", "Ledger, bound",
    )  # fmt: skip
    for row in range(29):
        y = 170 + row * 50
        draw.line([(columns[0], y), (columns[-1], y)], fill=60, width=2)
        if row == 28:
            break
        year, pieces = rng.integers(1880, 1940), rng.integers(1, 12)
        cells = [f"{28 * (number - 1) + row:03d}", things[rng.integers(len(things))], str(year), f"{pieces} pcs"]
        if row == 0:
            cells = ["No.", "Description", "Year", "Quantity"]
        for left, cell in zip(columns, cells, strict=False):
            draw.text((left + 12, y + 10), cell, fill=25, font=bold if row == 0 else font)
    for x in columns:
        draw.line([(x, 170), (x, 170 + 28 * 50)], fill=60, width=2)
    return np.array(page)
