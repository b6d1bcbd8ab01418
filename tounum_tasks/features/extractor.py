"""The feature extractor: InceptionV3 up to one of its last two blocks, batch normalisation folded in.

The network is ``keras.applications.InceptionV3`` (Szegedy et al., "Rethinking the Inception Architecture", 2016) with
each batch normalisation folded into the convolution before it: at inference the two are the same function, and the
folded form is smaller and faster. Weights are therefore one kernel and one bias per convolution, under Keras's names in
the order of creation: ``conv2d/kernel``, ``conv2d/bias``, ``conv2d_1/kernel``, ... ``conv2d_93/bias``. Where they end
with those of ``mixed9``, the network does, too: its features have the same shape, 8 x 8 x 2048.

TensorFlow is imported by the functions that need it, so that importing this module stays cheap.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.weights import assign_weights

if TYPE_CHECKING:
    import keras

INPUT_SIZE = 299
POSITIONS = 64
CHANNELS = 2048
CONVOLUTIONS = {"mixed8": 76, "mixed9": 85, "mixed10": 94}
"""By block: number of convolutions up to there. A network ends with one of the last two."""

BATCH_SIZE = 16
MAX_NPZ_BYTES = 1 << 30  # ten times what the network's weights need

Weights = Mapping[str, NDArray[Any]]


def convolution_name(index: int) -> str:
    """Keras's own name of the n-th convolution, from 0: ``conv2d``, ``conv2d_1``, ..."""
    return "conv2d" if index == 0 else f"conv2d_{index}"


def weight_names(last_layer: str = "mixed10") -> list[str]:
    """Names of all arrays of a complete extractor (188 up to ``mixed10``), in network order."""
    return [f"{convolution_name(i)}/{part}" for i in range(CONVOLUTIONS[last_layer]) for part in ("kernel", "bias")]


def last_layer_of(weights: Weights) -> str:
    """The block that these weights end with: ``mixed9`` or ``mixed10``."""
    above = weight_names("mixed10")[len(weight_names("mixed9")) :]
    return "mixed9" if set(above).isdisjoint(weights) else "mixed10"


def up_to(weights: Weights, last_layer: str) -> dict[str, NDArray[Any]]:
    """Those of the weights that a network up to this block has."""
    return {name: weights[name] for name in weight_names(last_layer) if name in weights}


def compute_policy() -> str:
    """``mixed_bfloat16`` where the processor multiplies bfloat16 natively, otherwise ``float32``.

    Without the instructions (AVX-512 BF16 or AMX) bfloat16 is emulated and several times slower. The cosine between the
    features of the two was above 0.999 for every photograph measured, but they are not bit-identical: results are
    reproducible on one type of CPU.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "float32"
    return "mixed_bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


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


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an ``.npz`` file by name; pickled content is refused, and what unpacks to far more than weights.

    Raises:
        ConfigurationError: the file is missing or no plain ``.npz``.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_NPZ_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_NPZ_BYTES:,} bytes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name, array in arrays.items():
            if array.dtype.kind not in "fiu":
                raise ValueError(f"'{name}' holds no numbers")
            if not np.isfinite(array).all():
                raise ValueError(f"'{name}' holds NaN or infinity")
        return arrays
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigurationError(f"Cannot read the extractor's weights from {path}: {error}") from error


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
    last_layer = last_layer_of(weights)
    if not set(weight_names(last_layer)) - set(complete):
        return complete
    network = build_network("float32", last_layer=last_layer)
    generator = np.random.default_rng(seed)
    for name, layer in convolutions(network).items():
        shape = tuple(layer.kernel.shape)
        if f"{name}/kernel" not in complete:
            spread = float(np.sqrt(2.0 / np.prod(shape[:3])))
            complete[f"{name}/kernel"] = generator.normal(0.0, spread, shape).astype(np.float32)
        complete.setdefault(f"{name}/bias", np.zeros(shape[3], np.float32))
    return complete


class Extractor:
    """Extracts features; load once, use for many images.

    Batches are padded to one fixed shape, so that the features of an image do not depend on what else is in its batch.
    """

    def __init__(self, weights: Weights, *, digest: str, policy: str | None = None) -> None:
        """Builds the network with these weights. ``policy`` overrides the choice of :func:`compute_policy`."""
        self.digest = digest
        self.policy = policy or compute_policy()
        self._network = build_network(self.policy, last_layer=last_layer_of(weights))
        set_weights(self._network, weights)

    @classmethod
    def load(cls, folder: Path, *, policy: str | None = None) -> Extractor:
        """Loads a version folder of the registry.

        Raises:
            ConfigurationError: the folder is incomplete or damaged.
        """
        from tounum_tasks.models.card import read_version
        from tounum_tasks.models.weights import read_safetensors

        card = read_version(folder, name="extractor")
        return cls(read_safetensors(folder / "weights.safetensors"), digest=card.digest, policy=policy)

    def extract(self, inputs: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Features of images: uint8 N x 299 x 299 x 3 (RGB) -> float16 N x 64 x 2048, positions row by row."""
        features = np.empty((len(inputs), POSITIONS, CHANNELS), np.float16)
        for start in range(0, len(inputs), BATCH_SIZE):
            batch = inputs[start : start + BATCH_SIZE]
            features[start : start + len(batch)] = predict_padded(self._network, batch).reshape(-1, POSITIONS, CHANNELS)
        return features


def predict_padded(network: keras.Model, batch: NDArray[Any]) -> NDArray[np.float32]:
    """Output of a network for at most ``BATCH_SIZE`` images, computed at exactly that batch size."""
    padded = np.zeros((BATCH_SIZE, *batch.shape[1:]), np.float32)
    padded[: len(batch)] = batch
    return np.asarray(network.predict_on_batch(padded), np.float32)[: len(batch)]
