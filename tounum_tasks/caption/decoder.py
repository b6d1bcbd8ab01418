"""The captioner's network as a search uses it: numpy arrays in and out, one word at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption import graph
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.compute import Precision
from tounum_tasks.models.runtime import network
from tounum_tasks.models.weights import check_weights

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """What the decoder knows of N images.

    Attributes:
        values: N x 64 x embedding.
        keys: N x 64 x attention.
        state: N x units, before the first word.
    """

    values: Floats
    keys: Floats
    state: Floats

    def of(self, images: NDArray[np.integer]) -> Memory:
        """What is known of some of the images, by number."""
        return Memory(self.values[images], self.keys[images], self.state[images])


class Decoder:
    """The network with its weights. May be used by several threads at once."""

    def __init__(self, shape: NetworkShape, weights: Mapping[str, NDArray[Any]], *, precision: Precision) -> None:
        """Take the weights.

        Raises:
            ConfigurationError: one is missing or has the wrong shape.
        """
        check_weights(weights, shape.weight_shapes(), model="captioner")
        self.shape = shape
        self._encoder = network(
            lambda: graph.encoder(weights, shape), lambda: _reference(shape, weights)[0], precision=precision
        )
        self._step = network(
            lambda: graph.step(weights, shape),
            lambda: _reference(shape, weights)[1],
            precision=precision,
            sizes_vary=True,
        )

    def encode(self, features: NDArray[np.floating]) -> Memory:
        """Return what the decoder needs of images: features N x 64 x channels, any float type.

        Raises:
            ConfigurationError: the network was made for features of another shape.
        """
        expected = (self.shape.positions, self.shape.channels)
        if features.shape[1:] != expected:
            raise ConfigurationError(
                f"The captioner was made for features of the shape {expected}, these have {features.shape[1:]}: its "
                "card is wrong, or they are another extractor's."
            )
        return Memory(*self._encoder(features.astype(np.float32, copy=False)))

    def step(
        self, words: NDArray[np.integer], images: NDArray[np.integer], state: Floats, memory: Memory
    ) -> tuple[Floats, Floats, Floats]:
        """Go one word further in R captions.

        Args:
            words: R, the words just read.
            images: R, which image of the memory each caption is of, in ascending order.
            state: R x units.

        Returns:
            the new state (R x units), scores of all words (R x vocabulary), attention (R x 64, sum 1).
        """
        captions, places = _table(images, len(memory.keys))
        state, scores, attention = self._step(
            words.astype(np.int32), captions, places, state, memory.values, memory.keys
        )
        return state, scores, attention


def _table(images: NDArray[np.integer], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lay captions out in a table with a row for each of ``count`` images.

    Returns:
        which caption is in each place (any, where there is none), and the place of each caption, row by row.
    """
    captions_of = np.bincount(images, minlength=count)
    width = int(captions_of.max())
    order = np.arange(len(images)) - (np.cumsum(captions_of) - captions_of)[images]
    places = images * width + order
    table = np.zeros(count * width, np.int32)
    table[places] = np.arange(len(images))
    return table.reshape(count, width), places.astype(np.int32)


def _reference(
    shape: NetworkShape, weights: Mapping[str, NDArray[Any]]
) -> tuple[Callable[..., list[Any]], Callable[..., list[Any]]]:
    """The two parts in Keras; in float32, because between steps all numbers are."""
    from keras import ops

    from tounum_tasks.caption import network as keras_network

    captioner = keras_network.CaptionNetwork(shape)
    captioner.build()
    keras_network.set_weights(captioner, weights)

    def encode(features: Floats) -> list[Any]:
        memory, state = captioner.encode(features)
        return [memory.values, memory.keys, state]

    def step(
        words: NDArray[np.int32],
        captions: NDArray[np.int32],
        places: NDArray[np.int32],
        state: Floats,
        values: Floats,
        keys: Floats,
    ) -> list[Any]:
        images = places // captions.shape[1]
        memory = keras_network.Memory(ops.take(values, images, axis=0), ops.take(keys, images, axis=0))
        state, output, attention = captioner.step(words, state, memory)
        return [state, captioner.logits(output), attention]

    return encode, step
