"""The first step of a retraining: checks everything that can be checked before hours are spent."""

import datetime as dt
import logging
import shutil
from pathlib import Path

from tounum_tasks.datasets.check import check_pictures
from tounum_tasks.datasets.views import MOST_WINDOWS
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.files import write_json
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.names import safe_key
from tounum_tasks.plan import ModelPin
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.table import TRAININGS
from tounum_tasks.retrain.training import Training
from tounum_tasks.retrain.work_folder import PLAN_FILE, read_json, registry_of, remove_abandoned, work_folder
from tounum_tasks.settings import Settings

log = logging.getLogger(__name__)


def prepare(request: RetrainRequest, settings: Settings) -> RetrainPlan:
    """Check the parameters, the data set and the disk; fix version, initial model and work folder.

    Called again for the same run it returns the same plan, so that a training goes on. If the data set was mended in
    between, the work that was done on the old one is thrown away.

    Raises:
        ConfigurationError: a parameter, the data set or a picture of it cannot be used, the run's model is
            registered already, or this machine lacks what trains.
        EnvironmentFault: there is not enough space.
    """
    require_keras("A retraining")
    training, registry = TRAININGS[request.model], registry_of(settings)
    epochs = _checked_epochs(request, training)
    data = training.read(request.data, settings)
    check_pictures(data.pictures)
    initial = training.initial(registry)
    plan = RetrainPlan(
        run_id=request.run_id,
        model=request.model,
        version=request.started_at.astimezone(dt.UTC).strftime("%Y.%m.%d-%H%M%S"),
        work="",
        data=request.data,
        epochs=epochs,
        extractor_epochs=request.extractor_epochs,
        reward_epochs=request.reward_epochs,
        windows=request.windows,
        seed=request.seed,
        auto_approve=request.auto_approve,
        notes=request.notes or "",
        initial=ModelPin(name=initial.name, version=initial.version, digest=initial.digest),
        data_fingerprint=data.fingerprint,
        images=data.images,
        test=data.test_source,
    )
    plan = plan.model_copy(update={"work": f"{plan.model}-{plan.version}-{safe_key(plan.run_id)[:8]}"})
    _check_version_is_free(plan, settings)
    for name in remove_abandoned(settings):
        log.info("Removed the checkpoints of %s, with which nobody went on.", name)
    folder = work_folder(plan, settings)
    plan = _continued(plan, folder)
    folder.mkdir(parents=True, exist_ok=True)
    _check_space(plan, folder, settings)
    write_json(folder / PLAN_FILE, plan.to_json())
    counts = ", ".join(f"{count} {split}" for split, count in plan.images.items())
    log.info("%s %s will be trained on %s (%s images), in %s.", plan.model, plan.version, plan.data, counts, folder)
    return plan


def _checked_epochs(request: RetrainRequest, training: Training) -> float:
    epochs = training.default_epochs if request.epochs is None else request.epochs
    training.check(request, epochs)
    if not 0 <= epochs <= 1000 or min(request.extractor_epochs, request.reward_epochs) < 0:
        raise ConfigurationError("Parameters: passes are numbers from 0 to 1000.")
    if not 0 <= request.windows <= MOST_WINDOWS:
        raise ConfigurationError(f"Parameter windows: a number from 0 to {MOST_WINDOWS}, not {request.windows}.")
    return epochs


def _check_version_is_free(plan: RetrainPlan, settings: Settings) -> None:
    if any(found.version == plan.version for found in registry_of(settings).versions(plan.model)):
        raise ConfigurationError(
            f"The {plan.model} {plan.version} of this run is in the registry already: start a new run instead."
        )


def _continued(plan: RetrainPlan, folder: Path) -> RetrainPlan:
    """The plan with the initial model of an earlier attempt, whose checkpoints are worthless with another one."""
    if not (folder / PLAN_FILE).exists():
        return plan
    earlier = RetrainPlan.from_json(read_json(folder / PLAN_FILE))
    continued = plan.model_copy(update={"initial": earlier.initial})
    if continued == earlier:
        return continued
    log.info("The data set has changed since the last attempt: the training begins anew.")
    shutil.rmtree(folder)
    return plan


def _check_space(plan: RetrainPlan, folder: Path, settings: Settings) -> None:
    needed = int(settings.min_free_gib * 2**30) + TRAININGS[plan.model].bytes_needed(plan)
    made = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if free + made < needed:
        raise EnvironmentFault(
            f"Training needs {needed / 2**30:.1f} GiB in {folder.parent}, but {free / 2**30:.1f} are free: make room."
        )
