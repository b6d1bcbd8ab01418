"""What a photograph looks like, as 128 numbers: they lie in ``lake/search/vectors`` beside the manifests.

They are made of the features that the lake keeps: the mean over the 64 positions, projected to 128 numbers. The
projection is random and orthonormal: it needs no data, so that it is the same for every lake and never has to be fitted
again, and it keeps angles to within some hundredths (Johnson and Lindenstrauss, 1984). It follows from the extractor's
digest alone; what two extractors see cannot be compared, so each vector says whose it is.

The files are a cache: ``python -m tounum_tasks search`` makes again what is missing.
"""

import hashlib
import logging
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.features.inception import CHANNELS, POSITIONS
from tounum_tasks.items import ItemKey, register_gone, shards_of
from tounum_tasks.manifest.published import BatchRef, published_batches, read_columns
from tounum_tasks.steps import extract_features
from tounum_tasks.steps.shard import Cache
from tounum_tasks.steps.table import step_named
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_table

log = logging.getLogger(__name__)

FOLDER = "search/vectors"
DIMENSIONS = 128
DIGEST_DIGITS = 12  # as manifests name a model

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False, metadata={"description": "of the features"}),
        pa.field("extractor", pa.string(), nullable=False, metadata={"description": "beginning of its digest"}),
        pa.field(
            "vector",
            pa.binary(2 * DIMENSIONS),
            nullable=False,
            metadata={"description": "128 float16, little-endian, of length 1 (0, if there are no features)"},
        ),
    ]
)
_COLUMNS = ("source_path", "page", "image_id", "fingerprint_extract_features", "extractor_version")


def vectors_path(batch_date: str, batch_id: str) -> str:
    return f"{FOLDER}/{batch_date}/{batch_id}.parquet"


def vector_of(features: NDArray[np.floating], digest: str) -> NDArray[np.float16]:
    """Return the vector of an image: 64 x 2048 features -> float16 128, of length 1.

    Args:
        digest: of the extractor, or its beginning, of which 12 digits count.
    """
    pooled = np.asarray(features, np.float32).reshape(POSITIONS, CHANNELS).mean(axis=0)
    found = pooled @ projection(digest[:DIGEST_DIGITS])
    return (found / max(float(np.linalg.norm(found)), 1e-9)).astype(np.float16)


@lru_cache(maxsize=4)
def projection(digest: str) -> NDArray[np.float32]:
    """Return the projection of an extractor, float32 2048 x 128: its columns are orthonormal.

    NumPy promises that the numbers of ``RandomState`` never change, as those of its newer generators may.
    """
    seed = np.frombuffer(hashlib.sha256(digest.encode()).digest(), "<u4")
    random = np.random.RandomState(seed).standard_normal((CHANNELS, DIMENSIONS))
    columns, triangle = np.linalg.qr(random)
    return np.asarray(columns * np.sign(np.diag(triangle)), np.float32)


