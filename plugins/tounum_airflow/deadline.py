"""By when a night's run must have succeeded, and who is told if it has not."""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

from tounum_airflow.notifier import DeadlineNotifier
from tounum_airflow.request import SCHEDULED
from tounum_tasks.settings import Settings


class ScheduledTime(BaseDeadlineReference):
    """The time for which a run was scheduled; no deadline for other runs.

    Airflow's own references hold for all runs of a DAG: a backfill of sixty days, whose runs wait for each other, would
    be reported sixty times.
    """

    required_kwargs = frozenset({"dag_id", "run_id"})  # Airflow hands these to _evaluate_with

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> dt.datetime | None:
        """Called by Airflow where it makes a run, with its database at hand."""
        from airflow.models import DagRun
        from sqlalchemy import select

        return session.scalar(
            select(DagRun.run_after).where(
                DagRun.dag_id == dag_id, DagRun.run_id == run_id, DagRun.run_type == SCHEDULED
            )
        )


def night_deadline(settings: Settings) -> DeadlineAlert | None:
    """Return what Airflow is to do when a scheduled run has not succeeded in time, None if there is no deadline."""
    if not settings.deadline_hours:
        return None
    return DeadlineAlert(
        name="The night's run",
        reference=ScheduledTime(),
        interval=dt.timedelta(hours=settings.deadline_hours),
        callback=AsyncCallback(DeadlineNotifier, kwargs={"connection_id": settings.notify_connection}),
    )
