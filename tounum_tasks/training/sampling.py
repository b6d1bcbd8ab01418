"""Captions drawn at random from a captioner that is being trained, for a whole batch of images in one compiled graph.

The graph is written in Keras 3 operations. It says what :mod:`~tounum_tasks.caption.search` says: never ``<unk>``,
``<pad>`` or ``<start>``, never the same word twice in a row, and no pair of words twice in one caption.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tounum_tasks.caption.network import CaptionNetwork
from tounum_tasks.caption.vocabulary import END, PAD, START, UNK

Tensor = Any
IMPOSSIBLE = -1e9


class Sampling(keras.Model):
    """Draws captions from the model's own distribution, several for each image.

    Inputs: features N x 64 x channels, and uniform random numbers in [0, 1), N x samples x T, one for each word: they
    come from outside, so that an image's captions depend on its own numbers only. Outputs: words int N x samples x T
    (``<end>`` after the last word) and log-probability N x samples (natural logarithm, of all words and the end, at
    temperature 1).
    """

    def __init__(self, network: CaptionNetwork, *, max_words: int, temperature: float = 1.0, samples: int = 1) -> None:
        super().__init__(autocast=False)
        self.network = network
        self._steps = max_words
        self._temperature = temperature
        self._samples = samples

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        """Draws the captions."""
        features, uniform = inputs
        shape = (features.shape[0], self._samples)
        rows, steps = shape[0] * shape[1], self._steps
        uniform = ops.reshape(uniform, (rows, steps))
        memory, first = self.network.encode(features)

        def unfinished(step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor) -> Tensor:
            return ops.logical_and(step < steps, ops.logical_not(ops.all(finished)))

        def advance(
            step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
            last = _column(words, step - 1, before=START)
            state, output, _ = self.network.step(last, state, memory, per_image=self._samples)
            known, normaliser = _scores(self.network.logits(output), words, last, step)
            chosen = ops.where(finished, END, self._draw(known, _column(uniform, step, before=0.0)))
            gained = ops.take_along_axis(known, chosen[:, None], axis=1)[:, 0] - normaliser
            words = ops.where((ops.arange(steps) == step)[None, :], chosen[:, None], words)
            total = total + ops.where(finished, 0.0, gained)
            return step + 1, words, state, total, ops.logical_or(finished, chosen == END)

        _, words, _, total, _ = ops.while_loop(
            unfinished,
            advance,
            (
                ops.convert_to_tensor(0, "int32"),
                ops.full((rows, steps), END, dtype="int32"),
                ops.repeat(first, self._samples, axis=0),
                ops.zeros((rows,)),
                ops.zeros((rows,), "bool"),
            ),
        )
        return ops.reshape(words, (*shape, steps)), ops.reshape(total, shape)

    def _draw(self, known: Tensor, uniform: Tensor) -> Tensor:
        """The next word of each caption, int R, from the scores of the words (R x vocabulary) and its number."""
        shares = ops.cumsum(ops.softmax(known / self._temperature, axis=-1), axis=-1)
        threshold = uniform[:, None] * shares[:, -1:]
        chosen = ops.sum(ops.cast(shares <= threshold, "int32"), axis=-1)
        return ops.minimum(chosen, known.shape[-1] - 1)


def _column(table: Tensor, step: Tensor, *, before: float) -> Tensor:
    """Column ``step`` of a table N x T, or ``before`` where the step is negative."""
    column = ops.take(table, ops.maximum(step, 0), axis=1)
    return ops.where(step < 0, ops.cast(before, table.dtype), column)


def _scores(logits: Tensor, words: Tensor, last: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the words that may follow (R x vocabulary; the others are impossible), and what turns them into
    log-probabilities when it is taken off (R)."""
    rows, vocabulary = logits.shape
    never = ops.sum(ops.one_hot(ops.convert_to_tensor([PAD, START, UNK]), vocabulary), axis=0)
    known = logits + IMPOSSIBLE * never[None, :]
    normaliser = ops.logsumexp(known, axis=-1)
    # Every place where the last word was said before: what followed there may not follow again.
    steps = words.shape[1]
    followed = ops.logical_and(words[:, :-1] == last[:, None], (ops.arange(steps - 1) + 1 < step)[None, :])
    banned = ops.concatenate([ops.where(followed, words[:, 1:], PAD), last[:, None]], axis=1)
    row = ops.repeat(ops.arange(rows)[:, None], steps, axis=1)
    places = ops.reshape(ops.stack([row, banned], axis=-1), (-1, 2))
    return ops.scatter_update(known, places, ops.full((rows * steps,), IMPOSSIBLE)), normaliser
