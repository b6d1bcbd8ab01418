"""Captions for features: load a model once, use it for many images."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption import confidence
from tounum_tasks.caption.confidence import Confidence
from tounum_tasks.caption.decoder import Decoder
from tounum_tasks.caption.judge import Judge
from tounum_tasks.caption.search import Found, beam_search, greedy_search, sample
from tounum_tasks.caption.shape import LONGEST_CAPTION, LOOKS_BY_WORD, NetworkShape
from tounum_tasks.caption.vocabulary import Vocabulary
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import ModelCard, read_files
from tounum_tasks.models.compute import Precision, best_precision
from tounum_tasks.models.weights import parse_safetensors, write_safetensors
from tounum_tasks.threads import in_threads, processors

IMAGES_AT_ONCE = 128
ROWS_AT_ONCE = 160
"""Captions of all images that are computed in one step; a wide search takes fewer images at once."""

MAX_WORDS = 20
WEIGHTS_FILE = "weights.safetensors"
JUDGE_FILE = "judge.safetensors"
CONFIDENCE_FILE = "confidence.json"
SEARCH_FILE = "search.json"
VOCABULARY_FILE = "vocabulary.json"
MOST_CANDIDATES = 100
STRONGEST_POWER = 10


@dataclass(frozen=True)
class Caption:
    """One caption.

    Attributes:
        text: the words with a space between, first letter large, full stop.
        words: the words.
        log_probability: natural logarithm of the caption's probability, its end included; a judge may have chosen a
            caption that is not the likeliest.
        alternatives: texts of the next best captions, best first; one less than the beam is wide.
        attention: float16 words x 64, for each word how much each position of the 8 x 8 map (row by row) was looked
            at; each row sums to 1.
        confidence: expected quality, 0 to 1 (see :mod:`~tounum_tasks.caption.confidence`); None if the captioner was
            made without an estimate of it.
    """

    text: str
    words: tuple[str, ...]
    log_probability: float
    alternatives: tuple[str, ...]
    attention: NDArray[np.float16]
    confidence: float | None = None


@dataclass(frozen=True)
class SearchOptions:
    """How captions are searched for.

    Attributes:
        max_words: their greatest length in words.
        length_power: how much longer ones are preferred.
        judgement: how much the CIDEr that the judge expects of a caption counts beside its log-probability; 0 without
            a judge.
        rarity: how much the mean rarity of a caption's rarest words, as the judge knows it, counts beside both.
        search_rarity: how much the rarity of each word counts while beam search looks for the judge's candidates.
        candidates: captions that beam search finds for the judge, if there is one.
    """

    max_words: int = MAX_WORDS
    length_power: float = 0.7
    judgement: float = 0.0
    rarity: float = 0.0
    search_rarity: float = 0.0
    candidates: int = 20

    def __post_init__(self) -> None:
        if type(self.max_words) is not int or not 0 < self.max_words <= LONGEST_CAPTION:
            raise ValueError(f"max_words must be a whole number from 1 to {LONGEST_CAPTION}, not {self.max_words!r}")
        if not abs(self.length_power) <= STRONGEST_POWER:
            raise ValueError(
                f"length_power must be a number from {-STRONGEST_POWER} to {STRONGEST_POWER}, not {self.length_power!r}"
            )
        for name in ("judgement", "rarity", "search_rarity"):
            say = getattr(self, name)
            if not math.isfinite(say) or say < 0:
                raise ValueError(f"{name} must be a number from 0 on, not {say!r}")
        if type(self.candidates) is not int or not 0 < self.candidates <= MOST_CANDIDATES:
            raise ValueError(f"candidates must be a whole number from 1 to {MOST_CANDIDATES}, not {self.candidates!r}")


@dataclass(frozen=True)
class Candidates:
    """The captions of one image that a search found, K of them.

    Attributes:
        words: word numbers of each, without the end.
        log_probability: float32 K.
        lengths: float32 K, words that were said, the end included.
        attention: of each, float32 words x 64.
        worth: float32 K, what the judge expects of them; zeros without one.
        rarity: float32 K, of their rarest words, as the judge knows it; zeros without one.
    """

    words: list[list[int]]
    log_probability: NDArray[np.float32]
    lengths: NDArray[np.float32]
    attention: list[NDArray[np.float32]]
    worth: NDArray[np.float32]
    rarity: NDArray[np.float32]

    def ranked(self, options: SearchOptions) -> list[int]:
        """Positions of the candidates, best first."""
        merit = self.log_probability / self.lengths**options.length_power
        merit = merit + options.judgement * self.worth + options.rarity * self.rarity
        return np.argsort(-merit, kind="stable").tolist()


class Captioner:
    """Captions features. A caption does not depend on the other images that are captioned."""

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        *,
        digest: str,
        options: SearchOptions | None = None,
        judge: Judge | None = None,
        estimates: Mapping[str, Confidence] | None = None,
    ) -> None:
        """Take a network with its weights, and perhaps a judge of what its beam search finds.

        Args:
            estimates: how good captions are, by kind of search (``greedy`` and ``beam``).

        Raises:
            ConfigurationError: the vocabulary or the judge does not belong to the network.
        """
        self.digest = digest
        self.vocabulary = vocabulary
        self.options = options or SearchOptions()
        shape = decoder.shape
        if shape.vocabulary != len(vocabulary):
            raise ConfigurationError(
                f"The captioner was made for {shape.vocabulary} words, its vocabulary has {len(vocabulary)}."
            )
        if judge and judge.channels != shape.channels:
            raise ConfigurationError(
                f"The captioner's judge was made for {judge.channels} channels, its network for {shape.channels}."
            )
        if judge and judge.words > len(vocabulary):
            raise ConfigurationError(
                f"The captioner's judge knows {judge.words} words, its vocabulary has {len(vocabulary)}: it is "
                "another captioner's."
            )
        self._decoder = decoder
        self._judge = judge
        self._estimates = estimates or {}
        self._preference = None
        if judge and self.options.search_rarity:
            rarity = judge.rarity_of_words(len(vocabulary))
            self._preference = (rarity * self.options.search_rarity).astype(np.float32)

    @classmethod
    def load(cls, folder: Path, *, extractor_digest: str, precision: Precision | None = None) -> Captioner:
        """Load a version folder of the registry, for features of the extractor with this digest.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: the folder is incomplete or damaged, or the captioner was made for another extractor.
        """
        card, files = read_files(folder, name="captioner")
        partner = card.partners.get("extractor", "none")
        if partner != extractor_digest:
            raise ConfigurationError(
                f"The captioner {card.version} was made for the extractor {partner[:12]}, not for "
                f"{extractor_digest[:12]}: their features are not interchangeable."
            )
        shape, options = described(card, folder)
        vocabulary = Vocabulary.parse(files[VOCABULARY_FILE], folder / VOCABULARY_FILE)
        weights = parse_safetensors(files[WEIGHTS_FILE], folder / WEIGHTS_FILE)
        if LOOKS_BY_WORD in weights and not shape.looks_by_word:  # everything else is seen by the weights' shapes
            raise ConfigurationError(
                f"The card of the captioner {folder} says that no word has a say in where to look, its weights say "
                "that one has: take the model from its source again."
            )
        decoder = Decoder(shape, weights, precision=precision or best_precision())
        judge = Judge(parse_safetensors(files[JUDGE_FILE], folder / JUDGE_FILE)) if options.judgement else None
        estimates = confidence.load(folder / CONFIDENCE_FILE) if CONFIDENCE_FILE in files else None
        return cls(decoder, vocabulary, digest=card.digest, options=options, judge=judge, estimates=estimates)

    def with_options(self, options: SearchOptions, judge: Judge | None = None) -> Captioner:
        """The same network, searched in another way, and perhaps with another judge."""
        return Captioner(
            self._decoder, self.vocabulary, digest=self.digest, options=options, judge=judge or self._judge
        )

    def caption(self, features: NDArray[np.floating], *, beam: int = 3) -> list[Caption]:
        """Captions by beam search (1: greedy); features N x 64 x 2048, any float type.

        Beam search gives the best ``beam`` captions, or all if there are less. With a judge it is as wide as
        ``options.candidates`` at least.
        """
        return [self.chosen(found, beam=beam) for found in self.candidates(features, beam=beam)]

    def require_short_captions(self) -> None:
        """Raises ConfigurationError if the captioner was made without what short captions are made of."""
        if not (self._judge and self._judge.has_phrases):
            raise ConfigurationError(
                "The captioner has no short captions for TOUNUM_DOUBTFUL_CAPTIONS=short: give it a new judge "
                "(`train captioner --continue VERSION --epochs 0`), or set keep or none."
            )

    def short_captions(self, features: NDArray[np.floating], found: Sequence[Candidates]) -> list[tuple[str, ...]]:
        """Words of short captions: what the judge and the captions that were found are both sure of, perhaps nothing.

        Args:
            features: of the images, N x 64 x channels.
            found: what beam search finds of each.

        Raises:
            ConfigurationError: see :meth:`require_short_captions`.
        """
        self.require_short_captions()
        assert self._judge
        return [
            tuple(self.vocabulary.decode(self._judge.surest(image, one.words, one.log_probability)))
            for image, one in zip(features, found, strict=True)
        ]

    def candidates(self, features: NDArray[np.floating], *, beam: int) -> Iterator[Candidates]:
        """What the search for captions finds, image by image."""
        judge = self._judge
        width = max(beam, self.options.candidates) if judge and beam > 1 else beam
        for start in range(0, len(features), IMAGES_AT_ONCE):
            images = features[start : start + IMAGES_AT_ONCE]
            size = max(1, min(ROWS_AT_ONCE // width, -(-len(images) // processors())))
            parts = [images[first : first + size] for first in range(0, len(images), size)]
            found = itertools.chain.from_iterable(
                in_threads(lambda part: self._search(part.astype(np.float32), width), parts)
            )
            for image, captions in zip(images, found, strict=True):
                words = [caption.words for caption in captions]
                yield Candidates(
                    words=words,
                    log_probability=np.array([caption.log_probability for caption in captions], np.float32),
                    lengths=np.array([min(len(said) + 1, self.options.max_words) for said in words], np.float32),
                    attention=[caption.attention for caption in captions],
                    worth=judge.worth(image.astype(np.float32), words) if judge else np.zeros(len(words), np.float32),
                    rarity=judge.rarity_of(words) if judge else np.zeros(len(words), np.float32),
                )

    def sample(
        self, features: NDArray[np.floating], *, samples: int = 1, seed: int = 0, temperature: float = 1.0
    ) -> list[list[tuple[str, ...]]]:
        """Words of captions drawn at random, ``samples`` for each image.

        Those of the i-th image depend on its features, ``seed``, ``samples`` and i only.
        """
        length = self.options.max_words
        generators = [np.random.default_rng([seed, index]) for index in range(len(features))]
        uniform = np.array([generator.random((samples, length)) for generator in generators], np.float32)
        drawn: list[tuple[str, ...]] = []
        size = max(1, ROWS_AT_ONCE // samples)
        for start in range(0, len(features), size):
            part = slice(start, start + size)
            found = sample(self._decoder, features[part], uniform[part], temperature=temperature)
            drawn += [tuple(self.vocabulary.decode(caption.words)) for caption in found]
        return [drawn[start : start + samples] for start in range(0, len(drawn), samples)]

    def _search(self, features: NDArray[np.floating], width: int) -> list[list[Found]]:
        options = self.options
        if width == 1:
            return [[found] for found in greedy_search(self._decoder, features, max_words=options.max_words)]
        return beam_search(
            self._decoder,
            features,
            beam=width,
            max_words=options.max_words,
            length_power=options.length_power,
            preference=self._preference,
        )

    def chosen(self, found: Candidates, *, beam: int) -> Caption:
        """The best of what a search of this width found of an image, with the next ones."""
        estimate = self._estimates.get(confidence.GREEDY if beam == 1 else confidence.BEAM)
        chosen = found.ranked(self.options)[:beam]
        best, *others = (tuple(self.vocabulary.decode(found.words[index])) for index in chosen)
        return Caption(
            text=sentence(best),
            words=best,
            log_probability=float(found.log_probability[chosen[0]]),
            alternatives=tuple(sentence(words) for words in others),
            attention=found.attention[chosen[0]].astype(np.float16),
            confidence=estimate.of(found, chosen[0]) if estimate else None,
        )


def sentence(words: tuple[str, ...]) -> str:
    """Words as a person writes them.

    >>> sentence(("a", "dog", "runs"))
    'A dog runs.'
    """
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def described(card: ModelCard, folder: Path) -> tuple[NetworkShape, SearchOptions]:
    """What a captioner's card says of its network, and of how captions are searched for.

    Raises:
        ConfigurationError: the card of this folder does not say it, says something else than the file beside it, or
            names no file of the vocabulary, or of the judge that it tells of.
    """
    try:
        shape, options = NetworkShape(**card.training["network"]), SearchOptions(**card.training["search"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"The card of the captioner {folder} does not describe its network: {error}."
        ) from error
    for file in (VOCABULARY_FILE, *[JUDGE_FILE] * bool(options.judgement)):
        if file not in card.files:
            raise ConfigurationError(f"The model {folder} is incomplete: its card names no {file}.")
    if SEARCH_FILE in card.files and _json_of(folder / SEARCH_FILE) != card.training["search"]:
        raise ConfigurationError(
            f"The {SEARCH_FILE} of the captioner {folder} is damaged, or says something else than its card of how "
            "captions are searched for: take the model from its source again."
        )
    return shape, options


def _json_of(path: Path) -> Any:
    """What a file holds as JSON; None if it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def version_files(
    folder: Path,
    shape: NetworkShape,
    weights: Mapping[str, NDArray[Any]],
    vocabulary: Vocabulary,
    options: SearchOptions,
    judge: Mapping[str, NDArray[Any]] | None = None,
    estimates: Mapping[str, Confidence] | None = None,
) -> dict[str, Any]:
    """Writes weights (float16), vocabulary, the judge, if it has a say, and the estimates of confidence into a folder.

    How captions are searched for is written there, too: the files are a version's identity, and captioners that differ
    in nothing else say different things.

    Returns:
        what the card must say to load them again.
    """
    (folder / JUDGE_FILE).unlink(missing_ok=True)
    if judge and options.judgement:
        write_safetensors(folder / JUDGE_FILE, judge)
    (folder / CONFIDENCE_FILE).unlink(missing_ok=True)
    if estimates:
        confidence.save(folder / CONFIDENCE_FILE, estimates)
    (folder / SEARCH_FILE).write_text(json.dumps(asdict(options), indent=2) + "\n", encoding="utf-8")
    arrays = {name: array.astype(np.float16) for name, array in weights.items()}
    write_safetensors(folder / WEIGHTS_FILE, arrays)
    vocabulary.save(folder / VOCABULARY_FILE)
    return {"network": shape.to_dict(), "search": asdict(options)}
