"""Parquet files of ours: written so that damage is noticed, and read so that it is.

Two things are in every file. Each page has the checksum that the format provides (``write_page_checksum``), which
other readers can check, too. It does not cover the footer, where one bit turns into another column, number of rows or
statistic; so before the footer, where readers look at nothing, stand a word and the sha256 of the footer. Whoever reads
a few columns reads and checks the footer and the pages of these alone. Files of the first releases have neither: of
them, what cannot be decoded is noticed.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tounum_tasks.errors import DamagedFile
from tounum_tasks.store.base import Storage

SEAL = b"tounum sha256 "
SEAL_BYTES = len(SEAL) + 2 * hashlib.sha256().digest_size
MAGIC = b"PAR1"
TAIL_BYTES = 4 + len(MAGIC)  # the length of the footer, and the magic word


def parquet_bytes(table: pa.Table, *, row_group_size: int | None = None) -> bytes:
    """Return ``table`` as a Parquet file: the same table gives the same bytes.

    Args:
        row_group_size: how many rows at most a reader takes at once.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", row_group_size=row_group_size, write_page_checksum=True)
    size = buffer.tell()
    buffer.seek(size - TAIL_BYTES)
    at = _footer_at(buffer.read(), size)
    buffer.seek(at)
    footer = buffer.read()
    buffer.seek(at)
    buffer.write(_seal(footer) + footer)  # in its place: a copy may be large
    return buffer.getvalue()


def read_table(
    storage: Storage, path: str, columns: Sequence[str] | None = None, *, only: tuple[str, int] | None = None
) -> pa.Table:
    """Return a Parquet file of ours.

    Args:
        columns: which; those that the file does not have are left out.
        only: a column and the value of it that the rows must have. Groups of rows without it are not read.

    Raises:
        DamagedFile: it does not hold what was written.
        FileNotFoundError: it does not exist.
    """
    with storage.open(path) as source, _damage_named(storage, path):
        file = _checked(source)
        if columns is not None:
            there = set(file.schema_arrow.names)
            columns = [name for name in columns if name in there]
        if only is None or only[0] not in file.schema_arrow.names:
            table = file.read(columns=columns)
            table.validate(full=True)
            return table
        table = file.read_row_groups(_groups_that_may_hold(file, *only), columns=columns)
        table.validate(full=True)
        return table.filter(pc.equal(table[only[0]], only[1]))


def _groups_that_may_hold(file: pq.ParquetFile, column: str, value: int) -> list[int]:
    """The numbers of the groups of rows in which the value may stand, by what the file says of their extremes."""
    at, found = file.schema_arrow.names.index(column), []
    for number in range(file.num_row_groups):
        extremes = file.metadata.row_group(number).column(at).statistics
        if extremes is None or not extremes.has_min_max or extremes.min <= value <= extremes.max:
            found.append(number)
    return found


def read_rows(
    storage: Storage, path: str, columns: Sequence[str] | None = None, *, at_once: int = 64
) -> Iterator[dict]:
    """Yield the rows of a Parquet file of ours, of which ``at_once`` are unpacked at a time.

    Raises:
        DamagedFile: it does not hold what was written.
        FileNotFoundError: it does not exist.
    """
    with storage.open(path) as source:
        with _damage_named(storage, path):
            batches = _checked(source).iter_batches(batch_size=at_once, columns=columns)
        while True:
            with _damage_named(storage, path):
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate(full=True)
                rows = batch.to_pylist()
            yield from rows


def read_metadata(storage: Storage, path: str) -> dict[bytes, bytes]:
    """Return what a Parquet file of ours says about itself as a whole; no more than its end is read.

    Raises:
        DamagedFile: it does not hold what was written.
        FileNotFoundError: it does not exist.
    """
    with storage.open(path) as source, _damage_named(storage, path):
        return dict(_checked(source).schema_arrow.metadata or {})


def _checked(source: IO[bytes]) -> pq.ParquetFile:
    """The file behind ``source``, whose footer is what was written."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - TAIL_BYTES))
    at = _footer_at(source.read(), size)
    source.seek(max(0, at - SEAL_BYTES))
    seal, footer = source.read(min(at, SEAL_BYTES)), source.read()
    if seal.startswith(SEAL) and seal != _seal(footer):
        raise ValueError("its footer does not have the sha256 that was written with it")
    return pq.ParquetFile(source, page_checksum_verification=True)


def _seal(footer: bytes) -> bytes:
    return SEAL + hashlib.sha256(footer).hexdigest().encode()


def _footer_at(tail: bytes, size: int) -> int:
    """Where the footer begins in a file of ``size`` bytes, which ends in its length and the magic word."""
    at = size - TAIL_BYTES - int.from_bytes(tail[: -len(MAGIC)], "little")
    if not tail.endswith(MAGIC) or at < len(MAGIC):
        raise ValueError("it is no Parquet file, or its end is missing")
    return at


@contextlib.contextmanager
def _damage_named(storage: Storage, path: str) -> Iterator[None]:
    """Turn what reading a damaged file provokes into DamagedFile."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DamagedFile(
            f"{storage.url(path)} is damaged ({_reason(error)}): restore it from a backup, then run again."
        ) from error


def _reason(error: Exception) -> str:
    """The first line of what a library says."""
    said: Any = error.args[0] if error.args else ""
    return (str(said).strip().partition("\n")[0] or type(error).__name__).rstrip(".")[:200]
