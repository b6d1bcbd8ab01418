"""Random samples of a batch: how many images to look at, which, and what the look at them says of all.

A sample follows from a batch, the version of its manifest and a size, and from nothing else: whoever draws it again
gets the same images, and a larger sample begins with the images of a smaller one.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import ConfigurationError, DamagedFile
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Chain, Mark
from tounum_tasks.reviews.text import FOLDER
from tounum_tasks.store.base import Storage
from tounum_tasks.visible import one_line

SAMPLES = f"{FOLDER}/samples"
SAMPLE_ID = re.compile(r"[a-z0-9-]{1,80}-v\d{1,9}-\d{1,9}")
Z_95 = 1.959964  # of the normal distribution: 95 % lie within so many standard deviations
LOOKS: tuple[Mark, ...] = ("label", "caption", "good")  # by which a person says to have looked


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SampledItem(_Frozen):
    """One page, and what its row said when the sample was drawn."""

    source_path: str
    page: Annotated[int, Field(ge=1)]
    image_id: str
    label: str
    caption: str | None = None


class Rate(_Frozen):
    """How many of those that were looked at are wrong, and between which shares the rate of all lies, at 95 %."""

    wrong: int
    looked_at: int
    low: float
    high: float


class Outcome(_Frozen):
    """What the look at a sample has shown until now: ``captions`` counts photographs alone."""

    classes: Rate
    captions: Rate


class Sample(_Frozen):
    """A sample.

    Attributes:
        sample_id: what reviews of its images name.
        population: how many images of the batch it was drawn from: those with a class.
        items: in the order in which they are to be looked at.
        outcome: as of when it was last kept.
    """

    sample_id: str
    batch_date: str
    batch_id: str
    manifest_version: int
    population: int
    items: tuple[SampledItem, ...]
    outcome: Outcome | None = None

    def left(self, reviews: Effective) -> list[SampledItem]:
        """Return the items at which nobody has looked yet, in order."""
        return [item for item in self.items if not self._is_looked_at(item, reviews)]

    def judged(self, reviews: Effective) -> Outcome:
        """Return what the reviews that were made for this sample say."""
        seen = [item for item in self.items if self._is_looked_at(item, reviews)]
        photos = [item for item in seen if item.label == PHOTO and not _is_other(item.label, reviews.label_of, item)]
        return Outcome(
            classes=rate(sum(_is_other(item.label, reviews.label_of, item) for item in seen), len(seen)),
            captions=rate(sum(_is_other(item.caption, reviews.caption_of, item) for item in photos), len(photos)),
        )

    def _is_looked_at(self, item: SampledItem, reviews: Effective) -> bool:
        found = (reviews.review_in_force(Chain(mark, item.image_id)) for mark in LOOKS)
        return any(review is not None and review.sample == self.sample_id for review in found)


@dataclass(frozen=True)
class Size:
    """How many images to look at.

    Attributes:
        images: the number.
        sentence: why so many, for people.
    """

    images: int
    sentence: str


def size_for(population: int, within: float, *, expected: float = 0.5) -> Size:
    """Return how large a sample has to be.

    Args:
        population: number of images of which the rate of wrong ones is wanted.
        within: half of the width that the interval at 95 % may have, above 0, below 0.5: 0.05 for 5 points either way.
        expected: the share that is likely to be wrong; 0.5, the worst case, where nothing is known.

    Raises:
        ConfigurationError: a number is out of its range.
    """
    if population < 1:
        raise ConfigurationError("There is no image to draw from: no image of this batch has a class.")
    if not 0 < within < 0.5 or not 0 < expected < 1:
        raise ConfigurationError(f"An interval of {within:g} either way cannot be had: choose between 0.01 and 0.2.")
    unlimited = Z_95**2 * expected * (1 - expected) / within**2
    images = min(population, math.ceil(unlimited / (1 + (unlimited - 1) / population)))
    return Size(
        images,
        f"{images:,} of {population:,} images, chosen by lot, tell the share of wrong ones to within "
        f"{within * 100:g} points either way, in 19 of 20 batches, if about {expected * 100:g} % are wrong.",
    )


def rate(wrong: int, looked_at: int) -> Rate:
    """Return the interval by E. B. Wilson (1927) at 95 % for a share of which ``wrong`` of ``looked_at`` were seen.

    It stays between 0 and 1 and says something also if none was wrong. That a sample is part of a finite batch is left
    out, which makes it a little too wide rather than too narrow. Of no images at all the rate may be anything.
    """
    if looked_at == 0:
        return Rate(wrong=0, looked_at=0, low=0.0, high=1.0)
    share, z2 = wrong / looked_at, Z_95**2
    centre = (share + z2 / (2 * looked_at)) / (1 + z2 / looked_at)
    half = Z_95 * math.sqrt(share * (1 - share) / looked_at + z2 / (4 * looked_at**2)) / (1 + z2 / looked_at)
    low = 0.0 if wrong == 0 else max(0.0, centre - half)
    high = 1.0 if wrong == looked_at else min(1.0, centre + half)
    return Rate(wrong=wrong, looked_at=looked_at, low=low, high=high)


def told(found: Rate, what: str) -> str:
    """Return a rate as a sentence; ``what`` is wrong: ``class`` or ``caption``."""
    if not found.looked_at:
        return f"Nobody has looked at a {what} of this sample yet."
    return (
        f"{found.wrong:,} of {found.looked_at:,} have a wrong {what}: of the whole batch it is "
        f"{found.low * 100:.1f} to {found.high * 100:.1f} %, with 95 % certainty."
    )


def draw(batch: tuple[str, str], manifest_version: int, size: int, images: Iterable[SampledItem]) -> Sample:
    """Draw a sample.

    Args:
        batch: date and id.
        manifest_version: of which ``images`` are the rows.
        size: how many; all if there are fewer.
        images: all images of the batch that have a class, in any order.

    Raises:
        ConfigurationError: there is nothing to draw, or the size is no positive number.
    """
    batch_date, batch_id = batch
    if size < 1:
        raise ConfigurationError(f"A sample of {size} images tells nothing: take at least one.")

    def lot(item: SampledItem) -> str:
        text = json.dumps([batch_id, manifest_version, item.source_path, item.page])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    ordered = sorted(images, key=lot)
    if not ordered:
        raise ConfigurationError(f"There is no image to draw from: no image of {batch_id} has a class.")
    return Sample(
        sample_id=f"{batch_id}-v{manifest_version}-{min(size, len(ordered))}",
        batch_date=batch_date,
        batch_id=batch_id,
        manifest_version=manifest_version,
        population=len(ordered),
        items=tuple(ordered[:size]),
    )


def keep(storage: Storage, sample: Sample, reviews: Effective) -> Sample:
    """Write a sample with what its reviews say now, and return it so; a sample that is there already is replaced."""
    judged = sample.model_copy(update={"outcome": sample.judged(reviews)})
    storage.write_bytes(_path(sample.sample_id), (judged.model_dump_json(indent=1) + "\n").encode())
    return judged


def kept(storage: Storage) -> list[Sample]:
    """Return the samples of a lake, by their names.

    Raises:
        DamagedFile: one does not hold what was written.
    """
    names = [entry.name for entry in storage.list_folder(SAMPLES) if entry.name.endswith(".json")]
    return [_read(storage, f"{SAMPLES}/{name}") for name in names]


def kept_one(storage: Storage, sample_id: str) -> Sample:
    """Return one sample.

    Raises:
        ConfigurationError: there is none of that name.
        DamagedFile: it does not hold what was written.
    """
    path = _path(sample_id)
    if not SAMPLE_ID.fullmatch(sample_id) or not storage.exists(path):
        raise ConfigurationError(f"There is no sample '{one_line(sample_id[:100])}' in {storage.url(SAMPLES)}.")
    return _read(storage, path)


def _is_other(said: str | None, by_person: Callable[[str], str | None], item: SampledItem) -> bool:
    value = by_person(item.image_id)
    return value is not None and value != said


def _path(sample_id: str) -> str:
    return f"{SAMPLES}/{sample_id}.json"


def _read(storage: Storage, path: str) -> Sample:
    try:
        return Sample.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        raise DamagedFile(
            f"{storage.url(path)} is damaged (it holds no sample): remove it and draw it again; its reviews are kept."
        ) from error
