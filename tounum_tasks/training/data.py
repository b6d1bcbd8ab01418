"""Captioned images for training: MS-COCO annotation files and tab-separated tables.

A *data set* is a list of images, each with its captions and one split, ``train`` or ``dev``. The split is always by
image: no image has captions in both.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.decode import decode
from tounum_tasks.images.model_input import to_model_input

TRAIN_SHARE = 0.8


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


def load_captions(data: Path, *, seed: int = 0, limit: int | None = None) -> CaptionData:
    """Reads a data set.

    Args:
        data: a ``.tsv`` file with the header ``image<TAB>split<TAB>caption`` (images relative to the file), a COCO
            ``captions_*.json``, or a folder that holds one of them. A COCO file's images are looked for by name
            anywhere below the folder of the JSON file, or below its parent when that folder is ``annotations``.
        seed: of the 80/20 split, where the data brings none.
        limit: take only so many images of each split (a random but fixed choice).

    Raises:
        ConfigurationError: nothing usable is there, or an image of the table is missing.
    """
    source = _find_source(data)
    captions, splits, paths = _read_tsv(source) if source.suffix == ".tsv" else _read_coco(source)
    if not captions:
        raise ConfigurationError(f"{source} holds no captions.")
    names = sorted(captions)
    if not all(splits.get(name) for name in names):
        splits = split_by_name(names, seed)
    unknown = sorted(set(splits.values()) - {"train", "dev", "test"})
    if unknown:
        raise ConfigurationError(f"{source} has the split {unknown[0]!r}; known are train, dev and test.")
    kept = _limited(names, splits, seed, limit)
    images = tuple(CaptionedImage(name, paths[name], splits[name], tuple(captions[name])) for name in kept)
    for image in images:
        if not image.path.is_file():
            raise ConfigurationError(f"{source} names {image.name}, but {image.path} does not exist.")
    content = [[image.name, image.split, image.path.stat().st_size, *image.captions] for image in images]
    return CaptionData(images, fingerprint(captions=content))


def split_by_name(names: Sequence[str], seed: int) -> dict[str, str]:
    """Deals images to ``train`` (80 %) and ``dev`` (20 %) at random, the same way for the same names and seed."""
    order = np.random.default_rng(seed).permutation(len(names))
    in_train = set(order[: round(TRAIN_SHARE * len(names))].tolist())
    return {name: "train" if index in in_train else "dev" for index, name in enumerate(names)}


def read_input(path: Path) -> NDArray[np.uint8]:
    """Decodes one image as the pipeline does and brings it to the networks' size: uint8 299 x 299 x 3, RGB.

    Raises:
        ConfigurationError: it cannot be decoded.
    """
    try:
        return to_model_input(decode(path.read_bytes()).rgb)
    except (OSError, ItemError) as error:
        raise ConfigurationError(f"{path} cannot be trained on: {error}.") from error


def _find_source(data: Path) -> Path:
    if data.is_file():
        return data
    found = sorted(data.glob("captions_*.json")) or sorted(data.glob("annotations/captions_*.json"))
    found = found or sorted(data.glob("*.tsv"))
    if len(found) != 1:
        what = "no captions_*.json and no .tsv" if not found else "several annotation files, name one of them"
        raise ConfigurationError(f"{data}: {what}.")
    return found[0]


def _read_tsv(source: Path) -> tuple[dict[str, list[str]], dict[str, str], dict[str, Path]]:
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if not {"image", "caption"} <= set(reader.fieldnames or ()):
            raise ConfigurationError(f"{source}: the first line must be image<TAB>split<TAB>caption.")
        for row in reader:
            name, split = row["image"], row.get("split") or ""
            if splits.setdefault(name, split) != split:
                raise ConfigurationError(f"{source}: {name} is in two splits.")
            captions.setdefault(name, []).append(row["caption"])
    return captions, splits, {name: source.parent / name for name in captions}


def _read_coco(source: Path) -> tuple[dict[str, list[str]], dict[str, str], dict[str, Path]]:
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        annotations = [(names[a["image_id"]], a["caption"]) for a in content["annotations"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{source} is no COCO captions file: {error!r}.") from error
    root = source.parent.parent if source.parent.name == "annotations" else source.parent
    lying = {path.name: path for path in root.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}}
    captions: dict[str, list[str]] = {}
    for name, caption in annotations:
        captions.setdefault(name, []).append(caption)
    return captions, {}, {name: lying.get(Path(name).name, root / name) for name in captions}


def _limited(names: Sequence[str], splits: dict[str, str], seed: int, limit: int | None) -> list[str]:
    if limit is None:
        return list(names)
    generator = np.random.default_rng(seed)
    kept: set[str] = set()
    for split in sorted(set(splits.values())):
        members = [name for name in names if splits[name] == split]
        kept.update(members[i] for i in generator.permutation(len(members))[:limit])
    return [name for name in names if name in kept]
