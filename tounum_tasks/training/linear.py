"""Multinomial logistic regression on standardised features: a classifier's last layer, fitted to the optimum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tounum_tasks.classify.classifier import softmax

SMALLEST_SPREAD = 1e-3


@dataclass(frozen=True)
class LinearHead:
    """Scores = features @ ``kernel`` + ``bias``; float32, D x classes and classes."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Scores (logits) of N x D features: float32 N x classes."""
        return features.astype(np.float32) @ self.kernel + self.bias


def fit_linear_head(
    features: Sequence[NDArray[np.float16]],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    *,
    classes: int,
    l2: float = 1e-3,
    iterations: int = 60,
) -> LinearHead:
    """Minimise weighted cross-entropy plus ``l2`` times the squared weights by L-BFGS, starting from zero.

    The problem is convex: the result depends on the data alone, not on a seed.

    Args:
        features: views of the same N examples, each float16 N x D; all views count alike.
        labels: N class indices.
        weights: N weights of the examples, which sum to 1.
        l2: penalty, on features scaled to variance 100 / D, so that it means the same for any D.
    """
    dimensions = features[0].shape[1]
    x = np.concatenate(features).astype(np.float32)
    mean = x.mean(axis=0)
    scale = 10.0 / np.sqrt(dimensions) / (x.std(axis=0) + SMALLEST_SPREAD)
    x = (x - mean) * scale
    target = np.eye(classes, dtype=np.float32)[np.tile(labels, len(features))]
    share = (np.tile(weights, len(features)) / len(features)).astype(np.float32)[:, None]

    def loss_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = flat.astype(np.float32).reshape(dimensions + 1, classes)
        kernel, bias = parameters[:-1], parameters[-1]
        scores = x @ kernel + bias
        scores -= scores.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scores).sum(axis=1, keepdims=True))
        loss = float((share * target * (log_sum - scores)).sum() + l2 * (kernel**2).sum())
        error = share * (np.exp(scores - log_sum) - target)
        gradient = np.concatenate([x.T @ error + 2 * l2 * kernel, error.sum(axis=0, keepdims=True)])
        return loss, gradient.astype(np.float64).ravel()

    start = np.zeros((dimensions + 1) * classes)
    options = {"maxiter": iterations}
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x
    parameters = found.astype(np.float32).reshape(dimensions + 1, classes)
    kernel = parameters[:-1] * scale[:, None]
    return LinearHead(kernel, parameters[-1] - mean @ kernel)


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Temperature by which scores are to be divided so that their probabilities are honest.

    The minimum of weighted cross-entropy over one number (Guo et al. 2017, "On Calibration of Modern Neural Networks"),
    searched on a grid of 1 % steps from 0.1 to 10.
    """
    grid = np.exp(np.arange(np.log(0.1), np.log(10), 0.01))
    rows = np.arange(len(labels))
    losses = [-(weights * np.log(softmax(scores / temperature)[rows, labels] + 1e-12)).sum() for temperature in grid]
    return float(grid[int(np.argmin(losses))])
