"""The classifier's networks for inference, as graphs of OpenVINO operations.

They compute what :mod:`~tounum_tasks.classify.network` computes: from pixels, uint8 1 x side x side x 3 (RGB), to
float32 1 x 5 or 6 scores. Where a version has ranges of activations, all convolutions of InceptionV3 but the first are
computed in int8 (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference"): inputs in 256 levels of a tensor's range, weights in 129 of an output channel's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.network import (
    NOTEBOOK_LAYERS,
    NOTEBOOK_SIZE,
    SMALLEST_VALUE,
    SMALLEST_VARIANCE,
    TAPS_OF,
    WITH_ROOTS,
    WITH_SPREAD,
    activation_ranges,
)
from tounum_tasks.features.graph import Inception
from tounum_tasks.models.layers import Node, channels_first, constant, convolution, dense, indices, operations, same
from tounum_tasks.models.runtime import load_openvino

if TYPE_CHECKING:
    import openvino

Weights = Mapping[str, NDArray[Any]]


def scores(weights: Weights, architecture: str) -> openvino.Model:
    """The graph of an architecture with these weights."""
    if architecture == "notebook":
        pixels, values = _notebook(weights)
    else:
        names, spread = TAPS_OF[architecture], architecture in WITH_SPREAD
        pixels, values = _inception(weights, names, spread=spread, highest=activation_ranges(weights, architecture))
    if architecture in WITH_ROOTS:
        values = _with_roots(values)
    output = dense(values, weights["scores/kernel"], weights["scores/bias"])
    return load_openvino().Model([output], [pixels], f"{architecture}_classifier")


def pooled(weights: Weights, names: Sequence[str], highest: NDArray[Any] | None = None) -> openvino.Model:
    """The graph from pixels to the means of some blocks over the image, then their standard deviations: 1 x D.

    Args:
        highest: ranges of activations, to compute in int8.
    """
    pixels, values = _inception(weights, names, spread=True, highest=highest)
    return load_openvino().Model([values], [pixels], "pooled_blocks")


def largest_inputs(weights: Weights, architecture: str) -> openvino.Model:
    """The graph from pixels to the largest input of each convolution of InceptionV3 but the first, in float: N."""
    op = operations()
    network = Inception(weights, TAPS_OF[architecture][-1])
    largest = [op.reshape(op.reduce_max(x, indices(0, 1, 2, 3)), indices(1), False) for x in network.inputs]
    return load_openvino().Model([op.concat(largest, 0)], [network.pixels], "largest_inputs")


def _inception(
    weights: Weights, names: Sequence[str], *, spread: bool, highest: NDArray[Any] | None = None
) -> tuple[Node, Node]:
    """Means over the image of the outputs of some blocks, from low to high, and with ``spread`` their deviations."""
    op = operations()
    network = Inception(weights, names[-1], highest)
    means, spreads = [], []
    for block in (network.blocks[name] for name in names):
        mean = op.reduce_mean(block, indices(2, 3), True)
        means.append(op.squeeze(mean, indices(2, 3)))
        if spread:
            variance = op.reduce_mean(op.squared_difference(block, mean), indices(2, 3))
            spreads.append(op.sqrt(op.add(variance, constant([SMALLEST_VARIANCE]))))
    return network.pixels, op.concat([*means, *spreads], 1)


def _with_roots(values: Node) -> Node:
    """Values, N x D, and their fourth roots: N x 2D."""
    op = operations()
    return op.concat([values, op.sqrt(op.sqrt(op.add(values, constant([SMALLEST_VALUE]))))], 1)


def _notebook(weights: Weights) -> tuple[Node, Node]:
    op = operations()
    pixels = op.parameter([1, NOTEBOOK_SIZE, NOTEBOOK_SIZE, 3], np.uint8, "pixels")
    x = op.multiply(channels_first(pixels), constant([1 / 255]))
    for name in NOTEBOOK_LAYERS:
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        x = op.relu(convolution(x, kernel, bias, padding=same(kernel)))
        x = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2], "floor").output(0)
    rows = op.reshape(op.transpose(x, indices(0, 2, 3, 1)), indices(1, -1), False)
    return pixels, op.relu(dense(rows, weights["hidden/kernel"], weights["hidden/bias"]))
