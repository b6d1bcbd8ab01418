"""The form *Trigger > Backfill* of Airflow's web UI, filled in with a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Response, sync_playwright

from tests.e2e.airflow_installation import DAG, AirflowInstallation
from tounum_airflow.local.installation import USER

PAGE_SECONDS = 120  # a hundredth of that where nothing else runs
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser_page(airflow: AirflowInstallation) -> Iterator[Page]:
    """A page of the installed Chromium, logged in to the web UI; skips the test where there is none."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, as whom containers run.
        sandbox = [] if os.getuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=executable, args=sandbox)
        page = browser.new_page(viewport={"width": 1300, "height": 1400})
        page.set_default_timeout(PAGE_SECONDS * 1000)
        page.goto(airflow.airflow.base_url)
        page.locator("input[name=username]").fill(USER)
        page.locator("input[name=password]").fill(airflow.airflow.password)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Dags", exact=True).wait_for()
        yield page
        browser.close()


class BackfillForm:
    """The form as a person uses it: what stands on the page is clicked and read."""

    def __init__(self, page: Page, airflow: AirflowInstallation) -> None:
        self._page = page
        page.goto(f"{airflow.airflow.base_url}/dags/{DAG}")
        page.get_by_role("button", name="Trigger").first.click()
        self._text("Run this Dag for a range of dates").click()
        self._text("Date Range").wait_for()

    def fill_range(self, first: str, last: str) -> None:
        """Give the days, without a time."""
        for number, day in enumerate((first, last)):
            self._page.get_by_test_id("datetime-input").nth(number).click()
            field = self._page.get_by_placeholder("YYYY/MM/DD").locator("visible=true")
            field.fill(day.replace("-", "/"))
            self._text("Date Range").click()
            field.wait_for(state="hidden")

    def choose(self, option: str) -> None:
        """Choose a reprocess behavior, or tick a box."""
        self._text(option).click()

    def says(self, sentence: str) -> None:
        """Wait until the form says how many runs it would start."""
        self._text(sentence).wait_for()

    def fill(self, parameter: str, value: str) -> None:
        """Fill in a parameter of the run."""
        field = self._page.locator(f"input[name=element_{parameter}]")
        field.fill(value)
        field.blur()

    def run(self) -> None:
        """Press *Run Backfill*; what Airflow says of it stands on the page for seconds only."""

        def is_answer(response: Response) -> bool:
            return response.request.method == "POST" and response.url.endswith("/backfills")

        with self._page.expect_response(is_answer) as answered:
            self._page.get_by_role("button", name="Run Backfill").click()
        assert answered.value.ok, answered.value.text()

    def _text(self, text: str) -> Locator:
        return self._page.get_by_text(text, exact=True).first
