"""Step measure_and_enhance: each page is decoded once, measured, enhanced, measured again and made ready for models.

Results are committed every few images: what a killed task had committed is not computed again.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from tounum_tasks.errors import EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode, extension
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.images.phash import perceptual_hash
from tounum_tasks.items import Item, ItemKey
from tounum_tasks.logs import about_item
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.quality.metrics import Quality, measure
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.restore.enhance import enhance
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import load_restorer
from tounum_tasks.steps.shard import ShardWork, in_batches
from tounum_tasks.store.base import Storage

log = logging.getLogger(__name__)

STAGE = "measure"
COMMIT_EVERY = 64

_metrics = [
    pa.field(f"{name}_{suffix}", kind)
    for suffix in ("before", "after")
    for name, kind in (
        ("blur_laplacian_var", pa.float64()),
        ("noise_sigma", pa.float64()),
        ("brightness", pa.float64()),
        ("contrast", pa.float64()),
        ("quality_flags", pa.list_(pa.string())),
    )
]
SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("width_px", pa.int32()),
        pa.field("height_px", pa.int32()),
        pa.field("colour_mode", pa.string()),
        pa.field("bit_depth", pa.int32()),
        pa.field("dpi", pa.float64()),
        pa.field("exif_orientation", pa.int32()),
        pa.field("phash", pa.string()),
        *_metrics,
        pa.field("enhancement_operations", pa.list_(pa.string())),
        pa.field("enhancement_accepted", pa.bool_()),
        pa.field("enhancement_reason", pa.string()),
        pa.field("enhanced", pa.string(), metadata={"description": "path of the changed image below the lake"}),
        pa.field("enhanced_sha256", pa.string(), metadata={"description": "of the changed image's file"}),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
    ]
)
INPUT_SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("pixels", pa.binary(299 * 299 * 3), nullable=False, metadata={"description": "as it is stored"}),
        pa.field(
            "original", pa.binary(299 * 299 * 3), metadata={"description": "before enhancement, if that changed it"}
        ),
    ]
)


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Measure and enhance the items of a shard that have no committed result; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    wanted = {work.fingerprints.measure(item): item for item in work.items}
    rows, inputs = work.cache(STAGE, SCHEMA), work.cache("model_inputs", INPUT_SCHEMA)
    pending = work.pending(wanted, _complete(work, rows.rows(wanted), inputs.rows(wanted, ["fingerprint"])))

    done = 0
    for results in in_batches(_measure_all(work, pending, rows.folder), COMMIT_EVERY):
        inputs.commit([model_input for _, model_input in results if model_input])
        rows.commit([row for row, _ in results])
        done += len(results)
        log.info("Measured %d of %d images.", done, len(pending))
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _complete(work: ShardWork, committed: dict[str, dict], inputs: dict[str, dict]) -> dict[str, dict]:
    """Leave out readable images whose model input or enhanced pixels are gone or damaged, and errors of the program."""

    def is_complete(found: str) -> bool:
        row = committed[found]
        if row["error_code"]:
            return bool(row["error_code"] != ErrorCode.INTERNAL)
        return found in inputs and (not row["enhanced"] or read_enhanced(work.lake, row) is not None)

    with ThreadPoolExecutor(work.settings.decode_threads) as pool:
        complete = list(pool.map(is_complete, committed))
    return {found: row for (found, row), is_whole in zip(committed.items(), complete, strict=True) if is_whole}


def _measure_all(work: ShardWork, pending: dict[str, Item], folder: str) -> Iterator[tuple[dict, dict | None]]:
    """Yield a row and a model input (None for unreadable images) per item, at most ``decode_threads`` at once."""

    def one(entry: tuple[str, Item]) -> tuple[dict, dict | None]:
        fingerprint, item = entry
        with about_item(item):
            return _measure_one(work, fingerprint, item, folder)

    threads = work.settings.decode_threads
    with ThreadPoolExecutor(threads) as pool:
        for entries in in_batches(pending.items(), 4 * threads):
            yield from pool.map(one, entries)


def _measure_one(work: ShardWork, fingerprint: str, item: Item, folder: str) -> tuple[dict, dict | None]:
    started = time.monotonic()
    row: dict = {"fingerprint": fingerprint, "run_id": work.plan.run_id}
    model_input = None
    try:
        original, pixels = _measure_pixels(work, fingerprint, item, folder, row)
        model_input = {
            "fingerprint": fingerprint,
            "pixels": to_model_input(pixels).tobytes(),
            "original": to_model_input(original).tobytes() if row["enhancement_accepted"] else None,
        }
    except ItemError as error:
        log.warning("Cannot be used (%s): %s.", error.code, error)
        row.update(error_code=error.code, error_message=str(error))
    except EnvironmentFault:
        raise
    except MemoryError as error:
        raise EnvironmentFault(f"Too little memory for {item.source_path} page {item.page}: free some.") from error
    except Exception:
        log.exception("This image provoked an error in the program.")
        row.update(error_code=ErrorCode.INTERNAL, error_message="the program failed on this image: see the log")
    row["seconds"] = time.monotonic() - started
    return row, model_input


def _measure_pixels(
    work: ShardWork, fingerprint: str, item: Item, folder: str, row: dict
) -> tuple[np.ndarray, np.ndarray]:
    """Fill ``row`` and return the pixels before and after enhancement, uint8 height x width x 3."""
    if item.error_code:
        raise ItemError(ErrorCode(item.error_code), item.error_message or item.error_code)
    image = decode(read_original(work.lake, item), page=item.page, limits=limits_of(work.plan, item))
    before = measure(image.rgb)
    engine = AutoEngine(lambda: load_restorer(work.plan.restorer, work.settings))
    enhancement = enhance(image.rgb, mode=work.plan.enhancement, before=before, engine=engine)
    row.update(
        width_px=image.width_px,
        height_px=image.height_px,
        colour_mode=image.colour_mode,
        bit_depth=image.bit_depth,
        dpi=image.dpi,
        exif_orientation=image.exif_orientation,
        phash=perceptual_hash(image.rgb),
        **_columns(before, "before"),
        **_columns(enhancement.after, "after"),
        enhancement_operations=list(enhancement.operations),
        enhancement_accepted=enhancement.accepted,
        enhancement_reason=enhancement.reason,
    )
    if enhancement.accepted:
        row["enhanced"] = enhanced_path(folder, fingerprint, image.format)
        changed = encode(enhancement.rgb, format=image.format, dpi=image.dpi)
        row["enhanced_sha256"] = hashlib.sha256(changed).hexdigest()
        work.lake.write_bytes(row["enhanced"], changed)
    return image.rgb, enhancement.rgb


def enhanced_path(folder: str, fingerprint: str, format: str) -> str:
    """Where the enhanced pixels of an image lie; ``folder`` holds the rows of its shard."""
    return f"{folder}/enhanced/{fingerprint}{extension(format)}"


def read_enhanced(lake: Storage, row: dict) -> bytes | None:
    """Return the file with the enhanced pixels of a measured image, or None if it is gone or not what was written.

    Args:
        row: the committed row; one of a release that wrote no hash cannot be trusted.
    """
    try:
        content = lake.read_bytes(row["enhanced"])
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != row.get("enhanced_sha256"):
        log.warning("%s does not hold what was written to it.", lake.url(row["enhanced"]))
        return None
    return content


def read_original(lake: Storage, item: Item) -> bytes:
    """Return the bytes of an original.

    Raises:
        EnvironmentFault: it is gone.
        ItemError: ORIGINAL_DAMAGED, if it is not what was taken in.
    """
    try:
        data = lake.read_bytes(item.original)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{lake.url(item.original)} is gone: restore it, then run again.") from error
    if hashlib.sha256(data).hexdigest() != item.sha256:
        raise ItemError(
            ErrorCode.ORIGINAL_DAMAGED, "the original in the lake is not what was taken in: restore it from a backup"
        )
    return data


def limits_of(plan: RunPlan, item: Item) -> ImageLimits:
    """The limits of this run; how many pages a file may have was decided when it was registered."""
    return ImageLimits(max_pixels=plan.max_pixels, max_pages=item.pages, pdf_dpi=plan.pdf_dpi)


def _columns(quality: Quality, suffix: str) -> dict:
    return {
        f"blur_laplacian_var_{suffix}": quality.blur_laplacian_var,
        f"noise_sigma_{suffix}": quality.noise_sigma,
        f"brightness_{suffix}": quality.brightness,
        f"contrast_{suffix}": quality.contrast,
        f"quality_flags_{suffix}": list(quality.flags),
    }


def read_inputs(
    work: ShardWork, fingerprints: list[str], batch_size: int, *, before_enhancement: bool = False
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield ``(measure fingerprints, uint8 N x 299 x 299 x 3)`` for readable images, N at most ``batch_size``.

    Raises:
        EnvironmentFault: an input is gone because the stage cache was deleted during the run.
    """
    cache = work.cache("model_inputs", INPUT_SCHEMA)
    found = 0
    for rows in in_batches(cache.iterate(fingerprints, batch_size=batch_size), batch_size):
        chosen = [(before_enhancement and row["original"]) or row["pixels"] for row in rows]
        pixels = [np.frombuffer(data, np.uint8).reshape(299, 299, 3) for data in chosen]
        found += len(rows)
        yield [row["fingerprint"] for row in rows], np.stack(pixels)
    work.require_all(found, len(fingerprints), STAGE)


def read_rows(work: ShardWork, columns: list[str] | None = None) -> dict[ItemKey, dict]:
    """Return the committed row of every item of a shard.

    Raises:
        EnvironmentFault: a row is gone because the stage cache was deleted during the run.
    """
    wanted = {item.key: work.fingerprints.measure(item) for item in work.items}
    rows = work.cache(STAGE, SCHEMA).rows(wanted.values(), columns)
    work.require_all(len(rows), len(set(wanted.values())), STAGE)
    return {key: rows[found] for key, found in wanted.items()}


def measured(work: ShardWork) -> list[Item]:
    """Return the items of a shard that could be read; the others have an error in their row."""
    rows = read_rows(work, ["fingerprint", "error_code"])
    return [item for item in work.items if not rows[item.key]["error_code"]]
