"""Runs of past days and backfills: which days they take, what they leave alone, from the web UI, and killed."""

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
NEVER_RAN, FAILED = "2025-06-29", "2025-06-30"  # a batch was taken in on each
STAGES = ["measure_and_enhance", "classify", "route", "extract_features", "caption"]
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
    body = {"dag_id": DAG, "from_date": f"{NEVER_RAN}T00:00:00Z", "to_date": f"{FAILED}T23:59:00Z"}
    options = {"reprocess_behavior": behavior, "run_backwards": backwards}
    return [
        found["partition_key"]
        for found in airflow.api.request("POST", "backfills/dry_run", json={**body, **options})["backfills"]
    ]


@pytest.fixture(scope="module")
def failed_by_hand(airflow: AirflowInstallation) -> str:
    """A run of one of the days that was given two, and failed."""
    run_id = airflow.trigger(conf={"batch_date": NEVER_RAN}, partition_key=FAILED)
    assert airflow.finish(run_id) == "failed"
    return run_id


@pytest.fixture(scope="module")
def backfill(airflow: AirflowInstallation, failed_by_hand: str) -> dict[str, str]:
    """Run ids by day of a backfill over both days; a ready batch lies in ingest meanwhile."""
    for seed, day in enumerate((NEVER_RAN, FAILED), 16):
        airflow.take_in_earlier(day, f"day {day}", {"page.png": image_file(seed)})
    airflow.drop("arrives meanwhile", {"x.png": image_file(50)})
    airflow.backfill(NEVER_RAN, FAILED, "--reprocess-behavior", "failed", "--max-active-runs", "2")
    runs = airflow.backfill_runs(["2025-06-28", NEVER_RAN, FAILED, FIRST])
    for run_id in runs.values():
        assert airflow.finish(run_id) == "success"
    return runs


def test_contradicting_dates_fail_at_once_with_one_sentence(airflow: AirflowInstallation, failed_by_hand: str) -> None:
    (register,) = [task for task in airflow.api.tasks(DAG, failed_by_hand) if task["task_id"] == "register"]
    assert register["try_number"] == 1
    sentence = f"Parameter batch_date ({NEVER_RAN}) and partition key ({FAILED}) differ"
    assert sentence in airflow.log(failed_by_hand, "register")
    assert airflow.state(failed_by_hand, "publish") == "skipped"


def test_each_reprocess_behavior_takes_its_days_and_a_failed_run_by_hand_counts_as_its_days_run(
    airflow: AirflowInstallation, failed_by_hand: str, request: pytest.FixtureRequest
) -> None:
    assert would_take(airflow, "none") == [NEVER_RAN]
    assert would_take(airflow, "failed") == [NEVER_RAN, FAILED]
    assert would_take(airflow, "completed") == [NEVER_RAN, FAILED]
    assert would_take(airflow, "completed", backwards=True) == [FAILED, NEVER_RAN]

    request.getfixturevalue("backfill")
    assert airflow.api.run(DAG, failed_by_hand)["state"] == "failed"  # it stays beside the new one
    assert would_take(airflow, "none") == would_take(airflow, "failed") == []
    assert would_take(airflow, "completed") == [NEVER_RAN, FAILED]


def test_backfill_processes_both_days_and_never_reads_ingest(
    airflow: AirflowInstallation, backfill: dict[str, str]
) -> None:
    assert sorted(backfill) == [NEVER_RAN, FAILED]
    for day, run_id in backfill.items():
        assert airflow.manifest(airflow.plan(run_id), f"day-{day}")["status"].to_pylist() == ["ok"]
    assert (airflow.ingest / "arrives meanwhile" / "x.png").exists()


def test_cleared_run_changes_nothing_and_never_reads_ingest(
    airflow: AirflowInstallation, backfill: dict[str, str]
) -> None:
    run_id = backfill[NEVER_RAN]
    manifest = airflow.manifest_file(airflow.plan(run_id), "day")
    before = manifest.read_bytes()
    airflow.api.request("POST", f"dags/{DAG}/dagRuns/{run_id}/clear", json={"dry_run": False})
    airflow.wait_for("the run begins again", lambda: airflow.run_state(DAG, run_id) != "success")
    assert airflow.finish(run_id) == "success"
    assert manifest.read_bytes() == before
    assert (airflow.ingest / "arrives meanwhile" / "x.png").exists()


def test_rerun_of_a_finished_day_reuses_everything(airflow: AirflowInstallation, backfill: dict[str, str]) -> None:
    manifest = airflow.manifest_file(airflow.plan(backfill[FAILED]), "day")
    before = manifest.read_bytes()
    run_id = airflow.trigger(partition_key=FAILED)
    assert airflow.finish(run_id) == "success"
    assert airflow.plan(run_id).batch_date == FAILED
    for stage in STAGES:
        assert airflow.api.xcom(DAG, run_id, f"shard.{stage}", map_index=0)["computed"] == 0
    assert manifest.read_bytes() == before
    assert (airflow.ingest / "arrives meanwhile" / "x.png").exists()


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
