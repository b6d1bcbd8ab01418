"""How a restorer is trained."""

import math
from dataclasses import dataclass

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training.options import option, require_seed


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training does, besides the pictures.

    Attributes:
        average: share of the running mean of the weights that stays, each 10 steps.

    Raises:
        ConfigurationError: nothing could be trained with these values.
    """

    steps: int = option(40_000, "how many batches are drawn", metavar="N")
    batch_size: int = option(24, "patches per step", metavar="N")
    patch: int = option(80, "side of the patches, a multiple of 4", metavar="PIXELS")
    learning_rate: float = option(
        1e-3,
        "peak of Adam's; warmed up over the first 500 steps, then a cosine down to zero",
        metavar="RATE",
    )
    average: float = 0.99
    drawn_share: float = option(0.5, "how often drawn pages of text are drawn", metavar="SHARE")
    checkpoint_steps: int = option(2_000, "steps between two checkpoints", metavar="N")
    seed: int = option(0, "of drawing and degrading", metavar="N")

    def __post_init__(self) -> None:
        require_seed(self.seed)
        for name in ("steps", "batch_size", "checkpoint_steps"):
            if getattr(self, name) < 1:
                option = f"--{name.replace('_', '-')}"
                raise ConfigurationError(f"{option} {getattr(self, name)}: give a whole number from 1 on.")
        if self.patch % 4 or self.patch < 32:
            raise ConfigurationError(f"--patch {self.patch}: give a multiple of 4, at least 32.")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigurationError(f"--learning-rate {self.learning_rate}: give a number above 0.")
        if not 0 <= self.drawn_share <= 1:
            raise ConfigurationError(f"--drawn-share {self.drawn_share}: give a number from 0 to 1.")
