"""What becomes of a caption that is probably wrong: it stays, a shorter and safer one stands in for it, or none does.

A doubtful caption is flagged for review in any case, and the other captions that the search found stay with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import Caption, Captioner, sentence

Doubtful = Literal["keep", "short", "none"]
NARROWEST_BEAM = 2


@dataclass(frozen=True)
class Doubt:
    """What to do with doubtful captions.

    Attributes:
        doubtful: ``keep`` them; put the little in their place that is sure (``short``: *A bathroom*), which may be
            nothing; or ``none``.
        limit: captions with less confidence are doubtful. Without an estimate of it, none is.
    """

    doubtful: Doubtful = "keep"
    limit: float = 0.0

    def of(self, caption: Caption) -> bool:
        """Whether the caption is replaced."""
        # A confidence that is no number is never sure.
        return self.doubtful != "keep" and caption.confidence is not None and not caption.confidence >= self.limit


def captions_of(captioner: Captioner, features: NDArray[np.floating], *, beam: int, doubt: Doubt) -> list[Caption]:
    """Captions of images, the doubtful ones replaced.

    The log-probability and the confidence remain those of the caption that was found, which becomes the first
    alternative. A short caption comes from the judge, which sees the whole image at once: its attention is the same
    everywhere.

    Args:
        features: N x 64 x channels.
        beam: see :meth:`Captioner.caption`.

    Raises:
        ConfigurationError: short captions are wanted of a captioner that has none.
    """
    if doubt.doubtful == "short":
        captioner.require_short_captions()
    found = list(captioner.candidates(features, beam=beam))
    captions = [captioner.chosen(candidates, beam=beam) for candidates in found]
    doubted = [number for number, caption in enumerate(captions) if doubt.of(caption)]
    words: list[tuple[str, ...]] = [()] * len(doubted)
    if doubt.doubtful == "short":
        images = features[doubted]
        # What greedy search finds says nothing of how sure it is.
        agreed = captioner.candidates(images, beam=NARROWEST_BEAM) if beam == 1 else (found[row] for row in doubted)
        words = captioner.short_captions(images, list(agreed))
    for number, said in zip(doubted, words, strict=True):
        captions[number] = _replaced(captions[number], said)
    return captions


def _replaced(caption: Caption, words: Sequence[str]) -> Caption:
    positions = caption.attention.shape[1]
    return replace(
        caption,
        text=sentence(tuple(words)),
        words=tuple(words),
        alternatives=(caption.text, *caption.alternatives),
        attention=np.full((len(words), positions), 1 / positions, np.float16),
    )
