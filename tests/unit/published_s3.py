"""The small lake of :mod:`tests.unit.published`, with everything but ingest in a bucket."""

import os
from collections.abc import Collection
from pathlib import Path

from tests.s3_server import BUCKET
from tests.unit.published import DATE, Night, drop_pages
from tounum_tasks.settings import Settings
from tounum_tasks.store import objects as object_storage
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage


class S3Night(Night):
    """One batch of three pages and a broken file, in shards of two."""

    def __init__(self, folder: Path, *, noisy: bool = False) -> None:
        self.settings = Settings(
            ingest_root=str(folder / "ingest"),
            lake_root=f"s3://{BUCKET}/lake",
            non_photos_root=f"s3://{BUCKET}/non_photos",
            quarantine_root=f"s3://{BUCKET}/quarantine",
            shard_size=2,
        )
        drop_pages(self.settings, noisy=noisy)
        self.lake = open_storage(self.settings.lake_root)

    def copies(self, name: str) -> list[str]:
        """The buckets in which a file of the batch lies."""
        found = [path for path in objects() if path.endswith(f"/{name}")]
        buckets = [path.partition(f"/{DATE}/")[0].removeprefix("lake/") for path in found]
        return sorted(bucket for bucket in buckets if bucket != "originals")


def objects() -> dict[str, str]:
    """The version of every object of the bucket, by its name."""
    return dict(_below(open_storage(f"s3://{BUCKET}"), ""))


def to_archive(*names: str, but: Collection[str] = ()) -> None:
    """Move objects of the bucket to an archive, as a rule of the bucket does."""
    client = object_storage._connect(os.getpid())
    for key in {*names}.difference(but):
        client.copy_object(Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": key}, StorageClass="GLACIER")


def _below(storage: Storage, folder: str) -> list[tuple[str, str]]:
    found = []
    for entry in storage.list_folder(folder):
        path = f"{folder}/{entry.name}".lstrip("/")
        found += _below(storage, path) if entry.kind == "folder" else [(path, entry.version)]
    return found
