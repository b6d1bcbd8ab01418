"""The long step of a retraining: it can be killed at any moment, and goes on at its last checkpoint."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.registry import ModelVersion
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.retrain.data_set import read_caption_data, read_class_data
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.work_folder import PLAN_FILE, candidate_folder, read_json, registry_of, work_folder
from tounum_tasks.settings import Settings

log = logging.getLogger(__name__)


def train(plan: RetrainPlan, settings: Settings) -> dict[str, Any]:
    """Train the candidate in the work folder; nothing is registered.

    Returns:
        version, and figures on the images that the training validates on.

    Raises:
        ConfigurationError: the data set has changed since ``prepare``, an image is damaged, or the initial model is
            not what it was.
    """
    folder = work_folder(plan, settings)
    read_json(folder / PLAN_FILE)  # another machine may not see the folder
    if any(entry.name != PLAN_FILE for entry in folder.iterdir()):
        log.info("An earlier attempt left its work in %s: the training goes on from its last checkpoint.", folder)
    figures = _captioner(plan, settings) if plan.model == "captioner" else _classifier(plan, settings)
    log.info("Trained %s %s; it lies in %s.", plan.model, plan.version, candidate_folder(plan, settings))
    return {"version": plan.version, "validation": figures}


def initial_version(plan: RetrainPlan, settings: Settings) -> ModelVersion:
    """Return the version that the training begins with.

    Raises:
        ConfigurationError: it is missing, damaged or was replaced since ``prepare``.
    """
    found = registry_of(settings).resolve(plan.initial.name, plan.initial.version)
    if found.digest != plan.initial.digest:
        raise ConfigurationError(
            f"The {plan.initial.name} {plan.initial.version} was replaced since the run began: start a new run."
        )
    return found


def check_data_is_the_same(plan: RetrainPlan, fingerprint: str) -> None:
    """Refuse a data set that is not the one that ``prepare`` saw.

    Raises:
        ConfigurationError: it has changed.
    """
    if fingerprint != plan.data_fingerprint:
        raise ConfigurationError(
            f"The data set '{plan.data}' has changed since the run began: clear the run from its task prepare on, or "
            "start a new one."
        )


def _captioner(plan: RetrainPlan, settings: Settings) -> dict[str, Any]:
    data = read_caption_data(plan.data, settings).data
    check_data_is_the_same(plan, data.fingerprint)
    from tounum_tasks.training.captioner import CURVES_FILE, TrainingSettings
    from tounum_tasks.training.captioner_run import train_captioner

    initial = initial_version(plan, settings)
    out = work_folder(plan, settings)
    figures = train_captioner(
        data,
        out,
        TrainingSettings(
            seed=plan.seed,
            head_epochs=plan.extractor_epochs,
            decoder_epochs=int(plan.epochs),
            reward_epochs=plan.reward_epochs,
            windows=plan.windows,
        ),
        read_safetensors(initial.folder / "weights.safetensors"),
        version=plan.version,
        notes=plan.notes,
        extractor_digest=initial.digest,
    )
    _keep(out / "work" / CURVES_FILE, out)
    return {name: figure for name, figure in figures.items() if isinstance(figure, dict)}


def _classifier(plan: RetrainPlan, settings: Settings) -> dict[str, Any]:
    data = read_class_data(plan.data, settings)
    check_data_is_the_same(plan, data.fingerprint)
    from tounum_tasks.training.classifier import Recipe
    from tounum_tasks.training.classifier import train as train_classifier

    card = train_classifier(
        data.training,
        read_safetensors(initial_version(plan, settings).folder / "weights.safetensors"),
        Recipe(passes=plan.epochs, seed=plan.seed),
        work_folder(plan, settings),
        version=plan.version,
        notes=plan.notes,
    )
    validation = card.metrics["validation"]
    return {name: validation[name] for name in ("images", "accuracy", "macro_f1")}


def _keep(file: Path, folder: Path) -> None:
    """Copy a file to where it outlives the checkpoints."""
    if file.exists():
        shutil.copyfile(file, folder / file.name)
