"""Keys that come faster than answers, undo, and copies: what is said is said of the image that it was meant for."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import tiles_of
from tests.browser.people import Person
from tests.browser.test_pages import batch_of, correction, get, image_page, post
from tounum_airflow.local.installation import LocalAirflow

LogIn = Callable[..., Person]
pytestmark = pytest.mark.usefixtures("as_it_was")


def slowly(person: Person, pattern: str, milliseconds: int = 600) -> None:
    """Let the answers of a busy server come late."""
    person.page.route(pattern, lambda route: (time.sleep(milliseconds / 1000), route.continue_()))


def busy(frame: Any, milliseconds: int = 700, fails: bool = False) -> None:
    """Let all that the page asks for wait, so that what is typed next surely comes before the answer."""
    answer = 'new Response(JSON.stringify({detail: "Busy."}), {status: 503})' if fails else "asked(...what)"
    frame.evaluate(
        "ms => { const asked = window.fetch; window.fetch = (...what) => "
        f"new Promise(done => setTimeout(done, ms)).then(() => {answer}); }}",
        milliseconds,
    )


def at_first_image(person: Person, page: str) -> Any:
    """Open a gallery and move to its first image; returns the frame."""
    frame = person.open_alone(page)
    frame.locator("body").press("ArrowRight")
    return frame


def classes(frame: Any) -> list[str]:
    return [text.split()[0] for text in frame.locator(".tile .what").all_inner_texts()]


def test_keys_that_come_before_the_answer_go_to_the_images_that_they_were_meant_for(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    slowly(ute, "**/reviews")
    for key in ("1", "3", "4"):
        ute.page.keyboard.press(key)
    frame.locator(".tile").nth(2).get_by_text("class corrected").wait_for()
    assert classes(frame)[:4] == ["Painting", "Schematics", "Sketch", "Text"]
    assert frame.locator("#said.bad").count() == 0
    for _ in range(3):
        ute.page.keyboard.press("u")
    frame.locator(".marks", has_text="corrected").first.wait_for(state="detached")
    assert classes(frame)[:4] == ["Text"] * 4


def test_what_was_typed_ahead_of_a_correction_that_failed_is_dropped(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    ute.page.route("**/reviews", lambda route: (time.sleep(0.6), route.fulfill(status=503, json={"detail": "Busy."})))
    ute.page.keyboard.press("1")
    ute.page.keyboard.press("3")
    frame.locator("#said.bad", has_text="Busy.").wait_for()
    ute.page.unroute("**/reviews")
    ute.page.wait_for_timeout(1500)
    assert set(classes(frame)) == {"Text"}


def test_letters_of_a_caption_that_is_not_open_yet_are_no_keys(person: LogIn, site: Path) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Photo")
    slowly(ute, "**/reviews")
    ute.page.keyboard.press("s")
    ute.page.keyboard.type("cags")
    frame.locator("#caption textarea").wait_for()
    ute.page.keyboard.press("Escape")
    ute.page.wait_for_timeout(1500)
    assert frame.locator(".tile.picked").count() == 0
    assert frame.locator(".chip", has_text="good as it is").count() == 0
    assert frame.locator(".chip", has_text="scan again").count() == 1


def test_the_button_of_the_caption_waits_for_the_correction_before_it(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Photo")
    busy(frame, fails=True)
    ute.page.keyboard.press("s")
    frame.locator(".actions button", has_text="Caption").click()
    assert frame.locator("dialog[open]").count() == 0
    frame.locator("#said.bad", has_text="Busy.").wait_for()
    ute.page.wait_for_timeout(500)
    assert frame.locator("dialog[open]").count() == 0
    frame.locator(".actions button", has_text="Caption").click()
    frame.locator("#caption textarea").wait_for()
    ute.page.keyboard.press("Escape")


def test_keys_after_a_caption_wait_for_its_answer(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Photo")
    ute.page.keyboard.press("c")
    frame.locator("#caption textarea").fill("A harbour in the snow")
    busy(frame)
    frame.get_by_role("button", name="Save").click()
    ute.page.keyboard.press("1")
    frame.locator(".tile").nth(1).get_by_text("class corrected").wait_for()
    assert frame.locator(".tile .said").nth(0).inner_text() == "A harbour in the snow"
    assert classes(frame)[:3] == ["Photo", "Painting", "Photo"]


def test_the_same_as_last_time_is_what_was_typed_before_it(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    ute.page.keyboard.press("3")
    frame.locator(".tile").nth(0).get_by_text("class corrected").wait_for()
    busy(frame)
    for key in ("1", "."):
        ute.page.keyboard.press(key)
    frame.locator(".tile").nth(2).get_by_text("class corrected").wait_for()
    assert classes(frame)[:4] == ["Schematics", "Painting", "Painting", "Text"]


def test_the_next_page_waits_for_what_was_typed_before_it(person: LogIn) -> None:
    ute = person("ute")
    corrected = "gallery?mark=label"
    before = Counter(classes(ute.open_alone(corrected)))
    frame = at_first_image(ute, "gallery?class=Text&n=4")
    busy(frame)
    for key in ("1", "3", "n"):
        ute.page.keyboard.press(key)
    ute.page.wait_for_url("**after=*")
    assert Counter(classes(ute.open_alone(corrected))) - before == Counter(["Painting", "Schematics"])


def test_what_comes_too_late_for_an_image_is_told_on_the_next_one(person: LogIn, site: Path) -> None:
    ute = person("ute")
    frame = ute.open_alone(image_page(site, "sketches/bicycle.png") + "&in.class=Sketch")
    frame.locator("#item").wait_for(state="attached")
    busy(frame)
    for key in ("4", "5"):
        ute.page.keyboard.press(key)
    ute.page.wait_for_function("() => !document.querySelector('h1').innerText.includes('bicycle.png')")
    ute.page.locator("#said.bad", has_text="while the page was being left was not saved").wait_for()
    assert ute.page.locator(".label").inner_text().split()[0] == "Sketch"
    shown = ute.open_alone(image_page(site, "sketches/bicycle.png"))
    assert "Text" not in shown.locator(".label").inner_text()


def test_arrows_that_are_held_down_meanwhile_are_not_made_up_for(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery")
    busy(frame)
    ute.page.keyboard.press("s")
    for _ in range(5):
        ute.page.keyboard.down("ArrowRight")
    ute.page.keyboard.up("ArrowRight")
    frame.locator(".tile").nth(0).get_by_text("scan again").wait_for()
    ute.page.wait_for_timeout(300)
    assert [tile.get_attribute("aria-current") for tile in frame.locator(".tile").all()][:4] == [
        None,
        None,
        "true",
        None,
    ]


def test_a_caption_of_a_text_is_not_said_to_take_effect(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    ute.page.keyboard.press("c")
    frame.locator("#caption textarea").fill("A letter about the harbour")
    frame.get_by_role("button", name="Save").click()
    frame.locator("#said", has_text="kept for when the class is Photo").wait_for()


def test_a_key_that_is_held_down_is_meant_once(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    for _ in range(5):
        ute.page.keyboard.down("1")  # the second one and those after it are repetitions
    ute.page.keyboard.up("1")
    frame.locator(".tile").nth(0).get_by_text("class corrected").wait_for()
    ute.page.wait_for_timeout(1000)
    assert classes(frame)[:2] == ["Painting", "Text"]


def test_nothing_is_said_of_an_image_that_is_being_left(person: LogIn, site: Path) -> None:
    ute = person("ute")
    path = "sketches/bicycle.png"
    for first in ("4", "ArrowRight"):
        frame = ute.open_alone(image_page(site, path) + "&in.class=Sketch")
        frame.locator("#item").wait_for(state="attached")
        slowly(ute, "**/image?*", 2000)
        ute.page.keyboard.press(first)
        ute.page.wait_for_timeout(1000)
        ute.page.keyboard.press("5")  # the page still shows the bicycle
        ute.page.wait_for_timeout(2500)
        ute.page.unroute("**/image?*")
        assert "bicycle.png" not in ute.page.locator("h1").inner_text()
        shown = ute.open_alone(image_page(site, path)).locator(".label").inner_text()
        assert shown.split()[0] == "Sketch", first


def test_undo_takes_back_what_oneself_said_and_not_what_others_said_since(person: LogIn) -> None:
    olga, ute = person("olga"), person("ute")
    frame = at_first_image(ute, "gallery?q=bicycle.png")
    ute.page.keyboard.press("1")
    frame.locator(".what", has_text="Painting").wait_for()
    other = olga.open_alone("gallery?q=bicycle.png")
    other.locator("body").press("ArrowRight")
    olga.page.keyboard.press("5")
    other.locator(".what", has_text="Text").wait_for()
    frame = ute.open_alone("gallery?q=bicycle.png")
    assert classes(frame) == ["Text"]
    ute.page.keyboard.press("u")
    frame.locator("#said.bad", has_text="olga was faster").wait_for()
    assert classes(person("vera").open_alone("gallery?q=bicycle.png")) == ["Text"]


def test_an_undo_that_did_not_get_through_can_be_tried_again(person: LogIn) -> None:
    ute = person("ute")
    frame = at_first_image(ute, "gallery?class=Text")
    for number, key in enumerate(("1", "3")):
        ute.page.keyboard.press(key)
        frame.locator(".tile").nth(number).get_by_text("class corrected").wait_for()
    ute.page.route("**/reviews", lambda route: route.fulfill(status=503, json={"detail": "Busy."}))
    ute.page.keyboard.press("u")
    frame.locator("#said.bad", has_text="Busy.").wait_for()
    ute.page.unroute("**/reviews")
    ute.page.keyboard.press("u")
    frame.locator("#said", has_text="Taken back").wait_for()
    assert classes(frame)[:2] == ["Painting", "Text"]  # the last one is back, and not the one before it


def test_copies_on_the_page_follow(person: LogIn, airflow: LocalAirflow, site: Path) -> None:
    date, batch = batch_of(site)
    answer = post(airflow, "ute", "reviews", correction(site, "photographs/cat.png", "good", None))
    (outcome,) = answer.json()["items"]
    assert outcome["copies"] == 1
    tiles = tiles_of(get(airflow, "ute", f"gallery?date={date}&batch={batch}&n=200").text)
    places = [number for number, tile in enumerate(tiles) if tile["saw"].get("good") == outcome["saw"]["good"]]
    assert len(places) == 2
    ute = person("ute")
    frame = ute.open_alone("gallery?n=200")
    one, copy = (frame.locator(".tile").nth(number) for number in places)
    one.locator(".open").focus()
    ute.page.keyboard.press("4")
    copy.get_by_text("class corrected").wait_for()
    assert "Sketch" in copy.locator(".what").inner_text()
    copy.locator(".open").focus()
    ute.page.keyboard.press("3")  # nobody else was faster: the copy knows what was said
    one.locator(".what", has_text="Schematics").wait_for()
    assert frame.locator("#said.bad").count() == 0


def test_an_undo_counts_in_the_sample_that_it_was_made_for(person: LogIn, site: Path) -> None:
    ute = person("ute")
    date, batch = batch_of(site)
    frame = ute.open_alone(f"sample?date={date}&batch={batch}")
    frame.get_by_role("button", name="Draw").first.click()
    frame = ute.frame("&id=")
    frame.locator("body").press("ArrowRight")
    before = {path: path.read_text() for path in (site / "lake" / "reviews" / "samples").glob("*.json")}
    ute.page.keyboard.press("g")
    frame.locator(".tile").nth(0).get_by_text("good as it is").wait_for()
    (kept,) = [path for path, text in before.items() if path.read_text() != text]
    assert json.loads(kept.read_text())["outcome"]["classes"]["looked_at"] > 0
    ute.page.keyboard.press("u")
    frame.locator("#said", has_text="Taken back").wait_for()
    assert kept.read_text() == before[kept]
    frame.locator(".tile").nth(0).get_by_text("good as it is").wait_for(state="detached")
    ute.page.keyboard.press("g")
    frame.locator(".tile").nth(0).get_by_text("good as it is").wait_for()
    kept.unlink()  # the sample is gone: what was said for it can be taken back all the same
    ute.page.keyboard.press("u")
    frame.locator(".tile").nth(0).get_by_text("good as it is").wait_for(state="detached")
    assert frame.locator("#said").inner_text().startswith("Taken back")
