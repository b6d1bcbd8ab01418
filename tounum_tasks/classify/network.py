"""The classifier's networks: images in, one score per class out.

``inception-roots-unknown`` (the default) is InceptionV3 up to ``mixed5``, with batch normalisation folded in, looked at
from three heights: the means over the image of the outputs of ``mixed2``, ``mixed4`` and ``mixed5``, and their standard
deviations, are joined, and read by one dense layer, as they are and as fourth roots. Low layers see paper, grain and
line, high ones see objects; a drawing and a photograph of the same dog differ in the first and agree in the second.
Roots make much of whether something is there, and less of how much of it. The classifier has its own copy of these
layers, so that a new feature extractor for captions never changes a class.

A sixth score, behind those of the classes, says that the image is of none of them; ``inception-roots`` lacks it.
``inception-unknown`` and ``inception-spread`` read no roots, ``inception`` reads the means alone, as earlier versions
did; ``inception-mixed8`` looks at ``mixed6`` and ``mixed8`` in place of ``mixed5``, too, as the first versions did:
that takes longer and brings nothing.

``notebook`` is the small network of the company's notebooks, three convolutions on 250 x 250 pixels, kept as the
baseline that any other has to beat.

Keras is imported by the functions that need it, so that importing this module stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.inception import CONVOLUTIONS, convolution_name
from tounum_tasks.features.inception import weight_shapes as inception_shapes
from tounum_tasks.features.network import build_network as build_inception
from tounum_tasks.models.weights import assign_weights, check_weights

if TYPE_CHECKING:
    import keras

CHANNELS = {"mixed0": 256, "mixed2": 288, "mixed4": 768, "mixed5": 768, "mixed6": 768, "mixed8": 1280}
"""Layers that can be looked at, from low to high, and their channels."""
TAPS = ("mixed2", "mixed4", "mixed5")
"""Layers that are looked at."""
FORMER_TAPS = ("mixed2", "mixed4", "mixed6", "mixed8")
DOUBTING = {"inception-roots": "inception-roots-unknown", "inception-spread": "inception-unknown"}
"""What an architecture is called when it scores :data:`~tounum_tasks.classify.labels.UNKNOWN`, too."""
WITH_ROOTS = frozenset({"inception-roots", "inception-roots-unknown"})
"""The architectures that read fourth roots, too."""
WITH_SPREAD = frozenset({*DOUBTING, *DOUBTING.values()})
"""The architectures that look at standard deviations, too."""
SMALLEST_VARIANCE = 1e-6
SMALLEST_VALUE = 1e-3
"""Is added to values before their roots are taken: what is nearly nothing counts as nothing."""
RANGES = "activation_ranges"
"""Name of the largest inputs of all convolutions of InceptionV3 but the first: with it, they are computed in int8."""
TAPS_OF = dict.fromkeys([*DOUBTING.values(), *DOUBTING, "inception"], TAPS) | {"inception-mixed8": FORMER_TAPS}
"""By architecture: layers that are looked at."""
LAST_OF_MIXED8 = f"{convolution_name(CONVOLUTIONS['mixed8'] - 1)}/kernel"
INCEPTION_SIZE = 299
NOTEBOOK_SIZE = 250
NOTEBOOK_LAYERS = {"conv0": (3, 16), "conv1": (16, 32), "conv2": (32, 64)}
"""Convolutions of the notebooks' network: channels in and out. After each, every second row and column is left."""
NOTEBOOK_HIDDEN = 128


def build_pooled(policy: str, names: Sequence[str], *, spread: bool) -> keras.Model:
    """InceptionV3 up to the last of ``names``, without weights: N x 299 x 299 x 3 values 0..255 -> float32 N x D.

    The D values are the means over the image of these layers' outputs, one layer after the other; with ``spread`` their
    standard deviations follow.
    """
    import keras

    body = build_inception(policy, last_layer=names[-1]).get_layer("body")
    taps = keras.Model(body.inputs, [body.get_layer(name).output for name in names], name="body")
    pixels = keras.Input((INCEPTION_SIZE, INCEPTION_SIZE, 3), name="pixels")
    outputs = taps(keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels))
    values = [keras.ops.cast(output, "float32") for output in outputs]
    pooled = [keras.ops.mean(value, (1, 2)) for value in values]
    if spread:
        pooled += [keras.ops.sqrt(keras.ops.var(value, (1, 2)) + SMALLEST_VARIANCE) for value in values]
    return keras.Model(pixels, keras.ops.concatenate(pooled, 1), name="pooled_blocks")


def _inception(policy: str, architecture: str) -> keras.Model:
    import keras

    pooled = build_pooled(policy, TAPS_OF[architecture], spread=architecture in WITH_SPREAD)
    values = pooled.output
    if architecture in WITH_ROOTS:
        roots = keras.ops.sqrt(keras.ops.sqrt(values + SMALLEST_VALUE))
        values = keras.ops.concatenate([values, roots], 1)
    scores = keras.layers.Dense(outputs(architecture), dtype="float32", name="scores")(values)
    return keras.Model(pooled.inputs, scores, name="inception_classifier")


