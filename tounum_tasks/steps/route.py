"""Step route: photographs to ``photos`` after enhancement, other classes and empty pages to their bucket as they came,
unreadable files to quarantine with the reason beside them. The originals stay where they are."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from threading import Semaphore
from typing import NamedTuple

import pyarrow as pa

from tounum_tasks.batches import in_order
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.settings import Settings
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.classify import bucket_for
from tounum_tasks.steps.originals import Originals, copy_original, limits_of
from tounum_tasks.steps.places import Place, Places, photo_content, reason_content
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

VERSION = 1
FILES_AT_ONCE = 4
"""Files that are copied side by side: what takes long is to wait for a disk or a store. Each takes up to 40 MiB."""

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("label", pa.string(), metadata={"description": "class, or blank; null: quarantine"}),
        pa.field("destination_uri", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False, metadata={"description": "of what lies at the destination"}),
    ]
)


def wanted(work: ShardWork) -> list[Item]:
    return work.items


def fingerprint(work: ShardWork, item: Item) -> str:
    return fingerprint_for(item, bucket_for(work, item), measured=measure_and_enhance.fingerprint(work, item))


def fingerprint_for(item: Item, bucket: str | None, *, measured: str) -> str:
    """Return what the route of an item is known by.

    Args:
        bucket: its class, or that of empty pages; None: quarantine.
        measured: fingerprint of its metrics and enhancement.
    """
    return hashed(stage="route", version=VERSION, input=measured, item=[item.source_path, item.page], label=bucket)


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        kept = list(pool.map(lambda row: _lies_there(row, work.settings), rows.values()))
    return {found: row for (found, row), is_kept in zip(rows.items(), kept, strict=True) if is_kept}


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    places = Places.of_batch(work.settings, work.shard.batch_date, work.shard.batch_id)
    measured = work.results("measure_and_enhance")
    photos_at_once = Semaphore(min(work.settings.decode_threads, FILES_AT_ONCE))
    files: dict[str, list[_Routed]] = {}
    for found, item in pending.items():
        files.setdefault(item.source_path, []).append(_Routed(found, item, bucket_for(work, item), measured[item.key]))

    def of_one_file(pages: list[_Routed]) -> list[dict]:
        with Originals(work.lake) as originals:
            routing = _Routing(work, places, originals, photos_at_once)
            return [routing.route(page) for page in pages]

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        yield list(chain.from_iterable(in_order(pool, of_one_file, files.values(), ahead=FILES_AT_ONCE)))


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {"destination_uri": row["destination_uri"]}


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return []


def _bucket(bucket: str | None, settings: Settings) -> Storage:
    if bucket is None:
        return open_storage(settings.quarantine_root)
    return open_storage(settings.lake_root if bucket == PHOTO else settings.non_photos_root)


def _lies_there(row: dict, settings: Settings) -> bool:
    """Whether something lies at the destination still.

    Whether it is the right thing is seen to when the batch is published: see :mod:`tounum_tasks.publish.settle`.
    """
    bucket = _bucket(row["label"], settings)
    path = bucket.relative(row["destination_uri"])
    # The bucket's setting may have been changed, or the bucket emptied.
    return path != row["destination_uri"] and bucket.exists(path)


class _Routed(NamedTuple):
    """An item and where it belongs: ``bucket`` is a class, or that of empty pages; None: quarantine."""

    fingerprint: str
    item: Item
    bucket: str | None
    measured: dict


@dataclass(frozen=True)
class _Routing:
    """Copying the items of one file. If several pages go to one place, the file is ``copied`` there once.

    ``photos_at_once`` bounds how many photographs, of all files, are held in memory.
    """

    work: ShardWork
    places: Places
    originals: Originals
    photos_at_once: Semaphore
    copied: dict[Place, str] = field(default_factory=dict)

    def route(self, routed: _Routed) -> dict:
        with self.photos_at_once if routed.bucket == PHOTO else nullcontext():
            started = time.monotonic()
            place, sha256 = self._put(routed)
        return {
            "fingerprint": routed.fingerprint,
            "run_id": self.work.plan.run_id,
            "seconds": time.monotonic() - started,
            "label": routed.bucket,
            "destination_uri": place.uri,
            "sha256": sha256,
        }

    def _put(self, routed: _Routed) -> tuple[Place, str]:
        """Put an item where it belongs; return the place and the sha256 of what lies there.

        Raises:
            EnvironmentFault: what belongs there is gone or damaged.
        """
        try:
            if routed.bucket == PHOTO:
                return self._put_photo(routed.item, routed.measured)
            return self._put_original(routed.item, routed.bucket, routed.measured)
        except FileNotFoundError as error:
            raise EnvironmentFault(
                f"What belongs to {routed.item.source_path} is gone from {self.work.lake.root} or damaged: run the "
                "task measure_and_enhance again."
            ) from error
        except ItemError as error:
            raise EnvironmentFault(f"{routed.item.source_path} page {routed.item.page}: {error}.") from error

    def _put_original(self, item: Item, bucket: str | None, measured: dict) -> tuple[Place, str]:
        """Put a file as it came where it belongs, or into quarantine; return the place and its sha256."""
        if bucket is None:
            reason = self.places.of_reason(item)
            note = reason_content(item, measured["error_code"], measured["error_message"])
            reason.storage.write_bytes(reason.path, note)
            if item.error_code == ErrorCode.MISSING:  # the note is all that there is
                return reason, hashlib.sha256(note).hexdigest()
        place = self.places.in_quarantine(item) if bucket is None else self.places.among_non_photos(item, bucket)
        if place not in self.copied:
            self.copied[place] = copy_original(self.work.lake, item, place.storage, place.path, as_it_is=bucket is None)
        return place, self.copied[place]

    def _put_photo(self, item: Item, measured: dict) -> tuple[Place, str]:
        """Put a photograph into ``photos``, unless something lies there: that belongs to the manifest that is current.

        If it is not what this run would put there, it is replaced when this run's manifest has been committed.
        """
        enhanced = measure_and_enhance.read_enhanced(self.work.lake, measured) if measured["enhanced"] else None
        if measured["enhanced"] and enhanced is None:
            raise FileNotFoundError(measured["enhanced"])
        place = self.places.of_photo(item, enhanced=enhanced is not None)
        limits = limits_of(self.work.plan, item, self.work.settings)
        content = photo_content(self.originals, item, enhanced, measured["dpi"], limits)
        place.storage.create_exclusively(place.path, content)
        return place, hashlib.sha256(content).hexdigest()
