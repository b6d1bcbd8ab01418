"""The pages as a part of Airflow: its runs, its tabs, a prefix, and a correction all the way to its place."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.browser.conftest import token
from tests.browser.people import Person
from tests.browser.test_pages import batch_of, correction, image_page, post
from tests.class_images import write_class_images
from tests.pipeline.second_models import VERSION, register_second_captioner
from tounum_airflow.local.api import FINISHED
from tounum_airflow.local.installation import LocalAirflow

LogIn = Callable[..., Person]
RUN_SECONDS = 600


def row_of(site: Path, path: str) -> dict:
    """Return the row of an image in the installed manifest."""
    (manifest,) = (site / "lake" / "manifests").glob("*/*/manifest.parquet")
    return next(row for row in pq.read_table(manifest).to_pylist() if row["source_path"] == path)


def finished(airflow: LocalAirflow, run_id: str) -> str:
    """Wait for the end of a run; return its state."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        state = airflow.api.run("tounum_nightly", run_id)["state"]
        if state in FINISHED:
            return str(state)
        time.sleep(2)
    raise AssertionError(f"{run_id} is still {state} after {RUN_SECONDS} s")


def test_correction_takes_effect_when_it_is_applied(person: LogIn, site: Path, airflow: LocalAirflow) -> None:
    path = "sketches/house.png"
    assert row_of(site, path)["label"] == "Sketch"
    assert post(airflow, "ute", "reviews", correction(site, path, "label", "Photo")).status_code == 200
    assert row_of(site, path)["label"] == "Sketch"  # a review publishes nothing by itself
    ute = person("ute")
    run_id = apply_now(ute, site, airflow, path)
    row = row_of(site, path)
    assert (row["label"], row["label_source"], row["model_label"]) == ("Photo", "person", "Sketch")
    assert row["caption"] and "/photos/" in row["destination_uri"]
    assert Path(row["destination_uri"].removeprefix("file://")).exists()
    assert not list((site / "non_photos" / "sketch").rglob("house.png"))
    frame = until_known(ute, image_page(site, path))
    assert "the model said Sketch" in frame.locator(".facts").inner_text()
    ute.page.goto(f"/dags/tounum_nightly/runs/{run_id}/plugin/tounum_run")
    frame = ute.frame("nights?")
    assert frame.locator("h1").inner_text() == "What this run published"
    assert frame.locator("tbody tr").count() == 1
    ute.page.goto(f"/dags/tounum_nightly/runs/{run_id}/tasks/shard.classify/mapped/0/plugin/tounum_task")
    assert ute.frame("gallery?").locator(".tile").count() == 45


def test_correction_outlives_a_new_model_and_a_restore_and_is_learnt_from(
    person: LogIn, site: Path, airflow: LocalAirflow, retraining: None
) -> None:
    path = "sketches/house.png"
    ute, olga = person("ute"), person("olga")
    if row_of(site, path)["label_source"] != "person":
        post(airflow, "ute", "reviews", correction(site, path, "label", "Photo"))
        apply_now(ute, site, airflow, path)
    before = row_of(site, path)

    register_second_captioner(site / "lake")
    promote(olga, "captioner", f'[data-promote*="{VERSION}"]')
    work_again(ute, site, airflow)
    after = row_of(site, path)
    assert (after["label"], after["label_source"]) == ("Photo", "person")
    assert after["caption"] != before["caption"] and after["captioner_version"].startswith(VERSION)

    date, batch = batch_of(site)
    old, new = before["manifest_version"], after["manifest_version"]
    page = f"changes?date={date}&batch={batch}&from={old}&to={new}"
    restore = f"Restore version {old}"
    frame = until(olga, page, lambda frame: frame.get_by_role("button", name=restore).count() == 1)
    frame.get_by_role("button", name=restore).click()
    frame.get_by_role("button", name="Yes").click()
    frame.wait_for_function("search => location.search === search", arg=f"?date={date}&batch={batch}")
    restored = row_of(site, path)
    assert restored["manifest_version"] > new
    assert (restored["label"], restored["label_source"]) == ("Photo", "person")
    assert restored["caption"] == before["caption"]
    promote(olga, "captioner", "[data-promote]:text('Roll back')")

    frame = olga.open("runs")
    frame.locator("#retrain [name=data]").fill("archive")
    frame.locator("#retrain").get_by_role("button", name="Start").click()
    olga.page.wait_for_url("**/dags/tounum_retrain/runs/**")
    plan = prepared(airflow)
    assert (plan["data"], plan["corrections"]) == ("archive", True)
    assert sum(plan["images"].values()) > 30  # those of the archive, and what was corrected
    (learnt,) = (site / "training" / "retrain" / plan["work"] / "corrections").rglob(
        f"{row_of(site, path)['image_id']}.*"
    )
    assert "Photo" in learnt.parts


def apply_now(person: Person, site: Path, airflow: LocalAirflow, path: str) -> str:
    """Press "Apply now" on an image's page and wait for the run, whose id is returned."""
    frame = person.open(image_page(site, path))
    assert "takes effect at the next run" in frame.locator(".note").inner_text()
    frame.get_by_role("link", name="Apply now").click()
    return start_again(person, site, airflow)


