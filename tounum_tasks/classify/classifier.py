"""Classifying images: load a model once, use it for many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.classify.network import architecture_of, build_network, input_size, set_weights
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.extractor import compute_policy

BATCH_SIZE = 32
TEMPERATURE = "temperature"


class Classifier:
    """Gives the probability of each of the five classes.

    Every batch is padded to one fixed shape, so that the result of an image does not depend on its batch-mates, and the
    graph is compiled once.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], *, architecture: str, digest: str, policy: str | None = None
    ) -> None:
        """Build the network with these weights, among them ``temperature``, by which scores are divided.

        Args:
            policy: Keras dtype policy; by default bfloat16 where the processor has it.

        Raises:
            ConfigurationError: weights are missing or have the wrong shape, or the architecture is unknown.
        """
        self.architecture = architecture
        self.digest = digest
        self._network = build_network(architecture, policy or compute_policy())
        set_weights(self._network, weights)
        if TEMPERATURE not in weights or not float(weights[TEMPERATURE].item()) > 0:
            raise ConfigurationError("The classifier's weights lack a positive temperature.")
        self._temperature = float(weights[TEMPERATURE].item())

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Load a version folder of the registry.

        Raises:
            ConfigurationError: the folder is incomplete or damaged.
        """
        from tounum_tasks.models.card import read_version
        from tounum_tasks.models.weights import read_safetensors

        card = read_version(folder, name="classifier")
        weights = read_safetensors(folder / "weights.safetensors")
        return cls(weights, architecture=architecture_of(weights), digest=card.digest)

    def scores(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores (calibrated logits) of images: uint8 N x 299 x 299 x 3 (RGB) -> float32 N x 5."""
        scores = np.empty((len(inputs), len(CLASSES)), np.float32)
        side = input_size(self.architecture)
        padded = np.zeros((BATCH_SIZE, side, side, 3), np.float32)
        for start in range(0, len(inputs), BATCH_SIZE):
            part = resize_inputs(inputs[start : start + BATCH_SIZE], self.architecture)
            padded[: len(part)] = part
            padded[len(part) :] = 0
            scores[start : start + len(part)] = np.asarray(self._network.predict_on_batch(padded))[: len(part)]
        return scores / np.float32(self._temperature)

    def predict(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of images: uint8 N x 299 x 299 x 3 (RGB) -> float32 N x 5, in the order of ``CLASSES``."""
        return softmax(self.scores(inputs)).astype(np.float32)


def resize_inputs(inputs: NDArray[np.uint8], architecture: str) -> NDArray[np.uint8]:
    """Reduce model inputs (uint8 N x 299 x 299 x 3) to the side that the architecture works at, by area averaging."""
    side = input_size(architecture)
    resized = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in inputs]
    return np.stack(resized) if resized else np.zeros((0, side, side, 3), np.uint8)


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
