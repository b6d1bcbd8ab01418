"""Images for the cluster's tests: parts of the sample batch's pages, small, each different; or files from a folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tounum_tasks.sample import paintings, photos, schematics, sketches, texts

SIZE = (320, 240)
ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2", ".pdf")


def write_batches(folder: Path, *, images: int, batches: int, source: Path | None = None) -> list[Path]:
    """Write ``images`` files, spread over ``batches`` folders that are marked as ready; return the folders.

    Args:
        source: where to take the files from; None: parts of the sample batch's images, and one that is broken.
    """
    folders = [folder / f"box {number:02d}" for number in range(1, batches + 1)]
    for path in folders:
        path.mkdir(parents=True)
    for number, (name, write) in enumerate(_files(images, source)):
        write(folders[number % batches] / name)
    for path in folders:
        (path / "_READY").touch()
    return folders


def _files(count: int, source: Path | None) -> Iterator[tuple[str, object]]:
    if source:
        found = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)
        if len(found) < count:
            raise SystemExit(f"{source} holds {len(found)} images; {count} are wanted.")
        for number in range(count):
            path = found[number * len(found) // count]  # from all over the folder
            yield f"{number:05d} {path.name}", lambda target, path=path: shutil.copyfile(path, target)
        return
    pages = _pages()
    for number in range(count):
        if number == count // 2:
            yield f"{number:05d} broken.jpg", lambda target: target.write_bytes(b"no image at all")
            continue
        name, pixels = pages[number % len(pages)]
        random = np.random.default_rng(number)
        scale = random.uniform(0.6, 1.0)
        height, width = (round(side * scale) for side in pixels.shape[:2])
        top, left = random.integers(0, pixels.shape[0] - height + 1), random.integers(0, pixels.shape[1] - width + 1)
        part = Image.fromarray(pixels[top : top + height, left : left + width]).resize(SIZE, Image.Resampling.LANCZOS)
        yield f"{number:05d} {name}.png", part.save


def _pages() -> list[tuple[str, np.ndarray]]:
    """Three photographs for each page of another kind."""
    others = [
        ("sunset", paintings.paint(paintings.sunset_at_sea(), 1)),
        ("house", sketches.house()),
        ("circuit", schematics.filter_circuit()),
        ("letter", texts.letter()),
        ("chart", schematics.bar_chart()),
    ]
    found: list[tuple[str, np.ndarray]] = []
    for number, photo in enumerate(photos.photographs().items()):
        found.append(photo)
        if number % 3 == 2:
            found.append(others[number // 3 % len(others)])
    return [(name, pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)) for name, pixels in found]
