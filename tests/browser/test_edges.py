"""What is asked for at the edges: lists of a filter, pages behind the last one, an index that is damaged."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.airflow import command
from tests.browser.people import Person
from tests.browser.test_pages import batch_of, correction, get, image_page, post
from tests.disk import Disk
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.search.index import index_file, writing

LogIn = Callable[..., Person]
pytestmark = pytest.mark.usefixtures("as_it_was")
PAGE = 4096


def test_the_list_of_what_to_scan_again_is_that_of_the_gallery(
    person: LogIn, site: Path, airflow: LocalAirflow, tmp_path: Path
) -> None:
    for path in ("photographs/rocket.jpg", "sketches/bicycle.png"):
        assert post(airflow, "ute", "reviews", correction(site, path, "scan_again", None)).status_code == 200
    date, _ = batch_of(site)
    vera = person("vera")
    for asked, expected in (
        (f"mark=scan_again&from=2000-01-01&to={date}", {"photographs/rocket.jpg", "sketches/bicycle.png"}),
        ("mark=scan_again&class=Photo", {"photographs/rocket.jpg"}),
        ("mark=scan_again&q=bicycle", {"sketches/bicycle.png"}),
        ("mark=scan_again&to=2000-01-01", set()),
    ):
        frame = vera.open_alone(f"gallery?{asked}")
        with vera.page.expect_download() as download:
            frame.get_by_role("link", name="list of what to scan again").click()
        download.value.save_as(tmp_path / "list.csv")
        assert set(pd.read_csv(tmp_path / "list.csv")["source_path"]) == expected, asked


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("gallery?after=4000000000000000000", "The images end before this page"),
        ("gallery?class=Text&after=4000000000000000000", "The images end before this page"),
        ("nights?before=1990-01-01", "No night is older than 1990-01-01"),
        ("quarantine?after=4000000000000000000", "No more files are like that"),
    ],
)
def test_a_page_behind_the_last_one_says_so_and_leads_back(person: LogIn, page: str, said: str) -> None:
    frame = person("vera").open_alone(page)
    text = frame.locator("main").inner_text()
    assert said in text and "Nothing has been published" not in text and "Nothing is in quarantine" not in text
    frame.locator("main a", has_text="begin with the first").or_(frame.locator("main a", has_text="see ")).first.click()


def test_the_confidence_of_a_model_does_not_stand_beside_the_class_that_a_person_gave(
    person: LogIn, site: Path, airflow: LocalAirflow
) -> None:
    path = "sketches/bicycle.png"
    vera = person("vera")
    assert "%" in vera.open_alone("gallery?q=bicycle.png").locator(".tile .what").inner_text()
    assert post(airflow, "ute", "reviews", correction(site, path, "label", "Text")).status_code == 200
    assert vera.open_alone("gallery?q=bicycle.png").locator(".tile .what").inner_text().strip() == "Text"
    label = vera.open_alone(image_page(site, path)).locator(".label").inner_text()
    assert "Text" in label and "the model said Sketch" in label and "%" not in label


def test_blanks_in_a_name_are_seen(person: LogIn) -> None:
    name = person("vera").open_alone("gallery?q=bicycle.png").locator(".tile .name bdi")
    assert name.evaluate("e => { e.textContent = '  two  blanks.png'; return e.innerText; }") == "  two  blanks.png"


def test_a_correction_for_which_the_index_has_no_room_is_told_so(site: Path, airflow: LocalAirflow) -> None:
    try:
        disk = Disk(site / "index", size="16m")  # in front of the one that is there
    except PermissionError as error:
        pytest.skip(str(error))
    try:
        for _ in range(120):
            if get(airflow, "ute", "gallery").status_code == 200:
                break
            time.sleep(1)
        disk.fill()
        answer = post(airflow, "ute", "reviews", correction(site, "sketches/bicycle.png", "taken_care", None))
        assert answer.status_code == 507, answer.text
        assert re.fullmatch(
            r"What you said is saved\. The index of the pages, \S+, cannot be read or written .*, then look .* again\.",
            answer.json()["detail"],
        )
    finally:
        subprocess.run(["umount", "--lazy", str(site / "index")], check=True)
        assert (
            command(site, "index", "--wait").returncode == 0
        )  # the index knows what was said, and it can be taken back


def test_an_index_that_is_damaged_while_people_look_is_made_anew(person: LogIn, site: Path) -> None:
    path = index_file(str(site / "index"), f"file://{site}/lake")
    with writing(path) as index:
        pages = [row[0] for row in index.execute("SELECT pageno FROM dbstat WHERE name = 'details'")]
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        for number in pages:
            file.seek((number - 1) * PAGE)
            file.write(b"junk" * (PAGE // 4))
    vera = person("vera")
    vera.page.goto(f"/tounum/{image_page(site, 'sketches/bicycle.png')}")  # and goes on by itself
    vera.page.locator("h1", has_text="bicycle.png").wait_for()
