"""The retraining DAG: wiring, parameters, and the lines between its tasks and the steps."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from tests.conftest import REPOSITORY
from tounum_airflow import retrain as wiring
from tounum_airflow.database import MODEL_POOL
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.plan import ModelPin
from tounum_tasks.retrain.compare import Comparison, Row
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.promote import may_promote_unasked
from tounum_tasks.settings import Settings

PLAN = RetrainPlan(
    run_id="manual__1",
    model="classifier",
    version="2026.11.20-223000",
    work="classifier-2026.11.20-223000-abc",
    data="archive",
    epochs=0.5,
    extractor_epochs=0,
    reward_epochs=0,
    seed=0,
    auto_approve=True,
    notes="",
    initial=ModelPin(name="classifier", version="starter-1", digest="0" * 64),
    data_fingerprint="1" * 64,
    images={"train": 10, "test": 5},
    test="its folder test",
)


@pytest.fixture(scope="module")
def dag() -> DAG:
    return DagBag(str(REPOSITORY / "dags" / "tounum_retrain.py")).dags["tounum_retrain"]


def test_tasks_and_their_order(dag: DAG) -> None:
    order = {task.task_id: task.downstream_task_ids for task in dag.tasks}
    assert order == {
        "prepare": {"train"},
        "train": {"evaluate"},
        "evaluate": {"compare"},
        "compare": {"approve", "promote"},
        "approve": {"promote"},
        "promote": {"finish"},
        "finish": set(),
    }
    assert isinstance(dag.task_dict["approve"], ApprovalOperator)
    # A person may take days, and a page that nobody answered must not answer itself.
    assert dag.task_dict["approve"].execution_timeout is None


def test_trainings_share_the_pool_of_models_and_run_one_at_a_time(dag: DAG) -> None:
    assert {task.task_id for task in dag.tasks if task.pool == MODEL_POOL} == {"train", "evaluate"}
    assert dag.max_active_runs == 1
    assert dag.schedule is None


def test_only_promotion_is_announced(dag: DAG) -> None:
    assert {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets} == {
        "promote": ["tounum_models"]
    }


def test_dag_survives_serialization(dag: DAG) -> None:
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids == dag.task_ids


@pytest.mark.parametrize(
    "conf",
    [
        {"model": "extractor"},
        {"data": None},
        {"data": "x" * 2000},
        {"epochs": -1},
        {"epochs": "many"},
        {"seed": 1.5},
        {"auto_approve": "yes"},
        {"notes": "x" * 3000},
        {"extractor_epochs": -1},
    ],
)
def test_wrong_parameters_are_refused(dag: DAG, conf: dict[str, Any]) -> None:
    (name, value) = next(iter(conf.items()))
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


def test_parameters_are_those_of_a_request(dag: DAG) -> None:
    given = {name: param.value for name, param in wiring.retrain_params().items()}
    request = RetrainRequest(run_id="manual__1", **given)
    assert set(RetrainRequest.model_fields) == {*given, "run_id", "started_at"}
    assert request.auto_approve is False


class TaskInstance:
    """What other tasks left, and what this one leaves."""

    def __init__(self, left: dict[str, Any]) -> None:
        self.left = left
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str) -> Any:
        return self.left.get(task_ids)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def in_task(monkeypatch: pytest.MonkeyPatch, left: dict[str, Any], **context: Any) -> TaskInstance:
    ti = TaskInstance(left)
    monkeypatch.setattr(wiring, "get_current_context", lambda: {"ti": ti, **context})
    return ti


def test_version_does_not_change_when_a_run_is_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    triggered = dt.datetime(2026, 11, 20, 22, 30, tzinfo=dt.UTC)
    cleared = SimpleNamespace(run_id="manual__1", run_after=triggered, start_date=triggered + dt.timedelta(days=2))
    params = {name: param.value for name, param in wiring.retrain_params().items()}
    in_task(monkeypatch, {}, dag_run=cleared, params=params)
    asked: list[RetrainRequest] = []

    def prepare(request: RetrainRequest, settings: Settings) -> RetrainPlan:
        asked.append(request)
        return PLAN

    assert wiring.plan_retraining(prepare) == PLAN.to_json()
    assert asked[0].started_at == triggered


@pytest.mark.parametrize(
    ("auto_approve", "candidate", "next_task"),
    [(True, 0.9, "promote"), (True, 0.8, "approve"), (True, 0.7, "approve"), (False, 0.9, "approve")],
)
def test_who_is_asked(monkeypatch: pytest.MonkeyPatch, auto_approve: bool, candidate: float, next_task: str) -> None:
    plan = PLAN.model_copy(update={"auto_approve": auto_approve})
    ti = in_task(monkeypatch, {"prepare": plan.to_json()})
    comparison = Comparison("classifier", "new", "old", 5, (Row("macro F1", 0.8, candidate),))
    asked: list[str] = []
    found = wiring.ask_or_promote(
        lambda plan, settings: (comparison, "the page"),
        may_promote_unasked,
        lambda plan, settings, page: asked.append(page),
    )
    assert found == next_task
    is_asked = next_task == "approve"
    assert ti.pushed == ({"subject": comparison.subject, "body": "the page"} if is_asked else {})
    assert asked == (["the page"] if is_asked else [])


@pytest.mark.parametrize(
    ("response", "name"),
    [
        (None, None),
        ({"chosen_options": ["Reject"], "responded_by_user": {"id": "1", "name": "ada"}}, None),
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "1", "name": "ada"}}, "ada"),
        ({"chosen_options": ["Approve"], "responded_by_user": None}, "somebody"),
    ],
)
def test_approval_needs_the_button(monkeypatch: pytest.MonkeyPatch, response: dict | None, name: str | None) -> None:
    in_task(monkeypatch, {"approve": response})
    assert wiring.approver() == name


def test_run_without_a_plan_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    in_task(monkeypatch, {})
    with pytest.raises(ConfigurationError, match="clear it"):
        wiring.pull_retraining()
