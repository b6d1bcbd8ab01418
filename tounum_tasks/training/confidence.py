"""Fitting of the captions' confidence (:mod:`~tounum_tasks.caption.confidence`): ridge regression on the dev split.

The split is small and every caption of it counts once, so the penalty is firm and the figures that are told come from
ten-fold cross-validation: each image's estimate is made without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tounum_tasks.caption.captioner import Candidates
from tounum_tasks.caption.confidence import Confidence, evidence

PENALTY = 20.0
FOLDS = 10
SMALLEST_SPREAD = 1e-6


def fit_confidence(
    found: Sequence[Candidates], chosen: Sequence[int], cider: Sequence[float]
) -> tuple[Confidence, dict[str, float]]:
    """Fit the estimate to the captions that were chosen of dev images, and say how well it tells them apart.

    Args:
        found: what the search found, image by image.
        chosen: position of the caption among the candidates.
        cider: of the caption, 0 to 10.

    Returns:
        the estimate, and figures of cross-validation: ``rank_correlation`` (Spearman) with CIDEr, and
        ``better_half`` and ``other_half``, the mean CIDEr of the captions by confidence.
    """
    inputs = np.array([evidence(candidates, index) for candidates, index in zip(found, chosen, strict=True)])
    quality = np.asarray(cider, np.float64)
    targets = quality / (1 + quality)
    folds = np.random.default_rng(0).permutation(len(inputs)) % FOLDS
    estimated = np.empty(len(inputs))
    for fold in range(FOLDS):
        known = folds != fold
        weights, bias = _ridge(inputs[known], targets[known])
        estimated[~known] = inputs[~known] @ weights + bias
    order = np.argsort(-estimated, kind="stable")
    half = len(order) // 2
    figures = {
        "rank_correlation": round(float(spearmanr(estimated, quality).statistic), 4),
        "better_half": round(float(quality[order[:half]].mean()), 4),
        "other_half": round(float(quality[order[half:]].mean()), 4),
    }
    weights, bias = _ridge(inputs, targets)
    return Confidence(tuple(weights.tolist()), float(bias)), figures


def _ridge(inputs: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a linear estimate; evidence of every kind is penalised alike."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > SMALLEST_SPREAD, spread, np.inf)  # what is always the same says nothing
    scaled = (inputs - mean) / spread
    products = scaled.T @ scaled + PENALTY * np.eye(len(mean))
    weights = np.linalg.solve(products, scaled.T @ (targets - targets.mean())) / spread
    return weights, float(targets.mean() - mean @ weights)
