"""What a caption is worth: self-critical training (Rennie et al. 2017, "Self-critical Sequence Training").

Captions are drawn from the captioner and scored by CIDEr-D against the references. Each is compared with the others
that were drawn for the same image (Luo 2020, "A Better Variant of Self-Critical Sequence Training"): what is better
than they are becomes likelier, what is worse less likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.metrics import CiderD
from tounum_tasks.caption.vocabulary import END


class CaptionReward:
    """CIDEr-D, 0 to 10, of captions as word numbers.

    The end counts as a word: without it a caption that breaks off after "with a" would be worth as much as a whole one.
    """

    def __init__(self, references: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """``references``: word numbers of the captions by image, without start and end."""
        self._index = {name: index for index, name in enumerate(references)}
        self._scorer = CiderD([[_ended(words) for words in known] for known in references.values()])

    def __call__(self, image: str, words: Sequence[int]) -> float:
        """Score of one caption of an image."""
        return self._scorer.score(self._index[image], _ended(words))


def advantages(rewards: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much better each caption is than the mean of the others of its image: images x captions (two at least)."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(axis=1, keepdims=True)) * count / (count - 1)


def _ended(words: Sequence[int]) -> list[str]:
    return [str(word) for word in [*words, END]]
