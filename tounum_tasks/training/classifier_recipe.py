"""How a classifier is trained."""

import math
from dataclasses import dataclass

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training.options import option, require_seed


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training does, besides the data and the initial weights.

    Attributes:
        batch_size: images per step.
        label_smoothing: share of the target given to the other classes: some labels are wrong.
        validation_share: share of the images that is only validated on.

    Raises:
        ConfigurationError: nothing could be trained with these values.
    """

    architecture: str = option(
        "inception-roots",
        "inception-roots, inception-spread (reads no roots), or the small network of the notebooks",
        choices=("inception-roots", "inception-spread", "notebook"),
    )
    views: int = option(
        1,
        "copies of each image that the head is fitted to; the first is the image itself, the others are damaged",
        metavar="N",
    )
    renderings: int = option(
        120, "images rendered in each manner: old prints, pencil, blueprints, ...", metavar="N"
    )  # of training.rendered_sources
    unknown: int = option(
        80,
        "images drawn of each kind that is none of the classes, to be doubted: maps, stamps, blank pages, ...; 0: none",
        metavar="N",
    )
    l2: float = option(7e-3, "of the head's weights", metavar="PENALTY")
    agreement: float = option(
        1.0,
        "how little the head makes of what tells one source of a class from another; 0: that does not matter",
        metavar="PENALTY",
    )
    photo_cost: float = option(
        0.03,
        "how much a photograph's score has to be above the others', where 1 is a whole class: a drawing among the "
        "photographs costs more than a photograph in review",
        metavar="SCORE",
    )
    passes: float = option(0.5, "passes over the images with all layers trained", metavar="N")
    batch_size: int = 32
    learning_rate: float = option(
        1e-5,
        "peak of Adam's; warmed up over the first tenth, then a cosine down to zero",
        metavar="RATE",
    )
    patience: int = option(5, "stop after N checkpoints that were not better", metavar="N")
    int8: bool = option(
        False, "measure the ranges of activations, so that the version computes in int8: faster, a little less exact"
    )
    label_smoothing: float = 0.05
    validation_share: float = 0.15
    seed: int = option(0, "of drawing and damaging", metavar="N")

    def __post_init__(self) -> None:
        require_seed(self.seed)
        for name, least in (("views", 1), ("patience", 1), ("renderings", 0), ("unknown", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"--{name} {getattr(self, name)}: give a whole number from {least} on.")
        for name in ("l2", "agreement", "passes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f"--{name} {getattr(self, name)}: give a number from 0 on.")
        if not math.isfinite(self.photo_cost):
            raise ConfigurationError(f"--photo-cost {self.photo_cost}: give a number.")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigurationError(f"--learning-rate {self.learning_rate}: give a number above 0.")
        if self.architecture == "notebook" and not self.passes:
            raise ConfigurationError("--passes 0 trains the last layer alone, which --architecture notebook cannot.")
