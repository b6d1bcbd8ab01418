"""Step route: photographs to ``photos`` after enhancement, other classes to their bucket as they came, unreadable
files to quarantine with the reason beside them. The originals stay where they are."""

import hashlib
import json
import time

import pyarrow as pa

from tounum_tasks.classify import stage as classify_stage
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.pages import ImageFormat
from tounum_tasks.items import Item
from tounum_tasks.names import MAX_NAME_BYTES, safe_key
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.quality import stage as measure_stage
from tounum_tasks.quality.stage import limits_of, read_original
from tounum_tasks.settings import Settings
from tounum_tasks.stages import ShardWork
from tounum_tasks.storage import Storage, open_storage

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
    cache.commit(
        [_route(work, found, item, labels.get(item.key), measured[item.key]) for found, item in pending.items()]
    )
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _bucket(label: str | None, settings: Settings) -> Storage:
    if label is None:
        return open_storage(settings.quarantine_root)
    return open_storage(settings.lake_root if label == PHOTO else settings.non_photos_root)


def _lies_there(row: dict, settings: Settings) -> bool:
    """Whether the destination still holds what was put there.

    Photographs are read back, because runs with other settings put other pixels in the same place. Everything else is
    the original, whoever put it there.
    """
    bucket = _bucket(row["label"], settings)
    path = bucket.relative(row["destination_uri"])
    if path == row["destination_uri"] or not bucket.exists(path):  # the bucket's setting was changed, or it was emptied
        return False
    return row["label"] != PHOTO or bucket.sha256(path) == row["sha256"]


def _route(work: ShardWork, fingerprint: str, item: Item, label: str | None, measured: dict) -> dict:
    started = time.monotonic()
    uri, sha256 = _put(work, item, label, measured)
    return {
        "fingerprint": fingerprint,
        "run_id": work.plan.run_id,
        "seconds": time.monotonic() - started,
        "label": label,
        "destination_uri": uri,
        "sha256": sha256,
    }


def _put(work: ShardWork, item: Item, label: str | None, measured: dict) -> tuple[str, str]:
    """Copy one item to where it belongs and return the URL and the sha256 of what lies there."""
    bucket = _bucket(label, work.settings)
    below = item.original.removeprefix("originals/")
    if label is None:
        _write_reason(work, item, bucket, below, measured)
        return _copy(work.lake, item.original, bucket, below)
    if label != PHOTO:
        return _copy(work.lake, item.original, bucket, f"{label.lower()}/{below}")
    if item.pages > 1:
        target = "photos/" + _derived(work, below, f".p{item.page:04d}.png")
        page = _page_as_png(work, item, measured)
        work.lake.write_bytes(target, page)
        return work.lake.url(target), hashlib.sha256(page).hexdigest()
    if not measured["enhanced"]:
        return _copy(work.lake, item.original, work.lake, f"photos/{below}")
    extension = "." + measured["enhanced"].rpartition(".")[2]
    name = (
        below if below.lower().endswith(SAME_FORMAT.get(extension, (extension,))) else _derived(work, below, extension)
    )
    return _copy(work.lake, measured["enhanced"], work.lake, f"photos/{name}")


# Names that tell the same format, by the extension that is written.
SAME_FORMAT = {
    ".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    ".tif": (".tif", ".tiff"),
    ".jp2": (".jp2", ".j2k", ".jpx"),
}


def _copy(source: Storage, path: str, target: Storage, target_path: str) -> tuple[str, str]:
    try:
        sha256, _ = target.copy_from(source, path, target_path)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{source.url(path)} is gone: run the task measure_and_enhance again.") from error
    return target.url(target_path), sha256


def _write_reason(work: ShardWork, item: Item, bucket: Storage, below: str, measured: dict) -> None:
    reason = {
        "source_path": item.source_path,
        "page": item.page,
        "error_code": measured["error_code"],
        "error_message": measured["error_message"],
    }
    suffix = f".p{item.page:04d}.reason.json" if item.pages > 1 else ".reason.json"
    bucket.write_bytes(_derived(work, below, suffix), json.dumps(reason, ensure_ascii=False, indent=2).encode())


def _page_as_png(work: ShardWork, item: Item, measured: dict) -> bytes:
    if measured["enhanced"]:
        page = decode(work.lake.read_bytes(measured["enhanced"]), limits=limits_of(work.plan, item))
    else:
        page = decode(read_original(work, item), page=item.page, limits=limits_of(work.plan, item))
    return encode(page.rgb, format=ImageFormat.PNG, dpi=measured["dpi"])


def _derived(work: ShardWork, path: str, suffix: str) -> str:
    """Append ``suffix`` to a path below ``originals``: ``a/plan.tif`` gives ``a/plan.tif.p0003.png``.

    A name that would be too long for a file system, or that another file of the batch has, gets a hash instead.
    """
    folder, _, name = path.rpartition("/")
    if len((name + suffix).encode()) > MAX_NAME_BYTES:
        name = safe_key(name)
    elif work.lake.exists(f"originals/{folder}/{name}{suffix}"):
        name = f"{name}.{safe_key(name)[:8]}"
    return f"{folder}/{name}{suffix}"
