"""The feature extractor: load it once, use it for many images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.features import graph
from tounum_tasks.features.inception import CHANNELS, POSITIONS, Weights, last_layer_of, weight_shapes
from tounum_tasks.models.card import WEIGHTS_FILE, read_files
from tounum_tasks.models.compute import Precision, best_precision, keras_policy
from tounum_tasks.models.runtime import Network, network
from tounum_tasks.models.weights import check_weights, parse_safetensors


class Extractor:
    """Extracts features. Each image is computed by itself: its features do not depend on what else is asked for."""

    def __init__(self, weights: Weights, *, digest: str, precision: Precision | None = None) -> None:
        """Take the weights of a network that ends with ``mixed9`` or ``mixed10``.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: an array is missing or has the wrong shape.
        """
        self.digest = digest
        self.precision = precision or best_precision()
        self._network = block_network(weights, last_layer_of(weights), precision=self.precision)

    @classmethod
    def load(cls, folder: Path, *, precision: Precision | None = None) -> Extractor:
        """Load a version folder of the registry.

        Raises:
            ConfigurationError: the folder is incomplete or damaged.
        """
        card, files = read_files(folder, name="extractor")
        weights = parse_safetensors(files[WEIGHTS_FILE], folder / WEIGHTS_FILE)
        return cls(weights, digest=card.digest, precision=precision)

    def extract(self, inputs: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Return features of images: uint8 N x 299 x 299 x 3 (RGB) -> float16 N x 64 x 2048, positions row by row."""
        features = np.empty((len(inputs), POSITIONS, CHANNELS), np.float16)
        for index, found in enumerate(self._network.each(inputs)):
            features[index] = found.reshape(POSITIONS, CHANNELS)
        return features


def block_network(weights: Weights, last_layer: str, *, precision: Precision) -> Network:
    """Return InceptionV3 up to a block: from pixels, uint8 N x 299 x 299 x 3 (RGB), to float32 N x H x W x C.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    check_weights(weights, weight_shapes(last_layer), model="extractor")
    return network(
        lambda: graph.block_output(weights, last_layer),
        lambda: _reference(weights, last_layer, precision),
        precision=precision,
    )


def _reference(weights: Weights, last_layer: str, precision: Precision) -> Callable[..., list[Any]]:
    from tounum_tasks.features.network import build_network, set_weights

    model = build_network(keras_policy(precision), last_layer=last_layer)
    set_weights(model, weights)
    return lambda pixels: [model.predict_on_batch(pixels.astype(np.float32))]
