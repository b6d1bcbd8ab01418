"""The manifests that are installed, read column by column as they may be long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tounum_tasks.errors import ConfigurationError, DamagedFile
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.manifest.schema import SCHEMA, as_today, with_earlier_columns
from tounum_tasks.names import validate_batch_date, validate_batch_id
from tounum_tasks.store.base import Entry, Storage
from tounum_tasks.tables import read_table


@dataclass(frozen=True, order=True)
class BatchRef:
    """A batch: one that was published, also where its manifest is gone, or of which originals lie in the lake."""

    batch_date: str
    batch_id: str


def published_batches(lake: Storage) -> list[BatchRef]:
    """Return the batches that have a manifest, by date and id; whatever else lies beside them is left out."""
    return list(installed_manifests(lake))


def installed_manifests(lake: Storage) -> dict[BatchRef, Entry]:
    """Return the entry of each manifest that is installed, by date and id; whatever else lies there is left out."""
    found = {}
    for entry in lake.list_tree("manifests"):
        batch_date, _, rest = entry.name.partition("/")
        batch_id = rest.partition("/")[0]
        is_manifest = entry.kind == "file" and f"manifests/{entry.name}" == manifest_path(batch_date, batch_id)
        if is_manifest and may_be_batch(batch_date, batch_id):
            found[BatchRef(batch_date, batch_id)] = entry
    return dict(sorted(found.items()))


def committed_batches(lake: Storage) -> list[BatchRef]:
    """Return the batches of which a version was committed, by date and id, also where the manifest is gone."""
    found = set()
    for entry in lake.list_tree("manifests_history"):
        batch_date, _, rest = entry.name.partition("/")
        batch_id, _, file = rest.partition("/")
        number, _, ending = file.partition(".")
        if entry.kind == "file" and number.isdecimal() and ending == "parquet" and may_be_batch(batch_date, batch_id):
            found.add(BatchRef(batch_date, batch_id))
    return sorted(found)


def published_and_gone(lake: Storage) -> tuple[list[BatchRef], list[BatchRef]]:
    """Return the batches that have a manifest, and those of which versions were committed and the manifest is gone.

    Batches are published meanwhile: one that is committed may get its manifest the moment after.
    """
    committed = committed_batches(lake)
    published = published_batches(lake)
    without = sorted({*committed}.difference(published))
    return published, [one for one in without if not lake.exists(manifest_path(one.batch_date, one.batch_id))]


def manifest_gone(lake: Storage, batch: BatchRef) -> DamagedFile:
    """What to tell of a batch of which versions were committed, and no manifest is installed."""
    path = manifest_path(batch.batch_date, batch.batch_id)
    return DamagedFile(
        f"{lake.url(path)} is gone: run the batch again, or restore a version of it, to have it written from the "
        "history."
    )


def may_be_batch(batch_date: str, batch_id: str) -> bool:
    """Whether these are a date and an id that a batch can have."""
    return _is_valid(validate_batch_date, batch_date) and _is_valid(validate_batch_id, batch_id)


def _is_valid(validate: Callable[[str], str], name: str) -> bool:
    try:
        validate(name)
    except ConfigurationError:
        return False
    return True


def read_columns(
    lake: Storage, batch_date: str, batch_id: str, columns: Sequence[str] | None = None
) -> pa.Table | None:
    """Return columns (all if None) of the installed manifest of a batch, or None if it has none.

    Columns that the manifest is older than are there, and empty.

    Raises:
        DamagedFile: the manifest does not hold what was published.
    """
    try:
        wanted = None if columns is None else with_earlier_columns(columns)
        table = as_today(read_table(lake, manifest_path(batch_date, batch_id), wanted))
    except FileNotFoundError:
        return None
    for name in SCHEMA.names if columns is None else columns:
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(table.num_rows, SCHEMA.field(name).type))
    return table if columns is None else table.select(list(columns))
