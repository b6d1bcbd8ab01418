"""The restorer's network once more, in TensorFlow and laid out for speed: the same weights, the same result.

Layer by layer, as ``restore/network.py`` says it, the processor spends nearly half of its time on moving numbers
between pixels, 2x2 squares and 4x4 squares, and on sums in bfloat16. Here

- a 3x3 convolution over 2x2 squares is one of 6x6 over the pixels, with stride 2;
- sums are made by the convolution before them (oneDNN's fused sums), at the resolution where it works;
- squares become pixels row by row, and pixels have four channels there, because long rows are copied faster.

Only what lies beyond the borders of what the network is given differs: there, it is as blurred as the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.network import BLUR_STEPS, HALF_CHANNELS, QUARTER_BLOCKS, QUARTER_CHANNELS

if TYPE_CHECKING:
    import tensorflow as tf

Run = Callable[[NDArray[np.uint8], float], NDArray[np.float32]]

_SLOPE = 0.2
"""Of ``leaky_relu`` below 0, as Keras has it."""


def compiled(weights: Mapping[str, NDArray[np.float32]], *, dtype: str) -> Run:
    """Return a function that tells what the network would add to a page, compiled for pages of all sizes.

    It takes uint8 H x W x 3 (sides multiples of 4) and the blur to undo, and returns float32 H x W x 4: what to add to
    each pixel in grey levels, in a form that can be added fast; the fourth channel is 0.

    Args:
        weights: of the network, by name (:func:`~tounum_tasks.restore.network.get_weights`).
        dtype: what it computes in, ``float32`` or ``bfloat16``.
    """
    import tensorflow as tf

    planes = weights["entry/kernel"][:, :, 12:].sum((0, 1))  # what each of the blur's steps adds, wherever it is looked
    entry_bias = tf.constant(weights["entry/bias"])
    steps = tf.constant(BLUR_STEPS, tf.float32)

    def layer(kernel: NDArray[Any], bias: NDArray[Any]) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(tf.constant(kernel), dtype), tf.cast(tf.constant(bias), dtype)

    def named(name: str) -> tuple[tf.Tensor, tf.Tensor]:
        return layer(weights[f"{name}/kernel"], weights[f"{name}/bias"])

    # The network sees (pixels - 128) / 128, and what it adds is 128 times as much: both are exact in bfloat16.
    entry = tf.cast(tf.constant(over_pixels(weights["entry/kernel"][:, :, :12]) / 128), dtype)
    fine = layer(over_pixels(weights["fine/kernel"]) / 128, weights["fine/bias"])
    down = layer(weights["down/kernel"].reshape(1, 1, 4 * HALF_CHANNELS, QUARTER_CHANNELS), weights["down/bias"])
    leave, colours = (
        layer(128 * fourth_channel(weights[f"{name}/kernel"]), 128 * fourth_channel(weights[f"{name}/bias"]))
        for name in ("exit", "colours")
    )
    up, gates = named("up"), named("gates")
    blocks = {
        name: (named(f"{name}_first"), named(f"{name}_second"))
        for name in (*(f"quarter{index}" for index in range(QUARTER_BLOCKS)), "half")
    }

    def conv(x: tf.Tensor, kernel_and_bias: tuple[tf.Tensor, tf.Tensor], **options: Any) -> tf.Tensor:
        kernel, bias = kernel_and_bias
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, **({"strides": 1, "padding": "SAME"} | options)), bias)

    def active(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.leaky_relu(x, _SLOPE)

    def block(x: tf.Tensor, name: str) -> tf.Tensor:
        first, second = blocks[name]
        return x + conv(active(conv(x, first)), second)

    over_squares = {"strides": 2, "padding": [[0, 0], [2, 2], [2, 2], [0, 0]]}

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.int8), tf.TensorSpec((), tf.float32)])
    def graph(page: tf.Tensor, blur: tf.Tensor) -> tf.Tensor:
        rows, columns = tf.shape(page)[0] // 4, tf.shape(page)[1] // 4
        pixels = tf.cast(page, dtype)[None]
        blurred = tf.cast(entry_bias + tf.linalg.matvec(planes, tf.nn.relu(blur - steps), transpose_a=True), dtype)
        first = active(conv(pixels, (entry, blurred), **over_squares))
        half = tf.reshape(first, (1, rows, 2, columns, 2 * HALF_CHANNELS))
        half = tf.reshape(tf.transpose(half, (0, 1, 3, 2, 4)), (1, rows, columns, 4 * HALF_CHANNELS))
        quarter = active(conv(half, down))
        for index in range(QUARTER_BLOCKS):
            quarter = block(quarter, f"quarter{index}")
        half = tf.reshape(half + conv(quarter, up), (1, rows, columns, 2, 2 * HALF_CHANNELS))
        half = block(tf.reshape(tf.transpose(half, (0, 1, 3, 2, 4)), tf.shape(first)), "half")
        gate = conv(half, gates)
        # Sums are only fused where both shapes are known to be the same one.
        mended = tf.reshape(gate * conv(pixels, fine, **over_squares), tf.shape(gate))
        added = conv(half, leave) + conv(mended, colours)
        added = tf.transpose(tf.reshape(added, (2 * rows, 2 * columns, 2, 8)), (0, 2, 1, 3))
        return tf.cast(tf.reshape(added, (4 * rows, 4 * columns, 4)), tf.float32)

    function = graph.get_concrete_function()

    def run(page: NDArray[np.uint8], blur: float) -> NDArray[np.float32]:
        from_middle = np.bitwise_xor(page, np.uint8(128)).view(np.int8)  # page - 128
        return function(tf.constant(from_middle), tf.constant(blur, tf.float32)).numpy()

    return run


def over_pixels(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel over pixels that does what this one does over 2x2 squares: 3 x 3 x 12 x N to 6 x 6 x 3 x N."""
    squares = kernel.reshape(3, 3, 2, 2, 3, -1)  # down and across, pixels of a square down and across, channel, output
    return squares.transpose(0, 2, 1, 3, 4, 5).reshape(6, 6, 3, -1)


def fourth_channel(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """An array whose last axis is the 12 channels of a square, with a fourth channel of 0 for each pixel: 16."""
    pixels = array.reshape(*array.shape[:-1], 4, 3)
    return np.pad(pixels, [(0, 0)] * (pixels.ndim - 1) + [(0, 1)]).reshape(*array.shape[:-1], 16)
