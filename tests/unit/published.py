"""A small lake whose batch went through intake, measuring and routing; its classes are written as given.

The classes stand in for a trained model's, so that manifests can be tested in seconds; everything else is real.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tounum_tasks.classify import stage as classify_stage
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.intake.take_in import take_in
from tounum_tasks.items import read_items
from tounum_tasks.manifest.read import latest_version
from tounum_tasks.plan import BatchPlan, ModelPin, RunPlan
from tounum_tasks.quality import stage as measure_stage
from tounum_tasks.route import stage as route_stage
from tounum_tasks.settings import Settings
from tounum_tasks.stages import ShardWork
from tounum_tasks.storage import open_storage

DATE = "2026-03-01"


def small_settings(folder: Path, **options: object) -> Settings:
    return Settings(
        ingest_root=str(folder / "ingest"),
        lake_root=str(folder / "lake"),
        non_photos_root=str(folder / "non_photos"),
        quarantine_root=str(folder / "quarantine"),
        min_free_gib=0,
        **options,  # type: ignore[arg-type]
    )


def drop_pages(settings: Settings, count: int = 3) -> None:
    """Put a marked batch ``Box`` of small drawings and one broken file into ingest."""
    box = Path(settings.ingest_root.removeprefix("file://"), "Box")
    box.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = np.full((40, 60, 3), 255, np.uint8)
        cv2.line(picture, (number, 0), (59, 39), (0, 0, 0), 2)
        cv2.imwrite(str(box / f"{number}.png"), picture)
    (box / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (box / "_READY").touch()


def plan_for(settings: Settings, run_id: str, **options: object) -> RunPlan:
    """Take in what is ready and return the plan of a run over all batches of the date."""
    lake = open_storage(settings.lake_root)
    Path(settings.ingest_root.removeprefix("file://")).mkdir(exist_ok=True)
    take_in(open_storage(settings.ingest_root), lake, DATE, settings)
    batches = []
    for entry in lake.list_folder(f"registers/{DATE}"):
        items = read_items(lake, DATE, entry.name)
        batches.append(
            BatchPlan(
                batch_id=entry.name,
                batch_date=DATE,
                items=len(items),
                shards=items[-1].shard + 1,
                base_version=latest_version(lake, DATE, entry.name),
            )
        )
    pins = {
        name: ModelPin(name=name, version="test-1", digest=name) for name in ("classifier", "extractor", "captioner")
    }
    values = {
        "run_id": run_id,
        "batch_date": DATE,
        "started_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        "items": "missing",
        "enhancement": "off",
        "max_failure_rate": 0.5,
        "max_pixels": settings.max_pixels,
        "pdf_dpi": settings.pdf_dpi,
        "beam": 3,
        "review_confidence": 0.6,
        "code_version": "test",
        "batches": batches,
        **pins,
        **options,
    }
    return RunPlan.model_validate(values)


def process(plan: RunPlan, settings: Settings, label: str = "Text", shards: Sequence[int] | None = None) -> None:
    """Run the stages that need no model; every readable image of the given shards (default: all) gets ``label``."""
    for shard in plan.shards():
        if shards is None or shard.shard in shards:
            measure_stage.run(plan, shard, settings)
            classify_as(plan, ShardWork(plan, shard, settings), label)
            route_stage.run(plan, shard, settings)


def classify_as(plan: RunPlan, work: ShardWork, label: str) -> None:
    probabilities = [0.9 if name == label else 0.025 for name in CLASSES]
    rows = [
        {
            "fingerprint": fingerprint,
            "run_id": plan.run_id,
            "seconds": 0.0,
            "label": label,
            "confidence": 0.9,
            "probabilities": probabilities,
        }
        for fingerprint in {work.fingerprints.classify(item) for item in measure_stage.measured(work)}
    ]
    work.cache(classify_stage.STAGE, classify_stage.SCHEMA).commit(rows)
