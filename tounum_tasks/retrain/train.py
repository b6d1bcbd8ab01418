"""The long step of a retraining: it can be killed at any moment, and goes on at its last checkpoint."""

from __future__ import annotations

import logging
from typing import Any

from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.table import TRAININGS, read_again
from tounum_tasks.retrain.work_folder import CORRECTIONS_FOLDER, PLAN_FILE, candidate_folder, read_json, work_folder
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
    if any(entry.name not in (PLAN_FILE, CORRECTIONS_FOLDER) for entry in folder.iterdir()):
        log.info("An earlier attempt left its work in %s: the training goes on from its last checkpoint.", folder)
    figures = TRAININGS[plan.model].train(plan, settings, read_again(plan, settings))
    log.info("Trained %s %s; it lies in %s.", plan.model, plan.version, candidate_folder(plan, settings))
    return {"version": plan.version, "validation": figures}
