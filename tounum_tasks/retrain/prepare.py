"""The first step of a retraining: checks everything that can be checked before hours are spent."""

import datetime as dt
import logging
import shutil
from pathlib import Path

from tounum_tasks.corrections.export import export
from tounum_tasks.datasets.check import check_pictures
from tounum_tasks.datasets.views import MOST_WINDOWS
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.files import write_json
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.names import safe_key
from tounum_tasks.plan import ModelPin
from tounum_tasks.retrain.data_set import CORRECTIONS
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.table import TRAININGS
from tounum_tasks.retrain.training import DataSet, Training
from tounum_tasks.retrain.unseen import unseen_by
from tounum_tasks.retrain.work_folder import (
    CORRECTIONS_FOLDER,
    PLAN_FILE,
    read_json,
    remove_abandoned,
    remove_checkpoints,
    retrain_folder,
    work_folder,
)
from tounum_tasks.settings import Settings

log = logging.getLogger(__name__)


def prepare(request: RetrainRequest, settings: Settings) -> RetrainPlan:
    """Check the parameters, the data set and the disk; fix version, initial model and work folder.

    Called again for the same run it returns the same plan, so that a training goes on. If what is trained on was mended
    in between, it begins anew, with the features of the other images.

    Raises:
        ConfigurationError: a parameter, the data set or a picture of it cannot be used, the run's model is
            registered already, or this machine lacks what trains.
        EnvironmentFault: there is not enough space.
    """
    require_keras("A retraining")
    training, registry = TRAININGS[request.model], Registry.of(settings)
    epochs = _checked_epochs(request, training)
    version = request.started_at.astimezone(dt.UTC).strftime("%Y.%m.%d-%H%M%S")
    work = f"{request.model}-{version}-{safe_key(request.run_id)[:8]}"
    data = _read(request, training, settings, retrain_folder(settings) / work / CORRECTIONS_FOLDER)
    initial = training.initial(registry)
    data = unseen_by([registry.resolve(request.model).folder], data)  # better now than after hours
    plan = RetrainPlan(
        run_id=request.run_id,
        model=request.model,
        version=version,
        work=work,
        data=request.data,
        corrections=_wants_corrections(request),
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


def _wants_corrections(request: RetrainRequest) -> bool:
    return request.corrections or request.data == CORRECTIONS


def _read(request: RetrainRequest, training: Training, settings: Settings, corrections: Path) -> DataSet:
    """Export what people corrected, if it is asked for, and read all that is trained on; no picture is damaged."""
    if not _wants_corrections(request):
        data = training.read(request.data, settings, None)
        check_pictures(data.pictures)
        return data
    for sentence in export(settings, corrections).left_out:
        log.warning("%s", sentence)
    try:
        data = training.read(request.data, settings, corrections)
        check_pictures(data.pictures)
    except ConfigurationError:
        shutil.rmtree(corrections)  # nobody would clear it away: without a plan the folder belongs to no run
        raise
    return data


def _check_version_is_free(plan: RetrainPlan, settings: Settings) -> None:
    if any(found.version == plan.version for found in Registry.of(settings).versions(plan.model)):
        raise ConfigurationError(
            f"The {plan.model} {plan.version} of this run is in the registry already: start a new run instead."
        )


def _continued(plan: RetrainPlan, folder: Path) -> RetrainPlan:
    """The plan with the initial model of an earlier attempt, whose checkpoints are worthless with another one.

    Checkpoints go if what is trained on has changed. Features of single images stay, and so does everything if only the
    test images are others: a picture that was mended costs itself.
    """
    if not (folder / PLAN_FILE).exists():
        return plan
    earlier = RetrainPlan.from_json(read_json(folder / PLAN_FILE))
    continued = plan.model_copy(update={"initial": earlier.initial})
    tests_aside = {"images": {**earlier.images, "test": plan.images["test"]}, "test": plan.test}
    if continued == earlier.model_copy(update=tests_aside):
        return continued
    log.info("The data set has changed since the last attempt: the training begins anew.")
    remove_checkpoints(folder)
    return plan


def _check_space(plan: RetrainPlan, folder: Path, settings: Settings) -> None:
    needed = int(settings.min_free_gib * 2**30) + TRAININGS[plan.model].bytes_needed(plan)
    made = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if free + made < needed:
        raise EnvironmentFault(
            f"Training needs {needed / 2**30:.1f} GiB in {folder.parent}, but {free / 2**30:.1f} are free: make room."
        )
