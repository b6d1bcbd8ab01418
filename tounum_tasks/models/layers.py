"""Layers of which the networks' graphs are made, as OpenVINO operations.

Numbers lie as OpenVINO has them, N x C x H x W; kernels come as Keras stores them, H x W x channels in x out.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.models.runtime import load_openvino

Node = Any
"""An operation of a graph, or one of its outputs."""

_SMALLEST_SPAN = 1e-6  # of weights that are all zero


def operations() -> ModuleType:
    """OpenVINO's set of operations that graphs are built of."""
    return load_openvino().opset13


def constant(values: Any) -> Node:
    """Numbers that do not change, in float32."""
    return operations().constant(np.ascontiguousarray(values, np.float32))


def indices(*values: int) -> Node:
    """Whole numbers that do not change: axes, an order, a shape."""
    return operations().constant(np.array(values, np.int64))


def convolution(
    x: Node,
    kernel: NDArray[Any],
    bias: NDArray[Any],
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    highest: float | None = None,
) -> Node:
    """A convolution with so many rows and columns of zeros on each side of its input.

    Args:
        highest: if given, products are computed in int8, from inputs 0 to ``highest``; what is above counts as that.
    """
    op = operations()
    by_output = constant(np.transpose(kernel, (3, 2, 0, 1)))
    if highest is not None:
        x = _in_levels(x, np.zeros(1), np.full(1, highest), 256)
        # Twice the largest weight, so that weights take -64 to 64 of -127 to 127: without VNNI, processors add two
        # products in 16 bits, and only 2 x 255 x 64 stays below 32,768.
        span = 2 * np.maximum(np.abs(kernel).max((0, 1, 2)).astype(np.float32), _SMALLEST_SPAN)[:, None, None, None]
        by_output = _in_levels(by_output, -span, span, 255)
    y = op.convolution(x, by_output, [stride, stride], list(padding), list(padding), [1, 1])
    return op.add(y, constant(np.asarray(bias, np.float32)[None, :, None, None]))


def _in_levels(x: Node, low: NDArray[Any], high: NDArray[Any], levels: int) -> Node:
    """Values between ``low`` and ``high``, rounded to so many equally spaced ones, ends included."""
    low, high = constant(low), constant(high)
    return operations().fake_quantize(x, low, high, low, high, levels)


def same(kernel: NDArray[Any]) -> tuple[int, int]:
    """The padding with which the output of a kernel of odd sides is as large as its input."""
    return kernel.shape[0] // 2, kernel.shape[1] // 2


def dense(x: Node, kernel: NDArray[Any], bias: NDArray[Any] | None = None) -> Node:
    """A layer of weighted sums over the last axis: kernel channels in x out."""
    op = operations()
    y = op.matmul(x, constant(kernel), False, False)
    return y if bias is None else op.add(y, constant(bias))


def channels_first(pixels: Node) -> Node:
    """Pixels N x H x W x C of any type as float32 N x C x H x W."""
    op = operations()
    return op.convert(op.transpose(pixels, indices(0, 3, 1, 2)), "f32")


def centred(pixels: Node) -> Node:
    """Values 0 to 255 as (value - 128) / 128, which is exact in bfloat16, too."""
    op = operations()
    return op.multiply(op.subtract(pixels, constant([128.0])), constant([1 / 128]))
