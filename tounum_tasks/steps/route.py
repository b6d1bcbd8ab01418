"""Step route: photographs to ``photos`` after enhancement, other classes to their bucket as they came, unreadable
files to quarantine with the reason beside them. The originals stay where they are."""

import hashlib
import time

import pyarrow as pa

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.items import Item
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps import classify as classify_stage
from tounum_tasks.steps import measure_and_enhance as measure_stage
from tounum_tasks.steps.measure_and_enhance import limits_of
from tounum_tasks.steps.places import Place, Places, photo_content, reason_content
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

STAGE = "route"

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


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Copy every item of a shard to its destination, unless it lies there already; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    measured = measure_stage.read_rows(work)
    labels = classify_stage.read_labels(work)
    wanted = {work.fingerprints.route(item, labels.get(item.key)): item for item in work.items}
    cache = work.cache(STAGE, SCHEMA)
    committed = {found: row for found, row in cache.rows(wanted).items() if _lies_there(row, settings)}
    pending = work.pending(wanted, committed)
    places = Places.of_batch(settings, shard.batch_date, shard.batch_id)
    cache.commit(
        [_route(work, places, found, item, labels.get(item.key), measured[item.key]) for found, item in pending.items()]
    )
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


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


def _route(work: ShardWork, places: Places, fingerprint: str, item: Item, label: str | None, measured: dict) -> dict:
    started = time.monotonic()
    try:
        place, sha256 = _put(work, places, item, label, measured)
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"What belongs to {item.source_path} is gone from {work.lake.root} or damaged: run the task measure_and_enhance again."
        ) from error
    return {
        "fingerprint": fingerprint,
        "run_id": work.plan.run_id,
        "seconds": time.monotonic() - started,
        "label": label,
        "destination_uri": place.uri,
        "sha256": sha256,
    }


def _put(work: ShardWork, places: Places, item: Item, label: str | None, measured: dict) -> tuple[Place, str]:
    """Put one item where it belongs; return the place and the sha256 of what belongs there."""
    if label == PHOTO:
        return _put_photo(work, places, item, measured)
    if label is None:
        reason = places.of_reason(item)
        reason.storage.write_bytes(reason.path, reason_content(item, measured["error_code"], measured["error_message"]))
    place = places.in_quarantine(item) if label is None else places.of_class(item, label)
    sha256, _ = place.storage.copy_from(work.lake, item.original, place.path)
    return place, sha256


def _put_photo(work: ShardWork, places: Places, item: Item, measured: dict) -> tuple[Place, str]:
    """Put a photograph into ``photos``, unless something lies there: that belongs to the manifest that is current.

    If it is not what this run would put there, it is replaced when this run's manifest has been committed.
    """
    enhanced = measure_stage.read_enhanced(work.lake, measured) if measured["enhanced"] else None
    if measured["enhanced"] and enhanced is None:
        raise FileNotFoundError(measured["enhanced"])
    place = places.of_photo(item, enhanced=enhanced is not None)
    content = photo_content(work.lake, item, enhanced, measured["dpi"], limits_of(work.plan, item))
    place.storage.create_exclusively(place.path, content)
    return place, hashlib.sha256(content).hexdigest()
