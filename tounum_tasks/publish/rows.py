"""Building the rows of a manifest: one per registered item, whatever happened to it."""

from collections.abc import Callable, Iterable

import pyarrow as pa

import tounum_tasks
from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.errors import ErrorCode
from tounum_tasks.items import Item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.schema import (
    CLASS_COLUMNS,
    SCHEMA,
    SCHEMA_VERSION,
    STATUS_FAILED,
    STATUS_OK,
    STATUS_QUARANTINED,
    round_floats,
)
from tounum_tasks.plan import BatchPlan, RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps import caption as caption_stage
from tounum_tasks.steps import classify as classify_stage
from tounum_tasks.steps import extract_features as features_stage
from tounum_tasks.steps import measure_and_enhance as measure_stage
from tounum_tasks.steps import route as route_stage
from tounum_tasks.steps.shard import Cache, ShardWork

MEASURED_COLUMNS = [
    name
    for name in measure_stage.SCHEMA.names
    if name in SCHEMA.names and name not in ("run_id", "error_code", "error_message")
]


STAGES = ("measure", "classify", "route", "features", "caption")


def build_rows(plan: RunPlan, batch: BatchPlan, settings: Settings, version: int) -> list[dict]:
    """Return one row per item of a batch that the run works on, in the order of the register."""
    rows: list[dict] = []
    for number in range(batch.shards):
        shard = ShardRef(batch_id=batch.batch_id, batch_date=batch.batch_date, shard=number)
        rows.extend(_shard_rows(ShardWork(plan, shard, settings), version))
    return rows


def to_table(rows: list[dict]) -> pa.Table:
    """Return rows as a table with the published columns, floats rounded as the columns state."""
    return pa.Table.from_pylist([round_floats(row) for row in rows], schema=SCHEMA)


def _shard_rows(work: ShardWork, version: int) -> Iterable[dict]:
    fingerprints, items = work.fingerprints, work.items
    measured = _read(work.cache(measure_stage.STAGE, measure_stage.SCHEMA), fingerprints.measure, items)
    classified = _read(work.cache(classify_stage.STAGE, classify_stage.SCHEMA), fingerprints.classify, items)
    photos = [item for item in items if classified.get(item.key, {}).get("label") == PHOTO]
    routed = _read(
        work.cache(route_stage.STAGE, route_stage.SCHEMA),
        lambda item: fingerprints.route(item, classified.get(item.key, {}).get("label")),
        items,
    )
    features = _read(features_stage.cache_of(work), fingerprints.features, photos, ["fingerprint", "run_id", "seconds"])
    captions = _read(work.cache(caption_stage.STAGE, caption_stage.SCHEMA), fingerprints.caption, photos)
    for item in items:
        key = item.key
        yield {
            **_provenance(work, item),
            **_measured(work, item, measured.get(key)),
            **_classified(work, item, classified.get(key)),
            **_routed(routed.get(key)),
            **_features(work, item, features.get(key)),
            **_captioned(work, item, captions.get(key)),
            **_outcome(item, measured, classified, routed, features, captions),
            **_run(work, version),
            "reused_stages": [
                stage
                for stage, found in zip(STAGES, (measured, classified, routed, features, captions), strict=True)
                if key in found and found[key]["run_id"] != work.plan.run_id
            ],
        }


def _read(
    cache: Cache, fingerprint_of: Callable[[Item], str], items: list[Item], columns: list[str] | None = None
) -> dict:
    """Return the committed rows by the key of the item; items without a result are left out."""
    wanted = {item.key: fingerprint_of(item) for item in items}
    rows = cache.rows(wanted.values(), columns)
    return {key: rows[found] for key, found in wanted.items() if found in rows}


def _provenance(work: ShardWork, item: Item) -> dict:
    return {
        "batch_id": item.batch_id,
        "batch_date": item.batch_date,
        "batch_name": item.batch_name,
        "source_path": item.source_path,
        "page": item.page,
        "pages": item.pages,
        "image_id": item.image_id,
        "sha256": item.sha256,
        "original_uri": work.lake.url(item.original),
        "bytes": item.bytes,
        "format": item.format,
        "duplicate_of": item.duplicate_of,
    }


def _measured(work: ShardWork, item: Item, row: dict | None) -> dict:
    if row is None:
        return {}
    return {
        **{name: row[name] for name in MEASURED_COLUMNS},
        "enhancement_method": work.plan.enhancement,
        "restorer_version": version_of(work.plan.restorer) if work.plan.enhancement == "auto" else None,
        "fingerprint_measure": work.fingerprints.measure(item),
        "seconds_measure": row["seconds"],
    }


def _classified(work: ShardWork, item: Item, row: dict | None) -> dict:
    if row is None:
        return {}
    return {
        "label": row["label"],
        "confidence": row["confidence"],
        **{CLASS_COLUMNS[name]: value for name, value in zip(CLASSES, row["probabilities"], strict=True)},
        "is_photo": row["label"] == PHOTO,
        "needs_review": not row["confidence"] >= work.plan.review_confidence,  # also where it is no number
        "classifier_version": version_of(work.plan.classifier),
        "fingerprint_classify": work.fingerprints.classify(item),
        "seconds_classify": row["seconds"],
    }


def _routed(row: dict | None) -> dict:
    if row is None:
        return {}
    return {
        "destination_uri": row["destination_uri"],
        "fingerprint_route": row["fingerprint"],
        "seconds_route": row["seconds"],
    }


def _features(work: ShardWork, item: Item, row: dict | None) -> dict:
    if row is None:
        return {}
    return {
        "features_uri": work.lake.url(features_stage.cache_of(work).folder),
        "extractor_version": version_of(work.plan.extractor),
        "fingerprint_features": work.fingerprints.features(item),
        "seconds_features": row["seconds"],
    }


def _captioned(work: ShardWork, item: Item, row: dict | None) -> dict:
    if row is None:
        return {}
    return {
        "caption": row["caption"],
        "caption_words": row["words"],
        "caption_log_probability": row["log_probability"],
        "caption_alternatives": row["alternatives"],
        "attention_uri": work.lake.url(caption_stage.attention_of(work).folder),
        "captioner_version": version_of(work.plan.captioner),
        "fingerprint_caption": work.fingerprints.caption(item),
        "seconds_caption": row["seconds"],
    }


def _outcome(item: Item, measured: dict, classified: dict, routed: dict, features: dict, captions: dict) -> dict:
    """Status and error of one item, from the first stage that has no result for it."""
    key = item.key
    if key not in measured:
        return _failed("measure_and_enhance")
    error = measured[key]["error_code"]
    if error and key in routed:
        status = STATUS_FAILED if error == ErrorCode.INTERNAL else STATUS_QUARANTINED
        return {"status": status, "error_code": error, "error_message": measured[key]["error_message"]}
    if key not in classified and not error:
        return _failed("classify")
    if key not in routed:
        return _failed("route")
    if classified[key]["label"] == PHOTO:
        if key not in features:
            return _failed("extract_features")
        if key not in captions:
            return _failed("caption")
    return {"status": STATUS_OK}


def _failed(task: str) -> dict:
    return {
        "status": STATUS_FAILED,
        "error_code": ErrorCode.NO_RESULT,
        "error_message": f"the task {task} left no result for this image: see the log of its shard",
    }


def _run(work: ShardWork, version: int) -> dict:
    return {
        "run_id": work.plan.run_id,
        "code_version": tounum_tasks.__version__,
        "manifest_version": version,
        "schema_version": SCHEMA_VERSION,
    }