def _notebook(policy: str) -> keras.Model:
    import keras

    layers = keras.layers
    pixels = keras.Input((NOTEBOOK_SIZE, NOTEBOOK_SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="scale")(pixels)
    for name, (_, filters) in NOTEBOOK_LAYERS.items():
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", dtype=policy, name=name)(x)
        x = layers.MaxPooling2D(dtype=policy)(x)
    x = layers.Flatten(dtype=policy)(x)
    x = layers.Dense(NOTEBOOK_HIDDEN, activation="relu", dtype=policy, name="hidden")(x)
    scores = layers.Dense(len(CLASSES), dtype="float32", name="scores")(x)
    return keras.Model(pixels, scores, name="notebook_classifier")


ARCHITECTURES: dict[str, tuple[int, Callable[[str], keras.Model]]] = {
    **{name: (INCEPTION_SIZE, partial(_inception, architecture=name)) for name in TAPS_OF},
    "notebook": (NOTEBOOK_SIZE, _notebook),
}


def architecture_of(weights: Mapping[str, Any]) -> str:
    """Name of the architecture that has weights of these names."""
    if "hidden/kernel" in weights:
        return "notebook"
    if LAST_OF_MIXED8 in weights:
        return "inception-mixed8"
    kernel = np.shape(weights.get("scores/kernel", ()))
    rows, columns = kernel if len(kernel) == 2 else (0, 0)
    for known, doubting in DOUBTING.items():
        if rows == width(known):
            return doubting if columns > len(CLASSES) else known
    return "inception"


def width(architecture: str) -> int:
    """How many values the last layer of an architecture of InceptionV3 reads."""
    means = sum(CHANNELS[name] for name in TAPS_OF[architecture])
    return means * (1 + (architecture in WITH_SPREAD)) * (1 + (architecture in WITH_ROOTS))


def outputs(architecture: str) -> int:
    """How many scores an architecture gives: those of the classes, and perhaps that of none of them."""
    return len(CLASSES) + (architecture in DOUBTING.values())


def input_size(architecture: str) -> int:
    """Side, in pixels, of the square images that an architecture takes."""
    return ARCHITECTURES[architecture][0]


def weight_shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of an architecture by name.

    Raises:
        ConfigurationError: there is no such architecture.
    """
    _require_known(architecture)
    if architecture == "notebook":
        shapes: dict[str, tuple[int, ...]] = {}
        for name, channels in NOTEBOOK_LAYERS.items():
            shapes |= {f"{name}/kernel": (3, 3, *channels), f"{name}/bias": channels[1:]}
        left = NOTEBOOK_SIZE // 2 ** len(NOTEBOOK_LAYERS)
        _, channels_left = NOTEBOOK_LAYERS["conv2"]
        shapes |= {"hidden/kernel": (left**2 * channels_left, NOTEBOOK_HIDDEN), "hidden/bias": (NOTEBOOK_HIDDEN,)}
        values = NOTEBOOK_HIDDEN
    else:
        shapes = inception_shapes(TAPS_OF[architecture][-1])
        values = width(architecture)
    count = outputs(architecture)
    return shapes | {"scores/kernel": (values, count), "scores/bias": (count,)}


def _require_known(architecture: str) -> None:
    if architecture not in ARCHITECTURES:
        raise ConfigurationError(
            f"Unknown classifier architecture {architecture!r}; there are {', '.join(ARCHITECTURES)}."
        )


def activation_ranges(weights: Mapping[str, NDArray[Any]], architecture: str) -> NDArray[Any] | None:
    """Return the ranges among the weights; None where there are none: then everything is computed in float.

    Raises:
        ConfigurationError: they are not one positive number for each convolution but the first.
    """
    if architecture not in TAPS_OF or RANGES not in weights:
        return None
    ranges = weights[RANGES]
    check_weights(weights, {RANGES: (CONVOLUTIONS[TAPS_OF[architecture][-1]] - 1,)}, model="classifier")
    if not (np.isfinite(ranges) & (ranges > 0)).all():
        raise ConfigurationError(f"The classifier's {RANGES} hold what is no positive number: train the model again.")
    return ranges


def build_network(architecture: str, policy: str) -> keras.Model:
    """Network of that name without weights: N x side x side x 3 values 0..255 -> N x 5 or 6 scores (logits, float32).

    Args:
        architecture: one of ``ARCHITECTURES``, for example ``inception-roots-unknown``.
        policy: Keras dtype policy, ``float32`` or ``mixed_bfloat16``; weights and scores are float32 in both.

    Raises:
        ConfigurationError: there is no such architecture.
    """
    _require_known(architecture)
    return ARCHITECTURES[architecture][1](policy)


def _variables(network: keras.Model) -> dict[str, keras.Variable]:
    """Trainable variables by ``layer/kernel`` and ``layer/bias``."""
    return {"/".join(variable.path.split("/")[-2:]): variable for variable in network.trainable_variables}


def get_weights(network: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Copies of all weights by name, for example ``conv2d_3/kernel`` or ``scores/bias``."""
    import keras

    return {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(network).items()}


def set_weights(network: keras.Model, weights: Mapping[str, NDArray[Any]]) -> None:
    """Give every layer its weights.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    assign_weights(_variables(network), weights, model="classifier")
