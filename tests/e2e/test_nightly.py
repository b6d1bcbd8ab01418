"""The nightly DAG on a real scheduler, used as people use it."""

import datetime as dt

import pandas as pd
import pytest

from tests.e2e.airflow_installation import DAG, AirflowInstallation, image_file
from tests.e2e.conftest import FirstNight, Webhook
from tounum_airflow.local.api import ApiError

pytestmark = pytest.mark.e2e


def test_scheduled_run_publishes_what_became_ready_while_it_waited(
    airflow: AirflowInstallation, first_night: FirstNight
) -> None:
    run = airflow.api.run(DAG, first_night.scheduled)
    assert (run["state"], run["run_type"]) == ("success", "scheduled")
    today = dt.datetime.fromisoformat(run["run_after"]).date().isoformat()
    assert run["partition_key"] == today

    plan = airflow.plan(first_night.scheduled)
    assert plan.batch_date == today
    assert [batch.batch_id.rpartition("-")[0] for batch in plan.batches] == ["archiv-2026", "settling"]
    rows = pd.read_parquet(airflow.manifest_file(plan, "archiv")).set_index("source_path")
    assert rows["status"].to_dict() == {"b.png": "ok", "c.jpg": "quarantined"}
    assert set(rows["batch_name"]) == {"Ärchiv 2026"}
    assert airflow.manifest(plan, "settling")["status"].to_pylist() == ["ok"]
    assert airflow.states(first_night.scheduled)["shard.caption"] == ["success", "success"]
    labels = {task["rendered_map_index"] for task in airflow.api.tasks(DAG, first_night.scheduled)} - {None}
    assert labels == {f"{shard.batch_id} {shard.name}" for shard in plan.shards()}


def test_log_names_batches_that_must_wait_and_why(first_night: FirstNight) -> None:
    assert "Batch 'settling' (1 files) must wait" in first_night.deferred_log
    assert "nothing changed for 3600 s" in first_night.deferred_log


def test_batch_that_becomes_ready_after_register_is_left_for_the_next_run(
    airflow: AirflowInstallation, first_night: FirstNight
) -> None:
    names = [batch.batch_id for batch in airflow.plan(first_night.scheduled).batches]
    assert not [name for name in names if name.startswith("late")]


def test_empty_night_is_a_success_that_says_so(airflow: AirflowInstallation, first_night: FirstNight) -> None:
    run = airflow.api.run(DAG, first_night.by_hand)
    assert run["state"] == "success"
    states = airflow.states(first_night.by_hand)
    assert states["publish"] == ["skipped"]
    assert states["verdict"] == ["success"]
    assert "othing arrived" in airflow.log(first_night.by_hand, "verdict")
    # Nobody downstream is woken by an empty night.
    events = airflow.api.request("GET", "assets/events")["asset_events"]
    assert first_night.by_hand not in {event["source_run_id"] for event in events}


def test_run_by_hand_does_not_wait(airflow: AirflowInstallation, first_night: FirstNight) -> None:
    assert airflow.state(first_night.by_hand, "wait") == "success"
    assert "settling" in airflow.log(first_night.by_hand, "register")


def test_publishing_is_announced_with_the_batch_date(airflow: AirflowInstallation, first_night: FirstNight) -> None:
    events = airflow.api.request("GET", "assets/events")["asset_events"]
    (event,) = [event for event in events if event["source_run_id"] == first_night.scheduled]
    assert event["partition_key"] == airflow.plan(first_night.scheduled).batch_date


def test_manual_run_obeys_its_parameters(airflow: AirflowInstallation) -> None:
    """It takes in what the night left; with no failure accepted, it ends red after publishing."""
    run_id = airflow.trigger(conf={"max_failure_rate": 0})
    assert airflow.finish(run_id) == "failed"
    plan = airflow.plan(run_id)
    assert plan.max_failure_rate == 0
    assert airflow.manifest(plan, "late")["status"].to_pylist() == ["ok"]
    assert list(airflow.ingest.iterdir()) == []
    states = airflow.states(run_id)
    assert (states["publish"], states["report"], states["verdict"]) == (["success"], ["success"], ["failed"])
    assert "1 of 2 images of archiv-2026" in airflow.log(run_id, "verdict")


@pytest.mark.parametrize(
    ("conf", "fields"),
    [
        ({"batch_id": "../../etc"}, {}),
        ({"items": "everything"}, {}),
        ({"max_failure_rate": 2}, {}),
        ({"captioner": "../evil"}, {}),
        ({}, {"partition_key": "2026-1-5"}),
        ({}, {"partition_key": "yesterday"}),
    ],
)
def test_wrong_parameters_are_refused_before_a_run_exists(
    airflow: AirflowInstallation, conf: dict, fields: dict
) -> None:
    before = len(airflow.api.runs(DAG))
    with pytest.raises(ApiError, match=r"40\d|422"):
        airflow.api.trigger(DAG, conf=conf, **fields)
    assert len(airflow.api.runs(DAG)) == before


def test_one_failing_shard_of_three_turns_the_run_red_after_publishing(
    airflow: AirflowInstallation, webhook: Webhook
) -> None:
    plan = airflow.take_in_earlier("2026-01-18", "damaged", {f"{n}.png": image_file(60 + n) for n in range(5)})
    (batch,) = plan.batches
    (airflow.lake / "originals" / batch.batch_date / batch.batch_id / "2.png").unlink()  # the disk lost a file

    run_id = airflow.trigger(conf={"batch_date": "2026-01-18"})
    assert airflow.finish(run_id) == "failed"
    states = airflow.states(run_id)
    assert states["shard.measure_and_enhance"] == ["success", "failed", "success"]
    assert states["shard.caption"] == ["success", "upstream_failed", "success"]
    assert (states["publish"], states["report"]) == (["success"], ["success"])
    assert states["verdict"] == ["upstream_failed"]

    rows = pd.read_parquet(airflow.manifest_file(plan, "damaged")).set_index("source_path")
    assert rows["status"].to_dict() == {
        "0.png": "ok", "1.png": "ok", "2.png": "failed", "3.png": "failed", "4.png": "ok"
    }  # fmt: skip
    failed = [task for task in airflow.api.tasks(DAG, run_id) if task["state"] == "failed"]
    assert [task["try_number"] for task in failed] == [3]  # errors of the environment are tried again
    message = airflow.wait_for(
        "people are told", lambda: [text for text in webhook.messages if run_id in text], seconds=60
    )
    assert message[0].startswith(f"TouNum: run {run_id} of {DAG} failed.")
