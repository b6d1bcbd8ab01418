"""How a captioner is trained, and the extractor underneath it."""

import math
from dataclasses import dataclass

from tounum_tasks.caption.shape import LONGEST_CAPTION
from tounum_tasks.caption.vocabulary import SPECIAL
from tounum_tasks.datasets.views import MOST_WINDOWS
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training.options import option, require_seed


@dataclass(frozen=True)
class TrainingSettings:
    """What a training depends on, besides its data and its initial weights.

    Attributes:
        captions_per_image: that are learnt, at most.
        label_smoothing: share of the target given to other words.
        dropout: share of the decoder's values that are left out while it learns.
        word_dropout: share of the words before the one to be told that are hidden while it learns.
        head_learning_rate, full_learning_rate, decoder_learning_rate, reward_learning_rate: peak of Adam's in a phase.

    Raises:
        ConfigurationError: nothing could be trained with these values.
    """

    seed: int = option(0, "of all that is drawn", metavar="N")
    vocabulary_size: int = option(3000, "words that it may learn, at most", metavar="N")
    fewest_images: int = option(
        0,
        "leave out words that the captions of fewer images have; with --continue, they are forgotten",
        metavar="N",
    )
    max_words: int = option(20, "words of a caption, at most", metavar="N")
    captions_per_image: int = 5
    mirrored: bool = option(True, "do not learn from mirrored images too", flag="--no-mirror")
    windows: int = option(0, "learn from N windows at random places of each image, too", metavar="N")
    views_of_repeated: bool = option(
        False, "with --balance: mirror images and windows only of the images that come several times"
    )
    images_per_pass: int = option(
        0,
        "take at most N images of each data set in a pass, drawn anew for each",
        metavar="N",
        shown_default="all",
    )
    label_smoothing: float = 0.1
    dropout: float = 0.4
    word_dropout: float = 0.1
    head_epochs: int = option(0, "passes in which the extractor above mixed8 learns with it", metavar="N")
    full_epochs: int = option(0, "passes of every layer, slow", metavar="N")
    decoder_epochs: int = option(10, "passes of the decoder", flag="--epochs", metavar="N")
    reward_epochs: int = option(0, "passes in which the decoder is rewarded for whole captions", metavar="N")
    patience: int = option(
        3, "end a phase of the decoder when N passes brought nothing better on the dev split", metavar="N"
    )
    batch_images: int = option(16, "images per step", metavar="N")
    head_learning_rate: float = 1e-3
    full_learning_rate: float = 5e-4
    decoder_learning_rate: float = 1.2e-3
    reward_learning_rate: float = 1e-4
    reward_likelihood: float = option(
        0.0, "how much the likelihood of people's captions counts beside the rewards", metavar="X"
    )

    def __post_init__(self) -> None:
        require_seed(self.seed)
        if self.vocabulary_size <= len(SPECIAL):
            raise ConfigurationError(
                f"--vocabulary-size {self.vocabulary_size}: give at least {len(SPECIAL) + 1}, {len(SPECIAL)} of which "
                "are no words."
            )
        if self.max_words > LONGEST_CAPTION:
            raise ConfigurationError(f"--max-words {self.max_words}: at most {LONGEST_CAPTION}.")
        counts = (*self.passes, self.windows, self.fewest_images, self.images_per_pass)
        if min(self.batch_images, self.patience, self.max_words) < 1 or min(counts) < 0:
            raise ConfigurationError("Passes, words, windows, images of a word and batches must be positive numbers.")
        if not 0 <= self.reward_likelihood < math.inf:
            raise ConfigurationError(f"--reward-likelihood {self.reward_likelihood}: it must be a number from 0 on.")
        if self.windows > MOST_WINDOWS:
            raise ConfigurationError(f"--windows {self.windows}: at most {MOST_WINDOWS}.")

    @property
    def passes(self) -> tuple[int, ...]:
        """How often each phase goes over its images, in the order of the phases."""
        return self.head_epochs, self.full_epochs, self.decoder_epochs, self.reward_epochs
