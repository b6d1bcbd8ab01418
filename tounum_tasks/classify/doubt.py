"""How likely the class of an image is wrong: logistic regression on its five probabilities.

The largest probability alone says too little of images unlike those that a classifier learnt from. What it is compared
with matters (the margin to the second class), how the rest is spread, and which class was chosen: most of what is taken
for a photograph by mistake looks like one in every respect that the network knows. The regression is fitted to images
of sources that the classifier never saw (:mod:`~tounum_tasks.training.doubt`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError

KERNEL, BIAS = "doubt/kernel", "doubt/bias"
SMALLEST = 1e-6
EVIDENCE = 3
"""Figures of each image, which have a weight of their own for each class that is chosen."""


@dataclass(frozen=True)
class Doubt:
    """Weights of the evidence, float32 classes x 3, and a bias for each class, by the class that was chosen."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[Any]]) -> Doubt | None:
        """Return what the weights of a classifier hold; None if it was made without.

        Raises:
            ConfigurationError: they hold a part of it, or one of another shape.
        """
        if KERNEL not in weights and BIAS not in weights:
            return None
        for name, shape in ((KERNEL, (len(CLASSES), EVIDENCE)), (BIAS, (len(CLASSES),))):
            if name not in weights or weights[name].shape != shape:
                raise ConfigurationError(f"The classifier's weights need {name} of the shape {shape}.")
        return cls(weights[KERNEL].astype(np.float32), weights[BIAS].astype(np.float32))

    def to_weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays as they are stored with the classifier's."""
        return {KERNEL: self.kernel, BIAS: self.bias}

    def risk(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how likely the largest of the probabilities (N x 5) belongs to a wrong class: N, 0 to 1."""
        chosen = probabilities.argmax(axis=-1)
        scores = (evidence(probabilities) * self.kernel[chosen]).sum(axis=-1) + self.bias[chosen]
        return 1 / (1 + np.exp(-scores.astype(np.float64)))


def evidence(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return what speaks against the class chosen: N x 3.

    The logarithm of the largest probability; that of the second one over the largest; and the entropy (nats).
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    ranked = np.sort(logs, axis=-1)
    entropy = -(np.exp(logs) * logs).sum(axis=-1)
    return np.stack([ranked[..., -1], ranked[..., -2] - ranked[..., -1], entropy], axis=-1)
