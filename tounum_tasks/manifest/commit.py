"""Committing a manifest: whole or not at all, and never over somebody else's newer one.

A version is committed by the exclusive creation of its history file. Installing it as ``manifest.parquet`` is a
second step, one atomic replacement: a process that is killed between the two leaves the earlier manifest in place,
and whoever publishes or installs next puts the highest version there. If two processes install at the same instant,
the one that read the list of versions first may install the lower one for the moment until the other's check, which
follows every installation, sees it.
"""

import contextlib
import datetime as dt
import logging

import pyarrow as pa
import pyarrow.parquet as pq

from tounum_tasks.errors import DamagedFile, TounumError
from tounum_tasks.manifest.read import history_path, installed_version, latest_version, manifest_path
from tounum_tasks.manifest.schema import KEY_COLUMNS, PUBLISHED_AT, PUBLISHED_BY, SCHEMA, without_publication
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_table

log = logging.getLogger(__name__)

LOCK_WAIT_SECONDS = 600


class StaleRun(TounumError):
    """Another run has published this batch since: nothing was changed."""


def batch_lock(lake: Storage, batch_id: str) -> contextlib.AbstractContextManager[None]:
    """Context in which a batch is published: one process at a time.

    It spares two publishers work and keeps the files of one out of the other's way; which of them wins is decided by
    :func:`commit_version` alone, also in object stores, which have no locks.
    """
    return lake.lock(f"registers/locks/{batch_id}.lock", LOCK_WAIT_SECONDS)


def commit_version(lake: Storage, table: pa.Table, *, version: int, expected_rows: int, run_id: str) -> None:
    """Validate ``table`` as it will lie on disk and commit it as ``version``; it is not installed yet.

    Args:
        run_id: who publishes the version; the file says so, and when.

    Raises:
        StaleRun: the version exists already.
        ValueError: schema, row count or keys are not what was registered; nothing was written.
    """
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    said = {**(table.schema.metadata or {}), PUBLISHED_BY: run_id.encode(), PUBLISHED_AT: now.encode()}
    staged = parquet_bytes(table.replace_schema_metadata(said))
    _validate(staged, expected_rows)
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


def mend_latest(lake: Storage, batch_date: str, batch_id: str) -> None:
    """Make the highest committed version of a batch whole from ``manifest.parquet`` if it is damaged or gone.

    Were it gone, the one before it would be installed in its place, and its number be given a second time. The other
    way round nothing needs to be done: whoever publishes next installs ``manifest.parquet`` again.

    Raises:
        DamagedFile: the version is damaged, and no other file holds the same rows.
    """
    installed = manifest_path(batch_date, batch_id)
    last = installed_version(lake, batch_date, batch_id)  # before the history: what is installed was committed before
    newest = latest_version(lake, batch_date, batch_id)
    if last > newest:
        path = history_path(batch_date, batch_id, last)
        if lake.create_exclusively(path, lake.read_bytes(installed)):
            log.warning("%s was gone; it was written again from %s.", lake.url(path), lake.url(installed))
    elif newest:
        path = history_path(batch_date, batch_id, newest)
        try:
            read_table(lake, path)
        except DamagedFile:
            if last != newest:
                raise
            lake.write_bytes(path, lake.read_bytes(installed))
            log.warning("%s was damaged; it was made whole from %s.", lake.url(path), lake.url(installed))


def _validate(staged: bytes, expected_rows: int) -> None:
    file = pq.ParquetFile(pa.BufferReader(staged), page_checksum_verification=True)
    if not without_publication(file.schema_arrow.empty_table()).schema.equals(SCHEMA, check_metadata=True):
        raise ValueError("the manifest does not have the published columns")
    if file.metadata.num_rows != expected_rows:
        raise ValueError(f"the manifest has {file.metadata.num_rows} rows for {expected_rows} items")
    for name in SCHEMA.names:  # one at a time: a large batch is not held twice
        file.read(columns=[name]).validate(full=True)
    keys = file.read(columns=list(KEY_COLUMNS)).group_by(list(KEY_COLUMNS)).aggregate([])
    if keys.num_rows != expected_rows:
        raise ValueError("the manifest has two rows for one item")
