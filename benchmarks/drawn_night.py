"""Many small images of all five classes, no two of them alike: parts of a few hundred masters, varied."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.sample import paintings, photos, schematics, sketches, texts

Pixels = NDArray[np.uint8]

REAL_OF_A_CLASS = 60
MASTER_SIDE = 600
SMALLEST, LARGEST = 100, 300  # pixels of the long side
OF_A_FOLDER = 500
SAID_EVERY = 10_000


def masters(real: Path | None) -> dict[str, list[Pixels]]:
    """Return pictures by class, uint8 HxWx3: drawn ones, and real ones of the folder ``real/CLASS`` if it is given."""
    found = {label: [_reduced(picture) for picture in drawn] for label, drawn in _drawn().items()}
    for label in found if real else ():
        files = sorted(path for path in (real / label).rglob("*") if path.is_file())  # type: ignore[operator]
        for path in files[:: max(1, len(files) // REAL_OF_A_CLASS)][:REAL_OF_A_CLASS]:
            with Image.open(path) as opened:
                found[label].append(_reduced(np.asarray(opened.convert("RGB"))))
    return found


def _drawn() -> dict[str, list[Pixels]]:
    shown = list(photos.photographs().values())
    small = [_reduced(picture, 360) for picture in shown]
    scenes = [paintings.sunset_at_sea(), paintings.mountain_lake(), paintings.fruit_bowl()]
    charts = (schematics.filter_circuit, schematics.supply_circuit, schematics.flow_diagram, schematics.line_chart,
              schematics.bar_chart, schematics.floor_plan)  # fmt: skip
    pages = [texts.letter(), *(draw(number) for draw in (texts.article, texts.inventory) for number in range(1, 13))]
    return {
        "Painting": [paintings.paint(picture, seed) for seed, picture in enumerate([*scenes, *small])],
        "Photo": shown,
        "Schematics": [draw() for draw in charts],
        "Sketch": [sketches.house(), sketches.sailing_boat(), sketches.bicycle()]
        + [sketches.pencil(picture, seed) for seed, picture in enumerate(small)],
        "Text": [texts.scanned(page, seed, skew_degrees=0.4) for seed, page in enumerate(pages)],
    }


def _reduced(picture: Pixels, side: int = MASTER_SIDE) -> Pixels:
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def draw_images(folder: Path, numbers: range, of_class: dict[str, list[Pixels]]) -> None:
    """Draw the images of these numbers into a folder; those that lie there stay.

    A number always gives the same image. Every fifth is a photograph.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in folder.glob("*/*")}
    for number in numbers:
        name = f"scan {number:07d}.{'png' if _is_png(number) else 'jpg'}"
        if name in there:
            continue
        path = folder / f"folder {number // OF_A_FOLDER:04d}" / name
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(_image(number, of_class))
        unfinished.rename(path)
        if (number + 1) % SAID_EVERY == 0:
            print(f"  {number + 1:,} images drawn", flush=True)


def _is_png(number: int) -> bool:
    return number % 3 == 2


def _image(number: int, of_class: dict[str, list[Pixels]]) -> bytes:
    """Return a file: a part of a master, lighter or darker, with noise of its own."""
    random = np.random.default_rng(number)
    choice = of_class[CLASSES[number % len(CLASSES)]]
    master = choice[int(random.integers(len(choice)))]
    height, width = (max(8, round(side * random.uniform(0.7, 1))) for side in master.shape[:2])
    top, left = (
        int(random.integers(all_ - part + 1)) for all_, part in zip(master.shape, (height, width), strict=False)
    )
    part = _reduced(master[top : top + height, left : left + width], int(random.integers(SMALLEST, LARGEST + 1)))
    noise = random.normal(0, random.uniform(0.7, 3), part.shape[:2])[..., None]
    seen = np.clip(part * random.uniform(0.85, 1.1) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    if _is_png(number):
        Image.fromarray(seen).save(out, "PNG")
    else:
        Image.fromarray(seen).save(out, "JPEG", quality=int(random.integers(75, 95)))
    return out.getvalue()
