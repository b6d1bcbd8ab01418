"""The first step of a retraining: checks everything that can be checked before hours are spent."""

import datetime as dt
import logging
import shutil
from pathlib import Path

from tounum_tasks.datasets.check import check_pictures
from tounum_tasks.datasets.views import MOST_WINDOWS
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.files import write_json
from tounum_tasks.models.registry import ModelVersion
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.names import safe_key
from tounum_tasks.plan import ModelPin
from tounum_tasks.retrain.data_set import read_caption_data, read_class_data
from tounum_tasks.retrain.plan import DEFAULT_EPOCHS, RetrainPlan, RetrainRequest
from tounum_tasks.retrain.work_folder import PLAN_FILE, read_json, registry_of, remove_abandoned, work_folder
from tounum_tasks.settings import Settings

BYTES_PER_VIEW = 64 * 2048 * 2  # features of an image as it is, mirrored, or through a window: float16, uncompressed
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
    epochs = _checked_epochs(request)
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
        initial=_pin(_initial(request.model, settings)),
        **_describe_data(request, settings),
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


def _checked_epochs(request: RetrainRequest) -> float:
    epochs = DEFAULT_EPOCHS[request.model] if request.epochs is None else request.epochs
    if request.model == "captioner" and (epochs < 1 or epochs != int(epochs)):
        raise ConfigurationError(f"Parameter epochs: {epochs:g} passes are no whole number from 1 on.")
    if request.model == "classifier" and (request.extractor_epochs or request.reward_epochs or request.windows):
        raise ConfigurationError(
            "Parameters extractor_epochs, reward_epochs and windows are for the captioner: set them to 0."
        )
    if not 0 <= epochs <= 1000 or min(request.extractor_epochs, request.reward_epochs) < 0:
        raise ConfigurationError("Parameters: passes are numbers from 0 to 1000.")
    if not 0 <= request.windows <= MOST_WINDOWS:
        raise ConfigurationError(f"Parameter windows: a number from 0 to {MOST_WINDOWS}, not {request.windows}.")
    return epochs


def _describe_data(request: RetrainRequest, settings: Settings) -> dict:
    if request.model == "captioner":
        captions = read_caption_data(request.data, settings)
        check_pictures([image.path for image in captions.data.images])
        counts = {split: len(captions.data.split(split)) for split in ("train", "dev", "test")}
        return {"data_fingerprint": captions.data.fingerprint, "images": counts, "test": captions.test_source}
    classes = read_class_data(request.data, settings)
    check_pictures([example.path for example in (*classes.training, *classes.test)])
    counts = {"train": len(classes.training), "test": len(classes.test)}
    return {"data_fingerprint": classes.fingerprint, "images": counts, "test": classes.test_source}


def _initial(model: str, settings: Settings) -> ModelVersion:
    """The version whose layers the training begins with."""
    registry = registry_of(settings)
    production = registry.resolve(model)
    return production if model == "classifier" else registry.partner(production, "extractor")


def _pin(version: ModelVersion) -> ModelPin:
    return ModelPin(name=version.name, version=version.version, digest=version.digest)


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
    needed = int(settings.min_free_gib * 2**30)
    if plan.model == "captioner":
        views = sum(plan.images.values()) + (1 + plan.windows) * plan.images["train"]
        needed += views * BYTES_PER_VIEW
    made = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free
    if free + made < needed:
        raise EnvironmentFault(
            f"Training needs {needed / 2**30:.1f} GiB in {folder.parent}, but {free / 2**30:.1f} are free: make room."
        )
