"""The feature extractor in Keras: what trainings teach, and what the graph for inference is compared with.

The network is ``keras.applications.InceptionV3`` with batch normalisation folded in (see
:mod:`~tounum_tasks.features.inception`). Keras is imported by the functions that need it, so that importing this module
stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.inception import INPUT_SIZE, Weights, convolution_name, last_layer_of, weight_shapes
from tounum_tasks.models.weights import assign_weights

if TYPE_CHECKING:
    import keras


def build_network(policy: str, *, last_layer: str = "mixed10") -> keras.Model:
    """Folded InceptionV3 without weights.

    Takes float values 0 to 255, N x 299 x 299 x 3 (RGB), and scales them as ``inception_v3.preprocess_input`` does;
    gives the output of ``last_layer``, for ``mixed10`` N x 8 x 8 x 2048.

    Args:
        policy: Keras dtype policy, ``float32`` or ``mixed_bfloat16``; weights are float32 in both.
        last_layer: name of the layer to stop at (``mixed0`` ... ``mixed10``).
    """
    import keras

    original = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(INPUT_SIZE, INPUT_SIZE, 3))
    order = _in_creation_order(original, keras.layers.Conv2D)
    renamed = {layer.name: convolution_name(index) for index, layer in enumerate(order)}

    def fold(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.BatchNormalization):
            return layer
        config = layer.get_config()
        config["dtype"] = policy
        if isinstance(layer, keras.layers.Conv2D):
            config["use_bias"] = True
            config["name"] = renamed[layer.name]
        return type(layer).from_config(config)

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        is_folded_away = isinstance(layer, keras.layers.BatchNormalization)
        return args[0] if is_folded_away else layer(*args, **kwargs)

    folded = keras.models.clone_model(original, clone_function=fold, call_function=call)
    pixels = keras.Input((INPUT_SIZE, INPUT_SIZE, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels)
    body = keras.Model(folded.inputs, folded.get_layer(last_layer).output, name="body")
    return keras.Model(pixels, body(scaled), name="inception_v3_folded")


def split_network(network: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
    """Cuts a network at a layer: (from the pixels to its output, from its output to the end). Weights are shared."""
    import keras

    body = network.get_layer("body")
    middle = body.get_layer(layer).output
    front = keras.Model(body.inputs, middle, name="front")
    head = keras.Model(network.inputs, front(network.get_layer("scale").output), name=f"to_{layer}")
    return head, keras.Model(middle, body.output, name=f"from_{layer}")


def _in_creation_order(network: keras.Model, kind: type[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Layers of a kind by the number at the end of their names, which Keras counts up (the very first has none)."""

    def number(layer: keras.layers.Layer) -> int:
        digits = layer.name.rpartition("_")[2]
        return int(digits) if digits.isdigit() else 0

    return sorted((layer for layer in network.layers if isinstance(layer, kind)), key=number)


def convolutions(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """The convolutions of a network that :func:`build_network` made, by name."""
    body = network.get_layer("body")
    return {layer.name: layer for layer in body.layers if layer.name.startswith("conv2d")}


def set_weights(network: keras.Model, weights: Weights) -> None:
    """Gives every convolution of the network its kernel and bias.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    variables: dict[str, keras.Variable] = {}
    for name, layer in convolutions(network).items():
        variables |= {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}
    assign_weights(variables, weights, model="extractor")


def get_weights(network: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Kernels and biases of the network by name."""
    weights: dict[str, NDArray[np.float32]] = {}
    for name, layer in convolutions(network).items():
        weights[f"{name}/kernel"] = _array(layer.kernel)
        weights[f"{name}/bias"] = _array(layer.bias)
    return weights


def imagenet_weights() -> dict[str, NDArray[np.float32]]:
    """Keras's own ImageNet weights (downloaded by Keras on first use), batch normalisation folded in.

    Raises:
        ConfigurationError: the download failed.
    """
    import keras

    try:
        network = keras.applications.InceptionV3(weights="imagenet", include_top=False)
    except Exception as error:  # Keras reports a failed download as a bare Exception
        raise ConfigurationError(f"Keras could not download the ImageNet weights: {error}") from error
    return fold_batch_normalisation(network)


def fold_batch_normalisation(network: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Folded kernels and biases of a plain ``keras.applications.InceptionV3``, named by order of creation."""
    import keras

    weights: dict[str, NDArray[np.float32]] = {}
    pairs = zip(
        _in_creation_order(network, keras.layers.Conv2D),
        _in_creation_order(network, keras.layers.BatchNormalization),
        strict=True,
    )
    for index, (convolution, normalisation) in enumerate(pairs):
        scale = 1.0 / np.sqrt(_array(normalisation.moving_variance) + normalisation.epsilon)
        bias = _array(normalisation.beta) - _array(normalisation.moving_mean) * scale
        weights[f"{convolution_name(index)}/kernel"] = (_array(convolution.kernel) * scale).astype(np.float32)
        weights[f"{convolution_name(index)}/bias"] = bias.astype(np.float32)
    return weights


def _array(variable: Any) -> NDArray[np.float32]:
    import keras

    return np.array(keras.ops.convert_to_numpy(variable), np.float32)


def fill_missing_kernels(weights: Weights, seed: int) -> dict[str, NDArray[Any]]:
    """Completes a set of weights: a kernel that is missing is drawn at random, He-scaled, so that it can be trained.

    Folded kernels work on the outputs of a rectifier, for which He et al. (2015) give the spread that keeps the
    variance: sqrt(2 / fan-in). Only kernels are filled in; a missing bias starts at zero.
    """
    complete = dict(weights)
    generator = np.random.default_rng(seed)
    for name, shape in weight_shapes(last_layer_of(weights)).items():
        if name in complete:
            continue
        if name.endswith("kernel"):
            spread = float(np.sqrt(2.0 / np.prod(shape[:3])))
            complete[name] = generator.normal(0.0, spread, shape).astype(np.float32)
        else:
            complete[name] = np.zeros(shape, np.float32)
    return complete