def write_vectors(lake: Storage, batch_date: str, batch_id: str, manifest: pa.Table) -> int:
    """Write the vectors of the photographs of a batch, unless they are there; return how many were computed.

    Photographs whose features are gone are left out, and the log says how many.

    Raises:
        EnvironmentFault: the lake cannot be read or written, or the batch's register is gone or damaged.

    Args:
        manifest: the rows of the manifest that is installed.
    """
    path = vectors_path(batch_date, batch_id)
    photos = [row for row in manifest.select(list(_COLUMNS)).to_pylist() if row["fingerprint_extract_features"]]
    known = _known(lake, path)
    wanted = {row["fingerprint_extract_features"] for row in photos}
    if known is not None and known.keys() == wanted:
        return 0
    vectors = {fingerprint: vector for fingerprint, vector in (known or {}).items() if fingerprint in wanted}
    missing = [row for row in photos if row["fingerprint_extract_features"] not in vectors]
    computed = dict(_compute(lake, batch_date, batch_id, missing))
    vectors |= computed
    if left_out := len(wanted) - len(vectors):
        log.warning("%d photographs of %s cannot be found by likeness: their features are gone.", left_out, batch_id)
    rows = [
        {
            "image_id": row["image_id"],
            "source_path": row["source_path"],
            "page": row["page"],
            "fingerprint": row["fingerprint_extract_features"],
            "extractor": _digest(row),
            "vector": vectors[row["fingerprint_extract_features"]],
        }
        for row in photos
        if row["fingerprint_extract_features"] in vectors
    ]
    lake.write_bytes(path, parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
    return len(computed)


def keep_vectors(lake: Storage, batch_date: str, batch_id: str, manifest: pa.Table) -> None:
    """Write the vectors of a published batch; if that fails, the log says so, and the batch is what it was."""
    try:
        write_vectors(lake, batch_date, batch_id, manifest)
    except EnvironmentFault as fault:
        log.warning("The photographs of %s cannot be found by likeness yet: %s", batch_id, fault)


def write_missing_vectors(lake: Storage) -> int:
    """Write the vectors of all published batches that have none; return the number of these batches.

    A batch that is damaged is told of in the log, and left out.
    """
    there = {(batch.batch_date, batch.batch_id) for batch, _ in vector_files(lake)}
    missing = [batch for batch in published_batches(lake) if (batch.batch_date, batch.batch_id) not in there]
    for batch in missing:
        try:
            manifest = read_columns(lake, batch.batch_date, batch.batch_id, _COLUMNS)
        except DamagedFile as fault:
            log.warning("The photographs of %s cannot be found by likeness: %s", batch.batch_id, fault)
            continue
        if manifest is not None:
            keep_vectors(lake, batch.batch_date, batch.batch_id, manifest)
    return len(missing)


def vector_files(lake: Storage) -> list[tuple[BatchRef, str]]:
    """Return the batches that have vectors, by date and id, and of each what tells its file from earlier ones."""
    return [
        (BatchRef(day.name, entry.name.removesuffix(".parquet")), f"{entry.size} {entry.mtime_ns} {entry.version}")
        for day in lake.list_folder(FOLDER)
        if day.kind == "folder"
        for entry in lake.list_folder(f"{FOLDER}/{day.name}")
        if entry.kind == "file" and entry.name.endswith(".parquet")
    ]


def _known(lake: Storage, path: str) -> dict[str, bytes] | None:
    """The vectors that a file holds, by fingerprint of the features; None if there is none, or it is damaged."""
    try:
        table = read_table(lake, path, ["fingerprint", "vector"])
    except FileNotFoundError:
        return None
    except DamagedFile as fault:
        log.warning("%s It is made again.", fault)
        return None
    return dict(zip(table["fingerprint"].to_pylist(), table["vector"].to_pylist(), strict=True))


def _compute(lake: Storage, batch_date: str, batch_id: str, rows: list[dict]) -> Iterator[tuple[str, bytes]]:
    """Yield fingerprint and vector of each row whose features are there."""
    shards = _shards(lake, batch_date, batch_id) if rows else {}
    by_shard: dict[int, dict[str, str]] = {}
    for row in rows:
        shard = shards[row["source_path"], row["page"]]
        by_shard.setdefault(shard, {})[row["fingerprint_extract_features"]] = _digest(row)
    for shard, digests in sorted(by_shard.items()):
        folder = f"{step_named('extract_features').folder}/{batch_date}/{batch_id}/shard-{shard:04d}"
        cache = Cache(lake, folder, extract_features.SCHEMA)
        for found in cache.iterate(digests, ["fingerprint", "features"]):
            features = np.frombuffer(found["features"], "<f2")
            vector = vector_of(features, digests[found["fingerprint"]])
            yield found["fingerprint"], vector.astype("<f2").tobytes()


def _shards(lake: Storage, batch_date: str, batch_id: str) -> dict[ItemKey, int]:
    try:
        return shards_of(lake, batch_date, batch_id)
    except FileNotFoundError as error:
        raise register_gone(lake, batch_date, batch_id) from error


def _digest(row: dict) -> str:
    return str(row["extractor_version"]).rpartition("@")[2][:DIGEST_DIGITS]
