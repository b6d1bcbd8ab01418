"""The pipeline's way: its own stages, over a lake of their own, as a nightly run has them."""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from stopwatch import PASSES, Stages, peak_mib, timed

from tounum_tasks.intake.register import register
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.publish import stage as publish_stage
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps import caption, extract_features, measure_and_enhance
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.shard import ShardWork, run_step

CHECKED = 16


EXTRA = "intake, routing, manifest"
SHIPPED = (
    ("measure, auto", "measure_and_enhance"),
    ("classify", "classify"),
    ("features", "extract_features"),
    ("caption, beam", "caption"),
    (EXTRA, "route"),
)
VARIANTS = (
    ("measure, off", "measure_and_enhance", {"enhancement": "off"}),
    ("measure, classic", "measure_and_enhance", {"enhancement": "classic"}),
    ("caption, greedy", "caption", {"beam": 1}),
)


def run_pipeline(folder: Path) -> dict[str, Any]:
    """Both passes over ``folder/images``; leaves features and captions of the photographs in ``folder/reference``."""
    passes = []
    for name in PASSES:
        print(f"  the pipeline, {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            stages, plan, settings = run_shipped(folder / "images", Path(scratch))
            for stage, step, changes in VARIANTS:
                _run_step(stages, stage, step, plan.model_copy(update=changes), settings)
            _write_reference(plan.model_copy(update={"beam": 1}), settings, folder / "reference")
        passes.append(stages)
    return {"passes": passes, "peak_mib": peak_mib()}


def run_shipped(images: Path, scratch: Path) -> tuple[Stages, RunPlan, Settings]:
    """Take the images in and run the stages as they are shipped, over a new lake below ``scratch``."""
    shutil.copytree(images, scratch / "ingest" / "batch")
    (scratch / "ingest" / "batch" / "_READY").touch()
    roots = {f"{root}_root": str(scratch / root) for root in ("ingest", "lake", "non_photos", "quarantine")}
    settings = load_settings(**roots)
    stages: Stages = {}
    with timed(stages, EXTRA):
        plan = register(RunRequest(run_id="benchmark"), settings)
    for stage, step in SHIPPED:
        _run_step(stages, stage, step, plan, settings)
    with timed(stages, EXTRA):
        publish_stage.run(plan, settings)
    return stages, plan, settings


def _run_step(stages: Stages, stage: str, step: str, plan: RunPlan, settings: Settings) -> None:
    with timed(stages, stage):
        for shard in plan.shards():
            run_step(step, plan, shard, settings)


def _write_reference(plan: RunPlan, settings: Settings, reference: Path) -> None:
    """Write what the notebooks' way is compared with: captions, features, and model inputs of the first photographs."""
    reference.mkdir(exist_ok=True)
    captions: dict[str, list[str]] = {}
    inputs: list[np.ndarray] = []
    checked: list[np.ndarray] = []
    for shard in plan.shards():
        work = ShardWork(plan, shard, settings)
        rows = work.cache("caption")
        for item in photographs(work):
            name = Path(item.source_path).stem
            found = work.cache("extract_features").rows([extract_features.fingerprint(work, item)])
            features = np.frombuffer(next(iter(found.values()))["features"], "<f2").reshape(64, 2048)
            np.save(reference / f"{name}.npy", features.astype(np.float32))
            captions[name] = next(iter(rows.rows([caption.fingerprint(work, item)]).values()))["words"]
            if len(inputs) < CHECKED:
                measured = [measure_and_enhance.fingerprint(work, item)]
                inputs += [pixels[0] for _, pixels in measure_and_enhance.read_inputs(work, measured, batch_size=1)]
                checked.append(features)
    np.savez(reference / "check.npz", inputs=np.stack(inputs), features=np.stack(checked))
    (reference / "captions.json").write_text(json.dumps(captions))
