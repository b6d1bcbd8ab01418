"""Arrays in safetensors files: weights only, nothing that could run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.files import whole_file

if TYPE_CHECKING:
    import keras

SUFFIX = ".safetensors"


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name.

    Raises:
        ConfigurationError: the file is missing or damaged, or holds what is no number (NaN, infinity).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"Cannot read the weights {path}: {error}") from error
    return parse_safetensors(content, path)


def parse_safetensors(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file that was read, by name.

    Args:
        path: of the file, for messages.

    Raises:
        ConfigurationError: it is damaged, or holds what is no number (NaN, infinity).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:  # the last two: an unknown dtype
        raise ConfigurationError(f"Cannot read the weights {path}: {error}") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "biu" and not np.isfinite(array).all():
            raise ConfigurationError(f"The weights {path} hold NaN or infinity in {name}: train the model again.")
    return arrays


def check_files(folder: Path, files: Iterable[str]) -> None:
    """See that all weights among the files of a version can be used.

    Raises:
        ConfigurationError: some are damaged, or hold what is no number.
    """
    for file in files:
        if file.endswith(SUFFIX):
            read_safetensors(folder / file)


def write_safetensors(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes arrays by name; the file appears whole or not at all."""
    from safetensors.numpy import save

    with whole_file(path) as staged:
        staged.write_bytes(save({name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}))


def hashes_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Return the sha256 (hex) of each array: what tells weights from others."""
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}


def check_weights(weights: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], *, model: str) -> None:
    """Compares weights with the shapes that a network has; arrays of other names do not matter.

    Args:
        model: what they belong to, as messages call it.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None:
            raise ConfigurationError(f"The {model}'s weights lack {name}.")
        if tuple(array.shape) != tuple(shape):
            raise ConfigurationError(f"The {model}'s {name} has shape {tuple(array.shape)}, expected {tuple(shape)}.")


def assign_weights(variables: Mapping[str, keras.Variable], weights: Mapping[str, NDArray[Any]], *, model: str) -> None:
    """Gives each variable the array of its name, as float32.

    Args:
        model: what the variables belong to, as messages call it.

    Raises:
        ConfigurationError: an array is missing or has the wrong shape.
    """
    check_weights(weights, {name: tuple(variable.shape) for name, variable in variables.items()}, model=model)
    for name, variable in variables.items():
        variable.assign(weights[name].astype(np.float32))
