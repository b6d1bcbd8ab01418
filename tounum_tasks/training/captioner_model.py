"""The captioner as it is trained: teacher forcing, masked loss, optionally with the extractor underneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import Captioner, SearchOptions
from tounum_tasks.caption.decoder import Decoder
from tounum_tasks.caption.network import CaptionNetwork, Memory
from tounum_tasks.caption.vocabulary import END, PAD, START, UNK, Vocabulary
from tounum_tasks.models.compute import best_precision

Tensor = Any


def captioner_of(network: CaptionNetwork, vocabulary: Vocabulary, options: SearchOptions | None = None) -> Captioner:
    """A captioner with the weights that the network has now."""
    decoder = Decoder(network.sizes, network.weight_arrays(), precision=best_precision())
    return Captioner(decoder, vocabulary, digest="in training", options=options)


def staircase(lengths: Sequence[int], captions: int, max_words: int) -> tuple[int, ...]:
    """How many captions of a batch are still going on at each step, when they are sorted from long to short.

    Most captions are half as long as the longest: computing only these rows saves over a third of the decoder's work
    with shapes that are the same for every batch. A batch with more long captions than usual (by a tenth and two) has
    its surplus cut short.

    Args:
        lengths: number of words of many captions of the data set.
        captions: number of captions in a batch.
        max_words: longer captions are cut to it.
    """
    ends = np.minimum(np.asarray(lengths), max_words) + 1
    shares = [float(np.mean(ends > step)) for step in range(max_words + 1)]
    return tuple(min(captions, int(np.ceil(captions * share * 1.1)) + 2) for share in shares)


def teacher_forcing(
    captions: Sequence[Sequence[int]],
    images: Sequence[int],
    rows: Sequence[int],
    *,
    worth: NDArray[np.floating] | None = None,
) -> dict[str, NDArray[Any]]:
    """Lays the captions of one batch out for :class:`TrainingModel`.

    Args:
        captions: word numbers of every caption, without start and end; an empty one has no weight.
        images: for each caption, which image of the batch it belongs to.
        rows: see :func:`staircase`; ``rows[0]`` captions.
        worth: how much each caption counts, which may be less than nothing; all count 1 by default.

    Returns:
        ``image`` int N, ``words`` int N x T (read), ``targets`` and ``weights`` R (to be said; step by step, the rows
        of the staircase one after the other). Unknown words are read, but never a target.
    """
    order = sorted(range(len(captions)), key=lambda index: -len(captions[index]))
    steps = len(rows)
    words = np.full((rows[0], steps), PAD, np.int32)
    targets = np.full((rows[0], steps), PAD, np.int32)
    image = np.zeros(rows[0], np.int32)
    worths = np.ones(rows[0], np.float32)
    for row, index in enumerate(order[: rows[0]]):
        said = [*captions[index], END][:steps] if captions[index] else []
        read = [START, *captions[index]][:steps] if captions[index] else []
        targets[row, : len(said)], words[row, : len(read)], image[row] = said, read, images[index]
        if worth is not None:
            worths[row] = worth[index]
    flat = np.concatenate([targets[:count, step] for step, count in enumerate(rows)])
    weights = np.concatenate([worths[:count] for count in rows]) * ((flat != PAD) & (flat != UNK))
    return {"image": image, "words": words, "targets": flat, "weights": weights}


class TrainingModel(keras.Model):
    """Computes the loss of one batch.

    Inputs (a dictionary): ``features``, what ``front`` takes, or without one N x 64 x channels; and what
    :func:`teacher_forcing` made.
    """

    def __init__(
        self,
        captioner: CaptionNetwork,
        front: keras.Model | None,
        rows: Sequence[int],
        *,
        label_smoothing: float,
    ) -> None:
        super().__init__()
        self.captioner = captioner
        self.front = front
        self._rows = tuple(rows)
        self._smoothing = label_smoothing
        if not captioner.built:
            captioner.build()
        self.built = True

    def call(self, inputs: Mapping[str, Tensor], training: bool = False) -> Tensor:
        """Mean loss per word, each times its weight: cross-entropy, smoothed over the vocabulary while training."""
        sizes = self.captioner.sizes
        features = inputs["features"]
        if self.front is not None:
            features = self.front(features, training=training)
        features = ops.reshape(features, (-1, sizes.positions, sizes.channels))
        memory, state = self.captioner.encode(features, training=training)
        memory = Memory(*(ops.take(part, inputs["image"], axis=0) for part in memory))
        state = ops.take(state, inputs["image"], axis=0)
        outputs = []
        for step, count in enumerate(self._rows):
            if step and count < self._rows[step - 1]:
                memory = Memory(*(part[:count] for part in memory))
                state = state[:count]
            state, output, _ = self.captioner.step(inputs["words"][:count, step], state, memory, training=training)
            outputs.append(output)
        logits = self.captioner.logits(ops.concatenate(outputs, axis=0))
        return self._loss(logits, inputs["targets"], inputs["weights"], training)

    def _loss(self, logits: Tensor, targets: Tensor, weights: Tensor, training: bool) -> Tensor:
        normaliser = ops.logsumexp(logits, axis=-1)
        said = ops.squeeze(ops.take_along_axis(logits, ops.expand_dims(targets, -1), axis=-1), -1)
        losses = normaliser - said
        if training and self._smoothing:
            uniform = normaliser - ops.mean(logits, axis=-1)
            losses = (1 - self._smoothing) * losses + self._smoothing * uniform
        return ops.sum(losses * weights) / ops.maximum(ops.sum(ops.cast(weights != 0, "float32")), 1.0)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The model's output is the loss."""
        return y_pred


class ScaledAdam(keras.optimizers.Adam):
    """Adam with a factor on the learning rate of some variables: trained layers move less than new ones."""

    def __init__(self, learning_rate: Any, factors: Mapping[str, float], **options: Any) -> None:
        """``factors``: by path of the variable; 1 where absent."""
        super().__init__(learning_rate, **options)
        self._factors = dict(factors)
        self._factor_by_index: list[float] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the moments and notes each variable's factor."""
        super().build(variables)
        self._factor_by_index = [self._factors.get(variable.path, 1.0) for variable in variables]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """One variable's update (the backend may pass its own kind of variable, so it is known by its index)."""
        factor = self._factor_by_index[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)
