"""Committing a manifest: whole or not at all, and never over somebody else's newer one.

A version is committed by the exclusive creation of its history file. Installing it as ``manifest.parquet`` is a
second step, one atomic replacement: a process that is killed between the two leaves the earlier manifest in place,
and whoever publishes or installs next puts the highest version there. If two processes install at the same instant,
the one that read the list of versions first may install the lower one for the moment until the other's check, which
follows every installation, sees it.
"""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from tounum_tasks.errors import TounumError
from tounum_tasks.manifest.read import history_path, latest_version, manifest_path
from tounum_tasks.manifest.schema import KEY_COLUMNS, SCHEMA
from tounum_tasks.storage import Storage


class StaleRun(TounumError):
    """Another run has published this batch since: nothing was changed."""


def commit_version(lake: Storage, table: pa.Table, *, version: int, expected_rows: int) -> None:
    """Validate ``table`` as it will lie on disk and commit it as ``version``; it is not installed yet.

    Raises:
        StaleRun: the version exists already.
        ValueError: schema, row count or keys are not what was registered; nothing was written.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=True)
    staged = buffer.getvalue()
    _validate(pq.read_table(io.BytesIO(staged)), expected_rows)
    batch_date, batch_id = table["batch_date"][0].as_py(), table["batch_id"][0].as_py()
    if not lake.create_exclusively(history_path(batch_date, batch_id, version), staged):
        raise StaleRun(f"Version {version} of {batch_id} was published by somebody else; nothing was changed.")


def install_latest(lake: Storage, batch_date: str, batch_id: str) -> int:
    """Make ``manifest.parquet`` the highest committed version and return that version (0: none)."""
    installed = 0
    while (newest := latest_version(lake, batch_date, batch_id)) != installed:
        lake.write_bytes(
            manifest_path(batch_date, batch_id), lake.read_bytes(history_path(batch_date, batch_id, newest))
        )
        installed = newest
    return installed


def _validate(table: pa.Table, expected_rows: int) -> None:
    if not table.schema.equals(SCHEMA, check_metadata=True):
        raise ValueError("the manifest does not have the published columns")
    if table.num_rows != expected_rows:
        raise ValueError(f"the manifest has {table.num_rows} rows for {expected_rows} items")
    keys = table.select(list(KEY_COLUMNS)).group_by(list(KEY_COLUMNS)).aggregate([])
    if keys.num_rows != table.num_rows:
        raise ValueError("the manifest has two rows for one item")
