"""Images for the classifier: one folder per class, with images at any depth below it.

``CLASS/SOURCE/.../image``: the first sub-folder is the image's *source* (a data set, a donor, a scanner). Sources are
what a classifier must not learn, so they are balanced in training and left out one at a time in validation. Images that
lie directly in a class folder belong to the source ``CLASS/.``.
"""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES, UNKNOWN
from tounum_tasks.datasets.lots import drawn, hashes_of_files
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.decode import decode
from tounum_tasks.names import IMAGE_SUFFIXES, is_ignored
from tounum_tasks.visible import one_line

TEST_FOLDER = "test"
"""A folder beside those of the classes, with images to test on: one folder for each class again."""
LABELS = (*CLASSES, UNKNOWN)
"""What the labels of examples mean; images of none of the classes are only drawn, for training."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """One labelled image: ``label`` is an index into ``LABELS``, ``source`` is ``Class/first sub-folder``.

    ``made_from`` names the source of the image that this one was rendered from; empty for a real one.
    """

    path: Path
    label: int
    source: str
    made_from: str = ""


def read_class_folders(
    root: Path,
    *,
    extra: Sequence[tuple[str, Path]] = (),
    left_out: Collection[str] = (),
    left_out_sources: Collection[str] = (),
    limit_per_source: int | None = None,
) -> list[Example]:
    """List the images below ``root/CLASS`` for each of the five classes, in a fixed order.

    Args:
        extra: further folders as (class name, folder); each is one source named after the folder's path.
        left_out: images that are not used, each as ``CLASS/SOURCE/NAME``.
        left_out_sources: sources that are not used, each as ``CLASS/SOURCE``.
        limit_per_source: keep at most so many images of a source, chosen by the hash of their names.

    Raises:
        ConfigurationError: a class has no images, ``extra`` names an unknown class, ``left_out`` an image or
            ``left_out_sources`` a source that is not there, or the limit is none.
    """
    if limit_per_source is not None and limit_per_source < 1:
        raise ConfigurationError(f"{limit_per_source} images of each source are too few: the limit must be at least 1.")
    examples = list_examples(root)
    for name, folder in extra:
        if name not in CLASSES:
            raise ConfigurationError(f"Unknown class {name!r}; the classes are {', '.join(CLASSES)}.")
        source = f"{name}/{'-'.join(folder.resolve().parts[-2:])}"
        examples += [Example(path, CLASSES.index(name), source) for path in _images_below(folder)]
    examples = _without(examples, left_out)
    sources = {example.source for example in examples}
    if strangers := [source for source in left_out_sources if source not in sources]:
        known = ", ".join(sorted(sources))
        raise ConfigurationError(f"There is no source {strangers[0]} to leave out; there are: {known}.")
    examples = [example for example in examples if example.source not in left_out_sources]
    missing = [name for label, name in enumerate(CLASSES) if all(example.label != label for example in examples)]
    if missing:
        raise ConfigurationError(f"{root} has no images of class {', '.join(missing)}; expected one folder per class.")
    if limit_per_source is None:
        return examples
    chosen: list[Example] = []
    for source in dict.fromkeys(example.source for example in examples):
        members = [example for example in examples if example.source == source]
        keep = set(sorted(members, key=_name_hash)[:limit_per_source])
        chosen += [example for example in members if example in keep]
    return chosen


def _without(examples: Sequence[Example], left_out: Collection[str]) -> list[Example]:
    names = [f"{example.source}/{example.path.name}" for example in examples]
    if strangers := sorted(set(left_out) - set(names)):
        raise ConfigurationError(f"There is no image {strangers[0]} to leave out ({len(strangers)} such names).")
    return [example for example, name in zip(examples, names, strict=True) if name not in left_out]


def list_examples(root: Path) -> list[Example]:
    """List the images below ``root/CLASS``, in a fixed order; classes may have none. Other folders are told."""
    others = [
        path.name for path in root.glob("*/") if path.name not in (*CLASSES, TEST_FOLDER) and not is_ignored(path.name)
    ]
    if others:
        told = ", ".join(map(one_line, sorted(others)))
        log.warning("%s: folders that are no class are left out: %s; classes: %s.", root, told, ", ".join(CLASSES))
    examples = []
    for label, name in enumerate(CLASSES):
        folder = root / name
        for path in _images_below(folder):
            parts = path.relative_to(folder).parts
            examples.append(Example(path, label, f"{name}/{parts[0] if len(parts) > 1 else '.'}"))
    return examples


def _images_below(folder: Path) -> Iterable[Path]:
    left_out: Counter[str] = Counter()
    for parent, folders, files in os.walk(folder, onerror=_cannot_be_read):
        folders.sort()
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            if suffix in IMAGE_SUFFIXES and not name.startswith("."):
                yield Path(parent, name)
            elif not is_ignored(name):
                left_out[one_line(suffix or "no ending")] += 1
    if left_out:
        told = ", ".join(f"{count} with {suffix}" for suffix, count in sorted(left_out.items()))
        log.warning("%s: files that are no images by their ending are left out: %s.", folder, told)


def _cannot_be_read(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a class may have no folder
        raise ConfigurationError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _name_hash(example: Example) -> str:
    return hashlib.sha256(f"{example.source}/{example.path.name}".encode()).hexdigest()


def split(examples: Sequence[Example], validation_share: float) -> tuple[list[Example], list[Example]]:
    """Divide into training and validation images by the bytes of each: an image stays where it is, for good.

    Raises:
        ConfigurationError: an image cannot be read.
    """
    hashes = hashes_of_files(example.path for example in examples)
    held_out = drawn(hashes.values(), "validation", validation_share)
    training = [example for example in examples if hashes[example.path] not in held_out]
    return training, [example for example in examples if hashes[example.path] in held_out]


def data_fingerprint(examples: Sequence[Example]) -> str:
    """Of what the images show, not of their names: one that was mended must not keep the features that it had."""
    hashes = hashes_of_files(example.path for example in examples)
    return fingerprint(examples=[[example.source, example.path.name, hashes[example.path]] for example in examples])


def balanced_weights(examples: Sequence[Example]) -> NDArray[np.float64]:
    """Weight of each example; they sum to 1, every class has the same total.

    Within a class, a source counts by the square root of its size: a large source does not drown a small one, and a
    handful of images is not repeated endlessly.
    """
    sizes = Counter(example.source for example in examples)
    roots = {source: np.sqrt(size) for source, size in sizes.items()}
    totals = Counter[int]()
    for source, label in {(example.source, example.label) for example in examples}:
        totals[label] += roots[source]
    weights = [
        roots[example.source] / totals[example.label] / sizes[example.source] / len(totals) for example in examples
    ]
    return np.array(weights)


def load(example: Example) -> NDArray[np.uint8]:
    """Decode an example into uint8 RGB.

    Raises:
        ConfigurationError: the file is damaged; training data is to be repaired, not skipped.
    """
    try:
        return decode(example.path.read_bytes()).rgb
    except (OSError, ItemError) as error:
        raise ConfigurationError(f"Cannot read the training image {example.path}: {error}") from error
