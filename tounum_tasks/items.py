"""The register of a batch: one item per page of every file, fixed when the batch was taken in."""

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa

from tounum_tasks.errors import DamagedFile, ErrorCode
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_metadata, read_table

ItemKey = tuple[str, int]

SCHEMA = pa.schema(
    [
        pa.field("batch_id", pa.string(), nullable=False),
        pa.field("batch_date", pa.string(), nullable=False),
        pa.field("batch_name", pa.string(), nullable=False),
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("pages", pa.int32(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("format", pa.string()),
        pa.field("original", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("duplicate_of", pa.string()),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
        pa.field("checksum", pa.string()),
        pa.field("checksum_source", pa.string()),
    ]
)
GROUP_ROWS = 4_096  # read at once: a task that works on a shard reads its part of the register, however long that is
LATER_COLUMNS = ("checksum", "checksum_source")  # registers of version 0.1 do not have them
_SIDECARS = b"sidecars"
SIDECAR_SCHEMA = pa.schema(
    [
        pa.field("source_path", pa.string(), nullable=False),
        pa.field("describes", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("original", pa.string(), nullable=False),
        pa.field("checksum", pa.string()),
        pa.field("checksum_source", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)  # a batch has many
class Item:
    """One page of one file.

    ``page`` counts from 1; ``original`` is the path of the bytes below the lake; ``error_code`` is set when the file
    was found unreadable while its pages were counted, and then it is the file's only item. ``checksum`` is what the
    delivery said of the file, as ``md5:`` and hex digits, and ``checksum_source`` the file of the batch that said it.
    """

    batch_id: str
    batch_date: str
    batch_name: str
    source_path: str
    page: int
    pages: int
    image_id: str
    sha256: str
    bytes: int
    format: str | None
    original: str
    shard: int
    duplicate_of: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    checksum: str | None = None
    checksum_source: str | None = None

    @property
    def key(self) -> ItemKey:
        return self.source_path, self.page


@dataclass(frozen=True)
class Sidecar:
    """A file that describes images and is none; it is kept with the originals.

    ``describes`` are the source_paths of the images that it stands beside; none, if it belongs to the batch as a whole.
    """

    source_path: str
    describes: list[str]
    bytes: int
    sha256: str
    original: str
    checksum: str | None = None
    checksum_source: str | None = None


def register_path(batch_date: str, batch_id: str) -> str:
    return f"registers/{batch_date}/{batch_id}/items.parquet"


def commit_items(lake: Storage, items: Iterable[Item], *, sidecars: int = 0) -> bool:
    """Write the register of a batch; return False, changing nothing, if the batch has one already.

    Args:
        sidecars: how many files lie beside its images: their list is missed where it is gone.
    """
    rows = [asdict(item) for item in items]
    path = register_path(rows[0]["batch_date"], rows[0]["batch_id"])
    table = pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata({_SIDECARS: str(sidecars)}))
    return lake.create_exclusively(path, parquet_bytes(table, row_group_size=GROUP_ROWS))


def require_items(lake: Storage, batch_date: str, batch_id: str, shard: int | None = None) -> list[Item]:
    """Return what :func:`read_items` does of a batch that is known to have been registered.

    Raises:
        DamagedFile: the register is gone, or does not hold what was written.
    """
    try:
        return read_items(lake, batch_date, batch_id, shard)
    except FileNotFoundError as error:
        raise register_gone(lake, batch_date, batch_id) from error


def register_gone(lake: Storage, batch_date: str, batch_id: str) -> DamagedFile:
    """What to tell of a batch that was registered, and has no register any more."""
    path = lake.url(register_path(batch_date, batch_id))
    return DamagedFile(f"{path} is gone: restore it from a backup, then run again.")


def read_items(lake: Storage, batch_date: str, batch_id: str, shard: int | None = None) -> list[Item]:
    """Return the items of a batch, or of one of its shards, in the order in which they were registered.

    Raises:
        DamagedFile: the register does not hold what was written.
    """
    path = register_path(batch_date, batch_id)
    table = read_table(lake, path, only=None if shard is None else ("shard", shard))
    earlier = pa.schema([field for field in SCHEMA if field.name not in LATER_COLUMNS])
    if not (table.schema.equals(SCHEMA) or table.schema.equals(earlier)) or table.num_rows == 0:
        raise DamagedFile(
            f"{lake.url(path)} is damaged (it has other columns): restore it from a backup, then run again."
        )
    return [_item(row) for part in table.to_batches(max_chunksize=GROUP_ROWS) for row in part.to_pylist()]


def _item(row: dict) -> Item:
    """The item of a row; what all items of a batch say is held once: that is a quarter of their memory."""
    for name in ("batch_id", "batch_date", "batch_name"):
        row[name] = sys.intern(row[name])
    if row["format"]:
        row["format"] = sys.intern(row["format"])
    if row["image_id"] == row["sha256"]:
        row["image_id"] = row["sha256"]
    return Item(**row)


def originals_of(lake: Storage, batch_date: str, batch_id: str) -> list[str]:
    """Return where the bytes of each item of a batch lie below the lake.

    Raises:
        DamagedFile: the register does not hold what was written.
    """
    return read_table(lake, register_path(batch_date, batch_id), ["original"])["original"].to_pylist()


def source_paths_of(lake: Storage, batch_date: str, batch_id: str) -> list[str]:
    """Return the paths of the files of which a batch has items, as they were delivered, in order.

    Raises:
        DamagedFile: the register does not hold what was written.
    """
    table = read_table(lake, register_path(batch_date, batch_id), ["source_path"])
    return table["source_path"].unique().to_pylist()


def shards_of(lake: Storage, batch_date: str, batch_id: str) -> dict[ItemKey, int]:
    """Return the shard of each item of a batch.

    Raises:
        DamagedFile: the register does not hold what was written.
    """
    columns = ["source_path", "page", "shard"]
    table = read_table(lake, register_path(batch_date, batch_id), columns)
    paths, pages, shards = (table[name].to_pylist() for name in columns)
    return {(path, page): shard for path, page, shard in zip(paths, pages, shards, strict=True)}


def sidecars_path(batch_date: str, batch_id: str) -> str:
    return f"registers/{batch_date}/{batch_id}/sidecars.parquet"


def write_sidecars(lake: Storage, batch_date: str, batch_id: str, sidecars: Iterable[Sidecar]) -> None:
    """Write the list of what lies beside the images of a batch: before its items, whose register makes it valid."""
    rows = [asdict(sidecar) for sidecar in sidecars]
    if rows:
        table = pa.Table.from_pylist(rows, schema=SIDECAR_SCHEMA)
        lake.write_bytes(sidecars_path(batch_date, batch_id), parquet_bytes(table))


def read_sidecars(lake: Storage, batch_date: str, batch_id: str) -> list[Sidecar]:
    """Return what lies beside the images of a batch, in order of path.

    Raises:
        DamagedFile: the list does not hold what was written, or is gone.
    """
    path = sidecars_path(batch_date, batch_id)
    if not lake.exists(path):
        if _has_sidecars(lake, batch_date, batch_id):
            raise DamagedFile(f"{lake.url(path)} is gone: restore it from a backup, then run again.")
        return []
    table = read_table(lake, path)
    if not table.schema.equals(SIDECAR_SCHEMA):
        raise DamagedFile(f"{lake.url(path)} is damaged (it has other columns): restore it from a backup.")
    return [Sidecar(**row) for row in table.to_pylist()]


def _has_sidecars(lake: Storage, batch_date: str, batch_id: str) -> bool:
    """Whether the register says that files lie beside the images; those of earlier releases do not say it."""
    try:
        return int(read_metadata(lake, register_path(batch_date, batch_id)).get(_SIDECARS, 0)) > 0
    except (FileNotFoundError, DamagedFile):  # whoever reads the items themselves names it
        return False


def registered_files(lake: Storage, batch_date: str, batch_id: str) -> dict[str, str]:
    """Return the sha256 of every file of a batch that was delivered, images and sidecars, by its path in the lake.

    Raises:
        DamagedFile: the register does not hold what was written.
    """
    items = read_items(lake, batch_date, batch_id)
    files = {item.original: item.sha256 for item in items if item.error_code != ErrorCode.MISSING}
    return files | {sidecar.original: sidecar.sha256 for sidecar in read_sidecars(lake, batch_date, batch_id)}


def registered_batches(lake: Storage, batch_date: str) -> list[str]:
    """Return the ids of the batches that were taken in on a date."""
    folder = f"registers/{batch_date}"
    return [
        entry.name
        for entry in lake.list_folder(folder)
        if entry.kind == "folder" and lake.exists(register_path(batch_date, entry.name))
    ]
