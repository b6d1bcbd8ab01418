"""A branch of InceptionV3 that lacks a kernel, as a passage for what comes into it.

A set of weights may lack the 3 x 3 kernels in the last two blocks. Drawn at random, one makes noise of three eighths of
its block's features, and learning it takes far more photographs than most people have captions for. A passage needs no
learning (after Chen et al. 2016, "Net2Net", whose new layers begin as the identity, too): the branch then holds the
output of its own first convolution, which is there, once as it is and once as the mean of three positions, one above
the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.features.inception import Weights, last_layer_of, weight_names

BRANCHES = (81, 90)
"""Numbers of the 3 x 3 convolutions (448 to 384 channels) of ``mixed9`` and ``mixed10``; two more follow each."""

COMES_IN, GOES_ON = 448, 384


def with_passages(weights: Weights) -> dict[str, NDArray[Any]]:
    """The weights, with a passage in each of the two branches whose 3 x 3 kernel they lack."""
    wanted = set(weight_names(last_layer_of(weights)))
    complete = dict(weights)
    for number in BRANCHES:
        if f"conv2d_{number}/kernel" in wanted - set(weights):
            complete |= _passage(number)
    return complete


def _passage(first: int) -> dict[str, NDArray[np.float32]]:
    """The three convolutions of one branch."""
    each = np.arange(GOES_ON)
    straight = np.zeros((3, 3, COMES_IN, GOES_ON), np.float32)
    straight[1, 1, each, each] = 1
    beside = np.zeros((1, 3, GOES_ON, GOES_ON), np.float32)
    beside[0, 1, each, each] = 1
    above = np.zeros((3, 1, GOES_ON, GOES_ON), np.float32)
    above[:, 0, each, each] = 1 / 3
    kernels = {f"conv2d_{first + index}/kernel": kernel for index, kernel in enumerate((straight, beside, above))}
    biases = {name.replace("kernel", "bias"): np.zeros(GOES_ON, np.float32) for name in kernels}
    return kernels | biases
