"""Reading manifests that were published."""

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa

from tounum_tasks.errors import DamagedFile
from tounum_tasks.items import ItemKey
from tounum_tasks.manifest.schema import PUBLISHED_AT, PUBLISHED_BY, STATUS_OK, as_today, without_publication
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import read_metadata, read_table


@dataclass(frozen=True)
class Publication:
    """Who published one version of a manifest, and when.

    ``run_id`` is None for versions of the first releases, which did not write it down; their time is that of the file.
    """

    version: int
    run_id: str | None
    at: dt.datetime


def manifest_path(batch_date: str, batch_id: str) -> str:
    return f"manifests/{batch_date}/{batch_id}/manifest.parquet"


def history_path(batch_date: str, batch_id: str, version: int) -> str:
    return f"manifests_history/{batch_date}/{batch_id}/{version}.parquet"


def versions(lake: Storage, batch_date: str, batch_id: str) -> list[int]:
    """Return the versions that were committed and are still kept, in order."""
    entries = lake.list_folder(f"manifests_history/{batch_date}/{batch_id}")
    numbers = [entry.name.removesuffix(".parquet") for entry in entries if entry.name.endswith(".parquet")]
    return sorted(int(number) for number in numbers if number.isdecimal())


def latest_version(lake: Storage, batch_date: str, batch_id: str) -> int:
    """Return the highest version that was committed, or 0 if there is none."""
    return max(versions(lake, batch_date, batch_id), default=0)


def installed_version(lake: Storage, batch_date: str, batch_id: str) -> int:
    """Return the version that is installed as ``manifest.parquet``, or 0 if that is gone or damaged."""
    try:
        table = read_table(lake, manifest_path(batch_date, batch_id), ["manifest_version"])
        return max(table["manifest_version"].to_pylist(), default=0)
    except (FileNotFoundError, DamagedFile, KeyError):
        return 0


def read_version(lake: Storage, batch_date: str, batch_id: str, version: int) -> pa.Table:
    """Return one committed version of a manifest; what the file says about its publication is left out.

    Raises:
        DamagedFile: it does not hold what was committed.
    """
    table = read_table(lake, history_path(batch_date, batch_id, version))
    return as_today(without_publication(table))


def read_publication(lake: Storage, batch_date: str, batch_id: str, version: int) -> Publication:
    """Return who published a version, and when.

    Raises:
        DamagedFile: it does not hold what was committed.
    """
    path = history_path(batch_date, batch_id, version)
    said = read_metadata(lake, path)
    if PUBLISHED_BY not in said:
        at = dt.datetime.fromtimestamp(lake.entry(path).mtime_ns / 1e9, dt.UTC)
        return Publication(version, None, at)
    return Publication(version, said[PUBLISHED_BY].decode(), dt.datetime.fromisoformat(said[PUBLISHED_AT].decode()))


def failed_keys(lake: Storage, batch_date: str, batch_id: str, version: int) -> frozenset[ItemKey]:
    """Return the keys (source_path, page) that are not ok in a version; version 0 has none."""
    if version == 0:
        return frozenset()
    table = read_version(lake, batch_date, batch_id, version).select(["source_path", "page", "status"])
    return frozenset((row["source_path"], row["page"]) for row in table.to_pylist() if row["status"] != STATUS_OK)
