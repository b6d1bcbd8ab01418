"""Fitting of the captions' confidence (:mod:`~tounum_tasks.caption.confidence`): ridge regression on the dev split.

The split is small and every caption of it counts once, so the penalty is firm and the figures that are told come from
ten-fold cross-validation: each image's estimate is made without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import Candidates
from tounum_tasks.caption.confidence import Confidence, evidence
from tounum_tasks.evaluation.confidence import told_apart

PENALTY = 20.0
FOLDS = 10
SMALLEST_SPREAD = 1e-6


def fit_confidence(
    found: Sequence[Candidates],
    chosen: Sequence[int],
    cider: Sequence[float] | NDArray[np.float64],
    sets: Sequence[Sequence[int]] = (),
) -> tuple[Confidence, dict[str, Any]]:
    """Fit the estimate to the captions that were chosen of dev images, and say how well it tells them apart.

    Args:
        found: what the search found, image by image.
        chosen: position of the caption among the candidates.
        cider: of the caption, 0 to 10.
        sets: positions of the images of each data set, if there are several: each counts as much as the others.

    Returns:
        the estimate, and figures of cross-validation: ``rank_correlation`` (Spearman) with CIDEr, and
        ``better_half`` and ``other_half``, the mean CIDEr of the captions by confidence; for several data sets also
        those of each, numbered from 1.
    """
    inputs = np.array([evidence(candidates, index) for candidates, index in zip(found, chosen, strict=True)])
    quality = np.asarray(cider, np.float64)
    targets = quality / (1 + quality)
    shares = np.ones(len(inputs))
    for rows in sets:
        shares[rows] = len(inputs) / len(rows) / len(sets)
    folds = np.random.default_rng(0).permutation(len(inputs)) % FOLDS
    estimated = np.empty(len(inputs))
    for fold in range(FOLDS):
        known = folds != fold
        weights, bias = _ridge(inputs[known], targets[known], shares[known])
        estimated[~known] = inputs[~known] @ weights + bias
    figures: dict[str, Any] = told_apart(estimated, quality)
    if len(sets) > 1:
        for number, rows in enumerate(sets, start=1):
            figures[f"data_set_{number}"] = told_apart(estimated[rows], quality[rows])
    weights, bias = _ridge(inputs, targets, shares)
    return Confidence(tuple(weights.tolist()), float(bias)), figures


def _ridge(
    inputs: NDArray[np.float64], targets: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a linear estimate; evidence of every kind is penalised alike.

    Args:
        shares: how much each image counts, 1 on average.
    """
    mean, middle = np.average(inputs, axis=0, weights=shares), float(np.average(targets, weights=shares))
    spread = np.sqrt(np.average((inputs - mean) ** 2, axis=0, weights=shares))
    spread = np.where(spread > SMALLEST_SPREAD, spread, np.inf)  # what is always the same says nothing
    scaled = (inputs - mean) / spread
    products = scaled.T @ (scaled * shares[:, None]) + PENALTY * np.eye(len(mean))
    weights = np.linalg.solve(products, (scaled * shares[:, None]).T @ (targets - middle)) / spread
    return weights, middle - float(mean @ weights)
