"""The last decision of a retraining: what was approved, and nothing else, goes into production."""

import logging
from typing import Any

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import CARD_FILE, read_version
from tounum_tasks.models.registry import Registry
from tounum_tasks.retrain.compare import comparison_of
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.table import TRAININGS
from tounum_tasks.retrain.work_folder import (
    EVALUATION_FILE,
    candidate_folder,
    read_json,
    remove_working_files,
    work_folder,
)
from tounum_tasks.settings import Settings

log = logging.getLogger(__name__)


def may_promote_unasked(plan: RetrainPlan, *, is_better: bool) -> bool:
    """Whether the candidate goes into production without a person: only where that was wanted and it is better."""
    return plan.auto_approve and is_better


def promote(plan: RetrainPlan, settings: Settings, *, approved_by: str | None) -> dict[str, Any]:
    """Register the candidate, with the extractor that was trained with it, and put it into production in one step.

    Called again after a kill it completes what the first call began.

    Args:
        approved_by: who approved it; None if nobody was asked.

    Returns:
        ``model``, ``version``, ``digest``, ``replaced`` (the version that was in production) and ``approved_by``.

    Raises:
        ConfigurationError: nobody approved a candidate that may not be promoted unasked, or candidate or production
            are not those that were compared.
    """
    evaluation = read_json(work_folder(plan, settings) / EVALUATION_FILE)
    comparison = comparison_of(evaluation)
    if approved_by is None and not may_promote_unasked(plan, is_better=comparison.is_better):
        raise ConfigurationError(
            f"Nobody approved {plan.model} {plan.version}, which is {comparison.verdict} than "
            f"{comparison.production}: it is not promoted."
        )
    registry = Registry.of(settings)
    digests = {name: evaluation[name]["digest"] for name in ("candidate", "production")}
    current = registry.resolve(plan.model)
    if current.digest not in digests.values():
        raise ConfigurationError(
            f"The {plan.model} {current.version} was promoted since {plan.version} was compared with "
            f"{comparison.production}, so the two were never compared: start a new run, or decide by hand."
        )
    folder = candidate_folder(plan, settings)
    if not folder.exists():  # an earlier call has registered it, and its work folder was tidied since
        folder = registry.resolve(plan.model, plan.version).folder
    if read_version(folder, name=plan.model).digest != digests["candidate"]:
        raise ConfigurationError(f"{folder} is not what was measured and approved: start a new run.")
    for name in TRAININGS[plan.model].trains_too:
        trained = candidate_folder(plan, settings, name)
        if (trained / CARD_FILE).exists():
            partner = registry.register(trained)  # before the candidate that names it
            log.info("Registered %s %s.", name, partner.version)
    registered = registry.register(folder)
    registry.promote(plan.model, registered.version)
    log.info("%s %s is in production; before it was %s.", plan.model, registered.version, comparison.production)
    return {
        "model": plan.model,
        "version": registered.version,
        "digest": registered.digest,
        "replaced": comparison.production,
        "approved_by": approved_by,
    }


def tidy(plan: RetrainPlan, settings: Settings) -> str:
    """End a retraining: remove checkpoints and caches, and say how it ended. A candidate that was rejected stays."""
    registry = Registry.of(settings)
    production = registry.production(plan.model)
    is_registered = any(found.version == plan.version for found in registry.versions(plan.model))
    remove_working_files(work_folder(plan, settings), keep_candidate=not is_registered)
    if production == plan.version:
        sentence = f"{plan.model} {plan.version} is in production."
    elif is_registered:
        sentence = f"{plan.model} {plan.version} is in the registry; {production} is in production."
    else:
        sentence = (
            f"{plan.model} {plan.version} was rejected: {production} stays in production, nothing was registered. "
            f"The rejected candidate is kept in {candidate_folder(plan, settings)}."
        )
    log.info("%s", sentence)
    return sentence
