"""Retraining on a real scheduler: approved, promoted unasked, rejected, killed in the middle, refused."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.class_images import write_class_images
from tests.e2e.airflow_installation import AirflowInstallation
from tounum_airflow.local.api import FINISHED, ApiError, NotFoundError
from tounum_tasks.models.registry import Registry

pytestmark = pytest.mark.e2e

DAG = "tounum_retrain"
RUN_SECONDS = 900  # a tenth of that where nothing else runs
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 50, 200), "yellow": (220, 210, 40)}


@dataclass(frozen=True)
class Run:
    """One run of the DAG, as a person sees it."""

    airflow: AirflowInstallation
    run_id: str

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task's instance."""
        (found,) = [task for task in self.airflow.tasks(DAG, self.run_id) if task["task_id"] == task_id]
        return found

    def states(self) -> dict[str, str]:
        return {task["task_id"]: task["state"] for task in self.airflow.tasks(DAG, self.run_id)}

    def state(self) -> str:
        return self.airflow.run_state(DAG, self.run_id)

    def finish(self) -> str:
        """Wait for the end and return the run's state."""
        self.airflow.wait_for(f"{self.run_id} ends", lambda: self.state() in FINISHED, seconds=RUN_SECONDS)
        return self.state()

    def wait_for(self, what: str, condition: Callable[[], Any], *, every: float = 0.5) -> None:
        """Wait for something that happens only while the run goes on; what has ended is not waited for."""

        def is_true() -> Any:
            ended = self.state() in FINISHED
            value = condition()
            assert value or not ended, f"{self.run_id} ended before {what}: {self.states()}"
            return value

        self.airflow.wait_for(what, is_true, seconds=RUN_SECONDS, every=every)

    def logs(self, task_id: str) -> list[str]:
        """Return the log of every attempt; a busy machine can cost a task its first one, log and all."""
        found = []
        for number in range(1, self.task(task_id)["try_number"] + 1):
            with contextlib.suppress(NotFoundError):
                entries = self.airflow.api.log(DAG, self.run_id, task_id, try_number=number)
                found.append("\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries))
        return found

    def question(self) -> dict[str, Any]:
        """Wait until a person is asked, and return what the page shows."""
        self.wait_for("somebody is asked", lambda: self.task("approve")["state"] == "awaiting_input")
        return self._ask()

    def answer(self, option: str) -> None:
        """Press a button of the page: the same request that it makes, once Airflow is done with asking.

        An answer that overtakes the scheduler's bookkeeping makes it take the task for lost: it asks again, and after
        three times gives up. People are slower than that.
        """

        def is_answered() -> bool:
            task = self.task("approve")
            if task["state"] == "awaiting_input" and not self._ask()["response_received"]:
                self._wait_for_bookkeeping(task["pid"])
                self.airflow.api.request("PATCH", self._question, json={"chosen_options": [option], "params_input": {}})
            assert task["state"] != "failed", self.logs("approve")[-1]
            return task["state"] == "success"

        self.wait_for("the answer is taken", is_answered)

    def _wait_for_bookkeeping(self, pid: int) -> None:
        """Wait until the asking process has ended and the scheduler, which then hears of it, has gone round twice."""
        self.wait_for("the asking process ends", lambda: not psutil.pid_exists(pid))
        self._wait_for_scheduler()
        self._wait_for_scheduler()

    def _wait_for_scheduler(self) -> None:
        before = self._scheduler_heartbeat()
        self.wait_for("the scheduler goes round", lambda: self._scheduler_heartbeat() != before)

    def _scheduler_heartbeat(self) -> str:
        return self.airflow.api.request("GET", "monitor/health")["scheduler"]["latest_scheduler_heartbeat"]

    def _ask(self) -> dict[str, Any]:
        return self.airflow.api.request("GET", self._question)

    @property
    def _question(self) -> str:
        return f"dags/{DAG}/dagRuns/{self.run_id}/taskInstances/approve/-1/hitlDetails"

    def announced(self) -> list[dict[str, Any]]:
        """Return what the run announced to the DAGs that wait for models."""
        events = self.airflow.api.request("GET", "assets/events", params={"limit": 1000})["asset_events"]
        return [event["extra"] for event in events if event["source_run_id"] == self.run_id]


@pytest.fixture(scope="module")
def airflow(paused_airflow: AirflowInstallation) -> Iterator[AirflowInstallation]:
    """The installation with two data sets; afterwards the starter models are in production again."""
    datasets = paused_airflow.airflow.workdir / "data" / "datasets"
    write_class_images(datasets / "archive")
    _write_caption_data(datasets / "squares")
    # What a promotion starts there is another test's business, and takes the slot that trainings need.
    paused_airflow.api.set_paused("tounum_reprocess", True)
    paused_airflow.api.set_paused(DAG, False)
    paused_airflow.airflow.serve_deferred()  # approvals are waited for
    yield paused_airflow
    paused_airflow.api.set_paused(DAG, True)
    for name in ("classifier", "captioner"):
        (paused_airflow.lake / "models" / name / "production.json").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def no_run_is_left(airflow: AirflowInstallation) -> Iterator[None]:
    """End what a failed test leaves: the DAG runs once at a time, so a run left waiting would hold up all others."""
    yield
    for run in airflow.api.runs(DAG):
        if run["state"] not in FINISHED:
            airflow.api.set_run_state(DAG, run["dag_run_id"], "failed")


def _write_caption_data(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = ["image\tsplit\tcaption\n"]
    for index in range(12):
        name, split = f"{index}.png", ("train", "train", "train", "train", "dev", "test")[index % 6]
        word = list(COLOURS)[index % len(COLOURS)]
        noise = np.random.default_rng(index).integers(-20, 20, (60, 80, 3))
        Image.fromarray((np.array(COLOURS[word]) + noise).clip(0, 255).astype(np.uint8)).save(folder / name)
        lines += [f"{name}\t{split}\ta {word} {thing}\n" for thing in ("square", "picture of a wall", "card")]
    (folder / "captions.tsv").write_text("".join(lines))


def start(airflow: AirflowInstallation, **conf: Any) -> Run:
    return Run(airflow, airflow.api.trigger(DAG, conf=conf))


def production(airflow: AirflowInstallation, model: str) -> str:
    return Registry(f"file://{airflow.lake}").production(model)


def work_folder(airflow: AirflowInstallation, run: Run) -> Path:
    plan = airflow.api.xcom(DAG, run.run_id, "prepare")
    return airflow.airflow.workdir / "data" / "training" / "retrain" / plan["work"]


@pytest.fixture(scope="module")
def promoted_unasked(airflow: AirflowInstallation) -> Run:
    run = start(airflow, model="classifier", data="archive", epochs=0, auto_approve=True)
    run.finish()
    return run


def test_better_model_is_promoted_unasked_where_that_was_wanted(
    airflow: AirflowInstallation, promoted_unasked: Run
) -> None:
    states = promoted_unasked.states()
    assert (states["approve"], states["promote"], states["finish"]) == ("skipped", "success", "success"), states
    (event,) = promoted_unasked.announced()
    assert event["model"] == "classifier" and event["replaced"].startswith("starter-") and event["approved_by"] is None
    assert production(airflow, "classifier") == event["version"]
    names = {path.name for path in work_folder(airflow, promoted_unasked).iterdir()}
    assert {"plan.json", "evaluation.json", "comparison.md", "confusion.png"} <= names
    assert not {name for name in names if name.startswith(("features-", "classifier"))}


def test_model_that_is_not_better_is_asked_about_and_rejecting_changes_nothing(
    airflow: AirflowInstallation, promoted_unasked: Run
) -> None:
    before = production(airflow, "classifier")
    models = sorted(path.name for path in (airflow.lake / "models" / "classifier").iterdir())
    run = start(airflow, model="classifier", data="archive", epochs=0, auto_approve=True, notes="the same | again")
    question = run.question()
    assert f"than {before}" in question["subject"] and " better than" in question["subject"]
    assert "NO BETTER" in question["body"] and r"the same \| again" in question["body"]
    run.answer("Reject")
    assert run.finish() == "success"
    states = run.states()
    assert (states["approve"], states["promote"], states["finish"]) == ("success", "skipped", "success")
    assert "was rejected" in run.logs("finish")[-1]
    assert run.announced() == []
    assert production(airflow, "classifier") == before
    assert sorted(path.name for path in (airflow.lake / "models" / "classifier").iterdir()) == models


def test_killed_training_goes_on_and_an_approved_captioner_is_promoted(airflow: AirflowInstallation) -> None:
    run = start(airflow, model="captioner", data="squares", epochs=4, seed=1)
    run.wait_for("the training begins", lambda: run.task("train")["state"] == "running")
    work = work_folder(airflow, run)
    _wait_for_checkpoint(run, work / "work" / "decoder.checkpoint.safetensors")
    os.kill(run.task("train")["pid"], signal.SIGKILL)

    question = run.question()
    killed, resumed = run.logs("train")[-2:]
    assert "decoder pass 1 of 4" in killed and "decoder pass 1 of 4" not in resumed
    assert "the training goes on from its last checkpoint" in resumed
    assert "decoder goes on after step" in resumed
    assert "| **CIDEr, beam 3 (decides)** |" in question["body"]
    assert "| production says | candidate says |" in question["body"]
    assert production(airflow, "captioner").startswith("starter-")

    run.answer("Approve")
    assert run.finish() == "success"
    (event,) = run.announced()
    assert event["model"] == "captioner" and event["approved_by"] == "admin"
    assert production(airflow, "captioner") == event["version"]
    assert {"curves.csv", "curves.png"} <= {path.name for path in work.iterdir()}
    assert not (work / "work").exists()


def _wait_for_checkpoint(run: Run, path: Path) -> None:
    """Look more often than Airflow is asked: the training does not wait."""

    def exists() -> bool:
        until = time.monotonic() + 2
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert path.exists() or run.task("train")["state"] == "running", f"the training went by without {path.name}"
        return path.exists()

    run.wait_for(path.name, exists, every=0)


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"data": "../../etc"}, "'../../etc' is no data set: give the path"),
        ({"data": "nothing here"}, "There is no data set 'nothing here'"),
        ({"data": ""}, "there are: archive, squares"),
    ],
)
def test_wrong_data_set_ends_at_once_with_one_sentence(
    airflow: AirflowInstallation, conf: dict[str, str], sentence: str
) -> None:
    run = start(airflow, **conf)
    assert run.finish() == "failed"
    assert [sentence in log for log in run.logs("prepare")].count(True) == 1
    assert set(run.states().values()) == {"failed", "upstream_failed"}


@pytest.mark.parametrize("conf", [{"model": "extractor"}, {"epochs": -1}, {"seed": "x"}, {"data": 3}])
def test_wrong_parameters_are_refused_before_a_run_exists(airflow: AirflowInstallation, conf: dict) -> None:
    with pytest.raises(ApiError, match=r"40\d|422"):
        airflow.api.trigger(DAG, conf=conf)
