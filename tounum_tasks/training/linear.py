"""A classifier's last layer, fitted in closed form: ridge regression of the class on the main axes of the features.

It needs no more of the images than the second moments of each source: a fit without one source costs one small system
of equations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.classifier import softmax
from tounum_tasks.classify.network import SMALLEST_VALUE

SMALLEST_SPREAD = 1e-3
SMALLEST_LENGTH = 1e-4
ITERATIONS = 2
LOOKED_AT = 1600


@dataclass(frozen=True)
class LinearHead:
    """Scores = features @ ``kernel`` + ``bias``; float32, D x classes and classes.

    A kernel of more rows than there are features reads the :func:`roots` of the features behind them.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Scores of N x D features: float32 N x classes."""
        values, width = features.astype(np.float32), features.shape[1]
        scores = values @ self.kernel[:width] + self.bias
        return scores + roots(values) @ self.kernel[width:] if len(self.kernel) > width else scores

    def of_roots(self) -> "LinearHead":
        """The head that reads roots of features as this one reads features."""
        return LinearHead(np.concatenate([np.zeros_like(self.kernel), self.kernel]), self.bias)

    def averaged_with(self, other: "LinearHead") -> "LinearHead":
        """The head whose scores are the mean of both heads' scores.

        One that reads the first columns alone, as of a version that knew no more of them, says nothing of the others.
        A last score that one of them lacks is that of the other.
        """
        rows, columns = np.maximum(self.kernel.shape, other.kernel.shape)
        kernel, bias = np.zeros((rows, columns), np.float32), np.zeros(columns, np.float32)
        givers = np.zeros(columns, np.float32)
        for head in (self, other):
            kernel[: len(head.kernel), : len(head.bias)] += head.kernel
            bias[: len(head.bias)] += head.bias
            givers[: len(head.bias)] += 1
        return LinearHead((kernel / givers).astype(np.float32), (bias / givers).astype(np.float32))

    def divided_by(self, temperature: float) -> "LinearHead":
        """The head whose scores are divided by ``temperature``."""
        return LinearHead(self.kernel / np.float32(temperature), self.bias / np.float32(temperature))


@dataclass(frozen=True)
class Axes:
    """The main axes of features: ``axes`` (D x A) turns what differs from ``mean`` (D) into coordinates.

    Attributes:
        spread: of the known images along each axis, falling.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    spread: NDArray[np.float32]

    def coordinates(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Coordinates of features: ... x D -> float32 ... x A."""
        return np.asarray((features.astype(np.float32) - self.mean) @ self.axes, np.float32)


def main_axes(
    features: NDArray[np.float16],
    weights: NDArray[np.float64],
    blocks: Sequence[int],
    count: int,
    seed: int,
    *,
    of_roots: bool = False,
) -> Axes:
    """The main axes of features (N x D), found by subspace iteration (Halko et al. 2011) on some of them.

    Every column is scaled to the same spread, and blocks of columns count alike, however wide they are.

    Args:
        weights: of the N examples: their chance to be looked at.
        count: axes; fewer where there are fewer images or nothing is left.
        of_roots: of the :func:`roots` of the features.
    """
    generator = np.random.default_rng((seed, 13))
    possible = int((weights > 0).sum())
    chosen = generator.choice(len(features), min(LOOKED_AT, possible), replace=False, p=weights / weights.sum())
    values = roots(features[chosen]) if of_roots else features[chosen].astype(np.float32)
    mean = values.mean(axis=0)
    values -= mean
    scale = 1 / (values.std(axis=0) + np.float32(SMALLEST_SPREAD))
    scale /= np.sqrt(np.concatenate([np.full(block, block, np.float32) for block in blocks]))
    values *= scale / np.sqrt(np.float32(len(values)))
    size = min(count + 10, *values.shape)
    axes = generator.normal(size=(values.shape[1], size)).astype(np.float32)
    for _ in range(ITERATIONS):
        axes, _ = np.linalg.qr(values.T @ (values @ axes))
    _, lengths, turn = np.linalg.svd(values @ axes, full_matrices=False)
    kept = min(count, int((lengths > SMALLEST_LENGTH * lengths[0]).sum()))
    return Axes(mean, (scale[:, None] * (axes @ turn[:kept].T)).astype(np.float32), lengths[:kept])


def roots(features: NDArray[Any]) -> NDArray[np.float32]:
    """Fourth roots of features, of any shape; none of them is negative."""
    return np.asarray(np.sqrt(np.sqrt(features.astype(np.float32) + np.float32(SMALLEST_VALUE))), np.float32)


def scatter_of_sources(means: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
    """How the means of the sources of one class lie apart: A x A, every class counting alike.

    What tells one source of a class from another is not what the class is to be told by (the domain scatter of Ghifary
    et al. 2017, "Scatter Component Analysis").

    Args:
        means: by class, of the A coordinates of each of its sources.
    """
    return np.mean([np.cov(np.transpose(of_class), bias=True) for of_class in means.values()], axis=0)


def fit_linear_head(left: NDArray[np.float64], right: NDArray[np.float64], axes: Axes, *, l2: float) -> LinearHead:
    """Minimise the squared distance to 1 for the right class and 0 for the others, plus ``l2`` |weights|^2.

    The result depends on the data alone, not on a seed.

    Args:
        left: weighted second moments of the coordinates along the axes, with a one behind them: (A + 1) x (A + 1).
        right: weighted sums of these for the images of each class: (A + 1) x classes.
    """
    penalty = np.diag(np.append(np.full(len(left) - 1, l2), 0.0))
    solution = np.linalg.solve(left + penalty, right).astype(np.float32)
    kernel = axes.axes @ solution[:-1]
    return LinearHead(kernel, solution[-1] - axes.mean @ kernel)


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Temperature by which scores are to be divided so that their probabilities are honest.

    The minimum of weighted cross-entropy over one number (Guo et al. 2017, "On Calibration of Modern Neural Networks"),
    searched on a grid of 1 % steps from 0.01 to 10.
    """
    grid = np.exp(np.arange(np.log(0.01), np.log(10), 0.01))
    rows = np.arange(len(labels))
    losses = [-(weights * np.log(softmax(scores / temperature)[rows, labels] + 1e-12)).sum() for temperature in grid]
    return float(grid[int(np.argmin(losses))])
