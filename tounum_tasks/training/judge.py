"""Fitting of the judge (:mod:`~tounum_tasks.caption.judge`): ridge regression, in closed form.

For every training image, the captions' groups of words are weighed as CIDEr weighs them, brought to length 1 and
averaged; that is what the features are to tell. Features are never in memory all at once: the regression needs second
moments only, which are summed up shard by shard.
"""

from __future__ import annotations

import math
from collections import Counter
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
LARGEST_RANK = 512
PENALTY = 0.3
SMALLEST_SPREAD = 1e-3
SMALLEST_STRENGTH = 1e-10

Captions = Sequence[Sequence[int]]


def fit_judge(cache: FeatureCache, vocabulary: Vocabulary) -> dict[str, NDArray[Any]]:
    """The arrays of a ``Judge`` for the images of a cache (features N x 64 x channels) and their captions.

    The map from features to groups is cut to the ``LARGEST_RANK`` directions that say most about the training images.
    """
    known = [[vocabulary.encode(caption) for caption in image.captions] for image in cache.images]
    groups, rarity = _listed(known, [image.repeats for image in cache.images])
    mean, spread = _standard(cache)
    products, towards, average = _moments(cache, known, groups, rarity, mean, spread)
    # Any root of the products whitens; a triangular one costs next to nothing.
    products[np.diag_indices_from(products)] += np.float32(PENALTY)
    root = scipy.linalg.cholesky(products, lower=True, overwrite_a=True, check_finite=False)
    from_white = scipy.linalg.solve_triangular(root, towards, lower=True, check_finite=False)
    strongest = _strongest(from_white, min(LARGEST_RANK, len(cache.images)))
    kernel = scipy.linalg.solve_triangular(root.T, strongest, lower=False, check_finite=False) / spread[:, None]
    listed = [[*group, *[PAD] * (LONGEST - len(group))] for group in groups]
    return {
        "groups": np.array(listed, np.int32).reshape(-1, LONGEST),
        "rarity": rarity.astype(np.float32),
        "image/kernel": kernel.astype(np.float16),
        "image/bias": (-mean @ kernel).astype(np.float32),
        "groups/kernel": (from_white.T @ strongest).astype(np.float16),
        "groups/bias": average,
        **_phrases(known, groups),
    }


def _strongest(from_white: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most so many orthonormal directions (D x R) of a map (D x G) that say most: its left singular vectors.

    They are had from the smaller of its two sides, which is that of the groups in small data sets.
    """
    features, groups = from_white.shape
    if not 0 < groups < features:
        return _last_eigenvectors(from_white @ from_white.T, most)[1]
    exact = from_white.astype(np.float64)
    strengths, vectors = _last_eigenvectors(exact.T @ exact, most)
    tells = strengths > SMALLEST_STRENGTH * strengths[-1]
    return (exact @ (vectors[:, tells] / np.sqrt(strengths[tells]))).astype(np.float32)


def _last_eigenvectors(square: NDArray[Any], most: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The greatest eigenvalues, ascending, and their eigenvectors."""
    size = len(square)
    return scipy.linalg.eigh(square, subset_by_index=[max(0, size - most), size - 1], check_finite=False)


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


def _moments(
    cache: FeatureCache,
    known: Sequence[Captions],
    groups: Sequence[Group],
    rarity: NDArray[np.float64],
    mean: NDArray[np.float32],
    spread: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Sums over the images of features by features (D x D) and by weights of groups (D x G); mean weights (G)."""
    rows, rarities = {group: row for row, group in enumerate(groups)}, rarity.tolist()
    products = np.zeros((len(mean), len(mean)), np.float32)
    towards = np.zeros((len(mean), len(groups)), np.float32)
    total = np.zeros(len(groups), np.float64)
    done = 0
    for shard in range(cache.shards):
        inputs = (pooled(cache.read(shard)) - mean) / spread
        captions = known[done : done + len(inputs)]
        done += len(inputs)
        targets = np.stack([_mean_weights(of_image, rows, rarities) for of_image in captions])
        repeats = _repeats(cache.members(shard))[:, None]
        products += inputs.T @ (inputs * repeats)
        towards += inputs.T @ (targets * repeats)
        total += (targets * repeats).sum(axis=0)
    return products, towards, (total / _repeats(cache.images).sum()).astype(np.float32)


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


def _mean_weights(captions: Captions, rows: Mapping[Group, int], rarity: Sequence[float]) -> NDArray[np.float32]:
    """Weights of the listed groups (G), the mean over the captions of one image."""
    mean = np.zeros(len(rows), np.float32)
    for words in captions:
        for n in range(1, LONGEST + 1):
            for row, weight in weighed(words, n, rows, rarity).items():
                mean[row] += weight / len(captions)
    return mean
