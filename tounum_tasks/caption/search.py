"""Search for captions: the likeliest words, the best of many captions, or captions drawn at random.

Never says ``<unk>``, ``<pad>`` or ``<start>``, never the same word twice in a row, and no pair of words twice in one
caption. Probabilities are shared out among the words that a caption may hold at all; that a word is ruled out because
it would repeat something does not make the others likelier.

Captions that are finished are not computed any further, and what is found of an image does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.decoder import Decoder, Floats, Memory
from tounum_tasks.caption.vocabulary import END, PAD, START, UNK
from tounum_tasks.errors import ConfigurationError

NEVER = [PAD, START, UNK]
_BLOCKED = 64

Whole = NDArray[np.intp]
Choose = Callable[[Floats, int, Whole], Whole]


class Found(NamedTuple):
    """One caption.

    Attributes:
        words: their numbers, without the end.
        log_probability: natural logarithm, of all words and the end.
        attention: float32 words x 64, where was looked for each word.
    """

    words: list[int]
    log_probability: float
    attention: Floats


def greedy_search(decoder: Decoder, features: NDArray[np.floating], *, max_words: int) -> list[Found]:
    """Return for each image the caption that takes the likeliest word each time; features N x 64 x channels.

    Raises:
        ConfigurationError: the network gives no numbers.
    """
    every = np.arange(len(features))
    found = _say(decoder, features, every, max_words, lambda scores, step, rows: scores.argmax(axis=1))
    _require_numbers(np.isfinite(caption.log_probability) for caption in found)
    return found


def _require_numbers(are_found: Iterable[bool | np.bool_]) -> None:
    """Raise ConfigurationError if one is not: what is no number is never the best of anything."""
    if not all(are_found):
        raise ConfigurationError("The captioner gives no numbers: its weights, or the features, hold what is none.")


def sample(decoder: Decoder, features: NDArray[np.floating], uniform: Floats, *, temperature: float) -> list[Found]:
    """Return captions drawn from the network's own distribution.

    Args:
        features: N x 64 x channels.
        uniform: random numbers in [0, 1), N x samples x T, one for each word: they come from outside, so that an
            image's captions depend on its own numbers only.
        temperature: above 1 the unlikely becomes likelier. Log-probabilities are those at temperature 1.

    Returns:
        ``samples`` captions of each image, one image after the other.
    """
    count, samples, max_words = uniform.shape
    numbers = uniform.reshape(-1, max_words)

    def draw(scores: Floats, step: int, rows: Whole) -> Whole:
        shares = np.exp((scores - scores.max(axis=1, keepdims=True)) / np.float32(temperature)).cumsum(axis=1)
        thresholds = numbers[rows, step] * shares[:, -1]
        return np.minimum((shares <= thresholds[:, None]).sum(axis=1), scores.shape[1] - 1)

    return _say(decoder, features, np.repeat(np.arange(count), samples), max_words, draw)


def _say(
    decoder: Decoder, features: NDArray[np.floating], images: Whole, max_words: int, choose: Choose
) -> list[Found]:
    """Say captions word by word, each on its own.

    Args:
        images: the image of each of the R captions, in ascending order.
        choose: from the scores of the words (one row for each caption that goes on), the number of the step and the
            numbers of these captions, their next words.
    """
    memory = decoder.encode(features)
    words = np.full((len(images), max_words), END)
    maps = np.zeros((len(images), max_words, decoder.shape.positions), np.float32)
    totals = np.zeros(len(images), np.float32)
    rows, state, last = np.arange(len(images)), memory.state[images], np.full(len(images), START)
    for step in range(max_words):
        if not len(rows):
            break
        state, scores, maps[rows, step] = decoder.step(last, images, state, memory)
        normalisers = _rule_out(scores, words[rows, :step])
        last = choose(scores, step, rows)
        words[rows, step] = last
        totals[rows] += scores[np.arange(len(rows)), last] - normalisers
        going_on = last != END
        rows, state, last = rows[going_on], state[going_on], last[going_on]
        memory, images = _without_finished(memory, images[going_on])
    lengths = (words != END).sum(axis=1)
    return [
        Found(row[:length].tolist(), float(total), attention[:length])
        for row, total, attention, length in zip(words, totals, maps, lengths, strict=True)
    ]


def _without_finished(memory: Memory, images: Whole) -> tuple[Memory, Whole]:
    """Leave out the images of which no caption goes on, if they are half of all: until then, copying costs more.

    Args:
        images: of each caption that goes on, its image in the memory.

    Returns:
        the memory, and the images of the captions in it.
    """
    going_on, numbers = np.unique(images, return_inverse=True)
    if 2 * len(going_on) > len(memory.keys):
        return memory, images
    return memory.of(going_on), numbers


def _rule_out(scores: Floats, words: Whole) -> Floats:
    """Make what must not be said next impossible, in place.

    Args:
        scores: of all words, R x vocabulary.
        words: said so far, R x step.

    Returns:
        what turns scores into log-probabilities when it is taken off, R.
    """
    scores[:, NEVER] = -np.inf
    largest = scores.max(axis=1)
    shares = scores - largest[:, None]
    normalisers = largest + np.log(np.exp(shares, out=shares).sum(axis=1))
    if words.shape[1]:
        last = words[:, -1:]
        scores[np.arange(len(scores)), last[:, 0]] = -np.inf
        # Every place where the last word was said before: what followed there may not follow again.
        rows, places = np.nonzero(words[:, :-1] == last)
        scores[rows, words[rows, places + 1]] = -np.inf
    return normalisers


class _Ended(NamedTuple):
    """A finished caption: its merit, its log-probability, and where the step that ended it and its row lie."""

    merit: float
    total: float
    step: int
    row: int


@dataclass
class _Said:
    """What was said in one step, in the captions of all images that went on after it.

    Attributes:
        origins: row of each caption in the step before.
        words: the word that each went on with.
        attention: of the step's own rows, where was looked.
    """

    attention: Floats
    origins: Whole = field(default_factory=lambda: np.empty(0, np.intp))
    words: Whole = field(default_factory=lambda: np.empty(0, np.intp))


def beam_search(
    decoder: Decoder,
    features: NDArray[np.floating],
    *,
    beam: int,
    max_words: int,
    length_power: float,
    preference: Floats | None = None,
) -> list[list[Found]]:
    """Return for each image the best captions, at most ``beam``, best first.

    They are compared by log-probability divided by length to the power ``length_power`` (Wu et al. 2016 without their
    constant).

    Args:
        preference: of each word, added to its log-probability while captions are compared; the log-probabilities of
            what is found are without it.

    Raises:
        ConfigurationError: the network gives no numbers.
    """
    memory = decoder.encode(features)
    count = len(features)
    ended: list[list[_Ended]] = [[] for _ in range(count)]
    history: list[_Said] = []
    owners = images = np.arange(count)  # of each caption its image, among all and in the memory
    last, state = np.full(count, START), memory.state
    words, totals = np.empty((count, 0), np.intp), np.zeros(count, np.float32)
    for step in range(max_words):
        if not len(images):
            break
        state, scores, attention = decoder.step(last, images, state, memory)
        scores += (totals - _rule_out(scores, words))[:, None]
        if preference is not None:
            scores += preference
        history.append(_Said(attention))
        origins, last, totals = _advance(scores, owners, ended, beam, step, float(step + 1) ** length_power)
        history[-1].origins, history[-1].words = origins, last
        owners, state = owners[origins], state[origins]
        memory, images = _without_finished(memory, images[origins])
        words = np.concatenate([words[origins], last[:, None]], axis=1)
    for row, image in enumerate(owners):  # at the greatest length
        merit = float(totals[row]) / float(max_words) ** length_power
        ended[image].append(_Ended(merit, float(totals[row]), max_words, row))
    _require_numbers(map(bool, ended))
    best_first = [sorted(found, key=lambda caption: -caption.merit)[:beam] for found in ended]
    return [[_trace(caption, history, preference) for caption in found] for found in best_first]


def _advance(
    totals: Floats, images: Whole, ended: list[list[_Ended]], beam: int, step: int, scale: float
) -> tuple[Whole, Whole, Floats]:
    """Choose the best captions of each image among those that ended and those that are one word longer.

    Args:
        totals: log-probabilities of all captions that are one word longer, R x vocabulary.
        images: the image of each row, in order.
        ended: of each image the captions that ended; changed in place.
        scale: log-probabilities are divided by it to be compared.

    Returns:
        of the captions that go on: their rows, their next words and their log-probabilities.
    """
    rows: list[int] = []
    words: list[int] = []
    kept: list[float] = []
    vocabulary = totals.shape[1]
    numbers, starts = np.unique(images, return_index=True)
    for image, start, end in zip(numbers, starts, [*starts[1:], len(images)], strict=True):
        flat = totals[start:end].ravel()
        best = largest(flat, beam)
        before = [(caption.merit, caption) for caption in ended[image]]
        longer = [(total / scale, (int(place), total)) for place, total in zip(best, flat[best].tolist(), strict=True)]
        chosen = sorted([*before, *longer], key=lambda found: -found[0])[:beam]
        ended[image] = []
        for merit, caption in chosen:
            if isinstance(caption, _Ended):
                ended[image].append(caption)
                continue
            row, word = divmod(caption[0], vocabulary)
            if word == END:
                ended[image].append(_Ended(merit, caption[1], step, int(start) + row))
            else:
                rows.append(int(start) + row)
                words.append(word)
                kept.append(caption[1])
    return np.array(rows, np.intp), np.array(words, np.intp), np.array(kept, np.float32)


def largest(values: Floats, count: int) -> Whole:
    """Return the places of the ``count`` largest values, largest first, without those that are -infinity.

    Only what reaches the ``count``-th largest maximum of a block can be among them, and little does: that is several
    times as fast as to part all of them. The values of a block lie far apart, so that maxima of many are found at once.
    """
    if len(values) > 2 * _BLOCKED * count:
        maxima = values[: len(values) // _BLOCKED * _BLOCKED].reshape(_BLOCKED, -1).max(axis=0)
        places = np.flatnonzero(values >= np.partition(maxima, -count)[-count])
    else:
        places = np.arange(len(values))
    places = places[np.isfinite(values[places])]
    return places[np.argsort(-values[places], kind="stable")[:count]]


def _trace(caption: _Ended, history: list[_Said], preference: Floats | None) -> Found:
    """Follow a caption back to its first word; its log-probability is without the preference."""
    words: list[int] = []
    maps: list[Floats] = []
    row = caption.row
    for said in reversed(history[: caption.step]):
        words.append(int(said.words[row]))
        row = int(said.origins[row])
        maps.append(said.attention[row])
    positions = history[0].attention.shape[1]
    attention = np.stack(maps[::-1]) if maps else np.empty((0, positions), np.float32)
    preferred = 0.0 if preference is None else float(preference[words].sum())
    return Found(words[::-1], caption.total - preferred, attention)
