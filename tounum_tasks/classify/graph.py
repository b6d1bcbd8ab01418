"""The classifier's networks for inference, as graphs of OpenVINO operations.

They compute what :mod:`~tounum_tasks.classify.network` computes: from pixels, uint8 1 x side x side x 3 (RGB), to
float32 1 x 5 or 6 scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.network import NOTEBOOK_LAYERS, NOTEBOOK_SIZE, SMALLEST_VARIANCE, TAPS_OF, WITH_SPREAD
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
        pixels, values = _inception(weights, TAPS_OF[architecture], spread=architecture in WITH_SPREAD)
    output = dense(values, weights["scores/kernel"], weights["scores/bias"])
    return load_openvino().Model([output], [pixels], f"{architecture}_classifier")


def pooled(weights: Weights, names: Sequence[str]) -> openvino.Model:
    """The graph from pixels to the means of some blocks over the image, then their standard deviations: 1 x D."""
    pixels, values = _inception(weights, names, spread=True)
    return load_openvino().Model([values], [pixels], "pooled_blocks")


def _inception(weights: Weights, names: Sequence[str], *, spread: bool) -> tuple[Node, Node]:
    """Means over the image of the outputs of some blocks, from low to high, and with ``spread`` their deviations."""
    op = operations()
    network = Inception(weights, names[-1])
    means, spreads = [], []
    for block in (network.blocks[name] for name in names):
        mean = op.reduce_mean(block, indices(2, 3), True)
        means.append(op.squeeze(mean, indices(2, 3)))
        if spread:
            variance = op.reduce_mean(op.squared_difference(block, mean), indices(2, 3))
            spreads.append(op.sqrt(op.add(variance, constant([SMALLEST_VARIANCE]))))
    return network.pixels, op.concat([*means, *spreads], 1)


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
