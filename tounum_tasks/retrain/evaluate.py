"""Measures the candidate and the model in production on the same test images, both anew; neither has learnt them."""

from __future__ import annotations

import logging
from typing import Any

from tounum_tasks.files import write_json
from tounum_tasks.models.card import read_version
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.trained_on import read_trained_on
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.table import TRAININGS, read_again
from tounum_tasks.retrain.unseen import unseen_by
from tounum_tasks.retrain.work_folder import EVALUATION_FILE, candidate_folder, work_folder
from tounum_tasks.settings import Settings

log = logging.getLogger(__name__)


def evaluate(plan: RetrainPlan, settings: Settings) -> dict[str, Any]:
    """Measure both models and write ``evaluation.json`` into the work folder.

    "Production" is what is in production now, not when the retraining began; the file names both by digest, and
    nothing else than what it names is ever promoted or replaced.

    Returns:
        versions and the deciding figures.

    Raises:
        ConfigurationError: the data set has changed, a model is missing or damaged, or has learnt all test images.
    """
    candidate = candidate_folder(plan, settings)
    card = read_version(candidate, name=plan.model)
    production = Registry.of(settings).resolve(plan.model)
    log.info("Measuring %s %s and, in production, %s.", plan.model, plan.version, production.version)
    data = read_again(plan, settings)
    tests = len(data.tests)
    data = unseen_by([candidate, production.folder], data)
    left_out = tests - len(data.tests)
    if left_out:
        log.info("%d of %d test images are left out: one of the two was trained on them.", left_out, tests)
    measured = TRAININGS[plan.model].measure(plan, settings, data, card, production)
    report = {
        "model": plan.model,
        "images": len(data.tests),
        "left_out": left_out,
        "production_says_what_it_learnt": read_trained_on(production.folder) is not None,
        "candidate": {"version": card.version, "digest": card.digest},
        "production": {"version": production.version, "digest": production.digest},
        **measured,
    }
    write_json(work_folder(plan, settings) / EVALUATION_FILE, report)
    return {name: report[name] for name in ("images", "candidate", "production")}
