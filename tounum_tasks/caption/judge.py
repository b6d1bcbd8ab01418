"""Which of several captions suits an image best: the one that most resembles what people would write of it.

A captioner learns its training photographs by heart and says of others what is fluent rather than what is there. The
judge has a map that is too simple for that: a linear one, from the image's features to the groups of one to four words
that people would use of it, each weighed by its rarity as CIDEr does (Vedantam et al. 2015). What people say of the
training images that look most alike (Devlin et al. 2015, "Exploring Nearest Neighbor Approaches for Image Captioning")
corrects it, as far as the map errs there; of a training image itself, that is what people said of it. The figure of a
caption is how well its own groups agree with them: the CIDEr that is to be expected.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.metrics import LONGEST, ngrams
from tounum_tasks.caption.vocabulary import PAD, SPECIAL
from tounum_tasks.errors import ConfigurationError

ARRAYS = ("groups", "groups/bias", "groups/kernel", "image/bias", "image/kernel", "rarity")
KNOWN_ARRAYS = ("known", "known/ends", "known/groups", "known/scale", "known/weights")
NEAREST = 64
CORRECTED = 0.6
SHARPNESS = 8.0
"""An image is corrected by so many known ones, by so much of what they differ from the map; each of them counts less by
a factor of e for every 1/8 by which its squared distance is larger (images are 1 from the mean at most, on average)."""

COMPARED_AT_ONCE = 512
WHOLE = "iu"
"""Kinds of arrays that hold whole numbers."""

PHRASES, ENDINGS = "phrases", "endings"
RAREST = 3
"""Of so many of a caption's words the mean rarity is told."""

EXPECTED = 0.015
AGREED = 0.05
SURE = 0.05
"""A word is as sure as it is expected in what people say of the image, plus ``AGREED`` if all captions that were found
say it. Words that are less sure, or less expected, are not said. All three were chosen on dev images of doubtful
captions."""

TELLING = 0.1
"""Words that are less rare are in what people say of nearly every image: they tell nothing of one."""

Group = tuple[int, ...]


