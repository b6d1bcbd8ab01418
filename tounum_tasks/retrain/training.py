"""What a model brings so that it can be retrained. The steps of a retraining know nothing else of it."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import ModelCard
from tounum_tasks.models.registry import ModelVersion, Registry
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.settings import Settings


class Content(Protocol):
    """What the training of one model reads."""

    def without_tests(self, left_out: Set[Path]) -> Self:
        """Return the same without some test images; raise ConfigurationError if too few are left to test on."""


@dataclass(frozen=True)
class DataSet:
    """A data set, divided.

    Attributes:
        fingerprint: of everything that a training depends on.
        images: number of images by split.
        test_source: where the test images come from, for people.
        pictures: all images.
        tests: those of them that are tested on.
        content: what the model's own training reads.
    """

    fingerprint: str
    images: dict[str, int]
    test_source: str
    pictures: list[Path]
    tests: list[Path]
    content: Any

    def without_tests(self, left_out: Set[Path]) -> Self:
        """Return the same data set without some of its test images.

        Raises:
            ConfigurationError: too few are left to test on.
        """
        tests = [path for path in self.tests if path not in left_out]
        content: Content = self.content
        images = {**self.images, "test": len(tests)}
        return replace(self, images=images, tests=tests, content=content.without_tests(left_out))


@dataclass(frozen=True)
class Row:
    """One figure of both models; ``digits`` after the point are shown."""

    label: str
    production: float
    candidate: float
    digits: int = 3


class Training(Protocol):
    """One model.

    Attributes:
        default_epochs: passes over the training images, unless a person gives another number.
        trains_too: other models of which it may train a version of its own.
    """

    default_epochs: float
    trains_too: tuple[str, ...]

    def check(self, request: RetrainRequest, epochs: float) -> None:
        """Raise ConfigurationError for parameters that this model cannot be trained with."""

    def initial(self, registry: Registry) -> ModelVersion:
        """Return the version that the training begins with."""

    def read(self, name: str, settings: Settings, corrections: Path | None) -> DataSet:
        """Return a data set with an export of corrections, if any; raise ConfigurationError if it cannot be used."""

    def bytes_needed(self, plan: RetrainPlan) -> int:
        """Return what the caches of a training take on disk."""

    def train(self, plan: RetrainPlan, settings: Settings, data: DataSet) -> dict[str, Any]:
        """Train the candidate in the work folder; return figures on the images that the training validates on."""

    def measure(
        self, plan: RetrainPlan, settings: Settings, data: DataSet, card: ModelCard, production: ModelVersion
    ) -> dict[str, Any]:
        """Measure candidate and production on the test images.

        Args:
            card: of the candidate.

        Returns:
            What goes into ``evaluation.json``: ``figures`` by ``candidate`` and ``production``, perhaps ``examples``,
            and ``groups``: the same figures for the test images of one origin, with their number as ``images``.
        """

    def rows(self, evaluation: Mapping[str, Any]) -> Iterator[Row]:
        """Yield the figures for people from ``evaluation.json``; the first one decides."""


# How people read the origins of what they corrected.
GROUPS = {"hard": "corrected by people", "sample": "chosen by lot"}


def group_label(group: str, images: int, figure: str) -> str:
    """Return what a figure on the test images of one origin is called."""
    return f"{GROUPS[group]} ({images:,} images): {figure}"


def initial_version(plan: RetrainPlan, settings: Settings) -> ModelVersion:
    """Return the version that the training begins with.

    Raises:
        ConfigurationError: it is missing, damaged or was replaced since ``prepare``.
    """
    found = Registry.of(settings).resolve(plan.initial.name, plan.initial.version)
    if found.digest != plan.initial.digest:
        raise ConfigurationError(
            f"The {plan.initial.name} {plan.initial.version} was replaced since the run began: start a new run."
        )
    return found
