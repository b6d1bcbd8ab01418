"""The restorer's network: a page and how blurred it is in, the restored page out.

It works at half resolution (each 2x2 square of pixels becomes twelve channels) and, for most of its multiplications, at
a quarter, where a convolution sees four times as far for the same work: a U-Net of two levels. Every level has skip
connections, and the result is the page plus what the network adds. About 18 thousand multiplications a pixel.

Part of what it adds is made of the page's own finest detail, in brightness and colours, times a gate for each pixel:
a gate below 0 takes noise away, one above 0 sharpens. A network of this size learns that sooner than to make up the
noise that is to be subtracted.

How blurred a page is cannot be told well from the few pixels that a convolution sees, but very well from a whole page
(:mod:`~tounum_tasks.restore.evidence`). It is told to the network, which leaves a page as sharp as it is where the
figure is 0, and undoes that much blur otherwise. Noise and JPEG blocks it finds by itself.

Keras is imported by the functions that need it, so that importing this module stays cheap.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.models.weights import assign_weights
from tounum_tasks.restore.colours import OPPONENT

if TYPE_CHECKING:
    import keras

STRIDE = 4
"""Sides of what the network takes are multiples of it."""

REACH = 32
"""So many pixels around a pixel can change its result (the layers reach 30)."""

BLUR_STEPS = (0.0, 0.5, 0.9, 1.3)
"""The network is given what the blur exceeds each of these by, so that it can treat ranges of it differently."""

HALF_CHANNELS, QUARTER_CHANNELS, QUARTER_BLOCKS = 32, 64, 2


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by name."""
    kernels: dict[str, tuple[int, ...]] = {
        "entry": (3, 3, 12 + len(BLUR_STEPS), HALF_CHANNELS),
        "down": (2, 2, HALF_CHANNELS, QUARTER_CHANNELS),
        "up": (1, 1, QUARTER_CHANNELS, 4 * HALF_CHANNELS),
        "exit": (3, 3, HALF_CHANNELS, 12),
        "gates": (3, 3, HALF_CHANNELS, 12),
        "fine": (3, 3, 12, 12),
        "colours": (1, 1, 12, 12),
    }
    blocks = {f"quarter{index}": QUARTER_CHANNELS for index in range(QUARTER_BLOCKS)} | {"half": HALF_CHANNELS}
    for name, channels in blocks.items():
        kernels |= {f"{name}_{part}": (3, 3, channels, channels) for part in ("first", "second")}
    shapes = {f"{name}/kernel": shape for name, shape in kernels.items()}
    return shapes | {f"{name}/bias": shape[3:] for name, shape in kernels.items()}


def build_network(policy: str) -> keras.Model:
    """Network without weights, for pages of any size.

    Takes pixels, float N x H x W x 3 (0 to 255, H and W multiples of 4), and blur, N x 1: the standard deviation of
    the Gaussian blur to undo, in pixels. Gives float32 N x H x W x 3, not yet rounded or limited to 0 to 255.

    Args:
        policy: Keras dtype policy, ``float32`` or ``mixed_bfloat16``; weights are float32 in both.
    """
    import keras

    layers, ops = keras.layers, keras.ops

    def conv(x: Any, channels: int, name: str, *, active: bool, **options: Any) -> Any:
        activation = "leaky_relu" if active else None
        return layers.Conv2D(channels, padding="same", activation=activation, dtype=policy, name=name, **options)(x)

    def block(x: Any, channels: int, name: str) -> Any:
        y = conv(x, channels, f"{name}_first", active=True, kernel_size=3)
        y = conv(y, channels, f"{name}_second", active=False, kernel_size=3)
        return layers.Add(dtype=policy)([x, y])

    pixels = keras.Input((None, None, 3), name="pixels")
    blur = keras.Input((1,), name="blur")
    numbers = keras.DTypePolicy(policy).compute_dtype
    scaled = layers.Rescaling(1 / 128, offset=-1.0, dtype="float32", name="scale")(pixels)  # exact in bfloat16
    squares = ops.space_to_depth(ops.cast(scaled, numbers), 2)
    steps = ops.relu(blur - ops.convert_to_tensor([BLUR_STEPS], "float32"))
    steps = ops.reshape(ops.cast(steps, numbers), (-1, 1, 1, len(BLUR_STEPS)))
    planes = ops.zeros_like(squares[..., : len(BLUR_STEPS)]) + steps
    half = conv(ops.concatenate([squares, planes], axis=-1), HALF_CHANNELS, "entry", active=True, kernel_size=3)
    quarter = conv(half, QUARTER_CHANNELS, "down", active=True, kernel_size=2, strides=2)
    for index in range(QUARTER_BLOCKS):
        quarter = block(quarter, QUARTER_CHANNELS, f"quarter{index}")
    up = ops.depth_to_space(conv(quarter, 4 * HALF_CHANNELS, "up", active=False, kernel_size=1), 2)
    half = block(layers.Add(dtype=policy)([half, up]), HALF_CHANNELS, "half")
    added = conv(half, 12, "exit", active=False, kernel_size=3, kernel_initializer="zeros")
    gates = conv(half, 12, "gates", active=False, kernel_size=3, kernel_initializer="zeros")
    fine = conv(squares, 12, "fine", active=False, kernel_size=3, kernel_initializer=_constant(fine_detail()))
    colours = np.kron(np.eye(4), OPPONENT)[None, None]
    mended = layers.Multiply(dtype=policy)([gates, fine])
    mended = conv(mended, 12, "colours", active=False, kernel_size=1, kernel_initializer=_constant(colours))
    added = ops.depth_to_space(ops.cast(layers.Add(dtype=policy)([added, mended]), "float32"), 2)
    return keras.Model([pixels, blur], pixels + 128.0 * added, name="restorer")


def fine_detail() -> NDArray[Any]:
    """The kernel that takes what the 3x3 surroundings do not explain from each pixel, in opponent colours.

    Its inputs and outputs are the pixels of 2x2 squares, three channels each: 3 x 3 x 12 x 12.
    """
    smooth = np.outer([1, 2, 1], [1, 2, 1]) / 16
    kernel = np.zeros((3, 2, 3, 2, 3, 2, 2, 3))  # squares and pixels down, across, channel; the same of the output
    for row, column in itertools.product(range(2), repeat=2):
        pixels = np.zeros((6, 6))
        pixels[row + 1 : row + 4, column + 1 : column + 4] = -smooth
        pixels[row + 2, column + 2] += 1
        kernel[..., row, column, :] = pixels.reshape(3, 2, 3, 2, 1, 1) * OPPONENT.T
    return kernel.transpose(0, 2, 1, 3, 4, 5, 6, 7).reshape(3, 3, 12, 12)


def _constant(values: NDArray[Any]) -> keras.Initializer:
    import keras

    return keras.initializers.Constant(values.astype(np.float32))


def _variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Variables by ``layer/kernel`` and ``layer/bias``."""
    return {"/".join(variable.path.split("/")[-2:]): variable for variable in network.trainable_variables}


def get_weights(network: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Copies of all weights by name, for example ``entry/kernel``."""
    import keras

    return {name: np.copy(keras.ops.convert_to_numpy(variable)) for name, variable in _variables(network).items()}


def set_weights(network: keras.Model, weights: Mapping[str, NDArray[Any]]) -> None:
    """Give every layer its weights.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    assign_weights(_variables(network), weights, model="restorer")
