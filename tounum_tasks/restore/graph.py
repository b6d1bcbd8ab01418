"""The restorer's network for inference, as a graph of OpenVINO operations: the same weights, the same result as
:mod:`~tounum_tasks.restore.network`.

Only what lies beyond the borders of what the network is given differs: there, it is as blurred as the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.models.layers import (
    Node,
    centred,
    channels_first,
    constant,
    convolution,
    dense,
    indices,
    operations,
    same,
)
from tounum_tasks.models.runtime import load_openvino
from tounum_tasks.restore.network import BLUR_STEPS, QUARTER_BLOCKS

if TYPE_CHECKING:
    import openvino

_SLOPE = 0.2
"""Of ``leaky_relu`` below 0, as Keras has it."""


class _Layers:
    """The layers of the network by name."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = {name: array.astype(np.float32) for name, array in weights.items()}

    def kernel(self, *names: str) -> NDArray[np.float32]:
        """The kernel of a layer, or of several that see the same, side by side."""
        return np.concatenate([self._weights[f"{name}/kernel"] for name in names], axis=3)

    def bias(self, *names: str) -> NDArray[np.float32]:
        """The bias likewise."""
        return np.concatenate([self._weights[f"{name}/bias"] for name in names])

    def conv(self, x: Node, *names: str) -> Node:
        """The layer's output at every position of its input."""
        kernel = self.kernel(*names)
        return convolution(x, kernel, self.bias(*names), padding=same(kernel))

    def block(self, x: Node, name: str) -> Node:
        """Two layers that add something to their input."""
        return operations().add(x, self.conv(_active(self.conv(x, f"{name}_first")), f"{name}_second"))


def restored_page(weights: Mapping[str, NDArray[Any]]) -> openvino.Model:
    """The graph from a page and the blur to undo, in pixels, to the restored page.

    Inputs: uint8 H x W x 3 (sides multiples of 4) and a float32 without axes. Output: uint8 H x W x 3.
    """
    op = operations()
    layers = _Layers(weights)
    page = op.parameter([-1, -1, 3], np.uint8, "page")
    blur = op.parameter([], np.float32, "blur")
    pixels = centred(channels_first(op.unsqueeze(page, indices(0))))
    squares = op.space_to_depth(pixels, "blocks_first", 2)
    half = _active(op.add(_entry(squares, layers), _blurred(blur, layers)))
    quarter = _active(convolution(half, layers.kernel("down"), layers.bias("down"), stride=2))
    for index in range(QUARTER_BLOCKS):
        quarter = layers.block(quarter, f"quarter{index}")
    half = layers.block(op.add(half, _as_pixels(layers.conv(quarter, "up"))), "half")
    gates, leaving = op.split(layers.conv(half, "gates", "exit"), op.constant(1), 2).outputs()
    mended = layers.conv(op.multiply(gates, layers.conv(squares, "fine")), "colours")
    restored = op.add(pixels, _as_pixels(op.add(leaving, mended)))
    levels = op.round(op.multiply(op.add(restored, constant([1.0])), constant([128.0])), "half_to_even")
    rows_first = op.transpose(op.convert(op.clamp(levels, 0.0, 255.0), "u8"), indices(0, 2, 3, 1))
    return load_openvino().Model([op.squeeze(rows_first, indices(0))], [page, blur], "restorer")


def _entry(squares: Node, layers: _Layers) -> Node:
    """What the first layer makes of the page itself."""
    kernel = layers.kernel("entry")[:, :, : -len(BLUR_STEPS)]
    return convolution(squares, kernel, np.zeros(kernel.shape[3]), padding=same(kernel))


def _blurred(blur: Node, layers: _Layers) -> Node:
    """What the first layer makes of the blur, which is the same wherever it looks."""
    op = operations()
    steps = op.relu(op.subtract(op.unsqueeze(blur, indices(0, 1)), constant([BLUR_STEPS])))
    planes = layers.kernel("entry")[:, :, -len(BLUR_STEPS) :].sum((0, 1))
    return op.reshape(dense(steps, planes, layers.bias("entry")), indices(1, -1, 1, 1), False)


def _active(x: Node) -> Node:
    return operations().prelu(x, constant([_SLOPE]))


def _as_pixels(x: Node) -> Node:
    """Channels of a square of 2 x 2 in the places of its pixels."""
    return operations().depth_to_space(x, "blocks_first", 2)
