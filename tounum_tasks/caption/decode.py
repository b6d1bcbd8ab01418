"""Search for the best caption, for a whole batch of images in one compiled graph.

The graph is written in Keras 3 operations. It never says ``<unk>``, ``<pad>`` or ``<start>``, never the same word twice
in a row, and no pair of words twice in one caption.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tounum_tasks.caption.network import CaptionNetwork, Memory
from tounum_tasks.caption.vocabulary import END, PAD, START, UNK

Tensor = Any
IMPOSSIBLE = -1e9


class BeamSearch(keras.Model):
    """Beam search; with a beam of one it is greedy search.

    Input: features N x 64 x channels. Output: words int N x beam x T (``<end>`` after the last word), log-probability
    N x beam (natural logarithm, of all words and the end), attention N x beam x T x 64. Best first, by log-probability
    divided by length to the power ``length_power`` (Wu et al. 2016 without their constant).
    """

    def __init__(self, network: CaptionNetwork, *, beam: int, max_words: int, length_power: float) -> None:
        super().__init__()
        self.network = network
        self._beam = beam
        self._steps = max_words
        self._length_power = length_power

    def call(self, features: Tensor, training: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the search."""
        beam, steps, sizes = self._beam, self._steps, self.network.sizes
        count = features.shape[0]
        memory, first = self.network.encode(features)
        memory = Memory(*(ops.repeat(part, beam, axis=0) for part in memory))
        state = ops.repeat(first, beam, axis=0)
        rows = count * beam

        def unfinished(step: Tensor, words: Tensor, *rest: Tensor) -> Tensor:
            return ops.logical_and(step < steps, ops.logical_not(ops.all(rest[2])))

        def advance(
            step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor, length: Tensor, maps: Tensor
        ) -> tuple[Tensor, ...]:
            last = _column(words, step - 1, before=START)
            state, output, attention = self.network.step(last, state, memory)
            allowed = _log_probabilities(self.network.logits(output), words, last, step)
            ending = ops.one_hot(ops.full((rows,), END), sizes.vocabulary)
            allowed = ops.where(finished[:, None], (1.0 - ending) * IMPOSSIBLE, allowed)
            totals = total[:, None] + allowed
            longer = ops.cast(ops.where(finished, length, length + 1), "float32")
            scores = totals / ops.power(longer, self._length_power)[:, None]
            _, best = ops.top_k(ops.reshape(scores, (count, beam * sizes.vocabulary)), beam)
            best = ops.cast(best, "int32")
            origin = ops.reshape(best // sizes.vocabulary + beam * ops.arange(count)[:, None], (rows,))
            chosen = ops.reshape(best % sizes.vocabulary, (rows,))
            total = ops.take_along_axis(ops.take(totals, origin, axis=0), chosen[:, None], axis=1)[:, 0]
            words, maps = ops.take(words, origin, axis=0), ops.take(maps, origin, axis=0)
            length, was_finished = ops.take(ops.cast(longer, "int32"), origin), ops.take(finished, origin)
            here = ops.arange(steps) == step
            words = ops.where(here[None, :], chosen[:, None], words)
            maps = ops.where(here[None, :, None], ops.take(attention, origin, axis=0)[:, None, :], maps)
            finished = ops.logical_or(was_finished, chosen == END)
            return step + 1, words, ops.take(state, origin, axis=0), total, finished, length, maps

        # At the first step all beams of an image are alike: only the first may go on.
        total = ops.where(ops.arange(rows) % beam == 0, 0.0, IMPOSSIBLE)
        _, words, _, total, _, _, maps = ops.while_loop(
            unfinished,
            advance,
            (
                ops.convert_to_tensor(0, "int32"),
                ops.full((rows, steps), END, dtype="int32"),
                state,
                total,
                ops.zeros((rows,), "bool"),
                ops.zeros((rows,), "int32"),
                ops.zeros((rows, steps, sizes.positions)),
            ),
        )
        return (
            ops.reshape(words, (count, beam, steps)),
            ops.reshape(total, (count, beam)),
            ops.reshape(maps, (count, beam, steps, sizes.positions)),
        )


class Sampling(keras.Model):
    """Draws captions from the model's own distribution, several for each image.

    Inputs: features N x 64 x channels, and uniform random numbers in [0, 1), N x samples x T, one for each word: they
    come from outside, so that an image's captions depend on its own numbers only. Outputs: words int N x samples x T
    (``<end>`` after the last word) and log-probability N x samples (as of :class:`BeamSearch`, at temperature 1).
    """

    def __init__(self, network: CaptionNetwork, *, max_words: int, temperature: float = 1.0, samples: int = 1) -> None:
        super().__init__()
        self.network = network
        self._steps = max_words
        self._temperature = temperature
        self._samples = samples

    def call(self, inputs: tuple[Tensor, Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        """Draws the captions."""
        features, uniform = inputs
        samples, steps, sizes = self._samples, self._steps, self.network.sizes
        count = features.shape[0]
        rows = count * samples
        memory, first = self.network.encode(features)
        memory = Memory(*(ops.repeat(part, samples, axis=0) for part in memory))
        uniform = ops.reshape(uniform, (rows, steps))

        def unfinished(step: Tensor, words: Tensor, *rest: Tensor) -> Tensor:
            return ops.logical_and(step < steps, ops.logical_not(ops.all(rest[2])))

        def advance(step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor) -> tuple[Tensor, ...]:
            last = _column(words, step - 1, before=START)
            state, output, _ = self.network.step(last, state, memory)
            known = _log_probabilities(self.network.logits(output), words, last, step)
            drawn = ops.cumsum(ops.softmax(known / self._temperature, axis=-1), axis=-1)
            threshold = _column(uniform, step, before=0.0)[:, None] * drawn[:, -1:]
            chosen = ops.sum(ops.cast(drawn <= threshold, "int32"), axis=-1)
            chosen = ops.where(finished, END, ops.minimum(chosen, sizes.vocabulary - 1))
            gained = ops.take_along_axis(known, chosen[:, None], axis=1)[:, 0]
            words = ops.where((ops.arange(steps) == step)[None, :], chosen[:, None], words)
            total = total + ops.where(finished, 0.0, gained)
            return step + 1, words, state, total, ops.logical_or(finished, chosen == END)

        _, words, _, total, _ = ops.while_loop(
            unfinished,
            advance,
            (
                ops.convert_to_tensor(0, "int32"),
                ops.full((rows, steps), END, dtype="int32"),
                ops.repeat(first, samples, axis=0),
                ops.zeros((rows,)),
                ops.zeros((rows,), "bool"),
            ),
        )
        return ops.reshape(words, (count, samples, steps)), ops.reshape(total, (count, samples))


def _column(table: Tensor, step: Tensor, *, before: float) -> Tensor:
    """Column ``step`` of a table N x T, or ``before`` where the step is negative."""
    column = ops.take(table, ops.maximum(step, 0), axis=1)
    return ops.where(step < 0, ops.cast(before, table.dtype), column)


def _log_probabilities(logits: Tensor, words: Tensor, last: Tensor, step: Tensor) -> Tensor:
    """Log-probabilities (N x vocabulary) of the words that may follow; the others are impossible.

    Probabilities are shared out among the words that a caption may hold at all; that a word is ruled out because it
    would repeat something does not make the others likelier.
    """
    count, vocabulary = logits.shape
    never = ops.sum(ops.one_hot(ops.convert_to_tensor([PAD, START, UNK]), vocabulary), axis=0)
    known = ops.log_softmax(ops.where(never[None, :] > 0, IMPOSSIBLE, logits), axis=-1)
    # Every place where the last word was said before: what followed there may not follow again.
    steps = words.shape[1]
    followed = ops.logical_and(words[:, :-1] == last[:, None], (ops.arange(steps - 1) + 1 < step)[None, :])
    banned = ops.where(followed, words[:, 1:], PAD)
    banned = ops.concatenate([banned, last[:, None]], axis=1)
    row = ops.repeat(ops.arange(count)[:, None], steps, axis=1)
    places = ops.reshape(ops.stack([row, banned], axis=-1), (-1, 2))
    repeats = ops.scatter(places, ops.ones((count * steps,)), (count, vocabulary))
    return ops.where(repeats > 0, IMPOSSIBLE, known)
