"""How many broken copies are found by their zero-filled ends, and how many whole pictures are suspected.

    python -m benchmarks.zero_ends FOLDER [COUNT]

FOLDER holds pictures at any depth; COUNT (200) of them are drawn at random. Each is written in every kind of file
that has no checksum
and cut at a random byte, and left whole in forms that have black ends of their own.
"""

import random
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.errors import ItemError
from tounum_tasks.images.decode import decode

Pixels = NDArray[np.uint8]


def tiff(samples: NDArray[np.generic], **options: object) -> bytes:
    """Return a TIFF file whose directory stands before its pixels."""
    out = BytesIO()
    tifffile.imwrite(out, samples, metadata=None, **options)
    return out.getvalue()


def saved(pixels: Pixels, format: str, **options: object) -> bytes:
    """Return what Pillow writes."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


KINDS: dict[str, Callable[[Pixels], bytes]] = {
    "TIFF 8 bits": lambda rgb: tiff(rgb, photometric="rgb"),
    "TIFF 16 bits": lambda rgb: tiff(rgb.astype(np.uint16) * 257, photometric="rgb", byteorder=">"),
    "TIFF strips": lambda rgb: tiff(rgb, photometric="rgb", rowsperstrip=16),
    "TIFF tiles": lambda rgb: tiff(rgb, photometric="rgb", tile=(64, 64)),
    "TIFF planes": lambda rgb: tiff(np.moveaxis(rgb, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
    "TIFF grey": lambda rgb: tiff(rgb[..., 1].copy(), photometric="minisblack"),
    "TIFF white is 0": lambda rgb: tiff(255 - rgb[..., 1], photometric="miniswhite"),
    "BMP": lambda rgb: saved(rgb, "BMP"),
    "PNM": lambda rgb: saved(rgb, "PPM"),
    "PCX": lambda rgb: saved(rgb, "PCX"),
    "WebP": lambda rgb: saved(rgb, "WEBP", quality=85),
    "WebP lossless": lambda rgb: saved(rgb, "WEBP", lossless=True),
    "AVIF": lambda rgb: saved(rgb, "AVIF", quality=60, speed=9),
}


def cut(data: bytes, draw: random.Random) -> bytes:
    """Fill the end of a file with zeros from a random byte on, behind a tenth and before nineteen twentieths."""
    at = int(len(data) * draw.uniform(0.1, 0.95))
    return data[:at] + bytes(len(data) - at)


def whole_forms(rgb: Pixels, draw: random.Random) -> Iterator[tuple[str, Pixels]]:
    """Yield pictures with black ends of their own."""
    height, width = rgb.shape[:2]
    yield "untouched", rgb
    bar = height // draw.randint(6, 12)
    yield "letterboxed", cv2.copyMakeBorder(rgb, bar, bar, 0, 0, cv2.BORDER_CONSTANT)
    yield "framed", cv2.copyMakeBorder(rgb, bar, bar, bar, bar, cv2.BORDER_CONSTANT)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width * 9 // 20, height * 9 // 20), 0, 0, 360, 1, -1, cv2.LINE_AA)
    yield "oval", rgb * mask[..., None]
    yield "night", np.clip((rgb.astype(int) - 90) // 2, 0, 255).astype(np.uint8)
    letters = np.zeros_like(rgb)
    for line in range(20, height, 24):
        cv2.putText(letters, "TouNum reads archives", (4, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    yield "white on black", letters
    strip = cv2.copyMakeBorder(rgb, 24, 24, 0, 0, cv2.BORDER_CONSTANT)
    for left in range(4, width - 12, 24):
        strip[6:18, left : left + 12] = strip[-18:-6, left : left + 12] = 255
    yield "film strip", strip


def tilted(rgb: Pixels, draw: random.Random) -> Pixels:
    """Return a picture on black, tilted by a hair: at most two pixels over its width."""
    framed = cv2.copyMakeBorder(rgb, 10, 10, 10, 10, cv2.BORDER_CONSTANT)
    slope = draw.uniform(-2, 2) / framed.shape[1]
    turn = np.array([[1, -slope, 0], [slope, 1, 0]])
    return np.asarray(cv2.warpAffine(framed, turn, framed.shape[1::-1], flags=draw.choice([1, 2])), np.uint8)


def answer(data: bytes) -> str:
    """Return found, refused or accepted."""
    try:
        return "found" if decode(data).suspect_end is not None else "accepted"
    except ItemError:
        return "refused"


def show(name: str, answers: list[str]) -> None:
    counts = {word: answers.count(word) for word in ("found", "refused", "accepted")}
    noticed = (len(answers) - counts["accepted"]) / len(answers)
    print(f"{name:24} {noticed:6.1%}  " + "  ".join(f"{word} {count}" for word, count in counts.items()), flush=True)


def main() -> None:
    draw = random.Random(15)
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    broken: dict[str, list[str]] = {}
    whole: dict[str, list[str]] = {}
    for path in draw.sample(paths, min(count, len(paths))):
        try:
            rgb = decode(path.read_bytes()).rgb
        except ItemError:
            continue
        for name, write in KINDS.items():
            broken.setdefault(name, []).append(answer(cut(write(rgb), draw)))
            whole.setdefault(f"whole {name}", []).append(answer(write(rgb)))
        for name, pixels in [*whole_forms(rgb, draw), ("tilted by a hair", tilted(rgb, draw))]:
            for kind in ("TIFF strips", "BMP"):
                whole.setdefault(name, []).append(answer(KINDS[kind](pixels)))
    for name, answers in [*broken.items(), *whole.items()]:
        show(name, answers)


if __name__ == "__main__":
    main()
