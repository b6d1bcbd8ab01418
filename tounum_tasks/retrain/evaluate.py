"""Measures the candidate and the model in production on the same test images, both anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tounum_tasks.files import write_json
from tounum_tasks.models.card import ModelCard, read_version
from tounum_tasks.models.registry import ModelVersion
from tounum_tasks.retrain.data_set import read_caption_data, read_class_data
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.train import check_data_is_the_same, initial_version
from tounum_tasks.retrain.work_folder import EVALUATION_FILE, candidate_folder, registry_of, work_folder
from tounum_tasks.settings import Settings

EXAMPLES = 5
GREEDY = 1
log = logging.getLogger(__name__)


def evaluate(plan: RetrainPlan, settings: Settings) -> dict[str, Any]:
    """Measure both models and write ``evaluation.json`` into the work folder.

    "Production" is what is in production now, not when the retraining began; the file names both by digest, and
    nothing else than what it names is ever promoted or replaced.

    Returns:
        versions and the deciding figures.

    Raises:
        ConfigurationError: the data set has changed, or a model is missing or damaged.
    """
    card = read_version(candidate_folder(plan, settings), name=plan.model)
    production = registry_of(settings).resolve(plan.model)
    log.info("Measuring %s %s and, in production, %s.", plan.model, plan.version, production.version)
    measure = _captioners if plan.model == "captioner" else _classifiers
    measured = measure(plan, settings, card, production)
    report = {
        "model": plan.model,
        "images": plan.images["test"],
        "candidate": {"version": card.version, "digest": card.digest},
        "production": {"version": production.version, "digest": production.digest},
        **measured,
    }
    write_json(work_folder(plan, settings) / EVALUATION_FILE, report)
    return {name: report[name] for name in ("images", "candidate", "production")}


def _captioners(plan: RetrainPlan, settings: Settings, card: ModelCard, production: ModelVersion) -> dict[str, Any]:
    data = read_caption_data(plan.data, settings).data
    check_data_is_the_same(plan, data.fingerprint)
    from tounum_tasks.evaluation.measure import measure_captioner

    images = data.split("test")
    beams = sorted({GREEDY, settings.beam})
    partner = registry_of(settings).partner(production, "extractor")
    figures, said = {}, {}
    for name, folder, extractor in (
        ("production", production.folder, partner.folder),
        ("candidate", candidate_folder(plan, settings), _own_extractor(plan, settings, card)),
    ):
        figures[name], captions = measure_captioner(folder, extractor, images, beams)
        said[name] = [caption.text for caption in captions[settings.beam]]
    return {
        "beam": settings.beam,
        "figures": figures,
        "examples": [
            {"image": images[index].name, **{name: texts[index] for name, texts in said.items()}}
            for index in _spread(images)
        ],
    }


def _own_extractor(plan: RetrainPlan, settings: Settings, card: ModelCard) -> Path:
    """Where the candidate's extractor lies: beside it if it was trained, or else the one that training began with."""
    trained = candidate_folder(plan, settings, "extractor")
    initial = initial_version(plan, settings)
    return initial.folder if card.partners.get("extractor") == initial.digest else trained


def _classifiers(plan: RetrainPlan, settings: Settings, card: ModelCard, production: ModelVersion) -> dict[str, Any]:
    data = read_class_data(plan.data, settings)
    check_data_is_the_same(plan, data.fingerprint)
    from tounum_tasks.evaluation.measure import measure_classifier

    folders = {"production": production.folder, "candidate": candidate_folder(plan, settings)}
    return {"figures": {name: measure_classifier(folder, data.test) for name, folder in folders.items()}}


def _spread(images: Sequence[object]) -> list[int]:
    """Indices of a few images, from the first to the last."""
    count = min(EXAMPLES, len(images))
    return [index * (len(images) - 1) // max(count - 1, 1) for index in range(count)]
