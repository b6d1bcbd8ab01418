"""The few lines between an Airflow task and a step of ``tounum_tasks``; light, as DAG files import it."""

from collections.abc import Callable
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from tounum_airflow.database import MODEL_POOL
from tounum_airflow.metrics import run_published, shard_done
from tounum_airflow.request import run_request
from tounum_tasks.logs import about
from tounum_tasks.pandas_left_out import leave_pandas_out
from tounum_tasks.plan import RunPlan, RunRequest, ShardRef
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps.table import Step

PLAN_KEY = "plan"


def plan_run(step: Callable[[RunRequest, Settings], RunPlan]) -> list[dict]:
    """Run ``register``; store its plan for the run's other tasks and return the shards, to map the group over."""
    leave_pandas_out()
    context: Any = get_current_context()
    plan = step(run_request(context["dag_run"], context["params"]), load_settings())
    context["ti"].xcom_push(key=PLAN_KEY, value=plan.to_json())
    return [shard.model_dump(mode="json") for shard in plan.shards()]


def shard_task(step: Step, settings: Settings) -> Any:
    """Return the task, to be called with a shard, that runs one step on it."""
    placed: dict[str, Any] = {"pool": MODEL_POOL} if step.loads_model else {}
    if step.on_model_queue:
        placed["queue"] = settings.model_queue

    @task(task_id=step.name, map_index_template="{{ shard_name }}", **placed)
    def run(shard: dict) -> dict:
        from tounum_tasks.steps.shard import run_step

        leave_pandas_out()
        reference = ShardRef.model_validate(shard)
        context: Any = get_current_context()
        context["shard_name"] = f"{reference.batch_id} {reference.name}"  # Airflow labels the mapped task with it
        with about(batch=reference.batch_id, shard=reference.shard):
            summary = run_step(step.name, pull_plan(), reference, load_settings())
        shard_done(step.name, summary)
        return summary

    return run


def run_on_plan(step: Callable[[RunPlan, Settings], Any]) -> Any:
    """Run one step on the whole run; return its summary."""
    leave_pandas_out()
    return step(pull_plan(), load_settings())


def publish_plan(step: Callable[[RunPlan, Settings], dict], manifests: Any) -> dict:
    """Run ``publish`` and announce the batch dates to the DAGs that wait for them.

    Args:
        manifests: the outlet event of the manifests' asset.

    Raises:
        AirflowSkipException: there is no batch to publish; a skipped task announces nothing.
    """
    leave_pandas_out()
    plan = pull_plan()
    if not plan.batches:
        raise AirflowSkipException("Nothing arrived: there is nothing to publish.")
    summary = step(plan, load_settings())
    run_published(summary)
    manifests.add_partitions(sorted({batch.batch_date for batch in plan.batches}))
    manifests.extra = {"batches": [batch.batch_id for batch in plan.batches]}
    return summary


def pull_plan() -> RunPlan:
    """Return the plan that ``register`` made.

    Raises:
        AirflowSkipException: there is none, because ``register`` failed; the run is red by that already.
    """
    stored = get_current_context()["ti"].xcom_pull(task_ids="register", key=PLAN_KEY)
    if stored is None:
        raise AirflowSkipException("register made no plan, so there is nothing to do here.")
    return RunPlan.from_json(stored)
