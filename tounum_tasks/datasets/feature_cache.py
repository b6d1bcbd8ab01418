"""Features of a data set's images on disk, in compressed shards: made once, streamed at every pass.

The memory that training takes is that of one or two shards, whatever the size of the data set. Shards are written
whole (temporary name, then rename), so that an interrupted extraction goes on at the first shard that is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.datasets.lots import hashes_of_files
from tounum_tasks.files import whole_file
from tounum_tasks.fingerprint import fingerprint

SHARD_IMAGES = 256
log = logging.getLogger(__name__)


class FeatureCache:
    """The features of a list of images, one Feather file (zstd) for every 256 of them.

    A file is called by the names and the bytes of its images: one that was mended costs its own file and no other.

    Args:
        folder: belongs to one network and one view of the images; made when missing.
        images: the images; shards follow their order.
        shape: shape of one image's features, stored as float16.
    """

    def __init__(self, folder: Path, images: Sequence[CaptionedImage], shape: tuple[int, ...]) -> None:
        self.folder = folder
        self.images = list(images)
        self.shape = shape

    @cached_property
    def _hashes(self) -> dict[Path, str]:
        return hashes_of_files(image.path for image in self.images)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.images) // SHARD_IMAGES)

    def members(self, shard: int) -> list[CaptionedImage]:
        """Images of one shard."""
        return self.images[shard * SHARD_IMAGES : (shard + 1) * SHARD_IMAGES]

    def fill(
        self, extract: Callable[[Sequence[CaptionedImage]], NDArray[np.float16]], *, repeated_only: bool = False
    ) -> None:
        """Makes the shards that are missing.

        Args:
            extract: gives the features of some images, float16 N x ``shape``.
            repeated_only: leave out the shards of which no image comes several times a pass.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for shard in range(self.shards):
            path = self._path(shard)
            if path.exists():
                continue
            if repeated_only and all(image.repeats == 1 for image in self.members(shard)):
                continue
            members = self.members(shard)
            features = np.ascontiguousarray(extract(members), np.float16).reshape(len(members), -1)
            column = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(features.shape[1] * 2), len(members), [None, pa.py_buffer(features)]
            )
            with whole_file(path) as staged:
                feather.write_feather(pa.table({"features": column}), staged, compression="zstd", compression_level=1)
            log.info("features: shard %d of %d", shard + 1, self.shards)

    def has(self, shard: int) -> bool:
        """Whether the shard was made."""
        return self._path(shard).exists()

    def read(self, shard: int) -> NDArray[np.float16]:
        """Features of one shard: float16 N x ``shape``."""
        column = feather.read_table(self._path(shard)).column("features").combine_chunks()
        values = np.frombuffer(column.buffers()[1], np.float16)
        return values.reshape(len(column), *self.shape)

    def _path(self, shard: int) -> Path:
        content = [[image.name, self._hashes[image.path]] for image in self.members(shard)]
        return self.folder / f"{shard:05}-{fingerprint(images=content)[:16]}.feather"
