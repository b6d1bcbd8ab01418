"""Captions for features: load a model once, use it for many images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.vocabulary import Vocabulary
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.extractor import compute_policy
from tounum_tasks.models.weights import assign_weights, write_safetensors

if TYPE_CHECKING:
    import keras

    from tounum_tasks.caption.network import CaptionNetwork, NetworkShape
    from tounum_tasks.models.card import ModelCard

BATCH_SIZE = 128
MAX_WORDS = 20
LONGEST_CAPTION = 1000
WEIGHTS_FILE = "weights.safetensors"
VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True)
class Caption:
    """One caption.

    Attributes:
        text: the words with a space between, first letter large, full stop.
        words: the words.
        log_probability: natural logarithm of the caption's probability, its end included.
        alternatives: texts of the other captions of the beam, best first.
        attention: float16 words x 64, for each word how much each position of the 8 x 8 map (row by row) was looked
            at; each row sums to 1.
    """

    text: str
    words: tuple[str, ...]
    log_probability: float
    alternatives: tuple[str, ...]
    attention: NDArray[np.float16]


@dataclass(frozen=True)
class SearchOptions:
    """How captions are searched for: their greatest length in words, and how much longer ones are preferred."""

    max_words: int = MAX_WORDS
    length_power: float = 0.7

    def __post_init__(self) -> None:
        if type(self.max_words) is not int or not 0 < self.max_words <= LONGEST_CAPTION:
            raise ValueError(f"max_words must be a whole number from 1 to {LONGEST_CAPTION}, not {self.max_words!r}")
        if not math.isfinite(self.length_power):
            raise ValueError(f"length_power must be a number, not {self.length_power!r}")


class Captioner:
    """Captions features. Batches are padded to one fixed shape: a caption does not depend on its batch-mates."""

    def __init__(
        self, network: CaptionNetwork, vocabulary: Vocabulary, *, digest: str, options: SearchOptions | None = None
    ) -> None:
        """Takes a network that has its weights.

        Raises:
            ConfigurationError: the vocabulary does not belong to the network.
        """
        self.digest = digest
        self.vocabulary = vocabulary
        self.options = options or SearchOptions()
        if network.sizes.vocabulary != len(vocabulary):
            raise ConfigurationError(
                f"The captioner was made for {network.sizes.vocabulary} words, its vocabulary has {len(vocabulary)}."
            )
        self._network = network
        self._searches: dict[tuple[Any, ...], keras.Model] = {}

    @classmethod
    def load(cls, folder: Path, *, extractor_digest: str) -> Captioner:
        """Loads a version folder of the registry, for features of the extractor with this digest.

        Raises:
            ConfigurationError: the folder is incomplete or damaged, or the captioner was made for another extractor.
        """
        from tounum_tasks.caption.network import CaptionNetwork
        from tounum_tasks.models.card import read_version
        from tounum_tasks.models.weights import read_safetensors

        card = read_version(folder, name="captioner")
        partner = card.partners.get("extractor", "none")
        if partner != extractor_digest:
            raise ConfigurationError(
                f"The captioner {card.version} was made for the extractor {partner[:12]}, not for "
                f"{extractor_digest[:12]}: their features are not interchangeable."
            )
        vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
        shape, options = described(card, folder)
        network = CaptionNetwork(shape, policy=compute_policy().removeprefix("mixed_"))
        network.build()
        set_weights(network, read_safetensors(folder / WEIGHTS_FILE))
        return cls(network, vocabulary, digest=card.digest, options=options)

    def with_options(self, options: SearchOptions) -> Captioner:
        """The same network, searched in another way."""
        return Captioner(self._network, self.vocabulary, digest=self.digest, options=options)

    def caption(self, features: NDArray[np.floating], *, beam: int = 3) -> list[Caption]:
        """Captions by beam search (1: greedy); features N x 64 x 2048, any float type."""
        search = self._search(("beam", beam), lambda: self._beam_search(beam))
        return [
            caption
            for batch in _batches(features)
            for caption in self._captions(search.predict_on_batch(_padded(batch)), len(batch))
        ]

    def sample(
        self, features: NDArray[np.floating], *, samples: int = 1, seed: int = 0, temperature: float = 1.0
    ) -> list[list[tuple[str, ...]]]:
        """Words of captions drawn at random, ``samples`` for each image.

        Those of the i-th image depend on its features, ``seed``, ``samples`` and i only.
        """
        from tounum_tasks.caption.decode import Sampling

        words = self.options.max_words
        search = self._search(
            ("sampling", samples, temperature),
            lambda: Sampling(self._network, max_words=words, temperature=temperature, samples=samples),
        )
        generators = [np.random.default_rng([seed, index]) for index in range(len(features))]
        numbers = np.array([generator.random((samples, words)) for generator in generators], np.float32)
        drawn: list[list[tuple[str, ...]]] = []
        for batch, uniform in zip(_batches(features), _batches(numbers), strict=True):
            found, _ = search.predict_on_batch((_padded(batch), _padded(uniform)))
            drawn += [[tuple(self.vocabulary.decode(row)) for row in rows] for rows in found[: len(batch)].tolist()]
        return drawn

    def _beam_search(self, beam: int) -> keras.Model:
        from tounum_tasks.caption.decode import BeamSearch, GreedySearch

        options = self.options
        if beam == 1:
            return GreedySearch(self._network, max_words=options.max_words)
        return BeamSearch(self._network, beam=beam, max_words=options.max_words, length_power=options.length_power)

    def _search(self, key: tuple[Any, ...], make: Callable[[], keras.Model]) -> keras.Model:
        """The compiled graph for one way of searching, made when first asked for."""
        if key not in self._searches:
            self._searches[key] = make()
        return self._searches[key]

    def _captions(self, result: tuple[NDArray[Any], ...], count: int) -> Iterator[Caption]:
        words, totals, maps = (np.asarray(part) for part in result)
        for index in range(count):
            texts = [tuple(self.vocabulary.decode(row)) for row in words[index].tolist()]
            attention = maps[index, 0, : len(texts[0])].astype(np.float16)
            yield Caption(
                text=sentence(texts[0]),
                words=texts[0],
                log_probability=float(totals[index, 0]),
                alternatives=tuple(sentence(text) for text in texts[1:]),
                attention=attention,
            )


def sentence(words: tuple[str, ...]) -> str:
    """Words as a person writes them.

    >>> sentence(("a", "dog", "runs"))
    'A dog runs.'
    """
    text = " ".join(words)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def set_weights(network: CaptionNetwork, weights: Mapping[str, NDArray[Any]]) -> None:
    """Gives a network that was built its weights.

    Raises:
        ConfigurationError: one is missing or has the wrong shape.
    """
    assign_weights(network.named_weights(), weights, model="captioner")


def described(card: ModelCard, folder: Path) -> tuple[NetworkShape, SearchOptions]:
    """What a captioner's card says of its network, and of how captions are searched for.

    Raises:
        ConfigurationError: the card of this folder does not say it.
    """
    from tounum_tasks.caption.network import NetworkShape

    try:
        return NetworkShape(**card.training["network"]), SearchOptions(**card.training["search"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The card of the captioner {folder} does not describe its network: {error}."
        ) from error


def version_files(
    folder: Path, network: CaptionNetwork, vocabulary: Vocabulary, options: SearchOptions
) -> dict[str, Any]:
    """Writes weights (float16) and vocabulary into a folder; returns what the card must say to load them again."""
    arrays = {name: array.astype(np.float16) for name, array in network.weight_arrays().items()}
    write_safetensors(folder / WEIGHTS_FILE, arrays)
    vocabulary.save(folder / VOCABULARY_FILE)
    return {"network": network.sizes.to_dict(), "search": asdict(options)}


def _batches(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(rows), BATCH_SIZE):
        yield rows[start : start + BATCH_SIZE]


def _padded(batch: NDArray[Any]) -> NDArray[Any]:
    if len(batch) == BATCH_SIZE:
        return batch
    padded = np.zeros((BATCH_SIZE, *batch.shape[1:]), batch.dtype)
    padded[: len(batch)] = batch
    return padded
