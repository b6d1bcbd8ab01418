"""The models that can be retrained: one row each."""

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.retrain.captioner import CaptionerTraining
from tounum_tasks.retrain.classifier import ClassifierTraining
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.restorer import RestorerTraining
from tounum_tasks.retrain.training import DataSet, Training
from tounum_tasks.retrain.work_folder import corrections_folder
from tounum_tasks.settings import Settings

TRAININGS: dict[str, Training] = {
    "captioner": CaptionerTraining(),
    "classifier": ClassifierTraining(),
    "restorer": RestorerTraining(),
}


def read_again(plan: RetrainPlan, settings: Settings) -> DataSet:
    """Return the data set of a retraining.

    Raises:
        ConfigurationError: it cannot be used, or has changed since ``prepare``.
    """
    data = TRAININGS[plan.model].read(plan.data, settings, corrections_folder(plan, settings))
    if data.fingerprint != plan.data_fingerprint:
        raise ConfigurationError(
            f"The data set '{plan.data}' has changed since the run began: clear the run from its task prepare on, or "
            "start a new one."
        )
    return data
