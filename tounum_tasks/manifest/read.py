"""Reading manifests that were published."""

import pyarrow as pa
import pyarrow.parquet as pq

from tounum_tasks.items import ItemKey
from tounum_tasks.manifest.schema import STATUS_OK
from tounum_tasks.storage import Storage


def manifest_path(batch_date: str, batch_id: str) -> str:
    return f"manifests/{batch_date}/{batch_id}/manifest.parquet"


def history_path(batch_date: str, batch_id: str, version: int) -> str:
    return f"manifests_history/{batch_date}/{batch_id}/{version}.parquet"


def latest_version(lake: Storage, batch_date: str, batch_id: str) -> int:
    """Return the highest version that was committed, or 0 if there is none."""
    entries = lake.list_folder(f"manifests_history/{batch_date}/{batch_id}")
    numbers = [entry.name.removesuffix(".parquet") for entry in entries]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_version(lake: Storage, batch_date: str, batch_id: str, version: int) -> pa.Table:
    """Return one committed version of a manifest."""
    with lake.open(history_path(batch_date, batch_id, version)) as file:
        return pq.read_table(file)


def failed_keys(lake: Storage, batch_date: str, batch_id: str, version: int) -> frozenset[ItemKey]:
    """Return the keys (source_path, page) that are not ok in a version; version 0 has none."""
    if version == 0:
        return frozenset()
    table = read_version(lake, batch_date, batch_id, version).select(["source_path", "page", "status"])
    return frozenset((row["source_path"], row["page"]) for row in table.to_pylist() if row["status"] != STATUS_OK)
