"""The work folder of a retraining: plan, checkpoints, caches, the candidate, what was measured.

::

    TRAINING/retrain/MODEL-VERSION-xxxxxxxx/plan.json
                                            evaluation.json, comparison.md, question.md       small, kept
                                            curves and other pictures                         small, kept
                                            captioner|classifier|extractor/VERSION/           until registered
                                            everything else                                   until the end

It belongs to one run, is the same for every attempt of that run, and must be reachable from every worker.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.model_kinds import KINDS
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.settings import Settings

PLAN_FILE = "plan.json"
EVALUATION_FILE = "evaluation.json"
COMPARISON_FILE = "comparison.md"
QUESTION_FILE = "question.md"
CORRECTIONS_FOLDER = "corrections"
FEATURES = ("features", "work/cache")
"""Where trainings keep the features of images, found by the images' bytes: of use to any other training."""
ABANDONED_DAYS = 30


def retrain_folder(settings: Settings) -> Path:
    """Return the folder that holds the work folders."""
    return Path(settings.training_root.removeprefix("file://")) / "retrain"


def work_folder(plan: RetrainPlan, settings: Settings) -> Path:
    """Return the work folder of a retraining."""
    return retrain_folder(settings) / plan.work


def corrections_folder(plan: RetrainPlan, settings: Settings) -> Path | None:
    """Return where the export of corrections lies that a retraining learns from, or None if it does not."""
    return work_folder(plan, settings) / CORRECTIONS_FOLDER if plan.corrections else None


def candidate_folder(plan: RetrainPlan, settings: Settings, name: str | None = None) -> Path:
    """Return where the candidate lies; ``name`` is another model that was trained with it (``extractor``)."""
    return work_folder(plan, settings) / (name or plan.model) / plan.version


def read_json(path: Path) -> Any:
    """Return the content of a file of JSON that an earlier step wrote.

    Raises:
        EnvironmentFault: there is none, because an earlier step did not run or ran on a machine with another disk.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"{path} does not exist: TOUNUM_TRAINING_ROOT must be a folder that all workers share. If it is, clear "
            "the run from its first task on."
        ) from error


def remove_working_files(folder: Path, *, keep_candidate: bool) -> None:
    """Remove caches and checkpoints from a work folder; files that lie directly in it stay.

    Args:
        keep_candidate: leave the versions that were trained.
    """
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink() and not (keep_candidate and entry.name in KINDS):
            shutil.rmtree(entry)


def remove_checkpoints(folder: Path) -> None:
    """Remove what was trained and measured on other data; features of images and exported corrections stay."""
    kept = {folder / name for name in (CORRECTIONS_FOLDER, *FEATURES)}
    parents = {parent for path in kept for parent in path.parents}
    for entry in [*folder.iterdir(), *(folder / "work").glob("*")]:
        if entry in kept or entry in parents:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove_abandoned(settings: Settings, *, now: float | None = None) -> list[str]:
    """Remove caches and checkpoints of retrainings that nobody went on with for 30 days; return their folders' names.

    Only folders that hold a plan are touched; what was measured, and candidates, stay.
    """
    border = (now or time.time()) - ABANDONED_DAYS * 24 * 3600
    removed = []
    for plan in sorted(retrain_folder(settings).glob(f"*/{PLAN_FILE}")):
        folder = plan.parent
        entries = [entry for entry in folder.rglob("*") if entry.is_dir() or entry.parent == folder]
        leftovers = [entry for entry in folder.iterdir() if entry.is_dir() and entry.name not in KINDS]
        if leftovers and max(entry.stat().st_mtime for entry in entries) < border:
            remove_working_files(folder, keep_candidate=True)
            removed.append(folder.name)
    return removed
