"""The DAG ``tounum_reprocess``: when it starts, what it starts, and that it gives way."""

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import DagRunTriggerException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization

from tests.conftest import REPOSITORY
from tounum_airflow.priority import NightFirst
from tounum_airflow.reprocess import NIGHTLY, DateFailed, RunForDate
from tounum_airflow.retry import FailFast

RUN = "reprocess__2026-11-01__abc-def"


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(str(REPOSITORY / "dags"))


@pytest.fixture
def reprocess(bag: DagBag) -> DAG:
    assert bag.import_errors == {}
    return bag.dags["tounum_reprocess"]


def test_it_starts_daily_and_after_a_promotion_and_never_by_itself(bag: DagBag, reprocess: DAG) -> None:
    stored = DagSerialization.to_dict(reprocess)["dag"]["timetable"]["__var"]
    assert "tounum_models" in str(stored["asset_condition"]) and "0 5 * * *" in str(stored["timetable"])
    published = {
        outlet.name
        for dag in bag.dags.values()
        if "nightly" in dag.dag_id
        for task in dag.tasks
        for outlet in task.outlets
    }
    assert published and not any(name in str(stored["asset_condition"]) for name in published)
    assert reprocess.max_active_runs == 1


def test_one_date_at_a_time(reprocess: DAG) -> None:
    task = reprocess.task_dict["run_for_date"]
    assert task.is_mapped and task.partial_kwargs["max_active_tis_per_dag"] == 1
    assert task.upstream_task_ids == {"find"} and task.downstream_task_ids == {"left"}


class Ti:
    """The task instance as far as the operator asks it about runs."""

    def __init__(self, **states: str) -> None:
        self.states = states
        self.try_number = 1

    def get_dr_count(self, dag_id: str, run_ids: list[str]) -> int:
        return sum(run_id in self.states for run_id in run_ids)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        return self.states[run_id]


def operator() -> RunForDate:
    return RunForDate(task_id="run_for_date", conf={"batch_date": "2026-11-01"}, trigger_run_id=RUN)


def execute(**states: str) -> Any:
    return operator().execute({"ti": Ti(**states)})  # type: ignore[typeddict-item]


def test_it_starts_the_nightly_dag_for_a_date() -> None:
    with pytest.raises(DagRunTriggerException) as started:
        execute()
    assert (started.value.trigger_dag_id, started.value.dag_run_id) == (NIGHTLY, RUN)
    assert started.value.conf == {"batch_date": "2026-11-01"}
    assert started.value.deferrable and started.value.wait_for_completion


def test_after_a_kill_it_waits_for_the_run_that_it_had_started() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(**{RUN: "running"})
    assert deferred.value.trigger.run_ids == [RUN]
    assert execute(**{RUN: "success"}) is None


def test_a_run_that_failed_is_followed_by_another() -> None:
    with pytest.raises(DagRunTriggerException) as started:
        execute(**{RUN: "failed", f"{RUN}-2": "failed"})
    assert started.value.dag_run_id == f"{RUN}-3"


def test_a_failed_date_is_red_and_not_tried_again_at_once() -> None:
    event = ("trigger", {"run_ids": [RUN], RUN: "failed"})
    with pytest.raises(DateFailed, match=f"Run {RUN} of {NIGHTLY} failed") as failure:
        operator().execute_complete({}, event)  # type: ignore[typeddict-item]
    assert FailFast().evaluate(failure.value, 1, 2).action.value == "fail"
    operator().execute_complete({}, ("trigger", {"run_ids": [RUN], RUN: "success"}))  # type: ignore[typeddict-item]


def test_tasks_for_old_batches_give_way(bag: DagBag) -> None:
    restored = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["tounum_nightly"]))
    for task in restored.tasks:
        assert isinstance(task.weight_rule, NightFirst), task.task_id

    def weight(run_id: str, task_id: str) -> int:
        return NightFirst().get_weight(SimpleNamespace(task=restored.task_dict[task_id], run_id=run_id))  # type: ignore[arg-type]

    for low in (RUN, "backfill__2026-11-01"):
        assert max(weight(low, task_id) for task_id in restored.task_ids) < min(
            weight(high, task_id) for high in ("scheduled__x", "manual__x") for task_id in restored.task_ids
        )
    assert weight(RUN, "register") > weight(RUN, "report")


def test_the_same_dag_is_stored_the_same_way_each_time() -> None:
    """An object without a stable name in it would make Airflow store a new version at every parse."""
    stored = [DagSerialization.to_dict(DagBag(str(REPOSITORY / "dags")).dags["tounum_nightly"]) for _ in range(2)]
    assert stored[0] == stored[1]
