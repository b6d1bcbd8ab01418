"""Backfills after a retrain: which days they take, through the form of the web UI, and killed in the middle."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.airflow_installation import DAG, AirflowInstallation, image_file
from tests.e2e.archive import FIRST, SECOND, Archive
from tests.e2e.backfill_form import BackfillForm, browser_page
from tounum_airflow.local.api import FINISHED
from tounum_tasks.manifest.commit import batch_lock
from tounum_tasks.store.open import open_storage

pytestmark = pytest.mark.e2e

DAYS = (FIRST, SECOND)
EMPTY, FAILED = "2025-06-29", "2025-06-30"  # nothing was taken in on them
REUSED = ["measure_and_enhance", "classify", "route", "extract_features"]
# How soon the scheduler takes a worker or another scheduler for dead; minutes otherwise.
IMPATIENT = {
    "task_instance_heartbeat_timeout": "30",
    "task_instance_heartbeat_timeout_detection_interval": "5",
    "scheduler_health_check_threshold": "15",
    "orphaned_tasks_check_interval": "10",
}


@pytest.fixture(scope="module", autouse=True)
def as_it_was_afterwards(archive: Archive) -> Iterator[None]:
    yield
    archive.back_to_the_starter()


def would_take(airflow: AirflowInstallation, behavior: str, *, backwards: bool = False) -> list[str]:
    """The days of the range for which Airflow would start runs, in order: what the form counts."""
    body = {"dag_id": DAG, "from_date": f"{EMPTY}T00:00:00Z", "to_date": f"{FAILED}T23:59:00Z"}
    options = {"reprocess_behavior": behavior, "run_backwards": backwards}
    return [
        found["partition_key"]
        for found in airflow.api.request("POST", "backfills/dry_run", json={**body, **options})["backfills"]
    ]


def test_each_reprocess_behavior_takes_its_days_and_a_failed_run_by_hand_counts_as_its_days_run(
    airflow: AirflowInstallation,
) -> None:
    by_hand = airflow.trigger(conf={"batch_date": EMPTY}, partition_key=FAILED)  # they contradict each other
    assert airflow.finish(by_hand) == "failed"
    assert would_take(airflow, "none") == [EMPTY]
    assert would_take(airflow, "failed") == [EMPTY, FAILED]
    assert would_take(airflow, "completed") == [EMPTY, FAILED]
    assert would_take(airflow, "completed", backwards=True) == [FAILED, EMPTY]

    airflow.backfill(EMPTY, FAILED, "--reprocess-behavior", "failed")
    runs = airflow.backfill_runs([EMPTY, FAILED])
    assert sorted(runs) == [EMPTY, FAILED]
    for run_id in runs.values():
        assert airflow.finish(run_id) == "success"
    assert airflow.api.run(DAG, by_hand)["state"] == "failed"  # it stays beside the new one
    assert would_take(airflow, "none") == would_take(airflow, "failed") == []
    assert would_take(airflow, "completed") == [EMPTY, FAILED]


def test_form_of_the_web_ui_backfills_both_days_backwards_with_the_captioner_asked_for_beside_tonights_run(
    airflow: AirflowInstallation, archive: Archive, tmp_path: Path
) -> None:
    archive.add_captioner("second-1", "x")
    expected = archive.undisturbed("second-1", tmp_path)
    airflow.wait_for("no other backfill goes on", airflow.no_backfill_goes_on, every=1)
    with browser_page(airflow) as page:
        form = BackfillForm(page, airflow)
        form.fill_range(FIRST, SECOND)
        form.choose("All Runs")
        form.says("2 runs will be triggered.")
        form.choose("Run Backwards")
        form.choose("Override parameters on existing runs")  # without it the form leaves all parameters out
        form.fill("captioner", "second-1")
        form.run()
    runs = airflow.backfill_runs(DAYS)
    assert sorted(runs) == [FIRST, SECOND]
    airflow.drop("tonight", {"page.png": image_file(90)})
    tonight = airflow.trigger()  # takes in what is there, as the scheduled run does
    for run_id in (tonight, *runs.values()):
        assert airflow.finish(run_id) == "success"
    assert airflow.manifest(airflow.plan(tonight), "tonight")["status"].to_pylist() == ["ok"]

    for run_id in runs.values():
        assert airflow.api.run(DAG, run_id)["conf"]["captioner"] == "second-1"
    began = {day: _task(airflow, run_id, "register")["start_date"] for day, run_id in runs.items()}
    assert began[SECOND] < began[FIRST]
    for day, run_id in runs.items():
        assert archive.rows(day).equals(expected[day])
        assert archive.words(day) and all(word.endswith("x") for word in archive.words(day))
        for stage in REUSED:
            assert _result(airflow, run_id, stage) == (0, 2)
        assert _result(airflow, run_id, "caption") == (2, 0)


def test_backfill_whose_scheduler_worker_and_publisher_are_killed_ends_as_if_nothing_had_happened(
    airflow: AirflowInstallation, archive: Archive, tmp_path: Path
) -> None:
    archive.add_captioner("third-1", "y")
    expected = archive.undisturbed("third-1", tmp_path)
    archive.promote("third-1")
    before = {day: archive.version(day) for day in DAYS}
    earlier = airflow.backfill_runs(DAYS).values()
    airflow.backfill(FIRST, SECOND, "--reprocess-behavior", "completed", "--max-active-runs", "1")
    runs = airflow.backfill_runs(DAYS, besides=earlier)
    try:
        airflow.running(runs[FIRST], "shard.caption")
        airflow.kill_scheduler()
        airflow.start_scheduler(**IMPATIENT)
        _kill_publisher(airflow, archive, runs[FIRST])
        worker = airflow.running(runs[SECOND], "shard.caption").parent()
        assert worker and "LocalExecutor" in " ".join(worker.cmdline())
        worker.kill()
        for run_id in runs.values():
            assert airflow.finish(run_id) == "success"
    finally:
        airflow.kill_scheduler()
        airflow.start_scheduler()
    assert _task(airflow, runs[FIRST], "publish")["try_number"] > 1
    assert _task(airflow, runs[SECOND], "shard.caption")["try_number"] > 1
    for day in DAYS:
        assert archive.rows(day).equals(expected[day])
        assert all(word.endswith("y") for word in archive.words(day))
        assert archive.version(day) == before[day] + 1


def _kill_publisher(airflow: AirflowInstallation, archive: Archive, run_id: str) -> None:
    """Kill the process of ``publish`` in its work: where it waits for the batch that somebody else holds."""
    batch_id = archive.batch_id(FIRST)
    with batch_lock(open_storage(airflow.settings.lake_root), batch_id):
        publisher = airflow.running(run_id, "publish")

        def is_at_work() -> bool:
            assert _task(airflow, run_id, "publish")["state"] not in FINISHED
            return any(file.path.endswith(f"{batch_id}.lock") for file in publisher.open_files())

        airflow.wait_for("publish works on the batch", is_at_work)
        publisher.kill()
        airflow.wait_for("publish is dead", lambda: not psutil.pid_exists(publisher.pid))


def _task(airflow: AirflowInstallation, run_id: str, task_id: str) -> dict:
    (task,) = [task for task in airflow.api.tasks(DAG, run_id) if task["task_id"] == task_id]
    return task


def _result(airflow: AirflowInstallation, run_id: str, stage: str) -> tuple[int, int]:
    """How many results a stage computed and reused, as its task said."""
    said = airflow.api.xcom(DAG, run_id, f"shard.{stage}", map_index=0)
    return said["computed"], said["reused"]
