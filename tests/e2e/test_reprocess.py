"""``tounum_reprocess`` on a real scheduler: by hand, after a promotion, and not because of what it published itself."""

from typing import Any

import pytest

from tests.e2e.airflow_installation import DAG, AirflowInstallation, image_file
from tests.unit.published import pin, process
from tounum_airflow.local.api import FINISHED
from tounum_airflow.priority import REPROCESS_PREFIX
from tounum_tasks.manifest.read import latest_version, read_publication
from tounum_tasks.plan import RunPlan
from tounum_tasks.publish import stage as publish
from tounum_tasks.reprocess.outdated import count_outdated
from tounum_tasks.storage import open_storage

pytestmark = pytest.mark.e2e

REPROCESS = "tounum_reprocess"
EARLIER, LATER = "2025-06-01", "2025-06-02"


def publish_with_old_models(airflow: AirflowInstallation, day: str) -> RunPlan:
    """Take a batch in on an earlier day and publish it as models did that are not in production any more."""
    plan = airflow.take_in_earlier(day, f"Box of {day}", {"a.png": image_file(int(day[-1]) + 70)})
    old = plan.model_copy(update={name: pin(name, "old") for name in ("classifier", "captioner")})
    process(old, airflow.settings, label="Text")
    assert publish.run(old, airflow.settings)["batches"][0]["outcome"] == "published"
    return old


def runs_for_dates(airflow: AirflowInstallation) -> list[dict[str, Any]]:
    """The runs of the nightly DAG that were started for old batches, in order."""
    return [run for run in airflow.api.runs(DAG) if run["dag_run_id"].startswith(REPROCESS_PREFIX)]


def finish_all(airflow: AirflowInstallation, number: int) -> list[str]:
    """Wait until there were ``number`` runs of the DAG and none is going on; return their states."""

    def ended() -> list[str]:
        states = [run["state"] for run in airflow.api.runs(REPROCESS)]
        return states if len(states) >= number and set(states) <= FINISHED else []

    return airflow.wait_for(f"{number} runs of {REPROCESS} end", ended)


def test_dates_are_brought_up_to_date_one_after_the_other(airflow: AirflowInstallation) -> None:
    airflow.api.set_paused(REPROCESS, False)
    airflow.api.trigger(REPROCESS)
    finish_all(airflow, 1)  # nothing to do: also for the run that unpausing starts
    assert runs_for_dates(airflow) == []
    before = len(airflow.api.runs(REPROCESS))
    plans = {day: publish_with_old_models(airflow, day) for day in (EARLIER, LATER)}
    assert count_outdated(airflow.settings) == 2

    airflow.api.trigger(REPROCESS, conf={"order": "newest", "at_most": 1})
    finish_all(airflow, before + 1)
    (run,) = runs_for_dates(airflow)
    assert run["conf"] == {"batch_date": LATER} and run["state"] == "success"
    assert count_outdated(airflow.settings) == 1

    (models,) = airflow.api.request("GET", "assets", params={"name_pattern": "tounum_models"})["assets"]
    airflow.api.request("POST", "assets/events", json={"asset_id": models["id"]})  # as a promotion does
    assert set(finish_all(airflow, before + 2)) == {"success"}
    assert [run["conf"]["batch_date"] for run in runs_for_dates(airflow)] == [LATER, EARLIER]
    assert count_outdated(airflow.settings) == 0
    lake = open_storage(airflow.settings.lake_root)
    for run, day in zip(runs_for_dates(airflow), (LATER, EARLIER), strict=True):
        (batch,) = plans[day].batches
        assert latest_version(lake, day, batch.batch_id) == 2
        assert read_publication(lake, day, batch.batch_id, 2).run_id == run["dag_run_id"]
        assert "measure 0 computed, 1 reused" in airflow.log(run["dag_run_id"], "publish")
    # Its own runs published two dates; that started nothing.
    assert len(airflow.api.runs(REPROCESS)) == before + 2
