"""InceptionV3 for inference, as a graph of OpenVINO operations built from the folded weights.

It computes what :mod:`~tounum_tasks.features.network` computes. Keras's scale, value / 127.5 - 1, is not exact in
bfloat16: the graph takes (value - 128) / 128, which is, and the first convolution the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.features.inception import CONVOLUTIONS, INPUT_SIZE, Weights, convolution_name
from tounum_tasks.models.layers import Node, centred, channels_first, convolution, indices, operations, same
from tounum_tasks.models.runtime import load_openvino

if TYPE_CHECKING:
    import openvino

_SCALE = 127.5


class Inception:
    """The blocks of InceptionV3 as nodes of one graph; those that no output needs are never computed.

    Attributes:
        pixels: the input, uint8 1 x 299 x 299 x 3 (RGB).
        blocks: output of each block by name (``mixed0`` ... ), 1 x C x H x W.
        inputs: of each convolution but the first, in order.
    """

    def __init__(self, weights: Weights, last_layer: str, highest: NDArray[Any] | None = None) -> None:
        """Build the network up to a block, from weights whose shapes were checked.

        Args:
            highest: of the values of each of ``inputs``, if those convolutions are to be computed in int8.
        """
        self._weights = weights
        self._highest = highest
        self.inputs: list[Node] = []
        self._names = (convolution_name(index) for index in range(CONVOLUTIONS[last_layer]))
        self.pixels = operations().parameter([1, INPUT_SIZE, INPUT_SIZE, 3], np.uint8, "pixels")
        self.blocks = dict(self._build(last_layer))

    def _build(self, last_layer: str) -> Iterator[tuple[str, Node]]:
        x = self._stem()
        builders = 3 * [self._block_35] + [self._reduce_35] + 4 * [self._block_17] + [self._reduce_17]
        builders += 2 * [self._block_8]
        for number, build in enumerate(builders):
            name = f"mixed{number}"
            x = build(x)
            yield name, x
            if name == last_layer:
                return

    # The order in which branches are written down is that of the convolutions' numbers.

    def _stem(self) -> Node:
        kernel, bias = self._next()
        kernel, bias = kernel * np.float32(128 / _SCALE), bias + kernel.sum((0, 1, 2)) * np.float32(128 / _SCALE - 1)
        x = operations().relu(convolution(centred(channels_first(self.pixels)), kernel, bias, stride=2))
        x = _largest(self._conv(self._conv(x, padded=False)))
        return _largest(self._conv(self._conv(x), padded=False))

    def _block_35(self, x: Node) -> Node:
        return _side_by_side(self._conv(x), self._tower(x, 2), self._tower(x, 3), self._conv(_mean(x)))

    def _reduce_35(self, x: Node) -> Node:
        return _side_by_side(self._halved(x), self._halved(self._tower(x, 2)), _largest(x))

    def _block_17(self, x: Node) -> Node:
        return _side_by_side(self._conv(x), self._tower(x, 3), self._tower(x, 5), self._conv(_mean(x)))

    def _reduce_17(self, x: Node) -> Node:
        return _side_by_side(self._halved(self._conv(x)), self._halved(self._tower(x, 3)), _largest(x))

    def _block_8(self, x: Node) -> Node:
        return _side_by_side(
            self._conv(x), self._row_and_column(self._conv(x)), self._row_and_column(self._tower(x, 2)),
            self._conv(_mean(x)),
        )  # fmt: skip

    def _row_and_column(self, x: Node) -> Node:
        return _side_by_side(self._conv(x), self._conv(x))

    def _tower(self, x: Node, layers: int) -> Node:
        for _ in range(layers):
            x = self._conv(x)
        return x

    def _halved(self, x: Node) -> Node:
        return self._conv(x, stride=2, padded=False)

    def _conv(self, x: Node, *, stride: int = 1, padded: bool = True) -> Node:
        kernel, bias = self._next()
        padding = same(kernel) if padded else (0, 0)
        highest = None if self._highest is None else float(self._highest[len(self.inputs)])
        self.inputs.append(x)
        return operations().relu(convolution(x, kernel, bias, stride=stride, padding=padding, highest=highest))

    def _next(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        name = next(self._names)
        return self._weights[f"{name}/kernel"].astype(np.float32), self._weights[f"{name}/bias"].astype(np.float32)


def block_output(weights: Weights, last_layer: str) -> openvino.Model:
    """The graph from pixels, uint8 1 x 299 x 299 x 3 (RGB), to the output of a block, float32 1 x H x W x C."""
    network = Inception(weights, last_layer)
    output = operations().transpose(network.blocks[last_layer], indices(0, 2, 3, 1))
    return load_openvino().Model([output], [network.pixels], "inception_v3_folded")


def _side_by_side(*parts: Node) -> Node:
    return operations().concat(list(parts), 1)


def _largest(x: Node) -> Node:
    """The largest of 3 x 3 positions, at every second one."""
    return operations().max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3], "floor").output(0)


def _mean(x: Node) -> Node:
    """The mean of the 3 x 3 positions around each, of those that there are."""
    return operations().avg_pool(x, [1, 1], [1, 1], [1, 1], [3, 3], True, "floor")
