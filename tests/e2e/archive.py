"""Photographs of earlier days, published by the starter models; the tests bring them to other captioners."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.airflow_installation import AirflowInstallation
from tests.pipeline.second_models import register_second_captioner
from tounum_tasks.cli.main import main
from tounum_tasks.manifest.read import latest_version
from tounum_tasks.manifest.schema import ITEM_COLUMNS
from tounum_tasks.models.registry import Registry
from tounum_tasks.plan import RunPlan
from tounum_tasks.publish import stage as publish
from tounum_tasks.sample.photos import photographs
from tounum_tasks.steps.shard import run_step
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.open import open_storage

FIRST, SECOND = "2025-07-01", "2025-07-02"
SHOWN = {FIRST: ("cat", "rocket"), SECOND: ("astronaut", "coffee")}
# Where things lie is not what they are; the lake that is compared with lies elsewhere.
COMPARED = [name for name in ITEM_COLUMNS if not name.endswith("_uri")]


@dataclass(frozen=True)
class Archive:
    """Two days with a batch of two photographs each, one shard; ``plans`` are those of the first runs, by day."""

    airflow: AirflowInstallation
    plans: dict[str, RunPlan]

    def add_captioner(self, version: str, ending: str) -> None:
        """Register a captioner that ends each of the starter's words with ``ending``."""
        register_second_captioner(self.airflow.lake, version, ending=ending)

    def promote(self, version: str) -> None:
        """Promote a captioner from the command line."""
        assert main(["models", "promote", "captioner", version, "--lake", str(self.airflow.lake)]) == 0

    def back_to_the_starter(self) -> None:
        """Undo every promotion of a captioner, and what was published with it."""
        (self.airflow.lake / "models" / "captioner" / "production.json").unlink(missing_ok=True)
        assert Registry(f"file://{self.airflow.lake}").production("captioner").startswith("starter-")
        for day in self.plans:
            given = ["--lake", str(self.airflow.lake), "--batch", self.batch_id(day), "--version", "1"]
            assert main(["restore", *given]) == 0

    def batch_id(self, day: str) -> str:
        (batch,) = self.plans[day].batches
        return batch.batch_id

    def version(self, day: str) -> int:
        """Return the number of the version that is current on a day."""
        lake = open_storage(self.airflow.settings.lake_root)
        return latest_version(lake, day, self.batch_id(day))

    def rows(self, day: str, lake: Path | None = None) -> pa.Table:
        """Return what the manifest of a day says about its photographs."""
        path = (lake or self.airflow.lake) / "manifests" / day / self.batch_id(day) / "manifest.parquet"
        return pq.read_table(path).select(COMPARED).replace_schema_metadata(None)

    def words(self, day: str) -> list[str]:
        """Return all words of the captions of a day."""
        return [word for words in self.rows(day)["caption_words"].to_pylist() for word in words]

    def undisturbed(self, version: str, scratch: Path) -> dict[str, pa.Table]:
        """Return by day what a run with a captioner comes to that nobody disturbs, without Airflow, on a copy."""
        lake = scratch / "lake"
        shutil.copytree(self.airflow.lake, lake)
        for day in self.plans:
            assert main(["run", "--lake", str(lake), "--batch-date", day, "--captioner", version]) == 0
        return {day: self.rows(day, lake) for day in self.plans}


def build_archive(airflow: AirflowInstallation) -> Archive:
    """Take the photographs in and publish them, as runs of these days did."""
    shown = photographs()
    plans = {}
    for day, names in SHOWN.items():
        files = {f"{name}.png": cv2.imencode(".png", shown[name][..., ::-1])[1].tobytes() for name in names}
        plans[day] = plan = airflow.take_in_earlier(day, f"Photographs of {day}", files)
        for shard in plan.shards():
            for step in STEPS:
                run_step(step.name, plan, shard, airflow.settings)
        publish.run(plan, airflow.settings)
    return Archive(airflow, plans)
