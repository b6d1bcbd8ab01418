"""What was published and where: manifests, read column by column as they may be long, and the pages of runs."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.names import safe_key, validate_batch_date, validate_batch_id
from tounum_tasks.storage import Storage


@dataclass(frozen=True, order=True)
class BatchRef:
    """A batch that has a manifest."""

    batch_date: str
    batch_id: str


def published_batches(lake: Storage) -> list[BatchRef]:
    """Return the batches that have a manifest, by date and id; whatever else lies beside them is left out."""
    return [
        BatchRef(day.name, batch.name)
        for day in lake.list_folder("manifests")
        if day.kind == "folder" and _is_valid(validate_batch_date, day.name)
        for batch in lake.list_folder(f"manifests/{day.name}")
        if batch.kind == "folder"
        and _is_valid(validate_batch_id, batch.name)
        and lake.exists(manifest_path(day.name, batch.name))
    ]


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

    Columns that the manifest is older than are left out.
    """
    try:
        with lake.open(manifest_path(batch_date, batch_id)) as file:
            manifest = pq.ParquetFile(file)
            there = set(manifest.schema_arrow.names)
            return manifest.read(columns=None if columns is None else [name for name in columns if name in there])
    except FileNotFoundError:
        return None


def report_path(batch_date: str, run_id: str) -> str:
    """Return where the page of a run lies below the lake.

    Run ids are free text (``manual__2026-11-20T10:00:00+00:00``): the name keeps what is harmless of them, and a hash
    that tells apart what would then look the same.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:80]
    return f"reports/{batch_date}/{slug or 'run'}-{safe_key(run_id)[:8]}.html"
