"""Step route: photographs to ``photos`` after enhancement, other classes to their bucket as they came, unreadable
files to quarantine with the reason beside them. The originals stay where they are."""

import hashlib
import time
from collections.abc import Iterator

import pyarrow as pa

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.settings import Settings
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.classify import label_of
from tounum_tasks.steps.measure_and_enhance import limits_of
from tounum_tasks.steps.places import Place, Places, photo_content, reason_content
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("label", pa.string(), metadata={"description": "null: quarantine"}),
        pa.field("destination_uri", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False, metadata={"description": "of what lies at the destination"}),
    ]
)


def wanted(work: ShardWork) -> list[Item]:
    return work.items


def fingerprint(work: ShardWork, item: Item) -> str:
    return hashed(
        stage="route",
        version=VERSION,
        input=measure_and_enhance.fingerprint(work, item),
        item=[item.source_path, item.page],
        label=label_of(work, item),
    )


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    return {found: row for found, row in rows.items() if _lies_there(row, work.settings)}


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    """Copy every item to its destination; a file of which all pages go to one place is copied once."""
    copied: dict[Place, str] = {}
    places = Places.of_batch(work.settings, work.shard.batch_date, work.shard.batch_id)
    yield [_route(work, places, found, item, copied) for found, item in pending.items()]


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {"destination_uri": row["destination_uri"]}


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return []


def _bucket(label: str | None, settings: Settings) -> Storage:
    if label is None:
        return open_storage(settings.quarantine_root)
    return open_storage(settings.lake_root if label == PHOTO else settings.non_photos_root)


def _lies_there(row: dict, settings: Settings) -> bool:
    """Whether something lies at the destination still.

    Whether it is the right thing is seen to when the batch is published: see :mod:`tounum_tasks.publish.settle`.
    """
    bucket = _bucket(row["label"], settings)
    path = bucket.relative(row["destination_uri"])
    # The bucket's setting may have been changed, or the bucket emptied.
    return path != row["destination_uri"] and bucket.exists(path)


def _route(work: ShardWork, places: Places, fingerprint: str, item: Item, copied: dict[Place, str]) -> dict:
    started = time.monotonic()
    label = label_of(work, item)
    measured = work.results("measure_and_enhance")[item.key]
    try:
        if label == PHOTO:
            place, sha256 = _put_photo(work, places, item, measured)
        else:
            place, sha256 = _put_original(work, places, item, label, measured, copied)
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"What belongs to {item.source_path} is gone from {work.lake.root} or damaged: run the task "
            "measure_and_enhance again."
        ) from error
    return {
        "fingerprint": fingerprint,
        "run_id": work.plan.run_id,
        "seconds": time.monotonic() - started,
        "label": label,
        "destination_uri": place.uri,
        "sha256": sha256,
    }


def _put_original(
    work: ShardWork, places: Places, item: Item, label: str | None, measured: dict, copied: dict[Place, str]
) -> tuple[Place, str]:
    """Put a file as it came where its class belongs, or into quarantine; return the place and the file's sha256.

    Args:
        copied: what this task has put where already.
    """
    if label is None:
        reason = places.of_reason(item)
        reason.storage.write_bytes(reason.path, reason_content(item, measured["error_code"], measured["error_message"]))
    place = places.in_quarantine(item) if label is None else places.of_class(item, label)
    if place not in copied:
        copied[place], _ = place.storage.copy_from(work.lake, item.original, place.path)
    return place, copied[place]


def _put_photo(work: ShardWork, places: Places, item: Item, measured: dict) -> tuple[Place, str]:
    """Put a photograph into ``photos``, unless something lies there: that belongs to the manifest that is current.

    If it is not what this run would put there, it is replaced when this run's manifest has been committed.
    """
    enhanced = measure_and_enhance.read_enhanced(work.lake, measured) if measured["enhanced"] else None
    if measured["enhanced"] and enhanced is None:
        raise FileNotFoundError(measured["enhanced"])
    place = places.of_photo(item, enhanced=enhanced is not None)
    content = photo_content(work.lake, item, enhanced, measured["dpi"], limits_of(work.plan, item))
    place.storage.create_exclusively(place.path, content)
    return place, hashlib.sha256(content).hexdigest()
