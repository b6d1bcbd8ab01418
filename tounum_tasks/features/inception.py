"""InceptionV3 with batch normalisation folded in: the names, shapes and order of its convolutions.

The network is that of Szegedy et al., "Rethinking the Inception Architecture" (2016), with each batch normalisation
folded into the convolution before it: at inference the two are the same function, and the folded form is smaller and
faster. Weights are therefore one kernel and one bias per convolution, under Keras's names in the order of creation:
``conv2d/kernel``, ``conv2d/bias``, ``conv2d_1/kernel``, ... ``conv2d_93/bias``. Where they end with those of
``mixed9``, the network does, too: its features have the same shape, 8 x 8 x 2048.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError

INPUT_SIZE = 299
POSITIONS = 64
CHANNELS = 2048
CONVOLUTIONS = {
    **{"mixed0": 12, "mixed1": 19, "mixed2": 26, "mixed3": 30, "mixed4": 40, "mixed5": 50, "mixed6": 60},
    **{"mixed7": 70, "mixed8": 76, "mixed9": 85, "mixed10": 94},
}
"""By block: number of convolutions up to there. An extractor ends with one of the last two."""

MAX_NPZ_BYTES = 1 << 30  # ten times what the network's weights need

Weights = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]


def convolution_name(index: int) -> str:
    """Keras's own name of the n-th convolution, from 0: ``conv2d``, ``conv2d_1``, ..."""
    return "conv2d" if index == 0 else f"conv2d_{index}"


def kernel_shapes() -> list[Shape]:
    """Shapes of all 94 kernels in order: height, width, channels in and out."""
    stem: list[Shape] = [(3, 3, 3, 32), (3, 3, 32, 32), (3, 3, 32, 64), (1, 1, 64, 80), (3, 3, 80, 192)]
    reduction3: list[Shape] = [(3, 3, 288, 384), (1, 1, 288, 64), (3, 3, 64, 96), (3, 3, 96, 96)]
    reduction8 = [
        *_tower(768, (1, 1, 192), (3, 3, 320)),
        *_tower(768, (1, 1, 192), (1, 7, 192), (7, 1, 192), (3, 3, 192)),
    ]
    blocks = [
        stem,
        *(_block_35(entering, pooled) for entering, pooled in ((192, 32), (256, 64), (288, 64))),
        reduction3,
        *(_block_17(inner) for inner in (128, 160, 160, 192)),
        reduction8,
        *(_block_8(entering) for entering in (1280, 2048)),
    ]
    return [shape for block in blocks for shape in block]


def _tower(entering: int, *layers: Shape) -> list[Shape]:
    """Shapes of layers on top of one another: of each is given what it sees (height, width) and its channels out."""
    shapes: list[Shape] = []
    for height, width, leaving in layers:
        shapes.append((height, width, entering, leaving))
        entering = leaving
    return shapes


def _block_35(entering: int, pooled: int) -> list[Shape]:
    """A block at 35 x 35 positions."""
    return [
        (1, 1, entering, 64),
        *_tower(entering, (1, 1, 48), (5, 5, 64)),
        *_tower(entering, (1, 1, 64), (3, 3, 96), (3, 3, 96)),
        (1, 1, entering, pooled),
    ]


def _block_17(inner: int) -> list[Shape]:
    """A block at 17 x 17 positions, with convolutions of seven positions in a row or a column."""
    return [
        (1, 1, 768, 192),
        *_tower(768, (1, 1, inner), (1, 7, inner), (7, 1, 192)),
        *_tower(768, (1, 1, inner), (7, 1, inner), (1, 7, inner), (7, 1, inner), (1, 7, 192)),
        (1, 1, 768, 192),
    ]


def _block_8(entering: int) -> list[Shape]:
    """A block at 8 x 8 positions, with branches that end in a row and a column beside each other."""
    return [
        (1, 1, entering, 320),
        (1, 1, entering, 384),
        (1, 3, 384, 384),
        (3, 1, 384, 384),
        *_tower(entering, (1, 1, 448), (3, 3, 384)),
        (1, 3, 384, 384),
        (3, 1, 384, 384),
        (1, 1, entering, 192),
    ]


def weight_shapes(last_layer: str = "mixed10") -> dict[str, Shape]:
    """Shapes of all arrays of a network that ends with a block (``mixed0`` to ``mixed10``), by name and in order."""
    shapes: dict[str, Shape] = {}
    for index, shape in enumerate(kernel_shapes()[: CONVOLUTIONS[last_layer]]):
        shapes |= {f"{convolution_name(index)}/kernel": shape, f"{convolution_name(index)}/bias": shape[3:]}
    return shapes


def weight_names(last_layer: str = "mixed10") -> list[str]:
    """Names of all arrays of a complete extractor (188 up to ``mixed10``), in network order."""
    return list(weight_shapes(last_layer))


def last_layer_of(weights: Weights) -> str:
    """The block that these weights end with: ``mixed9`` or ``mixed10``."""
    above = weight_names("mixed10")[len(weight_names("mixed9")) :]
    return "mixed9" if set(above).isdisjoint(weights) else "mixed10"


def up_to(weights: Weights, last_layer: str) -> dict[str, NDArray[Any]]:
    """Those of the weights that a network up to this block has."""
    return {name: weights[name] for name in weight_names(last_layer) if name in weights}


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
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError) as error:
        raise ConfigurationError(f"Cannot read the extractor's weights from {path}: {error}") from error
