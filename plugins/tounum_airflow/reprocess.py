"""What ``tounum_reprocess`` needs of Airflow: its parameters, and a task that runs the nightly DAG for one date."""

import hashlib
import logging
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk import Param, get_current_context
from airflow.sdk.definitions.context import Context

from tounum_airflow.priority import REPROCESS_PREFIX
from tounum_tasks.errors import TounumError
from tounum_tasks.pandas_left_out import leave_pandas_out
from tounum_tasks.settings import load_settings

log = logging.getLogger(__name__)

NIGHTLY = "tounum_nightly"
GOING_ON = ["queued", "running"]


class DateFailed(TounumError):
    """The run for a date failed; its own tasks were retried already."""


def reprocess_params() -> dict[str, Param]:
    """Return every parameter with type, title, description and a valid default."""
    return {
        "order": Param(
            "oldest",
            type="string",
            enum=["oldest", "newest"],
            title="Order",
            description="Which batch dates come first.",
        ),
        "at_most": Param(
            31,
            type="integer",
            minimum=1,
            maximum=1000,
            title="Batch dates a run",
            description="At most so many are processed in one run; the next run goes on with the others.",
        ),
    }


def dates_to_process() -> list[dict[str, Any]]:
    """Return what each mapped task is to trigger: the parameters and the id of a run of the nightly DAG."""
    from tounum_tasks.reprocess.outdated import choose

    leave_pandas_out()
    context: Any = get_current_context()
    work = choose(load_settings(), order=context["params"]["order"], at_most=context["params"]["at_most"])
    by = hashlib.sha256(context["dag_run"].run_id.encode()).hexdigest()[:8]
    return [
        {"conf": {"batch_date": date}, "trigger_run_id": f"{REPROCESS_PREFIX}{date}__{work.target}-{by}"}
        for date in work.dates
    ]


def what_is_left() -> int:
    """Log and return how many batch dates have manifests of other models still."""
    from tounum_tasks.reprocess.outdated import count_outdated

    leave_pandas_out()
    number = count_outdated(load_settings())
    log.info("Batch dates whose manifests were made with other models: %d.", number)
    return number


class RunForDate(TriggerDagRunOperator):
    """Runs the nightly DAG for one batch date and waits for its end without holding a worker.

    Killed between starting the run and waiting for it, or cleared later, it finds its run again by the id: it waits for
    one that is going on, and takes one that succeeded for done. One that failed is not taken up: there is another run.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(
            trigger_dag_id=NIGHTLY,
            logical_date=None,
            wait_for_completion=True,
            deferrable=True,
            openlineage_inject_parent_info=False,
            **arguments,
        )

    def execute(self, context: Context) -> None:
        """Start the run, or find it again, and defer.

        Raises:
            TaskDeferred, DagRunTriggerException: how Airflow is told to wait, and to start a run.
        """
        ti: Any = context["ti"]
        given, number = str(self.trigger_run_id), 1
        while ti.get_dr_count(dag_id=NIGHTLY, run_ids=[self.trigger_run_id]):
            state = ti.get_dagrun_state(dag_id=NIGHTLY, run_id=self.trigger_run_id)
            if state in GOING_ON:
                self.log.info("Run %s is going on already: waiting for it.", self.trigger_run_id)
                self._wait()
            if state == "success":
                self.log.info("Run %s has succeeded already.", self.trigger_run_id)
                return
            number += 1
            self.trigger_run_id = f"{given}-{number}"
        super().execute(context)

    def _wait(self) -> None:
        self.defer(
            trigger=DagStateTrigger(
                dag_id=NIGHTLY,
                states=self.allowed_states + self.failed_states,
                run_ids=[str(self.trigger_run_id)],
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: tuple[str, dict[str, Any]]) -> None:
        """End as the run did.

        Raises:
            DateFailed: the run failed.
        """
        _, ended = event
        for run_id in ended["run_ids"]:
            if ended.get(run_id) in self.failed_states:
                raise DateFailed(
                    f"Run {run_id} of {NIGHTLY} failed: its red task says why. The other dates go on; when the cause "
                    "is mended, clear this task, or wait for the next run."
                )
            self.log.info("Run %s has succeeded.", run_id)
