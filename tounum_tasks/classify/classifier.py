"""Classifying images: load a model once, use it for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify import graph
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.classify.network import (
    activation_ranges,
    architecture_of,
    build_network,
    input_size,
    outputs,
    set_weights,
    weight_shapes,
)
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import WEIGHTS_FILE, read_files
from tounum_tasks.models.compute import Precision, best_precision, keras_policy
from tounum_tasks.models.runtime import network
from tounum_tasks.models.weights import check_weights, parse_safetensors

TEMPERATURE = "temperature"


class Classifier:
    """Gives the probability of each of the five classes. Each image is computed by itself."""

    def __init__(
        self,
        weights: Mapping[str, NDArray[Any]],
        *,
        architecture: str,
        digest: str,
        precision: Precision | None = None,
    ) -> None:
        """Take the weights of the network, among them ``temperature``, by which scores are divided.

        With ``activation_ranges`` among them most convolutions are computed in int8, by Keras in float all the same.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: weights are missing or have the wrong shape, or the architecture is unknown.
        """
        self.architecture = architecture
        self.digest = digest
        check_weights(weights, weight_shapes(architecture), model="classifier")
        activation_ranges(weights, architecture)
        precision = precision or best_precision()
        self._network = network(
            lambda: graph.scores(weights, architecture),
            lambda: _reference(weights, architecture, precision),
            precision=precision,
        )
        self._temperature = temperature_of(weights)

    @classmethod
    def load(cls, folder: Path, *, precision: Precision | None = None) -> Classifier:
        """Load a version folder of the registry.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: the folder is incomplete or damaged.
        """
        card, files = read_files(folder, name="classifier")
        weights = parse_safetensors(files[WEIGHTS_FILE], folder / WEIGHTS_FILE)
        return cls(weights, architecture=architecture_of(weights), digest=card.digest, precision=precision)

    def scores(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores (calibrated logits) of images: uint8 N x 299 x 299 x 3 (RGB) -> float32 N x 5 or 6.

        A sixth says that an image is of none of the classes.

        Raises:
            ConfigurationError: the network gives no numbers.
        """
        scores = np.array(self._network.each(resize_inputs(inputs, self.architecture)), np.float32)
        scores = scores.reshape(-1, outputs(self.architecture)) / np.float32(self._temperature)
        if not np.isfinite(scores).all():
            raise ConfigurationError("The classifier gives no numbers: its weights are too large; train it again.")
        return scores

    def predict(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of images: uint8 N x 299 x 299 x 3 (RGB) -> float32 N x 5, in the order of ``CLASSES``."""
        return class_probabilities(self.scores(inputs)).astype(np.float32)


def temperature_of(weights: Mapping[str, NDArray[Any]]) -> float:
    """The number among the weights by which scores are divided.

    Raises:
        ConfigurationError: there is none.
    """
    temperature = weights.get(TEMPERATURE, np.zeros(1))
    if temperature.size != 1 or not float(temperature.item()) > 0:
        raise ConfigurationError("The classifier's weights lack a positive temperature.")
    return float(temperature.item())


def _reference(
    weights: Mapping[str, NDArray[Any]], architecture: str, precision: Precision
) -> Callable[..., list[Any]]:
    model = build_network(architecture, keras_policy(precision))
    set_weights(model, weights)
    return lambda pixels: [model.predict_on_batch(pixels.astype(np.float32))]


def resize_inputs(inputs: NDArray[np.uint8], architecture: str) -> NDArray[np.uint8]:
    """Reduce model inputs (uint8 N x 299 x 299 x 3) to the side that the architecture works at, by area averaging."""
    side = input_size(architecture)
    resized = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in inputs]
    return np.stack(resized) if resized else np.zeros((0, side, side, 3), np.uint8)


def class_probabilities(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities of the five classes, N x 5, from their scores, N x 5 or, with that of none of them behind, N x 6.

    What belongs to none is given to all five alike: it is doubt, which lowers the confidence and changes no verdict.
    """
    probabilities = softmax(scores)
    unknown = probabilities[:, len(CLASSES) :].sum(axis=1, keepdims=True)
    return probabilities[:, : len(CLASSES)] + unknown / len(CLASSES)


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities along the last axis."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
