"""Fitting of the judge (:mod:`~tounum_tasks.caption.judge`): ridge regression, in closed form.

For every training image, the captions' groups of words are weighed as CIDEr weighs them, brought to length 1 and
averaged; that is what the features are to tell. Features are never in memory all at once, only their values along the
main axes, 2 kB an image.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from tounum_tasks.caption.judge import ENDINGS, PHRASES, Group, pooled, weighed
from tounum_tasks.caption.metrics import LONGEST, ngrams
from tounum_tasks.caption.vocabulary import PAD, UNK, Vocabulary
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.datasets.feature_cache import FeatureCache

FEWEST_IMAGES = 10
"""Groups of words that are in the captions of fewer images are not listed; repeated images count repeatedly."""
FEWEST_IMAGES_OF_A_PHRASE = 4
MOST_GROUPS = 8_500
AXES = 512
PENALTY = 0.3
KNOWN_IMAGES = 8_192
SMALLEST_SPREAD = 1e-3
SMALLEST_VALUE, MOST_LEVELS = 1e-6, 127
AT_ONCE = 256

Captions = Sequence[Sequence[int]]
Weights = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Rows of groups, and how much each is said."""


def fit_judge(cache: FeatureCache, vocabulary: Vocabulary) -> dict[str, NDArray[Any]]:
    """The arrays of a ``Judge`` for the images of a cache (features N x 64 x channels) and their captions.

    Of more than ``KNOWN_IMAGES`` images, the judge knows so many drawn at random, however often they come in a pass.
    """
    said = [[vocabulary.encode(caption) for caption in image.captions] for image in cache.images]
    groups, rarity = _listed(said, [image.repeats for image in cache.images])
    rows, rarities = {group: row for row, group in enumerate(groups)}, rarity.tolist()
    weights = [_weights_of(captions, rows, rarities) for captions in said]
    axes, bias = _main_axes(cache)
    values = np.concatenate([pooled(cache.read(shard)) @ axes + bias for shard in range(cache.shards)])
    kernel, average = _regression(values, weights, len(groups), _repeats(cache.images))
    known = np.sort(np.random.default_rng(0).permutation(len(values))[:KNOWN_IMAGES])
    of_known = [weights[number] for number in known]
    scale = np.maximum(np.abs(values).max(axis=0), SMALLEST_VALUE) / MOST_LEVELS
    listed = [[*group, *[PAD] * (LONGEST - len(group))] for group in groups]
    return {
        "groups": np.array(listed, np.int32).reshape(-1, LONGEST),
        "rarity": rarity.astype(np.float32),
        "image/kernel": axes.astype(np.float16),
        "image/bias": bias,
        "groups/kernel": kernel.astype(np.float16),
        "groups/bias": average,
        "known": np.rint(values[known] / scale).astype(np.int8),
        "known/scale": scale,
        "known/ends": np.cumsum([len(shares) for _, shares in of_known], dtype=np.int32),
        "known/groups": np.concatenate([rows_of_image for rows_of_image, _ in of_known]).astype(np.uint16),
        "known/weights": np.concatenate([shares for _, shares in of_known]).astype(np.float16),
        **_phrases(said, groups),
    }


def _weights_of(captions: Captions, rows: Mapping[Group, int], rarity: Sequence[float]) -> Weights:
    """How much the captions of one image say of the groups that are in them, the mean over the captions."""
    mean: dict[int, float] = defaultdict(float)
    for words in captions:
        for n in range(1, LONGEST + 1):
            for row, weight in weighed(words, n, rows, rarity).items():
                mean[row] += weight / len(captions)
    return np.fromiter(mean, np.int32, len(mean)), np.fromiter(mean.values(), np.float32, len(mean))


