"""How good a caption is likely to be: a linear estimate from what the search for it found.

The estimate is of CIDEr / (1 + CIDEr), which lies between 0 and 1: .5 where the caption is expected to have a CIDEr of
1, about what people reach who describe one another's photographs. It is fitted on the dev split
(:mod:`~tounum_tasks.training.confidence`), once for greedy search and once for beam search, which leave different
evidence behind.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError

EVIDENCE = ("log_probability", "log_probability_per_word", "words", "worth", "mean_worth", "agreement")
GREEDY, BEAM = "greedy", "beam"


class Found(Protocol):
    """What a search for the caption of one image found: K captions (see ``captioner.Candidates``)."""

    @property
    def words(self) -> Sequence[Sequence[int]]: ...
    @property
    def log_probability(self) -> NDArray[np.float32]: ...
    @property
    def lengths(self) -> NDArray[np.float32]: ...
    @property
    def worth(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Confidence:
    """An estimate: ``bias`` plus the sum of ``weights`` times the evidence, in the order of ``EVIDENCE``."""

    weights: tuple[float, ...]
    bias: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(EVIDENCE) or not all(map(math.isfinite, (*self.weights, self.bias))):
            raise ValueError(f"a confidence needs {len(EVIDENCE)} weights and a bias, all of them numbers")

    def of(self, found: Found, chosen: int) -> float:
        """Return the expected quality, 0 to 1, of one of the captions that a search found."""
        return min(1.0, max(0.0, self.bias + float(np.dot(self.weights, evidence(found, chosen)))))


def evidence(found: Found, chosen: int) -> NDArray[np.float64]:
    """Return what tells good captions from bad ones, float64, in the order of ``EVIDENCE``.

    ``worth`` is what the judge expects of the caption, and ``mean_worth`` of all that were found: where the judge knows
    nothing good to say of any of them, the image is unlike those that it knows. ``agreement`` is the share of the words
    of two captions that both have (Jaccard), the caption's with each candidate's, weighted by their probabilities.
    """
    log_probability, length = float(found.log_probability[chosen]), float(found.lengths[chosen])
    shares = np.exp(found.log_probability.astype(np.float64) - float(found.log_probability.max()))
    said = set(found.words[chosen])
    common = [len(said & set(words)) / max(1, len(said | set(words))) for words in found.words]
    agreement = float(np.dot(shares, common) / shares.sum())
    worth, mean_worth = float(found.worth[chosen]), float(found.worth.mean())
    return np.array([log_probability, log_probability / length, length, worth, mean_worth, agreement])


def review_reasons(confidence: float | None, limit: float) -> list[str]:
    """Return ``["caption"]`` for a caption that a person should read, and nothing for others.

    Args:
        confidence: of the caption; None if its captioner was made without an estimate: then nobody is bothered.
        limit: captions with less are doubtful.
    """
    # A confidence that is no number is never sure.
    return [] if confidence is None or confidence >= limit else ["caption"]


def save(path: Path, estimates: Mapping[str, Confidence]) -> None:
    """Write the estimates by kind of search, ``greedy`` and ``beam``, as JSON."""
    content = {search: asdict(estimate) for search, estimate in estimates.items()}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(path: Path) -> dict[str, Confidence]:
    """Read what :func:`save` wrote.

    Raises:
        ConfigurationError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            search: Confidence(tuple(content[search]["weights"]), content[search]["bias"]) for search in (GREEDY, BEAM)
        }
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"The captioner's confidence {path} cannot be read: {error!r}. Take the model from its source again."
        ) from error
