"""A classifier's last layer, fitted in closed form: ridge regression of the class on standardised features.

It needs no more of the images than the second moments of each class: a fit without one source costs the moments of that
source and one system of equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.classifier import softmax

SMALLEST_SPREAD = 1e-3
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class LinearHead:
    """Scores = features @ ``kernel`` + ``bias``; float32, D x classes and classes."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Scores of N x D features: float32 N x classes."""
        return features.astype(np.float32) @ self.kernel + self.bias

    def divided_by(self, temperature: float) -> "LinearHead":
        """The head whose scores are divided by ``temperature``."""
        return LinearHead(self.kernel / np.float32(temperature), self.bias / np.float32(temperature))


@dataclass(frozen=True)
class Scaling:
    """Standardises features; the blocks that they consist of get the same total variance, 1, however wide they are."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, features: NDArray[np.float16], blocks: Sequence[int]) -> "Scaling":
        """Scaling for features like these (N x D), which consist of blocks of so many columns."""
        values = features.astype(np.float32)
        width = np.concatenate([np.full(block, block, np.float32) for block in blocks])
        return cls(values.mean(axis=0), 1 / np.sqrt(width) / (values.std(axis=0) + np.float32(SMALLEST_SPREAD)))

    def moments(self, features: NDArray[np.float16], weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """Weighted sum of outer products of scaled features with a one behind them: (D + 1) x (D + 1).

        Args:
            features: views x N x D; all views count alike.
            weights: of the N examples.
        """
        total = np.zeros((len(self.mean) + 1,) * 2, np.float32)
        share = (weights / len(features)).astype(np.float32)[:, None]
        for view in features:
            for start in range(0, len(view), ROWS_AT_ONCE):
                part = view[start : start + ROWS_AT_ONCE]
                values = np.ones((len(part), len(self.mean) + 1), np.float32)
                values[:, :-1] = (part - self.mean) * self.scale
                total += (values * share[start : start + ROWS_AT_ONCE]).T @ values
        return total


def fit_linear_head(moments: Sequence[NDArray[np.float32]], scaling: Scaling, *, l2: float) -> LinearHead:
    """Minimise the squared distance to 1 for the right class and 0 for the others, plus ``l2`` |weights|^2.

    Every class counts alike. The result depends on the data alone, not on a seed.

    Args:
        moments: of the examples of each class, in the order of the classes.
    """
    means = [moment / moment[-1, -1] / np.float32(len(moments)) for moment in moments]
    left = np.sum(means, axis=0)
    right = np.stack([mean[-1] for mean in means], axis=1)
    diagonal = np.arange(len(scaling.mean))
    left[diagonal, diagonal] += np.float32(l2)
    solution = np.linalg.solve(left, right)
    kernel = solution[:-1] * scaling.scale[:, None]
    return LinearHead(kernel, solution[-1] - scaling.mean @ kernel)


def fit_temperature(scores: NDArray[np.floating], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Temperature by which scores are to be divided so that their probabilities are honest.

    The minimum of weighted cross-entropy over one number (Guo et al. 2017, "On Calibration of Modern Neural Networks"),
    searched on a grid of 1 % steps from 0.01 to 10.
    """
    grid = np.exp(np.arange(np.log(0.01), np.log(10), 0.01))
    rows = np.arange(len(labels))
    losses = [-(weights * np.log(softmax(scores / temperature)[rows, labels] + 1e-12)).sum() for temperature in grid]
    return float(grid[int(np.argmin(losses))])
