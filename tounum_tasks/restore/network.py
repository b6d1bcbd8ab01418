"""The restorer's network: a page and how blurred it is in, the restored page out.

It works at half resolution (each 2x2 square of pixels becomes twelve channels) and, for most of its multiplications, at
a quarter, where a convolution sees four times as far for the same work: a U-Net of two levels. Every level has skip
connections, and the result is the page plus what the network adds. About 17 thousand multiplications a pixel.

How blurred a page is cannot be told well from the few pixels that a convolution sees, but very well from a whole page
(:mod:`~tounum_tasks.restore.evidence`). It is told to the network, which leaves a page as sharp as it is where the
figure is 0, and undoes that much blur otherwise. Noise and JPEG blocks it finds by itself.

Keras is imported by the functions that need it, so that importing this module stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    import keras

STRIDE = 4
"""Sides of what the network takes are multiples of it."""

REACH = 32
"""So many pixels around a pixel can change its result (the layers reach 30)."""

BLUR_STEPS = (0.0, 0.5, 0.9, 1.3)
"""The blur is given to the network as what it exceeds each of these by, which lets it treat ranges of it differently."""

HALF_CHANNELS, QUARTER_CHANNELS, QUARTER_BLOCKS = 32, 64, 2


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
    added = ops.depth_to_space(ops.cast(added, "float32"), 2)
    return keras.Model([pixels, blur], pixels + 128.0 * added, name="restorer")


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
    for name, variable in _variables(network).items():
        array = weights.get(name)
        if array is None:
            raise ConfigurationError(f"The restorer's weights lack {name}.")
        if tuple(array.shape) != tuple(variable.shape):
            raise ConfigurationError(
                f"The restorer's {name} has shape {tuple(array.shape)}, expected {tuple(variable.shape)}."
            )
        variable.assign(array.astype(np.float32))
