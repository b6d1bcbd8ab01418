"""Step route: photographs to ``photos`` after enhancement, other classes to their bucket as they came, unreadable
files to quarantine with the reason beside them. The originals stay where they are."""

import json
import time

import pyarrow as pa

from tounum_tasks.classify import stage as classify_stage
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item
from tounum_tasks.names import MAX_NAME_BYTES, safe_key
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.quality import stage as measure_stage
from tounum_tasks.settings import Settings
from tounum_tasks.stages import ShardWork
from tounum_tasks.storage import Storage, open_storage

STAGE = "route"

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), metadata={"description": "null: quarantine"}),
        pa.field("destination_uri", pa.string(), nullable=False),
    ]
)


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Copy every item of a shard to its destination, unless that is committed already; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    measured = measure_stage.read_rows(work)
    labels = classify_stage.read_labels(work)
    wanted = {work.fingerprints.route(item, labels.get(item.key)): item for item in work.items}
    cache = work.cache(STAGE, SCHEMA)
    pending = work.pending(wanted, cache.rows(wanted))
    rows = []
    for fingerprint, item in pending.items():
        label = labels.get(item.key)
        destination = _put(work, item, label, measured[item.key])
        rows.append(
            {
                "fingerprint": fingerprint,
                "run_id": plan.run_id,
                "label": label,
                "destination_uri": destination,
            }
        )
    cache.commit(rows)
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _put(work: ShardWork, item: Item, label: str | None, measured: dict) -> str:
    """Copy one item to where it belongs and return the URL."""
    below = item.original.removeprefix("originals/")
    if label is None:
        return _quarantine(work, item, below, measured)
    if label != PHOTO:
        non_photos = open_storage(work.settings.non_photos_root)
        return _copy(work.lake, item.original, non_photos, f"{label.lower()}/{below}")
    target = f"photos/{below}"
    if item.pages > 1:
        target = _page_name(target, item.page)
        work.lake.write_bytes(target, _page_as_png(work, item, measured))
        return work.lake.url(target)
    if measured["enhanced"]:
        target = _with_extension(target, measured["enhanced"])
        return _copy(work.lake, measured["enhanced"], work.lake, target)
    return _copy(work.lake, item.original, work.lake, target)


def _copy(source: Storage, path: str, target: Storage, target_path: str) -> str:
    target.copy_from(source, path, target_path)
    return target.url(target_path)


def _quarantine(work: ShardWork, item: Item, below: str, measured: dict) -> str:
    quarantine = open_storage(work.settings.quarantine_root)
    reason = {
        "source_path": item.source_path,
        "page": item.page,
        "error_code": measured["error_code"],
        "error_message": measured["error_message"],
    }
    suffix = f".p{item.page:04d}.reason.json" if item.pages > 1 else ".reason.json"
    quarantine.write_bytes(_with_suffix(below, suffix), json.dumps(reason, ensure_ascii=False, indent=2).encode())
    return _copy(work.lake, item.original, quarantine, below)


def _page_as_png(work: ShardWork, item: Item, measured: dict) -> bytes:
    if measured["enhanced"]:
        limits = ImageLimits(max_pixels=work.plan.max_pixels)
        enhanced = decode(work.lake.read_bytes(measured["enhanced"]), limits=limits)
        return encode(enhanced.rgb, format="PNG", dpi=measured["dpi"])
    limits = ImageLimits(max_pixels=work.plan.max_pixels, pdf_dpi=work.plan.pdf_dpi)
    page = decode(work.lake.read_bytes(item.original), page=item.page, limits=limits)
    return encode(page.rgb, format="PNG", dpi=measured["dpi"])


def _page_name(path: str, page: int) -> str:
    """``a/plan.tiff``, 3 -> ``a/plan.tiff.p0003.png``; the source's suffix stays, so that plan.tiff and plan.pdf
    do not meet."""
    return _with_suffix(path, f".p{page:04d}.png")


def _with_extension(path: str, enhanced: str) -> str:
    """Keep the name where the enhanced image has the source's format, else append the new extension."""
    extension = "." + enhanced.rpartition(".")[2]
    same = {".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), ".tif": (".tif", ".tiff"), ".jp2": (".jp2", ".j2k", ".jpx")}
    if path.lower().endswith(same.get(extension, (extension,))):
        return path
    return _with_suffix(path, extension)


def _with_suffix(path: str, suffix: str) -> str:
    """Append ``suffix``; a name that would become too long for a file system is shortened to its hash."""
    folder, _, name = path.rpartition("/")
    if len((name + suffix).encode()) > MAX_NAME_BYTES:
        name = safe_key(name)
    return f"{folder}/{name}{suffix}"
