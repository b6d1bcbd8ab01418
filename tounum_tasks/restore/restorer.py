"""Restoring pages with the network: load a model once, use it for pages of any size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.models.card import WEIGHTS_FILE, read_files
from tounum_tasks.models.compute import Precision, best_precision, keras_policy
from tounum_tasks.models.registry import STARTERS, version_order
from tounum_tasks.models.runtime import network
from tounum_tasks.models.weights import check_weights, parse_safetensors
from tounum_tasks.quality.grey import is_grey
from tounum_tasks.restore import graph
from tounum_tasks.restore.evidence import spread_squares
from tounum_tasks.restore.network import REACH, STRIDE, build_network, set_weights, weight_shapes
from tounum_tasks.restore.tiles import Tile
from tounum_tasks.threads import in_threads

LARGEST_TILE = 448
"""Longest side of a tile in pixels, without the margin of what the network sees beyond it; 48 tiles are an A4 page.
Larger ones are no faster, and take more memory."""

_EDGE = 8
"""So many mirrored pixels are added at the borders of a page."""

_SQUARES, _CELL = 24, 32
_LARGE = 2**23
"""Pixels of a page for which the memory of the network is let go before the page is judged and written."""

_DARKEST, _LIGHTEST = (1, 1, 1), (254, 254, 254)

_STEP = 8
"""Tiles begin and end at multiples of it: the network treats the pixels of a 4x4 square differently."""


class Restorer:
    """Removes noise, JPEG blocks and as much blur as it is told to.

    Pages are worked through in tiles with a margin, as many at a time as there are processors, so memory does not grow
    with the page and the result of a page depends on nothing but the page.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], *, digest: str, precision: Precision | None = None) -> None:
        """Take the weights of the network.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: weights are missing or have the wrong shape.
        """
        self.digest = digest
        check_weights(weights, weight_shapes(), model="restorer")
        precision = precision or best_precision()
        self._network = network(
            lambda: graph.restored_page(weights),
            lambda: _reference(weights, precision),
            precision=precision,
            sizes_vary=True,
        )

    @classmethod
    def load(cls, folder: Path, *, precision: Precision | None = None) -> Restorer:
        """Load a version folder of the registry.

        Args:
            precision: overrides the choice of :func:`~tounum_tasks.models.compute.best_precision`.

        Raises:
            ConfigurationError: the folder is incomplete or damaged.
        """
        card, files = read_files(folder, name="restorer")
        weights = parse_safetensors(files[WEIGHTS_FILE], folder / WEIGHTS_FILE)
        return cls(weights, digest=card.digest, precision=precision)

    def restore(self, rgb: NDArray[np.uint8], *, blur: float) -> NDArray[np.uint8]:
        """Return a restored page.

        Args:
            rgb: uint8 HxWx3 of any size; pages without colours stay without colours.
            blur: standard deviation of the Gaussian blur to undo, in pixels; 0 leaves the page as sharp as it is.
        """
        result = np.empty_like(rgb)

        def fill(tile: Tile) -> None:
            top, bottom, left, right = _margins(tile, *rgb.shape[:2])
            around = tile.with_margin(rgb, REACH)
            height, width = around.shape[:2]
            seen = around[REACH - top : height - REACH + bottom, REACH - left : width - REACH + right]
            below, beside = (-length % STRIDE for length in seen.shape[:2])
            padded = cv2.copyMakeBorder(seen, 0, below, 0, beside, cv2.BORDER_REPLICATE)
            (restored,) = self._network(np.ascontiguousarray(padded), np.array(blur, np.float32))
            tile.of(result)[:] = restored[top : top + tile.bottom - tile.top, left : left + tile.right - tile.left]

        even = even_tiles(*rgb.shape[:2], largest=LARGEST_TILE)
        # The largest come first: the memory that OpenVINO takes for them is enough for the others.
        in_threads(fill, sorted(even, key=lambda tile: _pixels_seen(tile, *rgb.shape[:2]), reverse=True))
        if rgb.size >= 3 * _LARGE:
            self._network.release()
        _take_back_shift(rgb, result)
        if is_grey(rgb):
            grey = np.rint(result.mean(axis=2, dtype=np.float32)).astype(np.uint8)
            result[:] = grey[..., None]
        return result


def _reference(weights: Mapping[str, NDArray[Any]], precision: Precision) -> Callable[..., list[Any]]:
    model = build_network(keras_policy(precision))
    set_weights(model, weights)

    def restore(page: NDArray[np.uint8], blur: NDArray[np.float32]) -> list[Any]:
        levels = np.asarray(model([page[None].astype(np.float32), np.reshape(blur, (1, 1))]))[0]
        return [np.clip(np.rint(levels), 0, 255).astype(np.uint8)]

    return restore


def _take_back_shift(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
    """Make a restored page as light as it was, in each channel, to half a grey level.

    Only places count where nothing is burnt out: noise that was cut off at black or white changed the mean, and it is
    right to undo that.
    """
    changes = []
    for old, new in zip(spread_squares(before, _SQUARES), spread_squares(after, _SQUARES), strict=True):
        cells = (max(old.shape[1] // _CELL, 1), max(old.shape[0] // _CELL, 1))
        change = cv2.resize(cv2.subtract(new, old, dtype=cv2.CV_32F), cells, interpolation=cv2.INTER_AREA)
        kept = cv2.inRange(old, _DARKEST, _LIGHTEST)
        whole = cv2.resize(kept, cells, interpolation=cv2.INTER_AREA) == 255
        changes.append(change.reshape(-1, 3)[whole.ravel()])
    all_changes = np.concatenate(changes)
    if all_changes.size:
        shift = np.rint(all_changes.mean(0, dtype=np.float64))
        if shift.any():
            cv2.subtract(after, np.array([*shift, 0.0]), dst=after)


def _margins(tile: Tile, height: int, width: int) -> tuple[int, int, int, int]:
    """Return how far the network sees beyond a tile of a page: above, below, left and right, in pixels."""
    return (
        _EDGE if tile.top == 0 else REACH,
        _EDGE if tile.bottom == height else REACH,
        _EDGE if tile.left == 0 else REACH,
        _EDGE if tile.right == width else REACH,
    )


def _pixels_seen(tile: Tile, height: int, width: int) -> int:
    top, bottom, left, right = _margins(tile, height, width)
    return (tile.bottom - tile.top + top + bottom) * (tile.right - tile.left + left + right)


def even_tiles(height: int, width: int, *, largest: int) -> Iterator[Tile]:
    """Yield tiles of about equal size that cover a page, with sides of at most ``largest`` pixels."""
    rows, columns = (_borders(length, largest) for length in (height, width))
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield Tile(top, bottom, left, right)


def _borders(length: int, largest: int) -> list[int]:
    count = -(-length // largest)
    step = -(-length // (count * _STEP)) * _STEP
    return [*range(0, length, step), length]


@lru_cache(maxsize=1)
def starter() -> Restorer:
    """The newest restorer that comes with the package."""
    return Restorer.load(max((STARTERS / "restorer").iterdir(), key=lambda folder: version_order(folder.name)))
