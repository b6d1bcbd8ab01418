"""Which run may take batches in, which one waits, and what Airflow does about errors."""

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Connection, RetryAction

from tounum_airflow.notifier import failure_text, send
from tounum_airflow.params import run_params
from tounum_airflow.request import run_request, waits_for_ingest
from tounum_airflow.retry import FailFast
from tounum_tasks.errors import ConfigurationError, EnvironmentFault, ErrorCode, FailureRateExceeded, ItemError
from tounum_tasks.settings import load_settings

TODAY = "2026-11-20"
DEFAULTS = {name: param.value for name, param in run_params(load_settings()).items()}


def airflow_run(run_type: str = "manual", **fields: Any) -> SimpleNamespace:
    """Airflow's run as a task sees it."""
    started = dt.datetime.fromisoformat(f"{TODAY}T22:30:00+00:00")
    given = {"run_id": "a run", "run_type": run_type, "partition_key": None, "clear_number": 0}
    return SimpleNamespace(
        **{**given, "start_date": started, "run_after": started, "dag_id": "tounum_nightly", **fields}
    )


@pytest.mark.parametrize(
    ("run", "conf", "takes_in"),
    [
        (airflow_run(), {}, True),
        (airflow_run("scheduled", partition_key=TODAY), {}, True),
        (airflow_run("operator_triggered"), {}, True),
        (airflow_run("operator_triggered"), {"batch_date": TODAY}, False),
        (airflow_run("backfill", partition_key=TODAY), {}, False),
        (airflow_run("scheduled", partition_key=TODAY, clear_number=1), {}, False),
        (airflow_run(clear_number=1), {}, False),
    ],
)
def test_which_runs_may_take_batches_in(run: SimpleNamespace, conf: dict, takes_in: bool) -> None:
    assert run_request(run, DEFAULTS | conf).take_in is takes_in


def test_dates_must_agree() -> None:
    run = airflow_run(partition_key="2026-11-18")
    assert run_request(run, DEFAULTS).batch_date == "2026-11-18"
    assert run_request(run, DEFAULTS | {"batch_date": "2026-11-18"}).batch_date == "2026-11-18"
    with pytest.raises(ConfigurationError, match="differ"):
        run_request(run, DEFAULTS | {"batch_date": "2026-11-19"})


def test_date_is_that_of_the_start_in_the_configured_zone() -> None:
    request = run_request(airflow_run(), DEFAULTS)
    assert request.resolved_date(load_settings(timezone="UTC")) == "2026-11-20"
    assert request.resolved_date(load_settings(timezone="Asia/Tokyo")) == "2026-11-21"


@pytest.mark.parametrize(
    ("run", "waits"),
    [
        (airflow_run("scheduled", partition_key=TODAY), True),
        (airflow_run("scheduled", partition_key="2026-11-19"), False),
        (airflow_run("scheduled", partition_key=TODAY, clear_number=1), False),
        (airflow_run("manual", partition_key=TODAY), False),
        (airflow_run("backfill", partition_key=TODAY), False),
    ],
)
def test_only_tonights_scheduled_run_waits(run: SimpleNamespace, waits: bool) -> None:
    assert waits_for_ingest(run, load_settings(timezone="UTC")) is waits


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ConfigurationError("wrong"), RetryAction.FAIL),
        (ItemError(ErrorCode.CORRUPT, "wrong"), RetryAction.FAIL),
        (FailureRateExceeded("wrong"), RetryAction.FAIL),
        (EnvironmentFault("wrong"), RetryAction.RETRY),
        (RuntimeError("wrong"), RetryAction.DEFAULT),
    ],
)
def test_errors_that_a_person_must_mend_are_not_retried(error: Exception, action: RetryAction) -> None:
    decision = FailFast().evaluate(error, 1, 2)
    assert decision.action is action
    assert decision.reason == ("wrong" if action is not RetryAction.DEFAULT else None)


def test_message_of_a_failed_run_says_where_to_look() -> None:
    text = failure_text({"dag_run": airflow_run(run_id="manual__2026 11")})  # type: ignore[typeddict-item]
    assert text.startswith("TouNum: run manual__2026 11 of tounum_nightly failed.")
    assert "/dags/tounum_nightly/runs/manual__2026%2011" in text


@pytest.mark.parametrize(
    "connection", [{"conn_type": "ftp", "host": "x"}, {"conn_type": "http", "host": "file:///etc"}]
)
def test_messages_go_to_http_and_smtp_only(connection: dict) -> None:
    with pytest.raises(ValueError, match="http"):
        send(Connection.from_json(json.dumps(connection), conn_id="tounum_notify"), "text")
