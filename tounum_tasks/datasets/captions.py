"""Captioned images for training: MS-COCO annotation files, tab-separated tables, and the files of two data sets.

A *data set* is a list of images, each with its captions and one split: ``train``, ``dev`` or ``test``. The split is
always by image: no image has captions in two.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.datasets.lots import drawn, hashes_of_files
from tounum_tasks.datasets.views import WHOLE, view
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.decode import decode
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.names import is_ignored

TRAIN_SHARE = 0.8
TEST = "test"
SPLITS = ("train", "dev", "test")
# What MS-COCO calls its files, and what we call the splits.
COCO_SPLITS = {"train": "train", "val": "dev", "test": "test"}
KARPATHY_SPLITS = {"val": "dev", "restval": "train"}
FLICKR8K_FILE = "captions.txt"


@dataclass(frozen=True)
class CaptionedImage:
    """One image and its reference captions.

    Attributes:
        name: relative to the data set.
        path: on disk.
        split: ``train``, ``dev`` or ``test``.
        source: which of the data sets that are learnt together it is of.
        repeats: how often it comes in one pass of a training.
    """

    name: str
    path: Path
    split: str
    captions: tuple[str, ...]
    source: int = 0
    repeats: int = 1


@dataclass(frozen=True)
class CaptionData:
    """A data set of captioned images in order of name.

    ``fingerprint`` is a hash of what a training reads of it, but for the pixels: the split ``test`` does not matter.
    """

    images: tuple[CaptionedImage, ...]
    fingerprint: str

    def split(self, name: str) -> list[CaptionedImage]:
        """Images of one split."""
        return [image for image in self.images if image.split == name]


@dataclass
class Listed:
    """What one file lists, by name of the image; an empty split is none."""

    captions: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)


def load_captions(
    data: Path, *, seed: int = 0, limit: int | None = None, train_share: float = TRAIN_SHARE
) -> CaptionData:
    """Reads a data set.

    Args:
        data: a ``.tsv`` file with the header ``image<TAB>split<TAB>caption`` (images relative to the file), a COCO
            ``captions_*.json``, or a folder that holds one of them, or ``captions_train*.json`` beside
            ``captions_val*.json`` (which is then the dev split). A COCO file's images are looked for anywhere below
            the folder of the JSON file, or below its parent when that folder is ``annotations``. Also read are the
            splits by A. Karpathy (``dataset_*.json``) and Flickr8k's ``captions.txt`` beside its folder ``Images``.
        seed: of what ``limit`` takes.
        limit: take only so many images of each split (a random but fixed choice).
        train_share: share of the images, above 0 and at most 1, that is trained on, where the data brings no split; the
            bytes of an image decide, for good (:mod:`~tounum_tasks.datasets.lots`).

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
        found = _read(file, split)
        both = captions.keys() & found.captions.keys()
        if both:
            raise ConfigurationError(f"{data}: {min(both)} is in two splits.")
        captions |= found.captions
        splits |= found.splits
        paths |= found.paths
    if not captions:
        raise ConfigurationError(f"{source} holds no captions.")
    names = sorted(captions)
    unknown = sorted({split for split in splits.values() if split} - set(SPLITS))
    if unknown:
        raise ConfigurationError(f"{source} has the split {unknown[0]!r}; known are train, dev and test.")
    _check_files(source, {name: paths[name] for name in names})
    if not any(splits.get(name) for name in names):
        splits = split_by_content({name: paths[name] for name in names}, train_share)
    kept = _limited(names, splits, seed, limit)
    images = tuple(CaptionedImage(name, paths[name], splits[name], tuple(captions[name])) for name in kept)
    return captioned(images)


