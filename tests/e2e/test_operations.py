"""What an operator sees of a run beside the web UI: logs with fields, metrics, messages."""

import pytest

from tests.e2e.airflow_installation import AirflowInstallation
from tests.e2e.conftest import FirstNight, StatsD, Webhook

pytestmark = pytest.mark.e2e


def test_log_entries_have_batch_shard_and_item_as_fields(airflow: AirflowInstallation, first_night: FirstNight) -> None:
    (batch, _) = airflow.plan(first_night.scheduled).batches
    entries = airflow.log_entries(first_night.scheduled, "shard.measure_and_enhance", map_index=0)
    (refused,) = [entry for entry in entries if "Cannot be used" in entry["event"]]
    assert {name: refused[name] for name in ("level", "batch", "shard", "path", "page")} == {
        "level": "warning",
        "batch": batch.batch_id,
        "shard": 0,
        "path": "c.jpg",
        "page": 1,
    }
    for task in ("classify", "route", "extract_features", "caption"):
        entries = airflow.log_entries(first_night.scheduled, f"shard.{task}", map_index=0)
        (done,) = [entry for entry in entries if " computed, " in entry["event"]]
        assert (done["batch"], done["shard"]) == (batch.batch_id, 0), task
    published = airflow.log_entries(first_night.scheduled, "publish")
    told = {entry["batch"] for entry in published if entry["event"].startswith("Version 1 published")}
    assert told == {plan.batch_id for plan in airflow.plan(first_night.scheduled).batches}


def test_metrics_go_where_those_of_airflow_go(airflow: AirflowInstallation, statsd: StatsD) -> None:
    done = {"dag_id": "tounum_nightly", "task_id": "publish", "state": "success"}
    airflow.wait_for("Airflow's own metrics arrive", lambda: statsd.values("airflow.ti.finish", **done), seconds=60)
    assert sum(statsd.values("airflow.tounum.batches", outcome="published")) >= 2
    assert sum(statsd.values("airflow.tounum.items", status="quarantined", label="none")) >= 1
    assert sum(statsd.values("airflow.tounum.items", status="ok")) >= 2
    for stage in ("measure_and_enhance", "classify", "route", "extract_features", "caption"):
        assert sum(statsd.values("airflow.tounum.stage.duration", stage=stage)) > 0, stage
        assert len(statsd.values("airflow.tounum.stage.items", stage=stage, result="reused")) >= 2, stage
    assert sum(statsd.values("airflow.tounum.stage.items", stage="measure_and_enhance", result="computed")) >= 3


def test_people_hear_of_a_scheduled_run_that_is_late_and_of_no_other(
    airflow: AirflowInstallation, first_night: FirstNight, webhook: Webhook
) -> None:
    def late() -> list[str]:
        return [text for text in webhook.messages if "missed its deadline" in text]

    (text,) = airflow.wait_for("people are told", late, seconds=60)
    first, second, address = text.splitlines()
    assert first == f"TouNum: run {first_night.scheduled} of tounum_nightly missed its deadline."
    assert second.startswith("It was to have succeeded by 20") and second.endswith(", and is running.")
    assert address.startswith("http://127.0.0.1:")
