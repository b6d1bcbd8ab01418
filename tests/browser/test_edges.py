"""What is asked for at the edges: lists of a filter, pages behind the last one, an index that is damaged."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.people import Person
from tests.browser.test_pages import batch_of, correction, image_page, post
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.search.index import index_file, writing

LogIn = Callable[..., Person]
PAGE = 4096


def test_the_list_of_what_to_scan_again_is_that_of_the_gallery(
    person: LogIn, site: Path, airflow: LocalAirflow, tmp_path: Path
) -> None:
    for path in ("photographs/rocket.jpg", "sketches/house.png"):
        assert post(airflow, "ute", "reviews", correction(site, path, "scan_again", None)).status_code == 200
    date, _ = batch_of(site)
    vera = person("vera")
    for asked, expected in (
        (f"mark=scan_again&from=2000-01-01&to={date}", {"photographs/rocket.jpg", "sketches/house.png"}),
        ("mark=scan_again&class=Photo", {"photographs/rocket.jpg"}),
        ("mark=scan_again&q=house", {"sketches/house.png"}),
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
    vera.page.goto(f"/tounum/{image_page(site, 'sketches/house.png')}")  # and goes on by itself
    vera.page.locator("h1", has_text="house.png").wait_for()
