"""The few lines between the tasks of the retraining DAG and the steps of ``tounum_tasks.retrain``."""

import os
from collections.abc import Callable
from typing import Any

from airflow.sdk import Param, get_current_context

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.pandas_left_out import leave_pandas_out
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.settings import Settings, load_settings

APPROVE_OPTION = "Approve"
LOW_PRIORITY = 10


def retrain_params() -> dict[str, Param]:
    """Return every parameter with type, title, description and a valid default."""
    return {
        "model": Param(
            "captioner",
            type="string",
            enum=["captioner", "classifier", "restorer"],
            title="Model",
            description="What to train.",
        ),
        "data": Param(
            "",
            type="string",
            maxLength=1024,
            title="Data set",
            description="Path below the folder of data sets (TOUNUM_DATASETS_ROOT): captions as MS-COCO JSON or TSV "
            "with images, one folder per class, or for the restorer a folder of clean pictures. The name corrections "
            "stands for what people corrected and confirmed.",
        ),
        "corrections": Param(
            False,
            type="boolean",
            title="Learn from corrections, too",
            description="Add what people corrected and confirmed until now to the data set. Figures on it are shown "
            "separately.",
        ),
        "epochs": Param(
            None,
            type=["null", "number"],
            minimum=0,
            maximum=1000,
            title="Passes",
            description="Over the training images. Empty: 10 for the captioner, 0.5 for the classifier (0: its head "
            "alone), 10 thousand steps for the restorer.",
        ),
        "extractor_epochs": _number(
            "Passes of the extractor",
            "Captioner only: passes in which the extractor above mixed8 learns too, before the others.",
        ),
        "reward_epochs": _number(
            "Passes with rewards",
            "Captioner only: passes in which whole captions are rewarded for CIDEr, after the others.",
        ),
        "windows": _number(
            "Windows",
            "Captioner only: learn from so many parts of each image, too. 6 helps with thousands of images; time and "
            "disk for features grow with it.",
            maximum=100,
        ),
        "seed": _number(
            "Seed",
            "Of everything that is drawn at random. The test images do not depend on it.",
            maximum=2**31 - 1,
        ),
        "auto_approve": Param(
            False,
            type="boolean",
            title="Promote without asking if better",
            description="A candidate that is not better waits for a person all the same.",
        ),
        "notes": Param(
            None,
            type=["null", "string"],  # the form insists on an answer where null is not allowed
            format="multiline",
            maxLength=2000,
            title="Notes",
            description="For the model's card and for whoever approves.",
        ),
    }


def _number(title: str, description: str, *, maximum: int = 1000) -> Param:
    return Param(0, type="integer", minimum=0, maximum=maximum, title=title, description=description)


def plan_retraining(step: Callable[[RetrainRequest, Settings], RetrainPlan]) -> dict:
    """Run ``prepare``; return its plan, which the run's other tasks pull."""
    leave_pandas_out()
    context: Any = get_current_context()
    run = context["dag_run"]
    request = RetrainRequest(run_id=run.run_id, started_at=run.run_after, **context["params"])
    return step(request, load_settings()).to_json()


def run_retraining(step: Callable[[RetrainPlan, Settings], Any]) -> Any:
    """Run one step of a retraining; return its summary."""
    leave_pandas_out()
    return step(pull_retraining(), load_settings())


def run_in_background(step: Callable[[RetrainPlan, Settings], Any]) -> Any:
    """Run a step that uses all cores for hours, at a low priority.

    Airflow's own processes, tonight's run and the task's heartbeats come first; on a small machine they would time
    out otherwise. The priority is that of this task's process and ends with it.
    """
    os.nice(LOW_PRIORITY)
    return run_retraining(step)


def ask_or_promote(compare: Callable, may_promote_unasked: Callable, remember_question: Callable) -> str:
    """Run ``compare`` and return the id of the task that comes next; leave its page for a person who is asked."""
    leave_pandas_out()
    plan, settings = pull_retraining(), load_settings()
    comparison, page = compare(plan, settings)
    if may_promote_unasked(plan, is_better=comparison.is_better):
        return "promote"
    remember_question(plan, settings, page)
    ti: Any = get_current_context()["ti"]
    ti.xcom_push(key="subject", value=comparison.subject)
    ti.xcom_push(key="body", value=page)
    return "approve"


def promote_candidate(step: Callable[..., dict], models: Any) -> dict:
    """Run ``promote`` and announce the version to the DAGs that wait for one.

    Args:
        models: the outlet event of the models' asset.
    """
    leave_pandas_out()
    promoted = step(pull_retraining(), load_settings(), approved_by=approver())
    models.extra = promoted
    return promoted


def approver() -> str | None:
    """Return the name of who pressed *Approve*, None if nobody did."""
    response = get_current_context()["ti"].xcom_pull(task_ids="approve")
    if not response or response["chosen_options"] != [APPROVE_OPTION]:
        return None
    user = response.get("responded_by_user") or {}
    return user.get("name") or user.get("id") or "somebody"


def pull_retraining() -> RetrainPlan:
    """Return the plan that ``prepare`` made.

    Raises:
        ConfigurationError: there is none.
    """
    stored = get_current_context()["ti"].xcom_pull(task_ids="prepare")
    if stored is None:
        raise ConfigurationError("The task prepare left no plan: clear it, and the run begins again.")
    return RetrainPlan.from_json(stored)
