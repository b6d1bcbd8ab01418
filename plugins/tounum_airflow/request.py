"""From an Airflow run to a ``RunRequest``: which date, and whether the run may take batches out of ingest."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from tounum_airflow.params import CHOSEN_MODELS
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.plan import RunRequest
from tounum_tasks.settings import Settings

SCHEDULED = "scheduled"
BACKFILL = "backfill"
OPERATOR_TRIGGERED = "operator_triggered"


def run_request(dag_run: Any, params: Mapping[str, Any]) -> RunRequest:
    """Return what the run was asked to do.

    Args:
        dag_run: Airflow's run, as a task sees it in its context.
        params: the run's parameters, with their defaults filled in.

    Raises:
        ConfigurationError: the parameter ``batch_date`` and the partition key name different dates.
    """
    asked, key = params["batch_date"], dag_run.partition_key
    if asked and key and asked != key:
        raise ConfigurationError(
            f"Parameter batch_date ({asked}) and partition key ({key}) differ; give one of them, or the same."
        )
    return RunRequest(
        run_id=dag_run.run_id,
        batch_date=asked or key,
        batch_id=params["batch_id"],
        items=params["items"],
        enhancement=params["enhancement"],
        models={name: params[name] for name in CHOSEN_MODELS},
        max_failure_rate=params["max_failure_rate"],
        take_in=may_take_in(dag_run, asked or key),
        started_at=_started_at(dag_run),
    )


def may_take_in(dag_run: Any, batch_date: str | None) -> bool:
    """Whether a run may take batches out of ingest; ``register`` also demands that it is a run for today.

    A retry after a crash may: it completes what the first attempt began. A backfill may not, nor a run that a person
    cleared, nor one that another DAG started for a given date.
    """
    if dag_run.clear_number or dag_run.run_type == BACKFILL:
        return False
    return not (dag_run.run_type == OPERATOR_TRIGGERED and batch_date)


def waits_for_ingest(dag_run: Any, settings: Settings) -> bool:
    """Whether a run waits until ingest has settled: tonight's scheduled run does, before its first attempt."""
    today = _started_at(dag_run).astimezone(ZoneInfo(settings.timezone)).date().isoformat()
    return dag_run.run_type == SCHEDULED and not dag_run.clear_number and dag_run.partition_key == today


def _started_at(dag_run: Any) -> dt.datetime:
    # A run without a key takes its date from here. When it is cleared, Airflow sets start_date anew, but not run_after.
    started = dag_run.start_date if dag_run.partition_key else None
    return started or dag_run.run_after
