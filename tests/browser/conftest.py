"""One Airflow for all tests of this folder; a browser whose contexts are the people who look at it."""

import html
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.browser.airflow import airflow_over, command, passwords, roots
from tests.browser.people import CHROMIUM, Person
from tests.metadata_files import xmp_packet
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.sample.batch import jpeg
from tounum_tasks.sample.scans import as_scanned

DUE_RUN_SECONDS = 300
CLIENT = httpx.Client(trust_env=False, timeout=60)  # one for all: making one takes longer than a request


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser; without one there is nothing to look with."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return CHROMIUM


@pytest.fixture(scope="session")
def site(chromium: str, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that a run has filled with the sample batch, and its index."""
    folder = tmp_path_factory.mktemp("site")
    roots(folder)
    batch = folder / "ingest" / "Sample"
    shutil.copytree(sample, batch)
    said = "<dc:title>The coffee house</dc:title><dc:identifier>Inv 1923/5</dc:identifier>"
    (batch / "photographs" / "coffee.xmp").write_bytes(xmp_packet(said))
    for name, scan in (("letter", "album"), ("article, yellowed", "bordered")):
        (batch / "texts" / f"{name}.jpg").write_bytes(jpeg(as_scanned()[scan]))
    (batch / "_READY").touch()
    done = command(folder, "run")
    assert done.returncode == 0, done.stderr
    assert command(folder, "index").returncode == 0
    return folder


@pytest.fixture(scope="session")
def airflow(site: Path) -> Iterator[LocalAirflow]:
    """Airflow over that lake, started."""
    running = airflow_over(site)
    try:
        running.start()
        running.api.set_paused("tounum_nightly", False)
        _wait_for_the_run_that_is_due(running)
        yield running
    finally:
        running.stop()


def _wait_for_the_run_that_is_due(airflow: LocalAirflow) -> None:
    """Let Airflow make up for tonight's run, which would take corrections of the tests in before theirs do."""
    deadline = time.monotonic() + DUE_RUN_SECONDS
    while time.monotonic() < deadline:
        if airflow.api.is_at_rest("tounum_nightly"):
            return
        time.sleep(1)
    raise AssertionError(f"the run that was due has not ended after {DUE_RUN_SECONDS} s")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """The browser, started."""
    with sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def contexts(airflow: LocalAirflow, browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """The browser contexts of all who have logged in, which keep what they once loaded of Airflow's own pages."""
    opened: dict[str, BrowserContext] = {}
    yield opened
    for context in opened.values():
        context.close()


@pytest.fixture
def person(
    airflow: LocalAirflow, browser: Browser, contexts: dict[str, BrowserContext]
) -> Iterator[Callable[..., Person]]:
    """Somebody who has logged in: ``person("ute")``; options are those of a browser context."""
    pages = []

    def log_in(name: str = "ute", **options: object) -> Person:
        key = repr((name, options))
        if key not in contexts:
            new = browser.new_context(
                base_url=airflow.base_url, **{"viewport": {"width": 1400, "height": 900}, **options}
            )
            new.add_cookies([{"name": "_token", "value": token(airflow, name), "url": airflow.base_url}])
            contexts[key] = new
        pages.append(contexts[key].new_page())
        return Person(pages[-1], airflow)

    yield log_in
    for page in pages:
        page.evaluate("localStorage.clear()")
        page.close()


@lru_cache
def token(airflow: LocalAirflow, name: str, base_url: str = "") -> str:
    """Return the token of a user, as the login page would set it."""
    answer = CLIENT.post(
        f"{base_url or airflow.base_url}/auth/token",
        json={"username": name, "password": passwords(airflow)[name]},
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def tiles_of(page: str) -> list[dict[str, Any]]:
    """Return what the tiles of a gallery know of their items: where each lies, and the reviews in force."""
    return [json.loads(html.unescape(item)) for item in re.findall(r'<li class="tile" data-item="([^"]*)"', page)]


@pytest.fixture
def as_it_was(airflow: LocalAirflow, site: Path) -> Iterator[None]:
    """What a test says of images is taken back after it."""

    def said() -> dict[str, tuple[str, dict[str, Any]]]:
        login = {"Authorization": f"Bearer {token(airflow, 'ute')}", "x-tounum": "1"}
        found, address = {}, "/tounum/gallery?n=200"
        while address:
            page = CLIENT.get(f"{airflow.base_url}{address}", headers=login)
            assert page.status_code == 200, page.text
            found |= {review: (mark, item) for item in tiles_of(page.text) for mark, review in item["saw"].items()}
            following = re.search(r'<a rel="next" href="([^"]+)"', page.text)
            address = html.unescape(following[1]) if following else ""
        return found

    before = said()
    yield
    while made := [review for review in said() if review not in before]:
        mark, item = said()[made[0]]
        body = {"mark": mark, "undo": True, "items": [item]}
        login = {"Authorization": f"Bearer {token(airflow, 'ute')}", "x-tounum": "1"}
        CLIENT.post(f"{airflow.base_url}/tounum/reviews", json=body, headers=login).raise_for_status()
