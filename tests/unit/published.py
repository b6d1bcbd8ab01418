"""A small lake whose batch went through intake, measuring and routing; its classes are written as given.

The classes stand in for a trained model's, so that manifests can be tested in seconds; everything else is real.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.intake.register import pin_reviews
from tounum_tasks.intake.take_in import take_in
from tounum_tasks.items import read_items
from tounum_tasks.manifest.read import latest_version, manifest_path
from tounum_tasks.manifest.schema import ITEM_COLUMNS
from tounum_tasks.plan import BatchPlan, ModelPin, RunPlan
from tounum_tasks.publish import stage as publish
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import Settings
from tounum_tasks.steps.shard import ShardWork, run_step
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.open import open_storage

DATE = "2026-03-01"
FOR_PHOTOGRAPHS = {"extract_features", "caption"}


def small_settings(folder: Path, **options: object) -> Settings:
    return Settings(
        ingest_root=str(folder / "ingest"),
        lake_root=str(folder / "lake"),
        non_photos_root=str(folder / "non_photos"),
        quarantine_root=str(folder / "quarantine"),
        min_free_gib=0,
        **options,  # type: ignore[arg-type]
    )


def drop_pages(settings: Settings, count: int = 3, *, noisy: bool = False) -> None:
    """Put a marked batch ``Box`` of small drawings and one broken file into ingest; noisy ones can be enhanced."""
    box = Path(settings.ingest_root.removeprefix("file://"), "Box")
    box.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = np.full((40, 60, 3), 255, np.uint8)
        cv2.line(picture, (number, 0), (59, 39), (0, 0, 0), 2)
        if noisy:
            picture = np.random.default_rng(number).integers(0, 256, picture.shape, np.uint8)
        cv2.imwrite(str(box / f"{number}.png"), picture)
    (box / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (box / "_READY").touch()


def plan_for(settings: Settings, run_id: str, **options: object) -> RunPlan:
    """Take in what is ready and return the plan of a run over all batches of the date.

    ``options`` are fields of the plan, or pins of models by name.
    """
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
    models = ("classifier", "extractor", "captioner", "restorer")
    pins = {name: options.pop(name, ModelPin(name=name, version="test-1", digest=name)) for name in models}
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
        "batches": pin_reviews(lake, batches, ReviewStore(lake).effective()),
        "last_review": max((review.review_id for review in ReviewStore(lake).all()), default=None),
        "models": pins,
        **options,
    }
    return RunPlan.model_validate(values)


def process(plan: RunPlan, settings: Settings, label: str = "Text", shards: Sequence[int] | None = None) -> None:
    """Run the steps that all items have; every readable image of the given shards (default: all) gets ``label``."""
    for shard in plan.shards():
        for step in STEPS if shards is None or shard.shard in shards else ():
            if step.name == "classify":
                classify_as(plan, ShardWork(plan, shard, settings), label)
            elif step.name not in FOR_PHOTOGRAPHS:
                run_step(step.name, plan, shard, settings)


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
        for fingerprint in set(work.fingerprints("classify").values())
    ]
    work.cache("classify").commit(rows)


def pin(name: str, version: str) -> ModelPin:
    """A model that is not in any registry; its digest is its version."""
    return ModelPin(name=name, version=version, digest=version)


def caption_all(plan: RunPlan, settings: Settings, caption: str) -> None:
    """Run all steps; every readable image gets ``caption`` and features of nothing."""
    process(plan, settings, label="Photo")
    for shard in plan.shards():
        work = ShardWork(plan, shard, settings)
        common = {"run_id": plan.run_id, "seconds": 0.0}
        features = set(work.fingerprints("extract_features").values())
        rows = [{"fingerprint": one, **common, "features": bytes(64 * 2048 * 2)} for one in features]
        work.cache("extract_features").commit(rows)
        said = {"caption": caption, "words": caption.split(), "log_probability": -1.0, "alternatives": []}
        captions = set(work.fingerprints("caption").values())
        rows = [{"fingerprint": one, **common, **said} for one in captions]
        work.cache("caption").commit(rows)


def item_rows(table: pa.Table, root: str) -> list[dict]:
    """The rows with what describes the items; times are part of the batch's id, and roots of where things lie."""
    rows = table.select(list(ITEM_COLUMNS)).to_pylist()
    batch_id = rows[0]["batch_id"]
    return [
        {
            name: value.replace(batch_id, "ID").replace(root, "") if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in rows
    ]


class Night:
    """One batch of three pages and a broken file, in shards of two."""

    def __init__(self, folder: Path, *, noisy: bool = False) -> None:
        self.root = folder
        self.settings = small_settings(folder, shard_size=2)
        drop_pages(self.settings, noisy=noisy)
        self.lake = open_storage(self.settings.lake_root)

    def plan(self, run_id: str, **options: object) -> RunPlan:
        return plan_for(self.settings, run_id, **options)

    def publish(self, plan: RunPlan) -> dict:
        (batch,) = publish.run(plan, self.settings)["batches"]
        return batch

    def table(self, plan: RunPlan) -> pa.Table:
        return self.lake_table(plan.batches[0].batch_id)

    def lake_table(self, batch_id: str) -> pa.Table:
        """The manifest that is installed."""
        with self.lake.open(manifest_path(DATE, batch_id)) as file:
            return pq.read_table(file)

    def column(self, plan: RunPlan, name: str) -> list:
        return self.table(plan)[name].to_pylist()

    def copies(self, name: str) -> list[str]:
        """The buckets in which a file of the batch lies."""
        found = [path.relative_to(self.root) for path in self.root.rglob(name)]
        buckets = [str(path).partition(f"/{DATE}/")[0].removeprefix("lake/") for path in found]
        return sorted(bucket for bucket in buckets if bucket != "originals")

    @property
    def batch_id(self) -> str:
        (entry,) = self.lake.list_folder(f"manifests_history/{DATE}")
        return entry.name

    def statuses(self, plan: RunPlan) -> dict[str, str]:
        return {row["source_path"]: row["status"] for row in self.table(plan).to_pylist()}
