"""Captioned images for training: MS-COCO annotation files and tab-separated tables.

A *data set* is a list of images, each with its captions and one split: ``train``, ``dev`` or ``test``. The split is
always by image: no image has captions in two.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.datasets.views import WHOLE, view
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.decode import decode
from tounum_tasks.images.model_input import to_model_input

TRAIN_SHARE = 0.8
SPLITS = ("train", "dev", "test")
# What MS-COCO calls its files, and what we call the splits.
COCO_SPLITS = {"train": "train", "val": "dev", "test": "test"}


@dataclass(frozen=True)
class CaptionedImage:
    """One image (``name`` relative to the data set, ``path`` on disk) and its reference captions."""

    name: str
    path: Path
    split: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class CaptionData:
    """A data set of captioned images in order of name, and a hash of everything in it but the pixels."""

    images: tuple[CaptionedImage, ...]
    fingerprint: str

    def split(self, name: str) -> list[CaptionedImage]:
        """Images of one split."""
        return [image for image in self.images if image.split == name]


def load_captions(
    data: Path, *, seed: int = 0, limit: int | None = None, train_share: float = TRAIN_SHARE
) -> CaptionData:
    """Reads a data set.

    Args:
        data: a ``.tsv`` file with the header ``image<TAB>split<TAB>caption`` (images relative to the file), a COCO
            ``captions_*.json``, or a folder that holds one of them, or ``captions_train*.json`` beside
            ``captions_val*.json`` (which is then the dev split). A COCO file's images are looked for anywhere below
            the folder of the JSON file, or below its parent when that folder is ``annotations``.
        seed: of the split, where the data brings none.
        limit: take only so many images of each split (a random but fixed choice).
        train_share: share of the images, above 0 and at most 1, that is trained on, where the data brings no split.

    Raises:
        ConfigurationError: nothing usable is there, or an image of the table is missing.
    """
    if limit is not None and limit < 1:
        raise ConfigurationError(f"{limit} images are too few: the limit must be at least 1.")
    if not 0 < train_share <= 1:
        raise ConfigurationError(f"The share of the images to train on must lie between 0 and 1, not be {train_share}.")
    sources = _find_sources(data)
    source = data if len(sources) > 1 else next(iter(sources))
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    paths: dict[str, Path] = {}
    for file, split in sources.items():
        found, found_splits, found_paths = _read_tsv(file) if file.suffix == ".tsv" else _read_coco(file, split)
        both = captions.keys() & found.keys()
        if both:
            raise ConfigurationError(f"{data}: {min(both)} is in two splits.")
        captions |= found
        splits |= found_splits
        paths |= found_paths
    if not captions:
        raise ConfigurationError(f"{source} holds no captions.")
    names = sorted(captions)
    if not all(splits.get(name) for name in names):
        splits = split_by_name(names, seed, train_share)
    unknown = sorted(set(splits.values()) - set(SPLITS))
    if unknown:
        raise ConfigurationError(f"{source} has the split {unknown[0]!r}; known are train, dev and test.")
    kept = _limited(names, splits, seed, limit)
    images = tuple(CaptionedImage(name, paths[name], splits[name], tuple(captions[name])) for name in kept)
    for image in images:
        if not image.path.is_file():
            raise ConfigurationError(f"{source} names {image.name}, but {image.path} does not exist.")
    content = [[image.name, image.split, image.path.stat().st_size, *image.captions] for image in images]
    return CaptionData(images, fingerprint(captions=content))


def joined(parts: Sequence[CaptionData]) -> CaptionData:
    """Return several data sets as one.

    Raises:
        ConfigurationError: two of them have an image of the same name.
    """
    if len(parts) == 1:
        return parts[0]
    images = sorted((image for part in parts for image in part.images), key=lambda image: image.name)
    for image, following in pairwise(images):
        if image.name == following.name:
            raise ConfigurationError(f"Two data sets have an image {image.name}: {image.path} and {following.path}.")
    return CaptionData(tuple(images), fingerprint(captions=[part.fingerprint for part in parts]))


def split_by_name(names: Sequence[str], seed: int, train_share: float = TRAIN_SHARE) -> dict[str, str]:
    """Deals images to ``train`` (80 %) and ``dev`` (20 %) at random, the same way for the same names and seed."""
    order = np.random.default_rng(seed).permutation(len(names))
    in_train = set(order[: round(train_share * len(names))].tolist())
    return {name: "train" if index in in_train else "dev" for index, name in enumerate(names)}


def read_input(path: Path, number: int = WHOLE) -> NDArray[np.uint8]:
    """Decodes one image as the pipeline does and brings one view of it (:mod:`~tounum_tasks.datasets.views`) to the
    networks' size: uint8 299 x 299 x 3, RGB.

    Raises:
        ConfigurationError: it cannot be decoded.
    """
    try:
        return to_model_input(view(decode(path.read_bytes()).rgb, number, path.name))
    except (OSError, ItemError) as error:
        raise ConfigurationError(f"{path} cannot be trained on: {error}.") from error


def _find_sources(data: Path) -> dict[Path, str]:
    """The annotation files of a data set, each with the split that it is, or with nothing if it is the only one."""
    if data.is_file():
        return {data: ""}
    if not data.is_dir():
        raise ConfigurationError(f"{data} does not exist.")
    found = sorted(data.glob("captions_*.json")) or sorted(data.glob("annotations/captions_*.json"))
    found = found or sorted(data.glob("*.tsv"))
    if not found:
        raise ConfigurationError(f"{data}: no captions_*.json and no .tsv.")
    if len(found) == 1:
        return {found[0]: ""}
    named = {path: split for path in found for part, split in COCO_SPLITS.items() if f"captions_{part}" in path.name}
    if len(named) < len(found) or len(set(named.values())) < len(found):
        raise ConfigurationError(f"{data}: several annotation files ({_listed(found)}), name one of them.")
    return named


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _read_tsv(source: Path) -> tuple[dict[str, list[str]], dict[str, str], dict[str, Path]]:
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    try:
        with source.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not {"image", "caption"} <= set(reader.fieldnames or ()):
                raise ConfigurationError(f"{source}: the first line must be image<TAB>split<TAB>caption.")
            for row in reader:
                name, split, caption = row["image"], row.get("split") or "", row["caption"]
                if not name or caption is None:
                    raise ConfigurationError(f"{source}: line {reader.line_num} has too few columns.")
                if splits.setdefault(name, split) != split:
                    raise ConfigurationError(f"{source}: {name} is in two splits.")
                captions.setdefault(name, []).append(caption)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{source} cannot be read: {error}.") from error
    return captions, splits, {name: source.parent / name for name in captions}


def _read_coco(source: Path, split: str) -> tuple[dict[str, list[str]], dict[str, str], dict[str, Path]]:
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        listed = [(image["id"], str(image["file_name"])) for image in content["images"]]
        annotations = [(entry["image_id"], str(entry["caption"])) for entry in content["annotations"]]
        names = dict(listed)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{source} is no COCO captions file: {error!r}.") from error
    if len(names) < len(listed):
        twice = next(number for number, count in Counter(number for number, _ in listed).items() if count > 1)
        raise ConfigurationError(f"{source}: two images have the id {twice}.")
    captions: dict[str, list[str]] = {}
    for number, caption in annotations:
        if number not in names:
            raise ConfigurationError(f"{source} has a caption for the image {number}, which it does not list.")
        captions.setdefault(names[number], []).append(caption)
    return captions, dict.fromkeys(captions, split), _coco_paths(source, captions)


def _coco_paths(source: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where the images lie: where their names say, or else the only file of that name below the data set's folder."""
    root = source.parent.parent if source.parent.name == "annotations" else source.parent
    lying: dict[str, list[Path]] = {}
    for path in root.rglob("*"):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}:
            lying.setdefault(path.name, []).append(path)
    paths = {}
    for name in names:
        found = lying.get(Path(name).name, [])
        exact = root / name
        if exact not in found and len(found) > 1:
            raise ConfigurationError(f"{source} names {name}, which is there twice: {found[0]} and {found[1]}.")
        paths[name] = exact if exact in found or not found else found[0]
    return paths


def _limited(names: Sequence[str], splits: dict[str, str], seed: int, limit: int | None) -> list[str]:
    if limit is None:
        return list(names)
    generator = np.random.default_rng(seed)
    kept: set[str] = set()
    for split in sorted(set(splits.values())):
        members = [name for name in names if splits[name] == split]
        kept.update(members[i] for i in generator.permutation(len(members))[:limit])
    return [name for name in names if name in kept]