def work_again(person: Person, site: Path, airflow: LocalAirflow) -> str:
    """Have the batch worked on again from its night, and wait for the run, whose id is returned."""
    date, batch = batch_of(site)
    person.open(f"runs?date={date}&batch={batch}")
    return start_again(person, site, airflow)


def start_again(person: Person, site: Path, airflow: LocalAirflow) -> str:
    """Press "Start" of the dialog that works on a day again, and wait for the run, whose id is returned."""
    form = person.frame("runs?").locator("#again")
    chosen = (form.locator("[name=batch_date]").input_value(), form.locator("[name=batch_id]").input_value())
    assert chosen == batch_of(site)
    form.get_by_role("button", name="Start").click()
    person.page.wait_for_url("**/dags/tounum_nightly/runs/**")
    run_id = airflow.api.runs("tounum_nightly")[-1]["dag_run_id"]
    assert finished(airflow, run_id) == "success"
    return str(run_id)


def promote(person: Person, model: str, button: str) -> None:
    """Press a button of a model's table, confirm, and wait until the page shows what it did."""
    name = f"Versions of the {model}"
    frame = until(person, "models", lambda frame: frame.get_by_role("region", name=name).locator(button).count() == 1)
    table = frame.get_by_role("region", name=name)
    before = table.inner_text()
    table.locator(button).click()
    frame.get_by_role("button", name="Yes").click()
    frame.wait_for_function(
        "([label, before]) => document.querySelector(`[aria-label='${label}']`)?.innerText !== before",
        arg=[name, before],
    )


@pytest.fixture
def retraining(site: Path, airflow: LocalAirflow) -> Iterator[None]:
    """A data set and the DAG that learns from it; the training itself is ended, other tests do that."""
    write_class_images(site / "datasets" / "archive")
    airflow.api.set_paused("tounum_reprocess", True)
    airflow.api.set_paused("tounum_retrain", False)
    yield
    airflow.api.set_paused("tounum_retrain", True)
    for run in airflow.api.runs("tounum_retrain"):
        if run["state"] not in FINISHED:
            airflow.api.set_run_state("tounum_retrain", run["dag_run_id"], "failed")


def prepared(airflow: LocalAirflow) -> dict[str, Any]:
    """Wait until the retraining knows what it learns from, and return its plan."""
    (run,) = airflow.api.runs("tounum_retrain")
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        states = {task["task_id"]: task["state"] for task in airflow.api.tasks("tounum_retrain", run["dag_run_id"])}
        if states["prepare"] == "success":
            plan: dict[str, Any] = airflow.api.xcom("tounum_retrain", run["dag_run_id"], "prepare")
            return plan
        assert "failed" not in states.values(), states
        time.sleep(2)
    raise AssertionError(f"nothing was prepared: {states}")


def until_known(person: Person, page: str) -> Any:
    """Open a page until the index knows what the last run published; return its frame."""
    # A page that asks again soon has no note either.
    return until(person, page, lambda frame: frame.locator(".facts").count() and not frame.locator(".note").count())


def until(person: Person, page: str, is_there: Callable[[Any], Any]) -> Any:
    """Open a page until its frame shows what is waited for; return the frame."""
    frame = person.open(page)
    for _ in range(20):
        if is_there(frame):
            return frame
        person.page.wait_for_timeout(5000)
        frame = person.go_on(page)
    raise AssertionError(f"{page} never shows it: {frame.locator('body').inner_text()[:1000]}")


@pytest.fixture
def below_prefix(site: Path, airflow: LocalAirflow) -> Iterator[str]:
    """The address of a second api-server of the same Airflow, which lies below a prefix."""
    port = airflow.port + 1
    base_url = f"http://127.0.0.1:{port}/air"
    environment = {**airflow.environment(), "AIRFLOW__API__BASE_URL": base_url, "AIRFLOW__API__PORT": str(port)}
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--workers", "1"]
    with (site / "prefix.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, cwd=site, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(180):
            try:
                httpx.get(f"{base_url}/api/v2/version", timeout=5)
                break
            except httpx.HTTPError:
                time.sleep(1)
        yield base_url
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def test_everything_works_below_a_prefix(below_prefix: str, airflow: LocalAirflow, browser: object, site: Path) -> None:
    context = browser.new_context()  # type: ignore[attr-defined]
    try:
        context.add_cookies([{"name": "_token", "value": token(airflow, "ute", below_prefix), "url": below_prefix}])
        ute = Person(context.new_page(), airflow)
        missing: list[str] = []
        ute.page.on("response", lambda answer: missing.append(answer.url) if answer.status == 404 else None)
        ute.page.goto(f"{below_prefix}/plugin/tounum")  # as the menu does
        frame = ute.frame("/air/tounum/nights")
        frame.get_by_role("link", name="Sample", exact=True).click()
        frame = ute.frame("/air/tounum/gallery")
        frame.locator(".frame img").first.wait_for()
        frame.locator("body").press("ArrowRight")
        frame.locator(".tile").first.press("g")
        frame.locator(".tile").first.get_by_text("good as it is").wait_for()
        frame.locator(".tile").first.press("u")
        frame.locator(".tile").first.locator("a").click()
        frame = ute.frame("/air/tounum/image")
        assert frame.locator("img.before").evaluate("i => i.decode().then(() => i.naturalWidth)") > 50
        assert missing == []
    finally:
        context.close()
