"""Clean pictures for the restorer: folders of photographs and pages, and pages of text that are drawn here.

What a network takes for clean it learns to reproduce, so pictures that were compressed are reduced to half their size
first, which leaves next to nothing of what compression did to them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.decode import decode
from tounum_tasks.names import IMAGE_SUFFIXES
from tounum_tasks.sample.texts import article, inventory, letter

LOADERS = 2
DRAWN = "drawn pages"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A folder of clean pictures.

    Attributes:
        folder: searched to any depth.
        share: how often its pictures are drawn, against those of the other sources.
        reduced: its pictures are reduced to half their size.
        files: of the folder, those that are meant; none: all.
    """

    folder: Path
    share: float = 1.0
    reduced: bool = False
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A clean picture, uint8 HxWx3, and how often it is drawn (of all pictures these sum to 1)."""

    name: str
    rgb: NDArray[np.uint8]
    weight: float


def files_of(source: Source) -> list[Path]:
    """The images of a source in a fixed order.

    Raises:
        ConfigurationError: there are none.
    """
    files = sorted(
        path
        for path in source.folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise ConfigurationError(f"{source.folder} holds no images; expected a folder of clean photographs or pages.")
    return files


def read_stems(file: Path) -> set[str]:
    """The names in a file, one a line.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read as text; expected one name a line.") from error
    return {line.strip() for line in lines} - {""}


def load_picture(path: Path, *, reduced: bool = False) -> NDArray[np.uint8]:
    """Decode a clean picture, at half its size if asked to.

    Raises:
        ConfigurationError: the file is damaged; training data is to be repaired, not skipped.
    """
    try:
        rgb = decode(path.read_bytes()).rgb
    except (OSError, ItemError) as error:
        raise ConfigurationError(f"Cannot read the picture {path}: {error}") from error
    if not reduced:
        return rgb
    size = (max(rgb.shape[1] // 2, 1), max(rgb.shape[0] // 2, 1))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def load_pictures(
    sources: Sequence[Source], *, smallest_side: int, leave_out: Iterable[str] = (), drawn_share: float = 0.0
) -> list[Picture]:
    """Read the pictures of all sources into memory; within a source, larger pictures are drawn more often.

    Args:
        smallest_side: pictures with a shorter side are left out.
        leave_out: stems of files that are not to be trained on.
        drawn_share: share of the drawn pages.

    Raises:
        ConfigurationError: a source has no images large enough, or one cannot be read.
    """
    kept_back = set(leave_out)
    groups: list[tuple[float, list[tuple[str, NDArray[np.uint8]]]]] = []
    for source in sources:
        files = [path for path in source.files or files_of(source) if path.stem not in kept_back]
        with ThreadPoolExecutor(LOADERS) as pool:
            loaded = pool.map(lambda path, reduced=source.reduced: load_picture(path, reduced=reduced), files)
            found = [
                (str(path.relative_to(source.folder)), rgb)
                for path, rgb in zip(files, loaded, strict=True)
                if min(rgb.shape[:2]) >= smallest_side
            ]
        if not found:
            raise ConfigurationError(f"{source.folder} holds no images of at least {smallest_side} pixels a side.")
        log.info("%s: %d pictures, share %g", source.folder, len(found), source.share)
        groups.append((source.share, found))
    if drawn_share:
        groups.append((drawn_share, [(f"{DRAWN}/{number}", page) for number, page in enumerate(drawn_pages())]))
    total = sum(share for share, _ in groups)
    pictures = []
    for share, found in groups:
        pixels = sum(rgb.size for _, rgb in found)
        pictures += [Picture(name, rgb, share / total * rgb.size / pixels) for name, rgb in found]
    return pictures


def drawn_pages() -> list[NDArray[np.uint8]]:
    """Pages of text as they look at 150 dpi and, reduced, at 75: uint8 HxWx3, without any noise."""
    pages = [letter(), *(article(number) for number in range(1, 5)), *(inventory(number) for number in range(1, 4))]
    halves = [cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for page in pages]
    return [np.repeat(np.asarray(page, np.uint8)[..., None], 3, axis=2) for page in [*pages, *halves]]


def patch_of(rgb: NDArray[np.uint8], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square of a picture at a place drawn at random, turned and mirrored at random, now and then toned or grey."""
    top, left = (int(rng.integers(0, length - side + 1)) for length in rgb.shape[:2])
    patch = np.rot90(rgb[top : top + side, left : left + side], int(rng.integers(4)))
    if rng.random() < 0.5:
        patch = patch[:, ::-1]
    if rng.random() < 0.1:
        patch = np.repeat(cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.25:  # other exposures, other paper
        darkest, lightest = rng.uniform(0, 40), rng.uniform(190, 255, 3)
        patch = np.rint(darkest + patch * ((lightest - darkest) / 255)).astype(np.uint8)
    return np.ascontiguousarray(patch)


def fingerprint_of(pictures: Sequence[Picture]) -> str:
    """Identity of the pictures that a training draws from."""
    return fingerprint(
        pictures=[[picture.name, *picture.rgb.shape[:2], round(picture.weight, 9)] for picture in pictures]
    )
