"""Images that came before: the same bytes, or nearly the same look, in this batch or an earlier one.

What is compared are the hashes of all images, kept in a file per batch: a cache that the manifests can fill again. Only
what stands before an image counts, by date and id of the batch and by order in it, so that what is said of an image
does not depend on what came later.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tounum_tasks.errors import DamagedFile
from tounum_tasks.manifest.published import BatchRef, published_batches, read_columns
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_table

log = logging.getLogger(__name__)

# Bits of 64 in which the hashes of two images may differ that are said to look the same: copies of .6 of the size, as
# JPEG, differ in no more; of 25 million pairs of 7,086 photographs that are none, no pair is as near.
NEAR_BITS = 6
NEAR_COLUMNS = ("near_duplicate_of", "near_duplicate_of_page", "near_duplicate_of_batch", "near_duplicate_distance")
SCHEMA = pa.schema(
    [
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("look", pa.uint64(), metadata={"description": "phash; null: not readable, or an empty page"}),
    ]
)
# Pages of text and drawings on white look alike too often: of 100,000 others, some would be as near as a copy.
_LOOKED_FOR = ("Photo", "Painting")
_EMPTY_PAGE = "low_information"


class LakeHashes:
    """The hashes of the images of a lake; each batch's are read once."""

    def __init__(self, lake: Storage) -> None:
        self._lake = lake
        self._tables: dict[BatchRef, pa.Table] = {}

    def mark(self, batch: BatchRef, rows: Iterable[dict], digests: Collection[str]) -> Iterator[dict]:
        """Yield the rows of a batch, in its order, with what each of them repeats.

        An image that has the bytes of another is not compared with what only looks like it.

        Args:
            digests: the sha256 of all images of the batch, at least of the rows.
        """
        earlier = [(other, self._of(other)) for other in published_batches(self._lake) if other < batch]
        first_with = _first_with_bytes(earlier, digests)
        before = _Looks.of(earlier, room=len(digests))
        for row in rows:
            found: dict = {"duplicate_of_batch": None, **dict.fromkeys(NEAR_COLUMNS)}
            if row.get("duplicate_of_batch"):  # of an earlier version, which may have known other batches
                found["duplicate_of"] = None
            if row["sha256"] in first_with:
                path, other = first_with[row["sha256"]]
                found |= {"duplicate_of": path, "duplicate_of_batch": other}
            row = {**row, **found}
            look = _look(row.get("phash"), row.get("quality_flags_before"))
            if look is not None:
                if not row["duplicate_of"] and row.get("label") in _LOOKED_FOR:
                    row |= before.nearest(look)
                before.add(look, row["source_path"], row["page"])
            yield row

    def keep(self, batch: BatchRef, table: pa.Table) -> None:
        """Write the hashes of a manifest for batches to come, unless they lie there already."""
        content = parquet_bytes(_hashes(table))
        path = _path(batch)
        if not self._holds(path, content):
            self._lake.write_bytes(path, content)

    def _holds(self, path: str, content: bytes) -> bool:
        try:
            return self._lake.read_bytes(path) == content
        except (FileNotFoundError, DamagedFile):
            return False

    def _of(self, batch: BatchRef) -> pa.Table:
        if batch not in self._tables:
            self._tables[batch] = self._read(batch)
        return self._tables[batch]

    def _read(self, batch: BatchRef) -> pa.Table:
        try:
            table = read_table(self._lake, _path(batch))
            if table.schema.equals(SCHEMA):
                return table
        except (FileNotFoundError, DamagedFile):
            pass  # it is a cache: the manifest has all that it needs
        try:
            table = read_columns(self._lake, batch.batch_date, batch.batch_id, _SOURCES)
        except DamagedFile as fault:
            log.warning("Images that repeat some of this batch are not found: %s", fault)
            return SCHEMA.empty_table()
        if table is None:
            return SCHEMA.empty_table()
        try:
            self.keep(batch, table)
        except DamagedFile as fault:  # whoever publishes that batch is told
            log.warning("%s", fault)
        return _hashes(table)


_SOURCES = ("source_path", "page", "sha256", "phash", "quality_flags_before")


def _path(batch: BatchRef) -> str:
    return f"search/hashes/{batch.batch_date}/{batch.batch_id}.parquet"


def _hashes(table: pa.Table) -> pa.Table:
    """What is kept of a manifest."""
    looks = map(_look, table["phash"].to_pylist(), table["quality_flags_before"].to_pylist())
    columns = [table[name] for name in ("source_path", "page", "sha256")]
    return pa.table([*columns, pa.array(looks, pa.uint64())], schema=SCHEMA).combine_chunks()


def _look(phash: str | None, flags: Sequence[str] | None) -> int | None:
    """The look of an image as a number of 64 bits; empty pages, which all look the same, have none."""
    return None if phash is None or _EMPTY_PAGE in (flags or ()) else int(phash, 16)


def _first_with_bytes(
    earlier: Sequence[tuple[BatchRef, pa.Table]], wanted: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Path and batch of the first file with the bytes of each of ``wanted``, hex sha256, if there is one."""
    values = pa.array({sha256 for sha256 in wanted if sha256}, pa.string())
    first: dict[str, tuple[str, str]] = {}
    for batch, table in earlier:
        found = table.filter(pc.is_in(table["sha256"], value_set=values))
        for sha256, path in zip(found["sha256"].to_pylist(), found["source_path"].to_pylist(), strict=True):
            first.setdefault(sha256, (path, batch.batch_id))
    return first


@dataclass
class _Looks:
    """The looks of images in order, those of earlier batches first, as one flat array of which ``count`` are filled."""

    looks: NDArray[np.uint64]
    count: int
    earlier: Sequence[tuple[BatchRef, pa.Table]]
    starts: NDArray[np.int64]
    own: list[tuple[str, int]]

    @classmethod
    def of(cls, earlier: Sequence[tuple[BatchRef, pa.Table]], *, room: int) -> "_Looks":
        """Return the looks of earlier batches, with room for more."""
        seen = [(batch, table.filter(pc.is_valid(table["look"]))) for batch, table in earlier]
        arrays = [table["look"].to_numpy() for _, table in seen]
        starts = np.cumsum([0, *(len(array) for array in arrays)])
        looks = np.concatenate([*arrays, np.zeros(room, np.uint64)])
        return cls(looks, int(starts[-1]), seen, starts, [])

    def add(self, look: int, path: str, page: int) -> None:
        """Add the look of an image of the batch itself."""
        self.looks[self.count] = look
        self.count += 1
        self.own.append((path, page))

    def nearest(self, look: int) -> dict:
        """Return the columns about the image before that looks most like one; none if there is none that does."""
        if not self.count:
            return {}
        distances = np.bitwise_count(self.looks[: self.count] ^ np.uint64(look))
        at = int(distances.argmin())  # the first, if several are as near
        if distances[at] > NEAR_BITS:
            return {}
        if at >= self.starts[-1]:
            path, page = self.own[at - int(self.starts[-1])]
            batch_id = None
        else:
            number = int(np.searchsorted(self.starts, at, side="right")) - 1
            batch, table = self.earlier[number]
            row = table.slice(at - int(self.starts[number]), 1).to_pylist()[0]
            path, page, batch_id = row["source_path"], row["page"], batch.batch_id
        return dict(zip(NEAR_COLUMNS, (path, page, batch_id, int(distances[at])), strict=True))
