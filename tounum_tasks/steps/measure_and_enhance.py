"""Step measure_and_enhance: each page is decoded once, measured, enhanced, measured again and made ready for models.

Results are committed every few images: what a killed task had committed is not computed again.
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import cache
from threading import Lock

import numpy as np
import pyarrow as pa

from tounum_tasks.batches import in_batches, in_order
from tounum_tasks.errors import DamagedFile, EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.images.decode import DecodedImage
from tounum_tasks.images.encode import encode, extension
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.images.phash import perceptual_hash
from tounum_tasks.images.thumbnail import make_thumbnail
from tounum_tasks.items import Item
from tounum_tasks.logs import about_item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.schema import SCHEMA as MANIFEST
from tounum_tasks.memory import give_back
from tounum_tasks.metadata.embedded import Metadata
from tounum_tasks.metadata.fields import FIELDS
from tounum_tasks.page_flags.look import look_at
from tounum_tasks.plan import RunPlan
from tounum_tasks.quality.metrics import Quality, measure
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.restore.enhance import RESTORE_VERSION, enhance
from tounum_tasks.steps.originals import Originals, limits_of
from tounum_tasks.steps.pins import load_model
from tounum_tasks.steps.shard import Cache, ShardWork
from tounum_tasks.store.base import Storage
from tounum_tasks.thumbnails import keep_thumbnail, read_thumbnail

log = logging.getLogger(__name__)

VERSION = 8
COMMIT_EVERY = 64
LARGE_PAGE = 2**23
"""Pixels from which pages are worked on one after the other: each keeps all processors busy by itself."""

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
        pa.field("dpi_x", pa.float64()),
        pa.field("dpi_y", pa.float64()),
        pa.field("exif_orientation", pa.int32()),
        pa.field("suspect_end", pa.float64()),
        pa.field("phash", pa.string()),
        *(pa.field(name, pa.list_(pa.string()) if name == "keywords" else pa.string()) for name in FIELDS),
        pa.field("metadata_left_out", pa.list_(pa.string())),
        *_metrics,
        MANIFEST.field("page_flags"),
        MANIFEST.field("skew_degrees"),
        MANIFEST.field("turn_degrees"),
        MANIFEST.field("content_box"),
        MANIFEST.field("photo_boxes"),
        pa.field("enhancement_operations", pa.list_(pa.string())),
        pa.field("enhancement_accepted", pa.bool_()),
        pa.field("enhancement_reason", pa.string()),
        pa.field("enhanced", pa.string(), metadata={"description": "path of the changed image below the lake"}),
        pa.field("enhanced_sha256", pa.string(), metadata={"description": "of the changed image's file"}),
        pa.field("error_code", pa.string()),
        pa.field("error_message", pa.string()),
    ]
)
# What a row says of the image, rather than of the work on it, is published as it is.
_PUBLISHED = [
    name for name in SCHEMA.names if name in MANIFEST.names and name not in ("run_id", "error_code", "error_message")
]
INPUT_SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("pixels", pa.binary(299 * 299 * 3), nullable=False, metadata={"description": "as it is stored"}),
        pa.field(
            "original", pa.binary(299 * 299 * 3), metadata={"description": "before enhancement, if that changed it"}
        ),
    ]
)


def wanted(work: ShardWork) -> list[Item]:
    return work.items


def original_pixels(plan: RunPlan, item: Item) -> dict[str, object]:
    """Return what the pixels of an item before enhancement depend on: classes are of them."""
    return {
        "image": item.image_id,
        "register_error": [item.error_code, item.error_message],
        "max_pixels": plan.max_pixels,
        "pdf_dpi": plan.pdf_dpi if item.format == "pdf" else None,
    }


def fingerprint(work: ShardWork, item: Item) -> str:
    plan = work.plan
    return hashed(
        stage="measure_and_enhance",
        version=[VERSION, RESTORE_VERSION],
        enhancement=plan.enhancement,
        model=plan.models["restorer"].digest if plan.enhancement == "auto" else None,
        **original_pixels(plan, item),
    )


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    """Leave out readable images whose model input or enhanced pixels are gone or damaged, and errors that may pass.

    Those of the program pass with another release, those of budgets with other settings.
    """
    inputs = _inputs(work).rows(rows, ["fingerprint"])

    def is_usable(found: str) -> bool:
        row = rows[found]
        if row["error_code"]:
            return row["error_code"] not in (ErrorCode.INTERNAL, ErrorCode.TOO_COSTLY)
        return found in inputs and (not row["enhanced"] or read_enhanced(work.lake, row) is not None)

    with ThreadPoolExecutor(work.settings.decode_threads) as pool:
        kept = list(pool.map(is_usable, rows))
    return {found: row for (found, row), is_kept in zip(rows.items(), kept, strict=True) if is_kept}


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    for results in in_batches(_measure_all(work, pending), COMMIT_EVERY):
        _inputs(work).commit([model_input for _, model_input in results if model_input])
        yield [row for row, _ in results]


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    is_auto = work.plan.enhancement == "auto"
    return {
        **{name: row[name] for name in _PUBLISHED},
        "enhancement_method": work.plan.enhancement,
        "restorer_version": version_of(work.plan.models["restorer"]) if is_auto else None,
    }


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return ["end"] if row["suspect_end"] else []


def readable(work: ShardWork) -> list[Item]:
    """Return the items of a shard that could be read; the others have an error in their row."""
    rows = work.results("measure_and_enhance")
    return [item for item in work.items if item.key in rows and not rows[item.key]["error_code"]]


def _inputs(work: ShardWork) -> Cache:
    """Return what the models see of the images."""
    return Cache(work.lake, work.folder("stages/model_inputs"), INPUT_SCHEMA)


def _measure_all(work: ShardWork, pending: dict[str, Item]) -> Iterator[tuple[dict, dict | None]]:
    """Yield a row and a model input (None for unreadable images) per item, at most ``decode_threads`` at once."""
    # Before there are threads, which need it: two that import parts of it at once may each find half of the other's.
    import scipy.fftpack  # noqa: F401

    engine = AutoEngine(cache(lambda: load_model("restorer", work.plan.models, work.settings)))
    originals = Originals(work.lake)
    large_page = Lock()

    def one(entry: tuple[str, Item]) -> tuple[dict, dict | None]:
        fingerprint, item = entry
        with about_item(item):
            return _measure_one(work, fingerprint, item, originals, engine, large_page)

    threads = work.settings.decode_threads
    with originals, ThreadPoolExecutor(threads) as pool:
        yield from in_order(pool, one, pending.items(), ahead=4 * threads)


def _measure_one(
    work: ShardWork, fingerprint: str, item: Item, originals: Originals, engine: AutoEngine, large_page: Lock
) -> tuple[dict, dict | None]:
    started = time.monotonic()
    row: dict = {"fingerprint": fingerprint, "run_id": work.plan.run_id}
    model_input = None
    try:
        if item.error_code:
            raise ItemError(ErrorCode(item.error_code), item.error_message or item.error_code)
        image, metadata = originals.decode_with_metadata(item, limits_of(work.plan, item, work.settings))
        with _alone(large_page) if image.width_px * image.height_px >= LARGE_PAGE else nullcontext():
            pixels = _measure_pixels(work, fingerprint, image, metadata, engine, row)
        _keep_thumbnail(work.lake, item, image)
        model_input = {
            "fingerprint": fingerprint,
            "pixels": to_model_input(pixels).tobytes(),
            "original": to_model_input(image.rgb).tobytes() if row["enhancement_accepted"] else None,
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


@contextmanager
def _alone(large_page: Lock) -> Iterator[None]:
    """Work on a large page while no other is worked on, in the memory that those before it have freed."""
    with large_page:
        give_back()
        yield


def _measure_pixels(
    work: ShardWork, fingerprint: str, image: DecodedImage, metadata: Metadata, engine: AutoEngine, row: dict
) -> np.ndarray:
    """Fill ``row`` and return the pixels after enhancement, uint8 height x width x 3."""
    before = measure(image.rgb)
    look = look_at(image.rgb)
    enhancement = enhance(image.rgb, mode=work.plan.enhancement, before=before, engine=engine)
    row.update(
        width_px=image.width_px,
        height_px=image.height_px,
        colour_mode=image.colour_mode,
        bit_depth=image.bit_depth,
        dpi=image.dpi,
        dpi_x=image.dpi_x,
        dpi_y=image.dpi_y,
        exif_orientation=image.exif_orientation,
        suspect_end=image.suspect_end,
        phash=perceptual_hash(image.rgb),
        **{**vars(metadata.fields), "keywords": list(metadata.fields.keywords)},
        metadata_left_out=list(metadata.left_out),
        page_flags=[asdict(flag) for flag in look.flags],
        skew_degrees=look.skew_degrees,
        turn_degrees=look.turn_degrees,
        content_box=look.content_box and list(look.content_box),
        photo_boxes=[list(box) for box in look.photo_boxes],
        **_quality(before, "before"),
        **_quality(enhancement.after, "after"),
        enhancement_operations=list(enhancement.operations),
        enhancement_accepted=enhancement.accepted,
        enhancement_reason=enhancement.reason,
    )
    if enhancement.accepted:
        row["enhanced"] = enhanced_path(work.cache("measure_and_enhance").folder, fingerprint, image.format)
        changed = encode(enhancement.rgb, format=image.format, dpi=image.dpi, metadata=metadata)
        row["enhanced_sha256"] = hashlib.sha256(changed).hexdigest()
        work.lake.write_bytes(row["enhanced"], changed)
    return enhancement.rgb


def _keep_thumbnail(lake: Storage, item: Item, image: DecodedImage) -> None:
    """Put a small picture of a page as it came into the lake, unless it is there; work never stops for want of one."""
    try:
        if read_thumbnail(lake, item.image_id) is None:
            keep_thumbnail(lake, item.image_id, make_thumbnail(image.rgb))
    except EnvironmentFault as fault:
        log.warning("There is no thumbnail of this image: %s", fault)


def enhanced_path(folder: str, fingerprint: str, format: str) -> str:
    """Where the enhanced pixels of an image lie; ``folder`` holds the rows of its shard."""
    return f"{folder}/enhanced/{fingerprint}{extension(format)}"


def read_enhanced(lake: Storage, row: dict) -> bytes | None:
    """Return the file with the enhanced pixels of a measured image, or None if it is gone or not what was written.

    Args:
        row: the committed row; what a release wrote that noted no hash cannot be told from damage.
    """
    try:
        content = lake.read_bytes(row["enhanced"])
    except FileNotFoundError:
        return None
    except DamagedFile as fault:
        log.warning("%s", fault)
        return None
    if hashlib.sha256(content).hexdigest() != row.get("enhanced_sha256"):
        log.warning("%s does not hold what was written to it.", lake.url(row["enhanced"]))
        return None
    return content


def _quality(quality: Quality, suffix: str) -> dict:
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
    found = 0
    for rows in in_batches(_inputs(work).iterate(fingerprints, batch_size=batch_size), batch_size):
        chosen = [(before_enhancement and row["original"]) or row["pixels"] for row in rows]
        pixels = [np.frombuffer(data, np.uint8).reshape(299, 299, 3) for data in chosen]
        found += len(rows)
        yield [row["fingerprint"] for row in rows], np.stack(pixels)
    work.require_all(found, len(fingerprints), "measure_and_enhance")