class Judge:
    """A linear map from features to groups of words, features -> R values -> G groups, and the images that correct it.

    Judges that were made before know no images.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes what the training made.

        Args:
            arrays: ``groups`` int G x 4 (word numbers, ``<pad>`` behind shorter groups); ``rarity`` G + 1 (natural
                logarithm of how few images' captions have the group; the last one is of groups that are not listed);
                ``image/kernel`` 2 channels x R and ``image/bias`` R; ``groups/kernel`` G x R and ``groups/bias`` G;
                of K known images ``known`` int8 K x R, which times ``known/scale`` R are their values, and the groups
                that people use of them, image after image: ``known/groups`` their rows, ``known/weights`` how much,
                ``known/ends`` K, where each image ends.
                Judges made since there are short captions have ``phrases`` and ``endings``, too: which of the groups
                are whole phrases ("a dog"), and which may follow one ("in the snow").

        Raises:
            ConfigurationError: an array is missing, or they do not go together.
        """
        knows_images = any(name in arrays for name in KNOWN_ARRAYS)
        missing = [name for name in (*ARRAYS, *KNOWN_ARRAYS * knows_images) if name not in arrays]
        if missing:
            raise ConfigurationError(f"The captioner's judge lacks {missing[0]}.")
        count, rank, values = arrays["groups/bias"].size, arrays["image/bias"].size, arrays["image/kernel"].size
        expected: dict[str, tuple[int, ...]] = {
            "groups": (count, LONGEST),
            "groups/bias": (count,),
            "groups/kernel": (count, rank),
            "image/bias": (rank,),
            "image/kernel": (values // max(1, 2 * rank) * 2, rank),
            "rarity": (count + 1,),
        }
        if knows_images:
            images, said = arrays["known/ends"].size, arrays["known/weights"].size
            expected |= {
                "known": (images, rank),
                "known/ends": (images,),
                "known/groups": (said,),
                "known/scale": (rank,),
                "known/weights": (said,),
            }
        for name, shape in expected.items():
            if arrays[name].shape != shape:
                raise ConfigurationError(
                    f"The captioner's judge: {name} has shape {arrays[name].shape}, expected {shape}."
                )
            if not np.isfinite(arrays[name].astype(np.float32)).all():
                raise ConfigurationError(f"The captioner's judge: {name} holds what is no number.")
        for name in (PHRASES, ENDINGS, "known/groups"):
            listed = arrays.get(name, np.empty(0, np.int32))
            if listed.ndim != 1 or listed.dtype.kind not in WHOLE or not ((listed >= 0) & (listed < count)).all():
                raise ConfigurationError(f"The captioner's judge: {name} names groups that it does not list.")
        self._rows = _rows_of(arrays["groups"])
        self._rarity = arrays["rarity"].astype(np.float64).tolist()
        # One row of the kernel for each value, as all of them are read for each image.
        by_value = np.ascontiguousarray(arrays["image/kernel"].T, np.float32)
        self._image = by_value, arrays["image/bias"].astype(np.float32)
        self._groups = arrays["groups/kernel"], arrays["groups/bias"].astype(np.float32)
        self._known = _KnownImages(arrays, count) if knows_images else None
        groups = list(self._rows)
        self._phrases = [groups[row] for row in arrays.get(PHRASES, ())]
        self._endings = [groups[row] for row in arrays.get(ENDINGS, ())]
        words = sorted({word for group in (*self._phrases, *self._endings) for word in group})
        rows = {word: self._rows[(word,)] for word in words if (word,) in self._rows}
        self._telling = {word: row for word, row in rows.items() if self._rarity[row] >= TELLING}

    @property
    def has_phrases(self) -> bool:
        """Whether it can make short captions."""
        return bool(self._phrases)

    @property
    def words(self) -> int:
        """How many words a vocabulary must have at least, so that it knows all that are in the groups."""
        return 1 + max((word for group in self._rows for word in group), default=0)

    @property
    def channels(self) -> int:
        """Channels of the features that it was made for."""
        return self._image[0].shape[1] // 2

    def worth(self, features: NDArray[np.floating], captions: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Expected CIDEr, 0 to 10 (or less than 0, if all speaks against it), of captions of one image: float32 K.

        Args:
            features: 64 x channels of the image.
            captions: word numbers of each of the K, without start and end.
        """
        weights = [[weighed(words, n, self._rows, self._rarity) for n in range(1, LONGEST + 1)] for words in captions]
        rows = sorted({row for parts in weights for part in parts for row in part})
        expected = dict(zip(rows, self._expected(features, rows).tolist(), strict=True))
        figures = [sum(weight * expected[row] for part in parts for row, weight in part.items()) for parts in weights]
        return np.array(figures, np.float32) * (10 / LONGEST)

    def _expected(self, features: NDArray[np.floating], rows: list[int]) -> NDArray[np.float32]:
        """What is expected of some groups, by row, in captions of one image (64 x channels)."""
        kernel, bias = self._image
        # Not a product of matrices: BLAS would wake threads for it, which take more time than the sums themselves.
        image = np.einsum("rc,c->r", kernel, pooled(features[None])[0]) + bias
        kernel, average = self._groups
        chosen = kernel[rows].astype(np.float32)
        if self._known is None:
            return np.asarray(np.einsum("gr,r->g", chosen, image) + average[rows], np.float32)
        like, said = self._known.like(image)
        beyond = np.einsum("gr,r->g", chosen, image - CORRECTED * like)
        return np.asarray(beyond + (1 - CORRECTED) * average[rows] + CORRECTED * said[rows], np.float32)

    def rarity_of_words(self, vocabulary: int) -> NDArray[np.float32]:
        """Rarity of each word of a vocabulary of that size, natural logarithms; 0 of the start, the end and such."""
        rows, rarity = self._rows, self._rarity
        known = [rarity[rows.get((word,), -1)] for word in range(len(SPECIAL), vocabulary)]
        return np.array([*[0.0] * len(SPECIAL), *known], np.float32)

    def rarity_of(self, captions: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Mean rarity of the rarest different words of captions, natural logarithms: float32 K; 0 where none is said.

        Args:
            captions: word numbers of each of the K, without start and end.
        """
        rows, rarity = self._rows, self._rarity
        words = [sorted((rarity[rows.get((word,), -1)] for word in set(said)), reverse=True) for said in captions]
        return np.array([np.mean(rarest[:RAREST]) if rarest else 0.0 for rarest in words], np.float32)

    def surest(
        self, features: NDArray[np.floating], captions: Sequence[Sequence[int]], log_probability: NDArray[np.float32]
    ) -> Group:
        """Word numbers of the short caption that suits an image best; none if nothing is sure.

        That is a phrase, and an ending whose first words people have put behind its last one; each is as sure as the
        least sure of its words that tell something (see ``SURE``).

        Args:
            features: 64 x channels of the image.
            captions: word numbers of each of the K that a search found, without start and end.
            log_probability: of these, K.
        """
        of_words = self._sureness_of_words(features, captions, log_probability)

        def sureness(group: Group) -> float:
            return min((of_words[word] for word in group if word in of_words), default=0.0)

        phrase = max(self._phrases, key=sureness)
        if sureness(phrase) < SURE:
            return ()
        fitting = [
            ending
            for ending in self._endings
            if (phrase[-1], *ending[:2]) in self._rows and not set(ending) & set(phrase[1:])
        ]
        ending = max(fitting, key=sureness, default=())
        return phrase + ending if ending and sureness(ending) >= SURE else phrase

    def _sureness_of_words(
        self, features: NDArray[np.floating], captions: Sequence[Sequence[int]], log_probability: NDArray[np.float32]
    ) -> dict[int, float]:
        """How sure each word of the phrases and endings that tells something is, see :meth:`surest`; 0 if it is not
        expected."""
        shares = np.exp(log_probability.astype(np.float64) - float(log_probability.max()))
        shares /= shares.sum()
        said = [set(caption) for caption in captions]
        sure = {}
        weights = self._expected(features, list(self._telling.values())).tolist()
        for (word, row), weight in zip(self._telling.items(), weights, strict=True):
            # A group's weight grows with its rarity: without it, it is how often people are expected to say it.
            expected = weight / self._rarity[row]
            agreed = sum(share for share, has in zip(shares.tolist(), said, strict=True) if word in has)
            sure[word] = expected + AGREED * agreed if expected >= EXPECTED else 0.0
        return sure


class _KnownImages:
    """Training images, and what people say of them."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], groups: int) -> None:
        """Take what the training made, as :class:`Judge` does, which has ``groups`` groups.

        Raises:
            ConfigurationError: the images do not end one after the other.
        """
        self._rows, self._weights = arrays["known/groups"], arrays["known/weights"]
        self._ends, self._count = arrays["known/ends"].tolist(), groups
        self._starts = [0, *self._ends[:-1]]
        is_counted = arrays["known/ends"].dtype.kind in WHOLE
        is_whole = self._ends and self._ends[-1] == len(self._rows)
        if not (is_counted and is_whole) or any(map(operator.gt, self._starts, self._ends)):
            raise ConfigurationError("The captioner's judge: known/ends does not say which groups are of which image.")
        self._levels, self._scale = arrays["known"], arrays["known/scale"]
        # Part by part: as numbers of four bytes, all of them would take as much memory as the rest of the judge.
        self._parts = np.array_split(self._levels, -(-len(self._levels) // COMPARED_AT_ONCE))
        self._squares = np.concatenate([np.square(levels * self._scale).sum(axis=1) for levels in self._parts])

    def like(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The mean of the images that look most like one of these values (R): their values R, weights of groups G."""
        scaled = image * self._scale
        products = [np.einsum("kr,r->k", levels.astype(np.float32), scaled) for levels in self._parts]
        distances = self._squares - 2 * np.concatenate(products)
        nearest = np.argpartition(distances, min(NEAREST, len(distances)) - 1)[:NEAREST]
        shares = np.exp(SHARPNESS * (distances[nearest].min() - distances[nearest]))
        shares /= shares.sum()
        said = np.zeros(self._count, np.float32)
        for number, share in zip(nearest.tolist(), shares, strict=True):
            of_image = slice(self._starts[number], self._ends[number])
            said[self._rows[of_image]] += share * self._weights[of_image]
        return np.asarray(np.einsum("k,kr->r", shares, self._levels[nearest] * self._scale), np.float32), said


def _rows_of(groups: NDArray[Any]) -> dict[Group, int]:
    """Where each group of words stands, by its word numbers.

    Raises:
        ConfigurationError: one is empty or stands there twice, or a word is none.
    """
    words = groups.tolist() if groups.dtype.kind in WHOLE else []
    rows = {tuple(word for word in row if word != PAD): index for index, row in enumerate(words)}
    if len(rows) < len(groups) or () in rows or min(map(min, rows), default=0) < 0:
        raise ConfigurationError("The captioner's judge: groups are not groups of words, each of them once.")
    return rows


def pooled(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Features N x 64 x channels -> N x 2 channels: mean and maximum over the positions."""
    values = features.astype(np.float32, copy=False)
    return np.concatenate([values.mean(axis=1), values.max(axis=1)], axis=1)


def weighed(words: Sequence[int], n: int, rows: Mapping[Group, int], rarity: Sequence[float]) -> dict[int, float]:
    """Weights of the listed groups of n words of a caption, by row; those of all its groups have the length 1.

    Args:
        rows: where each listed group stands.
        rarity: by row; the last one is of groups that are not listed.
    """
    weights: dict[int, float] = {}
    squares = 0.0
    for group, count in ngrams(words, n).items():
        row = rows.get(group, -1)
        weight = count * rarity[row]
        squares += weight**2
        if row >= 0:
            weights[row] = weight
    return {row: weight / math.sqrt(squares) for row, weight in weights.items()} if squares else {}
