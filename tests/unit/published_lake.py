"""A small lake with real files and manifests that went through the real commit, for tests of what reads them."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from tounum_tasks.manifest.commit import commit_version, install_latest
from tounum_tasks.manifest.schema import CLASS_COLUMNS, SCHEMA, SCHEMA_VERSION
from tounum_tasks.plan import BatchPlan, ModelPin, RunPlan
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps.shard import Cache
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

RUN_ID = "manual__2026-11-20T10:00:00+00:00"
DATE = "2026-11-20"


def make_settings(folder: Path) -> Settings:
    """Return settings with all roots below ``folder``; the lake exists."""
    (folder / "lake").mkdir(exist_ok=True)
    return load_settings(
        ingest_root=str(folder / "ingest"),
        lake_root=str(folder / "lake"),
        non_photos_root=str(folder / "non_photos"),
        quarantine_root=str(folder / "quarantine"),
    )


def make_plan(*batches: BatchPlan, **changes: object) -> RunPlan:
    """Return the plan of a run over ``batches``."""
    values = {
        "run_id": RUN_ID,
        "batch_date": DATE,
        "started_at": dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC),
        "items": "missing",
        "enhancement": "auto",
        "max_failure_rate": 0.2,
        "max_pixels": 200_000_000,
        "pdf_dpi": 300,
        "beam": 3,
        "review_confidence": 0.6,
        "classifier": ModelPin(name="classifier", version="starter-1", digest="c" * 64),
        "extractor": ModelPin(name="extractor", version="starter-1", digest="e" * 64),
        "captioner": ModelPin(name="captioner", version="starter-1", digest="a" * 64),
        "restorer": ModelPin(name="restorer", version="starter-2", digest="d" * 64),
        "code_version": "0.1.0",
        "batches": list(batches),
    }
    return RunPlan(**{**values, **changes})  # type: ignore[arg-type]


def picture(seed: int, *, noise: float = 0, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Draw something: uint8 HxWx3."""
    random = np.random.default_rng(seed)
    height, width = size
    canvas = np.full((height, width, 3), random.integers(60, 200, 3), np.float64)
    for _ in range(12):
        centre = int(random.integers(width)), int(random.integers(height))
        colour = random.integers(0, 255, 3).tolist()
        cv2.circle(canvas, centre, int(random.integers(8, 60)), colour, -1)
    return np.clip(canvas + random.normal(0, noise, canvas.shape) if noise else canvas, 0, 255).astype(np.uint8)


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def ok_row(settings: Settings, path: str, label: str, **values: object) -> dict:
    """Return the row of an image that lies where the pipeline would have put it; write its files there."""
    batch_id = values.setdefault("batch_id", "scans-0123456789")
    number = sum(path.encode())
    lake, below = open_storage(settings.lake_root), f"{DATE}/{batch_id}/{path}"
    lake.write_bytes(f"originals/{below}", png(picture(number, noise=25)))
    root, place = (lake, "photos") if label == "Photo" else (open_storage(settings.non_photos_root), label.lower())
    changed = label == "Photo" and number % 2 == 0
    root.write_bytes(f"{place}/{below}", png(picture(number, noise=5 if changed else 25)))
    confidence = 0.55 if number % 5 == 0 else 0.93
    others = dict.fromkeys(CLASS_COLUMNS.values(), (1 - confidence) / 4)
    row = {
        "width_px": 320,
        "height_px": 240,
        "original_uri": lake.url(f"originals/{below}"),
        "destination_uri": root.url(f"{place}/{below}"),
        "blur_laplacian_var_before": 900.0 + 40 * number % 3000,
        "blur_laplacian_var_after": 900.0 + 40 * number % 3000 + (700 if changed else 0),
        "noise_sigma_before": 1.0 + number % 17,
        "noise_sigma_after": (1.0 + number % 17) / (2 if changed else 1),
        "quality_flags_before": ["noisy"] if changed else [],
        "quality_flags_after": [],
        "enhancement_method": "auto",
        "enhancement_operations": ["denoise_light", "sharpen_light"] if changed else [],
        "enhancement_accepted": changed,
        "enhancement_reason": "less noise, no detail lost" if changed else "nothing to gain",
        "label": label,
        "label_source": "model",
        "model_label": label,
        "confidence": confidence,
        **others,
        CLASS_COLUMNS[label]: confidence,
        "is_photo": label == "Photo",
        "needs_review": confidence < 0.6,
        "status": "ok",
        "seconds_measure_and_enhance": 0.2,
        "seconds_classify": 0.05,
        "reused_stages": ["classify"] if number % 3 == 0 else [],
    }
    if label == "Photo":
        words = ["a", "dog", "runs", "on", "grass"]
        row |= {
            "caption": "a dog runs on grass",
            "caption_source": "model",
            "model_caption": "a dog runs on grass",
            "caption_words": words,
            "caption_log_probability": -4.2,
            "caption_alternatives": ["a dog on grass"],
            "fingerprint_caption": f"caption of {path}",
            "seconds_extract_features": 0.1,
            "seconds_caption": 0.02,
        }
    return common(path) | row | values


def bad_row(settings: Settings, path: str, status: str = "quarantined", **values: object) -> dict:
    """Return the row of a file that could not be read."""
    lake = open_storage(settings.lake_root)
    row = {
        "original_uri": lake.url(f"originals/{DATE}/scans-0123456789/{path}"),
        "status": status,
        "error_code": "truncated" if status == "quarantined" else "no_result",
        "error_message": "the JPEG file ends before its end marker",
        "seconds_measure_and_enhance": 0.01,
        "reused_stages": [],
    }
    return common(path) | row | values


def common(path: str) -> dict:
    return {
        "batch_id": "scans-0123456789",
        "batch_date": DATE,
        "batch_name": "Scans",
        "source_path": path,
        "page": 1,
        "pages": 1,
        "image_id": "0" * 64,
        "sha256": "0" * 64,
        "bytes": 1000,
        "run_id": RUN_ID,
        "code_version": "0.1.0",
        "manifest_version": 1,
        "schema_version": SCHEMA_VERSION,
    }


def publish(settings: Settings, rows: Sequence[dict], *, version: int = 1, base_version: int = 0) -> BatchPlan:
    """Commit and install a manifest of ``rows``, and return the batch as a plan has it."""
    table = pa.Table.from_pylist([{**row, "manifest_version": version} for row in rows], schema=SCHEMA)
    lake, first = open_storage(settings.lake_root), rows[0]
    commit_version(lake, table, version=version, expected_rows=len(rows), run_id=first["run_id"])
    install_latest(lake, first["batch_date"], first["batch_id"])
    return BatchPlan(
        batch_id=first["batch_id"],
        batch_date=first["batch_date"],
        items=len(rows),
        shards=1,
        base_version=base_version,
    )


def with_attention(settings: Settings, row: dict, batch: BatchPlan) -> dict:
    """Write attention maps for the caption of ``row`` and return the row that refers to them."""
    from tounum_tasks.steps.caption import ATTENTION_SCHEMA

    lake: Storage = open_storage(settings.lake_root)
    maps = np.random.default_rng(0).random((len(row["caption_words"]), 64)).astype("<f2")
    shard = make_plan(batch).shards()[0]
    entry = {"fingerprint": row["fingerprint_caption"], "words": row["caption_words"], "attention": maps.tobytes()}
    cache = Cache(lake, f"attention/{shard.batch_date}/{shard.batch_id}/{shard.name}", ATTENTION_SCHEMA)
    cache.commit([entry])
    return row | {"attention_uri": lake.url(cache.folder)}