def _main_axes(cache: FeatureCache) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The main axes of the pooled features of a cache, D x R, and what is added, R: values have the mean 0.

    Each feature is brought to the same spread, so that the squares of an image's values add up to 1 at most, on
    average. The axes are such as float16 holds.
    """
    mean, spread = _standard(cache)
    products = np.zeros((len(mean), len(mean)), np.float32)
    for shard in range(cache.shards):
        inputs = (pooled(cache.read(shard)) - mean) / spread
        products += inputs.T @ (inputs * _repeats(cache.members(shard))[:, None])
    size = len(mean)
    first = size - min(AXES, size, len(cache.images))
    _, axes = scipy.linalg.eigh(products, subset_by_index=[first, size - 1], check_finite=False)
    stored = (axes / spread[:, None]).astype(np.float16).astype(np.float32)
    return stored, (-mean @ stored).astype(np.float32)


def _phrases(known: Sequence[Captions], groups: Sequence[Group]) -> dict[str, NDArray[np.int32]]:
    """Which groups are whole phrases, and which may follow one at the end of a caption, by row.

    A phrase can both begin and end a caption ("a dog": "a dog runs", "a man with a dog"), which no part of a phrase
    and nothing around one does; that holds in any language. An ending stands behind one in captions ("a dog *in the
    snow*").
    """
    begin, end = (
        Counter(group for captions in known for group in {part(words, n) for words in captions for n in (2, 3)})
        for part in (lambda words, n: tuple(words[:n]), lambda words, n: tuple(words[-n:]))
    )
    whole = {group for group, count in begin.items() if min(count, end[group]) >= FEWEST_IMAGES_OF_A_PHRASE}
    behind = Counter(
        ending
        for captions in known
        for ending in {
            tuple(words[-n:])
            for words in captions
            for n in range(2, LONGEST + 1)
            if any(tuple(words[-n - size : -n]) in whole for size in (2, 3))
        }
    )
    endings = {group for group, count in behind.items() if count >= FEWEST_IMAGES_OF_A_PHRASE and group not in whole}
    return {
        name: np.array([row for row, group in enumerate(groups) if group in chosen], np.int32)
        for name, chosen in ((PHRASES, whole), (ENDINGS, endings))
    }


def _regression(
    values: NDArray[np.float32], weights: Sequence[Weights], groups: int, repeats: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The linear map from the values of images, N x R, to the weights of all groups: G x R, and their means G."""
    products = np.zeros((values.shape[1],) * 2, np.float32)
    towards, total = np.zeros((values.shape[1], groups), np.float32), np.zeros(groups)
    for start in range(0, len(values), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        targets = np.zeros((len(values[part]), groups), np.float32)
        for target, (rows, shares) in zip(targets, weights[part], strict=True):
            target[rows] = shares
        targets *= repeats[part, None]
        products += values[part].T @ (values[part] * repeats[part, None])
        towards += values[part].T @ targets
        total += targets.sum(axis=0)
    products[np.diag_indices_from(products)] += np.float32(PENALTY)
    kernel = scipy.linalg.solve(products, towards, assume_a="pos", overwrite_b=True, check_finite=False)
    return kernel.T, (total / repeats.sum()).astype(np.float32)


def _repeats(images: Sequence[CaptionedImage]) -> NDArray[np.float32]:
    """How often each image counts: as often as it comes in a pass of a training."""
    return np.array([image.repeats for image in images], np.float32)


def _listed(known: Sequence[Captions], repeats: Sequence[int]) -> tuple[list[Group], NDArray[np.float64]]:
    """The most frequent groups of words, and their rarity with that of all others behind it."""
    found: Counter[Group] = Counter()
    for captions, count in zip(known, repeats, strict=True):
        for group in {group for words in captions for n in range(1, LONGEST + 1) for group in ngrams(words, n)}:
            found[group] += count
    ranked = sorted((-count, group) for group, count in found.items() if count >= FEWEST_IMAGES and UNK not in group)
    groups = [group for _, group in ranked[:MOST_GROUPS]]
    counts = np.array([*(found[group] for group in groups), min(2, len(known))], np.float64)
    return groups, np.log(sum(repeats) / counts)


def _standard(cache: FeatureCache) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean of each pooled feature, and what to divide it by so that an image's features have length 1 on average."""
    total, squares = np.zeros(2 * cache.shape[1]), np.zeros(2 * cache.shape[1])
    for shard in range(cache.shards):
        inputs = pooled(cache.read(shard)).astype(np.float64)
        repeats = _repeats(cache.members(shard))[:, None]
        total, squares = total + (inputs * repeats).sum(axis=0), squares + (inputs**2 * repeats).sum(axis=0)
    count = _repeats(cache.images).sum()
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0)) + SMALLEST_SPREAD
    return mean.astype(np.float32), (spread * math.sqrt(len(mean))).astype(np.float32)
