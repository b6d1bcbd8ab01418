"""Fitting of a classifier's doubt (:mod:`~tounum_tasks.classify.doubt`) to sources that were left out.

What is fitted is a logistic regression by Newton's method. The classes that can be chosen share most of it: each has a
deviation of its own, which is penalised, because few images of a class are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.doubt import EVIDENCE, Doubt, evidence
from tounum_tasks.classify.labels import CLASSES

PENALTY_OF_ALL, PENALTY_OF_A_CLASS = 1e-3, 3e-2
STEPS = 30


def fit_doubt(probabilities: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating]) -> Doubt:
    """Fit the doubt to images of sources that the classifier did not learn from.

    Args:
        probabilities: N x 5, each found without the image's source.
        labels: N, the true classes.
        weights: of the images, N; they sum to 1.
    """
    chosen = probabilities.argmax(axis=1)
    design = _design(probabilities, chosen)
    is_wrong = (chosen != labels).astype(np.float64)
    own = np.full(len(CLASSES) * (EVIDENCE + 1), PENALTY_OF_A_CLASS)
    penalty = np.diag([*np.full(EVIDENCE, PENALTY_OF_ALL), 0.0, *own])
    found = np.zeros(design.shape[1])
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weights * (expected - is_wrong)) + penalty @ found
        curvature = (design * (weights * expected * (1 - expected))[:, None]).T @ design + penalty
        found -= np.linalg.solve(curvature + 1e-9 * np.eye(len(found)), slope)
    shared, each = found[: EVIDENCE + 1], found[EVIDENCE + 1 :].reshape(len(CLASSES), EVIDENCE + 1)
    total = (shared + each).astype(np.float32)
    return Doubt(total[:, :EVIDENCE], total[:, EVIDENCE])


def without_each_source(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: NDArray[np.floating],
    sources: Sequence[str],
) -> NDArray[np.float64]:
    """Return the risk of each image (N) by a doubt that was fitted without its source."""
    risks, names = np.empty(len(labels)), np.array(sources)
    for source in dict.fromkeys(sources):
        inside = names == source
        rest = weights[~inside] / weights[~inside].sum()
        risks[inside] = fit_doubt(probabilities[~inside], labels[~inside], rest).risk(probabilities[inside])
    return risks


def _design(probabilities: NDArray[np.floating], chosen: NDArray[np.integer]) -> NDArray[np.float64]:
    """Evidence and a one, for all classes together and again for the one that was chosen."""
    shared = np.column_stack([evidence(probabilities), np.ones(len(chosen))])
    own = np.eye(len(CLASSES))[chosen][:, :, None] * shared[:, None, :]
    return np.column_stack([shared, own.reshape(len(chosen), -1)])
