"""``tounum_reprocess`` on a real scheduler: by hand, after a promotion, and not because of what it published itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.airflow_installation import DAG, AirflowInstallation
from tests.e2e.archive import FIRST, SECOND, Archive
from tounum_airflow.priority import REPROCESS_PREFIX
from tounum_tasks.manifest.read import read_publication
from tounum_tasks.reprocess.outdated import outdated_dates, wanted_models
from tounum_tasks.store.open import open_storage

pytestmark = pytest.mark.e2e

REPROCESS = "tounum_reprocess"


@pytest.fixture(scope="module", autouse=True)
def as_it_was_afterwards(airflow: AirflowInstallation, archive: Archive) -> Iterator[None]:
    """What later tests promote must start nothing here."""
    yield
    airflow.api.set_paused(REPROCESS, True)
    archive.back_to_the_starter()


def outdated(airflow: AirflowInstallation) -> list[str]:
    """The batch dates that were made with other models than production's."""
    return outdated_dates(airflow.settings, wanted_models(airflow.settings))


def runs_for_dates(airflow: AirflowInstallation) -> list[dict[str, Any]]:
    """The runs of the nightly DAG that were started for old batches, in order."""
    return [run for run in airflow.api.runs(DAG) if run["dag_run_id"].startswith(REPROCESS_PREFIX)]


def finish_all(airflow: AirflowInstallation, number: int) -> list[str]:
    """Wait until there were ``number`` runs of the DAG, none is going on and none is due; return their states."""

    def ended() -> list[str]:
        if not airflow.api.is_at_rest(REPROCESS):
            return []
        states = [run["state"] for run in airflow.api.runs(REPROCESS)]
        return states if len(states) >= number else []

    return airflow.wait_for(f"{number} runs of {REPROCESS} end", ended, every=2)


def test_dates_are_brought_to_a_promoted_captioner_one_after_the_other(
    airflow: AirflowInstallation, archive: Archive, tmp_path: Path
) -> None:
    airflow.api.set_paused(REPROCESS, False)
    airflow.api.trigger(REPROCESS)
    finish_all(airflow, 1)  # nothing to do: also for the run that unpausing starts, perhaps only after this one
    assert runs_for_dates(airflow) == []
    before = len(airflow.api.runs(REPROCESS))

    archive.add_captioner("fourth-1", "z")
    expected = archive.undisturbed("fourth-1", tmp_path)
    lake = open_storage(airflow.settings.lake_root)
    versions = {day: archive.version(day) for day in (FIRST, SECOND)}
    archive.promote("fourth-1")
    assert outdated(airflow) == [FIRST, SECOND]

    airflow.api.trigger(REPROCESS, conf={"order": "newest", "at_most": 1})
    finish_all(airflow, before + 1)
    (run,) = runs_for_dates(airflow)
    assert run["conf"] == {"batch_date": SECOND} and run["state"] == "success"
    assert outdated(airflow) == [FIRST]

    (models,) = airflow.api.request("GET", "assets", params={"name_pattern": "tounum_models"})["assets"]
    airflow.api.request("POST", "assets/events", json={"asset_id": models["id"]})  # as a promotion by tounum_retrain
    assert set(finish_all(airflow, before + 2)) == {"success"}
    assert [run["conf"]["batch_date"] for run in runs_for_dates(airflow)] == [SECOND, FIRST]
    assert outdated(airflow) == []
    for run, day in zip(runs_for_dates(airflow), (SECOND, FIRST), strict=True):
        assert archive.rows(day).equals(expected[day])
        assert archive.words(day) and all(word.endswith("z") for word in archive.words(day))
        assert archive.version(day) == versions[day] + 1
        assert read_publication(lake, day, archive.batch_id(day), versions[day] + 1).run_id == run["dag_run_id"]
        log = airflow.log(run["dag_run_id"], "publish")
        assert "measure_and_enhance 0 computed, 2 reused" in log and "caption 2 computed, 0 reused" in log
    # Its own runs published two dates; that started nothing.
    assert len(airflow.api.runs(REPROCESS)) == before + 2
