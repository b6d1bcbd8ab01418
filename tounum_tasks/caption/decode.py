"""Search for the best caption, for a whole batch of images in one compiled graph.

The graph is written in Keras 3 operations. It never says ``<unk>``, ``<pad>`` or ``<start>``, never the same word twice
in a row, and no pair of words twice in one caption. Probabilities are shared out among the words that a caption may
hold at all; that a word is ruled out because it would repeat something does not make the others likelier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tounum_tasks.caption.network import CaptionNetwork
from tounum_tasks.caption.vocabulary import END, PAD, START, UNK

Tensor = Any
IMPOSSIBLE = -1e9


class BeamSearch(keras.Model):
    """Beam search.

    Input: features N x 64 x channels. Output: words int N x beam x T (``<end>`` after the last word), log-probability
    N x beam (natural logarithm, of all words and the end), attention N x beam x T x 64. Best first, by log-probability
    divided by length to the power ``length_power`` (Wu et al. 2016 without their constant).
    """

    def __init__(self, network: CaptionNetwork, *, beam: int, max_words: int, length_power: float) -> None:
        super().__init__(autocast=False)
        self.network = network
        self._beam = beam
        self._steps = max_words
        self._length_power = length_power

    def call(self, features: Tensor, training: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the search."""
        beam, steps, sizes = self._beam, self._steps, self.network.sizes
        count = features.shape[0]
        rows = count * beam
        # The best captions go on with some of each beam's own best words.
        kept = min(beam, sizes.vocabulary)
        memory, first = self.network.encode(features)

        def unfinished(step: Tensor, words: Tensor, *rest: Tensor) -> Tensor:
            return ops.logical_and(step < steps, ops.logical_not(ops.all(rest[2])))

        def advance(
            step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor, length: Tensor, maps: Tensor
        ) -> tuple[Tensor, ...]:
            last = _column(words, step - 1, before=START)
            state, output, attention = self.network.step(last, state, memory, per_image=beam)
            known, normaliser = _scores(self.network.logits(output), words, last, step)
            gains, following = ops.top_k(known, kept)
            gains, following = gains - normaliser[:, None], ops.cast(following, "int32")
            # A finished caption goes on in one way only, which costs nothing.
            ending = ops.where(ops.arange(kept) == 0, 0.0, IMPOSSIBLE)
            gains = ops.where(finished[:, None], ending[None, :], gains)
            following = ops.where(finished[:, None], END, following)
            totals = total[:, None] + gains
            longer = ops.where(finished, length, length + 1)
            scores = totals / ops.power(ops.cast(longer, "float32"), self._length_power)[:, None]
            _, best = ops.top_k(ops.reshape(scores, (count, beam * kept)), beam)
            best = ops.reshape(ops.cast(best, "int32") + beam * kept * ops.arange(count)[:, None], (rows,))
            origin = best // kept
            chosen = ops.take(ops.reshape(following, (-1,)), best)
            total = ops.take(ops.reshape(totals, (-1,)), best)
            words, maps = ops.take(words, origin, axis=0), ops.take(maps, origin, axis=0)
            here = ops.arange(steps) == step
            words = ops.where(here[None, :], chosen[:, None], words)
            maps = ops.where(here[None, :, None], ops.take(attention, origin, axis=0)[:, None, :], maps)
            finished = ops.logical_or(ops.take(finished, origin), chosen == END)
            return step + 1, words, ops.take(state, origin, axis=0), total, finished, ops.take(longer, origin), maps

        # At the first step all beams of an image are alike: only the first may go on.
        total = ops.where(ops.arange(rows) % beam == 0, 0.0, IMPOSSIBLE)
        _, words, _, total, _, _, maps = ops.while_loop(
            unfinished,
            advance,
            (
                ops.convert_to_tensor(0, "int32"),
                ops.full((rows, steps), END, dtype="int32"),
                ops.repeat(first, beam, axis=0),
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


class GreedySearch(keras.Model):
    """Takes the likeliest word each time. Input and outputs as of :class:`BeamSearch` with a beam of one."""

    def __init__(self, network: CaptionNetwork, *, max_words: int) -> None:
        super().__init__(autocast=False)
        self.network = network
        self._steps = max_words

    def call(self, features: Tensor, training: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the search."""

        def likeliest(known: Tensor, step: Tensor) -> Tensor:
            # The first place of the maximum; several times faster than argmax, which does not use vectors.
            vocabulary = known.shape[-1]
            is_best = known >= ops.max(known, axis=-1, keepdims=True)
            return ops.min(ops.where(is_best, ops.arange(vocabulary)[None, :], vocabulary), axis=-1)

        words, total, maps = _say(self.network, features, 1, self._steps, likeliest)
        return words[:, None], total[:, None], maps[:, None]


class Sampling(keras.Model):
    """Draws captions from the model's own distribution, several for each image.

    Inputs: features N x 64 x channels, and uniform random numbers in [0, 1), N x samples x T, one for each word: they
    come from outside, so that an image's captions depend on its own numbers only. Outputs: words int N x samples x T
    (``<end>`` after the last word) and log-probability N x samples (as of :class:`BeamSearch`, at temperature 1).
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
        uniform = ops.reshape(uniform, (shape[0] * shape[1], self._steps))

        def drawn(known: Tensor, step: Tensor) -> Tensor:
            shares = ops.cumsum(ops.softmax(known / self._temperature, axis=-1), axis=-1)
            threshold = _column(uniform, step, before=0.0)[:, None] * shares[:, -1:]
            chosen = ops.sum(ops.cast(shares <= threshold, "int32"), axis=-1)
            return ops.minimum(chosen, known.shape[-1] - 1)

        words, total, _ = _say(self.network, features, self._samples, self._steps, drawn)
        return ops.reshape(words, (*shape, self._steps)), ops.reshape(total, shape)


def _say(
    network: CaptionNetwork,
    features: Tensor,
    per_image: int,
    steps: int,
    choose: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Says captions word by word, each on its own.

    Args:
        per_image: captions of each image; R is their number in all.
        choose: from the scores of the words (R x vocabulary) and the number of the step, the next words, int R.

    Returns:
        words int R x T, log-probability R, attention R x T x 64.
    """
    rows = features.shape[0] * per_image
    memory, first = network.encode(features)

    def unfinished(step: Tensor, words: Tensor, *rest: Tensor) -> Tensor:
        return ops.logical_and(step < steps, ops.logical_not(ops.all(rest[2])))

    def advance(
        step: Tensor, words: Tensor, state: Tensor, total: Tensor, finished: Tensor, maps: Tensor
    ) -> tuple[Tensor, ...]:
        last = _column(words, step - 1, before=START)
        state, output, attention = network.step(last, state, memory, per_image=per_image)
        known, normaliser = _scores(network.logits(output), words, last, step)
        chosen = ops.where(finished, END, choose(known, step))
        gained = ops.take_along_axis(known, chosen[:, None], axis=1)[:, 0] - normaliser
        here = ops.arange(steps) == step
        words = ops.where(here[None, :], chosen[:, None], words)
        maps = ops.where(here[None, :, None], attention[:, None, :], maps)
        total = total + ops.where(finished, 0.0, gained)
        return step + 1, words, state, total, ops.logical_or(finished, chosen == END), maps

    _, words, _, total, _, maps = ops.while_loop(
        unfinished,
        advance,
        (
            ops.convert_to_tensor(0, "int32"),
            ops.full((rows, steps), END, dtype="int32"),
            ops.repeat(first, per_image, axis=0),
            ops.zeros((rows,)),
            ops.zeros((rows,), "bool"),
            ops.zeros((rows, steps, network.sizes.positions)),
        ),
    )
    return words, total, maps


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