def _check_files(source: Path, paths: Mapping[str, Path]) -> None:
    """Raise ConfigurationError if an image does not exist, or has two names, which may be in two splits."""
    named: dict[Path, str] = {}
    for name, path in paths.items():
        if not _is_file(path):
            raise ConfigurationError(f"{source} names {name}, but {path} does not exist.")
        if named.setdefault(path, name) != name:
            raise ConfigurationError(f"{source} names {path} twice: as {named[path]} and as {name}.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, UnicodeEncodeError):  # a name that no file can have
        return False


def captioned(images: Iterable[CaptionedImage]) -> CaptionData:
    """Return images, in order of name, as a data set."""
    known = tuple(images)
    content = [
        [image.name, image.split, image.path.stat().st_size, *image.captions] for image in known if image.split != TEST
    ]
    return CaptionData(known, fingerprint(captions=content))


def joined(parts: Sequence[CaptionData], *, balance: int = 1) -> CaptionData:
    """Return several data sets as one.

    Args:
        balance: the training images of smaller data sets come so many times a pass at most, as long as they are not
            more than those of the largest.

    Raises:
        ConfigurationError: two of them have an image of the same name.
    """
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.split("train")) for part in parts]
    repeats = [max(1, min(balance, max(sizes) // max(1, size))) for size in sizes]
    placed = (
        replace(image, source=source, repeats=repeats[source] if image.split == "train" else 1)
        for source, part in enumerate(parts)
        for image in part.images
    )
    images = sorted(placed, key=lambda image: image.name)
    for image, following in pairwise(images):
        if image.name == following.name:
            raise ConfigurationError(f"Two data sets have an image {image.name}: {image.path} and {following.path}.")
    content: dict[str, Any] = {"captions": [part.fingerprint for part in parts]}
    if max(repeats) > 1:
        content["repeats"] = repeats
    return CaptionData(tuple(images), fingerprint(**content))


def split_by_content(paths: Mapping[str, Path], train_share: float = TRAIN_SHARE) -> dict[str, str]:
    """Return the split of each image: ``train`` (80 %) or ``dev``, by its bytes.

    Args:
        paths: of the images, by name.
    """
    if train_share == 1:
        return dict.fromkeys(paths, "train")
    hashes = hashes_of_files(paths.values())
    in_train = drawn(hashes.values(), "train", train_share)
    return {name: "train" if hashes[path] in in_train else "dev" for name, path in paths.items()}


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
    found = found or sorted(data.glob("*.tsv")) or sorted(data.glob("dataset_*.json"))
    found = found or sorted(data.glob(FLICKR8K_FILE))
    if not found:
        raise ConfigurationError(f"{data}: no captions_*.json, no .tsv, no dataset_*.json and no {FLICKR8K_FILE}.")
    if len(found) == 1:
        return {found[0]: ""}
    named = {path: split for path in found for part, split in COCO_SPLITS.items() if f"captions_{part}" in path.name}
    if len(named) < len(found) or len(set(named.values())) < len(found):
        raise ConfigurationError(f"{data}: several annotation files ({_listed(found)}), name one of them.")
    return named


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)


def _read(source: Path, split: str) -> Listed:
    """Read one file of captions; ``split`` is what a COCO file's images are in, if its name says it."""
    if source.suffix == ".tsv":
        return _read_table(source, "\t", source.parent)
    if source.name == FLICKR8K_FILE:
        images = source.parent / "Images"
        return _read_table(source, ",", images if images.is_dir() else source.parent)
    content = _json(source)
    return _read_karpathy(source, content) if _is_karpathy(content) else _read_coco(source, content, split)


def _text(source: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 if it says so by its first bytes, as spreadsheets write it."""
    content = source.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{source}: line {line} is not written in UTF-8; save the file as UTF-8.") from error


def _read_table(source: Path, delimiter: str, images: Path) -> Listed:
    """A table with a line of names of columns: ``image``, ``caption``, and perhaps ``split``."""
    found = Listed()
    lines = io.StringIO(_text(source), newline="")
    layout: dict[str, Any] = {
        "delimiter": delimiter,
        "quoting": csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
    }
    first_line: dict[str, int] = {}
    try:
        reader = csv.DictReader(lines, **layout)
        columns = list(reader.fieldnames or ())
        if not {"image", "caption"} <= set(columns) or len(set(columns)) < len(columns):
            names = delimiter.join(("image", "split", "caption")).replace("\t", "<TAB>")
            raise ConfigurationError(f"{source}: the first line must be {names}.")
        for row in reader:
            if not any(row.values()):  # spreadsheets write such lines at the end
                continue
            _check_columns(source, reader.line_num, row)
            name, split, caption = row["image"], (row.get("split") or "").strip(), row["caption"]
            if found.splits.setdefault(name, split) != split:
                raise ConfigurationError(f"{source}: {name} is in two splits.")
            first_line.setdefault(name, reader.line_num)
            found.captions.setdefault(name, []).append(_caption(source, name, caption))
    except csv.Error as error:
        raise ConfigurationError(f"{source} cannot be read: {error}.") from error
    blank = next((name for name, split in found.splits.items() if not split), None)
    if blank and any(found.splits.values()):
        raise ConfigurationError(
            f"{source}: line {first_line[blank]} has no split, while others have one: write train, dev or test into "
            "it, or leave the column empty in every line."
        )
    found.paths = {name: images / name for name in found.captions}
    return found


def _check_columns(source: Path, line: int, row: dict[Any, Any]) -> None:
    """Raise ConfigurationError for a line with other columns than the first: part of a caption would be lost."""
    if None in row:
        raise ConfigurationError(
            f"{source}: line {line} has too many columns: a caption may hold no tab, and a comma only in quotes."
        )
    if None in row.values():
        raise ConfigurationError(f"{source}: line {line} has too few columns.")
    if not row["image"]:
        raise ConfigurationError(f"{source}: line {line} names no image.")


def _json(source: Path) -> Any:
    try:
        return json.loads(_text(source))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{source} is no JSON file: {error}.") from error


def _is_karpathy(content: Any) -> bool:
    """Whether sentences stand with the images, as in the splits by A. Karpathy (``dataset_flickr8k.json``, ...)."""
    images = content.get("images") if isinstance(content, dict) else None
    return bool(images) and isinstance(images, list) and isinstance(images[0], dict) and "sentences" in images[0]


def _read_karpathy(source: Path, content: Any) -> Listed:
    found = Listed()
    try:
        for image in content["images"]:
            name = str(Path(image.get("filepath", "")) / image["filename"])
            split = KARPATHY_SPLITS.get(image["split"], image["split"])
            captions = [_caption(source, name, sentence["raw"]) for sentence in image["sentences"]]
            if captions and found.splits.setdefault(name, split) != split:
                raise ConfigurationError(f"{source}: {name} is in two splits.")
            if captions:
                found.captions.setdefault(name, []).extend(captions)
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{source} is no file of captions: {error!r}.") from error
    found.paths = _paths_below(source.parent, source, found.captions)
    return found


def _read_coco(source: Path, content: Any, split: str) -> Listed:
    try:
        listed = [(image["id"], str(image["file_name"])) for image in content["images"]]
        annotations = [(entry["image_id"], entry["caption"]) for entry in content["annotations"]]
        names = dict(listed)
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{source} is no COCO captions file: {error!r}.") from error
    if len(names) < len(listed):
        twice = next(number for number, count in Counter(number for number, _ in listed).items() if count > 1)
        raise ConfigurationError(f"{source}: two images have the id {twice}.")
    found = Listed()
    for number, caption in annotations:
        if not isinstance(number, int | float | str) or number not in names:
            raise ConfigurationError(f"{source} has a caption for the image {number}, which it does not list.")
        found.captions.setdefault(names[number], []).append(_caption(source, names[number], caption))
    found.splits = dict.fromkeys(found.captions, split)
    root = source.parent.parent if source.parent.name == "annotations" else source.parent
    found.paths = _paths_below(root, source, found.captions)
    return found


def _caption(source: Path, name: str, caption: object) -> str:
    if not isinstance(caption, str) or not _is_whole(caption):
        raise ConfigurationError(
            f"{source}: a caption of {name} is {json.dumps(caption)}, which is no text: take it out, or write one."
        )
    if not any(map(str.isalnum, caption)):
        raise ConfigurationError(
            f"{source}: a caption of {name} is {json.dumps(caption)}, which has no words: take it out, or write one."
        )
    return caption


def _is_whole(text: str) -> bool:
    """Whether there is no half of a character, as JSON allows it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _paths_below(root: Path, source: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where the images lie: where their names say, or else the only file of that name below the data set's folder."""
    lying: dict[str, list[Path]] = {}
    for path in root.rglob("*"):
        if path.is_file() and not is_ignored(path.name):
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
