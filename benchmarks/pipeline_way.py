"""The pipeline's way: its own stages, over a lake of their own, as a nightly run has them."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stopwatch import PASSES, Seconds, timed

from tounum_tasks.intake.register import register
from tounum_tasks.plan import RunPlan, RunRequest, ShardRef
from tounum_tasks.publish import stage as publish_stage
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps import caption, extract_features, measure_and_enhance
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.shard import ShardWork, run_step

CHECKED = 16
Step = Callable[[RunPlan, ShardRef, Settings], dict]


def run_pipeline(folder: Path) -> dict[str, Any]:
    """Both passes over ``folder/images``; leaves features and captions of the photographs in ``folder/reference``."""
    passes = []
    for name in PASSES:
        print(f"  the pipeline, {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            passes.append(_pipeline_pass(folder, Path(scratch)))
    return {"passes": passes}


def _pipeline_pass(folder: Path, scratch: Path) -> Seconds:
    shutil.copytree(folder / "images", scratch / "ingest" / "batch")
    (scratch / "ingest" / "batch" / "_READY").touch()
    roots = {f"{root}_root": str(scratch / root) for root in ("ingest", "lake", "non_photos", "quarantine")}
    settings = load_settings(**roots)
    seconds: Seconds = {}
    with timed(seconds, "intake, routing, manifest"):
        plan = register(RunRequest(run_id="benchmark"), settings)
    classic, greedy = plan.model_copy(update={"enhancement": "classic"}), plan.model_copy(update={"beam": 1})
    steps = [
        ("measure, auto", "measure_and_enhance", plan),
        ("measure, classic", "measure_and_enhance", classic),
        ("classify", "classify", plan),
        ("features", "extract_features", plan),
        ("caption, beam", "caption", plan),
        ("caption, greedy", "caption", greedy),
        ("intake, routing, manifest", "route", plan),
    ]
    for stage, step, its_plan in steps:
        with timed(seconds, stage):
            for shard in plan.shards():
                run_step(step, its_plan, shard, settings)
    with timed(seconds, "intake, routing, manifest"):
        publish_stage.run(plan, settings)
    _write_reference(greedy, settings, folder / "reference")
    return seconds


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
