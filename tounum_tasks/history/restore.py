"""Going back to an earlier version of a manifest, as a new version; nothing of what was is lost by it.

The rows are those of the earlier version, with the runs that made them. What people said is laid over what models said
then as it is in force now: a correction outlives a restore, and one that was taken back does not return. Copies in the
buckets follow: photographs and non-photos that the earlier version names and that are gone, or lie there with other
pixels, are made again from the originals, which never change, and copies that only the later version named are removed.
"""

import contextlib
import datetime as dt
from dataclasses import dataclass, replace

import pyarrow as pa

from tounum_tasks.errors import DamagedFile
from tounum_tasks.history.versions import require_version
from tounum_tasks.logs import about
from tounum_tasks.manifest.commit import batch_lock, commit_version, install_latest, mend_latest
from tounum_tasks.manifest.read import latest_version, read_version
from tounum_tasks.manifest.schema import ITEM_COLUMNS, SCHEMA, SCHEMA_VERSION
from tounum_tasks.publish.reviewed import lay_again
from tounum_tasks.publish.rows import to_table
from tounum_tasks.publish.settle import BatchFiles, Settling
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.search.vectors import keep_vectors
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

# What of a row can differ by what people have said since.
SAID = ("label", "label_source", "caption", "caption_source", "marks", "needs_review")


@dataclass(frozen=True)
class Restored:
    """What was restored.

    Attributes:
        version: that is the current one now; it was there already if ``is_new`` is false.
        files: what it came to in the buckets.
        corrected: in how many rows it differs from the version that was asked for, by what people have said since.
    """

    version: int
    is_new: bool
    files: Settling
    corrected: int = 0


@dataclass(frozen=True)
class Preview:
    """What a restore would make current.

    Attributes:
        table: its rows.
        corrected: in how many it differs from the version that was asked for, by what people have said since.
    """

    table: pa.Table
    corrected: int


def preview(settings: Settings, batch_date: str, batch_id: str, number: int) -> Preview:
    """Return what :func:`restore` would make current: what models said in version ``number``, and people until now.

    Raises:
        ConfigurationError: there is no such version.
        DamagedFile: the version, or a review, does not hold what was written.
    """
    lake = open_storage(settings.lake_root)
    files = BatchFiles(batch_date, batch_id, settings, certain=True)
    nothing = dict.fromkeys(SCHEMA.names)  # for columns that an earlier version did not have
    rows = [{**nothing, **row} for row in require_version(lake, batch_date, batch_id, number).to_pylist()]
    said = ReviewStore(lake).effective()
    current = latest_version(lake, batch_date, batch_id)
    shown = [
        {**lay_again(row, said, files), "manifest_version": current + 1, "schema_version": SCHEMA_VERSION}
        for row in rows
    ]
    corrected = sum(
        any(before[name] != after[name] for name in SAID) for before, after in zip(rows, shown, strict=True)
    )
    return Preview(to_table(shown), corrected)


def restore(settings: Settings, batch_date: str, batch_id: str, number: int) -> Restored:
    """Make version ``number`` of a batch current again, by committing its rows as the next version.

    Interrupted at any moment, the same call ends in the same state. A run that began before and publishes after this
    is refused as stale.

    Raises:
        ConfigurationError: there is no such version.
        DamagedFile: the version does not hold what was published.
        EnvironmentFault: a file that the version names cannot be made again, or storage does not do what it should;
            the manifest was not changed.
        StaleRun: a run published the batch at the same moment.
    """
    lake = open_storage(settings.lake_root)
    files = BatchFiles(batch_date, batch_id, settings, certain=True)
    with batch_lock(lake, batch_id):
        with contextlib.suppress(DamagedFile):  # the version that is replaced need not be whole
            mend_latest(lake, batch_date, batch_id)
        wanted = preview(settings, batch_date, batch_id, number)
        table = wanted.table
        current = latest_version(lake, batch_date, batch_id)
        is_new = not _is_version(lake, batch_date, batch_id, current, table)
        put = 0
        if is_new:
            put = files.put_missing(table)
            commit_version(lake, table, version=current + 1, expected_rows=table.num_rows, run_id=_run_id(number))
        version = install_latest(lake, batch_date, batch_id)
        with about(batch=batch_id):
            settled = files.settle(table)
            keep_vectors(lake, batch_date, batch_id, table)
        return Restored(version, is_new, replace(settled, put=settled.put + put), wanted.corrected)


def _is_version(lake: Storage, batch_date: str, batch_id: str, number: int, table: pa.Table) -> bool:
    """Whether a version says of the items what ``table`` says; a damaged one says nothing."""
    try:
        installed = read_version(lake, batch_date, batch_id, number)
    except DamagedFile:
        return False
    columns = list(ITEM_COLUMNS)
    return set(columns) <= set(installed.column_names) and table.select(columns).equals(installed.select(columns))


def _run_id(number: int) -> str:
    return f"restore__{number}__{dt.datetime.now(dt.UTC).isoformat(timespec='milliseconds')}"
