"""What people see and do on the pages, each as the person that they are."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.browser.airflow import command
from tests.browser.conftest import CLIENT, token
from tests.browser.people import Person
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.models.card import WEIGHTS_FILE, write_card
from tounum_tasks.models.weights import write_safetensors
from tounum_tasks.sample.photos import photographs

LogIn = Callable[..., Person]
PAGES = ["nights", "gallery", "quarantine", "models", "changes", "runs"]


def batch_of(site: Path) -> tuple[str, str]:
    """Return date and id of the batch."""
    (manifest,) = (site / "lake" / "manifests").glob("*/*/manifest.parquet")
    return manifest.parent.parent.name, manifest.parent.name


def reviews(site: Path) -> set[str]:
    """Return the names of all reviews that lie there."""
    return {path.name for path in (site / "lake" / "reviews").glob("*.json")}


def image_page(site: Path, path: str) -> str:
    date, batch = batch_of(site)
    return f"image?date={date}&batch={batch}&path={path}&page=1"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_no_page_shuts_anybody_out(person: LogIn, site: Path, colours: str) -> None:
    olga = person("olga", color_scheme=colours)
    date, batch = batch_of(site)
    more = [image_page(site, "photographs/rocket.jpg"), image_page(site, "photographs/copy broke off.jpg")]
    more.append(f"sample?date={date}&batch={batch}")
    found = {}
    olga.open(PAGES[0])
    for page in [*PAGES, *more]:
        frame = olga.go_on(page)
        assert (frame.locator("html").get_attribute("class") or "") == ("dark" if colours == "dark" else "")
        assert frame.locator("h1").count() == 1, page
        assert frame.title() != "Airflow"
        olga.page.wait_for_function("title => document.title === title", arg=frame.title())
        found[page] = olga.violations(frame)
    assert not any(found.values()), found
    assert olga.errors == []


def test_menu_leads_to_the_nights_and_back_leads_back(person: LogIn) -> None:
    vera = person("vera")
    vera.page.goto("/")
    vera.page.get_by_role("link", name="TouNum", exact=True).click()
    frame = vera.frame("nights")
    assert frame.get_by_text("2 of 45 images have no result.").is_visible()
    frame.get_by_role("link", name="Sample", exact=True).click()
    assert vera.frame("gallery").locator(".tile").count() == 45
    vera.page.go_back()
    assert vera.frame("nights").locator("h1").inner_text() == "Nights"


def test_deep_link_survives_the_login(airflow: LocalAirflow, browser: object, site: Path) -> None:
    from tests.browser.airflow import passwords

    context = browser.new_context(base_url=airflow.base_url)  # type: ignore[attr-defined]
    try:
        stranger = Person(context.new_page(), airflow)
        stranger.page.goto("/plugin/tounum/tounum/gallery?class=Sketch&sort=unsure")
        stranger.page.locator("input[name=username]").fill("vera")
        stranger.page.locator("input[name=password]").fill(passwords(airflow)["vera"])
        stranger.page.locator("input[name=password]").press("Enter")
        frame = stranger.frame("gallery?class=Sketch&sort=unsure")
        assert frame.locator(".tile").count() == int(frame.locator(".count strong").inner_text()) > 0
    finally:
        context.close()


def test_filters_and_search_find_and_the_address_says_what(person: LogIn) -> None:
    vera = person("vera")
    frame = vera.open_alone("gallery")
    frame.locator("select[name=class]").select_option("Photo")
    frame.get_by_role("button", name="Show").click()
    frame = vera.frame("class=Photo")
    number = int(re.search(r"\d+", frame.locator(".count strong").inner_text()).group())  # type: ignore[union-attr]
    assert frame.locator(".tile").count() == number
    frame.locator("body").press("/")
    vera.page.keyboard.type("rocke")
    vera.page.keyboard.press("Enter")
    frame = vera.frame("q=rocke")
    assert frame.locator(".tile .name").all_inner_texts() == ["rocket.jpg"]
    assert "q=rocke" in vera.page.url
    vera.page.reload()
    assert vera.frame("q=rocke").locator(".tile").count() == 1


def test_photographs_on_a_sheet_are_outlined_and_shown_one_by_one(person: LogIn, site: Path) -> None:
    vera = person("vera")
    frame = vera.open_alone(image_page(site, "texts/letter.jpg"))  # which is a page of an album here
    assert frame.locator(".outlines polygon").count() == 3
    picture, outlines = (frame.locator(f".canvas {what}").bounding_box() for what in ("img.before", ".outlines"))
    assert outlines == pytest.approx(picture, abs=1)
    crops = frame.locator(".crops svg")
    assert [crop.get_attribute("aria-label") for crop in crops.all()] == [f"Photograph {n} of 3" for n in (1, 2, 3)]
    vera.page.wait_for_function("() => document.images[0].complete")
    for crop, name in zip(crops.all(), ("astronaut", "cat", "coffee"), strict=True):
        shown = cv2.imdecode(np.frombuffer(crop.screenshot(), np.uint8), cv2.IMREAD_COLOR_RGB)[4:-4, 4:-4]
        expected = cv2.resize(photographs()[name], shown.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(float) - expected).mean() < 30, name
    frame.get_by_label("what was found on it").uncheck()
    assert not frame.locator(".outlines").is_visible()
    assert vera.violations(frame) == []


def test_what_a_border_surrounds_is_outlined(person: LogIn, site: Path) -> None:
    vera = person("vera")
    frame = vera.open_alone(image_page(site, "texts/article, yellowed.jpg"))  # which lies in a black border here
    width, height = (int(frame.locator("img.before").get_attribute(side)) for side in ("width", "height"))
    corners = frame.locator(".outlines polygon.content").get_attribute("points")
    left, top, right, bottom = (int(corners.replace(" ", ",").split(",")[place]) for place in (0, 1, 4, 5))
    assert (left, top, width - right, height - bottom) == pytest.approx((110, 60, 70, 90), abs=3)
    assert frame.locator(".crops").count() == 0
    assert frame.get_by_text("takes effect at the next run").count() == 0  # for nobody has corrected anything
    assert vera.violations(frame) == []


def test_nothing_found_says_what_to_do(person: LogIn) -> None:
    frame = person("vera").open_alone("gallery?q=unicorn")
    assert "No image is like that." in frame.locator(".empty").inner_text()
    frame.get_by_role("link", name="Take the filter away").click()


def test_viewer_cannot_correct_anything(person: LogIn, airflow: LocalAirflow, site: Path) -> None:
    before = reviews(site)
    vera = person("vera")
    frame = vera.open_alone("gallery")
    assert frame.locator("[data-mark], .pick").count() == 0
    frame.locator("body").press("ArrowRight")
    frame.locator("body").press("4")
    answer = post(airflow, "vera", "reviews", correction(site, "sketches/house.png", "label", "Text"))
    assert answer.status_code == 403
    assert reviews(site) == before
    assert "permission to trigger" in vera.open_alone("runs").locator("main").inner_text()


def test_a_key_corrects_and_goes_on_and_undo_takes_it_back(person: LogIn, site: Path) -> None:
    before = reviews(site)
    ute = person("ute")
    frame = ute.open("gallery?class=Sketch")
    names = frame.locator(".tile .name").all_inner_texts()
    frame.locator("body").press("ArrowRight")
    current = frame.locator(".tile[aria-current]")
    assert current.locator(".name").inner_text() == names[0]
    current.press("3")
    frame.locator(".tile").nth(0).get_by_text("class corrected").wait_for()
    assert "Schematics" in frame.locator(".tile").nth(0).locator(".what").inner_text()
    assert frame.locator(".tile[aria-current] .name").inner_text() == names[1]
    ute.page.keyboard.press(".")  # the same as last time
    frame.locator(".tile").nth(1).get_by_text("class corrected").wait_for()
    ute.page.keyboard.press("u")
    frame.locator(".tile").nth(1).locator(".marks", has_not_text="corrected").wait_for(state="attached")
    assert "Sketch" in frame.locator(".tile").nth(1).locator(".what").inner_text()
    ute.page.keyboard.press("u")
    frame.locator(".tile").nth(0).locator(".marks", has_not_text="corrected").wait_for(state="attached")
    assert len(reviews(site) - before) == 4  # an undo is a review, too


def test_many_at_once(person: LogIn) -> None:
    ute = person("ute")
    frame = ute.open_alone("gallery?class=Text")
    frame.locator("body").press("ArrowRight")
    ute.page.keyboard.press("a")
    assert frame.locator(".tile.picked").count() == frame.locator(".tile").count() > 5
    ute.page.keyboard.press("g")
    frame.locator("#said", has_text="images").wait_for()
    assert frame.locator(".tile", has_text="good as it is").count() == frame.locator(".tile").count()
    ute.page.keyboard.press("u")
    frame.locator("#said", has_text="Taken back").wait_for()
    assert frame.locator(".tile", has_text="good as it is").count() == 0


@pytest.mark.parametrize("way", ["Escape", "Gallery", "back"])
def test_an_image_leads_back_to_the_place_in_the_gallery(person: LogIn, way: str) -> None:
    ute = person("ute")
    frame = ute.open("gallery?class=Photo&n=4")
    first = frame.locator(".tile .name").all_inner_texts()
    frame.locator('a[rel="next"]').click()
    frame = ute.frame("after=")
    frame.locator(".tile").first.wait_for()
    names = frame.locator(".tile .name").all_inner_texts()
    assert len(names) == 4 and not set(names) & set(first)
    frame.get_by_role("checkbox", name=f"Select {names[0]}").check()
    frame.locator(".tile .open").nth(1).click()
    frame = ute.frame("image?")
    frame.locator("#back").wait_for()
    if way == "back":
        ute.page.go_back()
    elif way == "Gallery":
        frame.locator("#back").click()
    else:
        frame.locator("body").press(way)
    frame = ute.frame("after=")
    frame.locator(".tile[aria-current]").wait_for()
    assert frame.locator(".tile .name").all_inner_texts() == names
    assert frame.locator(".tile[aria-current] .name").inner_text() == names[1]
    assert frame.locator(".tile.picked .name").all_inner_texts() == [names[0]]


def test_keys_are_shown_and_escape_closes_them(person: LogIn) -> None:
    ute = person("ute")
    frame = ute.open_alone("gallery")
    ute.page.keyboard.press("?")
    assert "the same as last time" in frame.locator("#keys").inner_text()
    ute.page.keyboard.press("Escape")
    assert not frame.locator("#keys").is_visible()


def test_caption_is_written_on_the_image_and_words_show_where_they_looked(person: LogIn, site: Path) -> None:
    ute = person("ute")
    frame = ute.open_alone(image_page(site, "photographs/coffee.tif"))
    assert frame.locator(".canvas img.before").evaluate("i => i.decode().then(() => i.naturalWidth)") > 100
    word = frame.locator(".word").nth(1)
    word.click()
    frame.locator(".overlay:not([hidden])").wait_for()
    drawn = frame.locator(".overlay").evaluate("c => new Set(c.getContext('2d').getImageData(0,0,64,64).data).size")
    assert drawn > 4
    ute.page.keyboard.press("c")
    frame.locator("#caption textarea").fill("A cup of coffee on a wooden table")
    frame.get_by_role("button", name="Save").click()
    ute.page.wait_for_timeout(1500)
    frame = ute.open_alone(image_page(site, "photographs/coffee.tif"))
    assert frame.locator("#words").inner_text() == "A cup of coffee on a wooden table"
    assert "the model said" in frame.locator(".facts").inner_text()
    assert "takes effect at the next run" in frame.locator(".note").inner_text()
    ute.page.keyboard.press("u")
    ute.page.wait_for_timeout(1500)
    assert (
        "By a person" not in ute.open_alone(image_page(site, "photographs/coffee.tif")).locator(".facts").inner_text()
    )


def test_what_came_with_an_image_stands_beside_it_and_finds_it(person: LogIn, site: Path) -> None:
    ute = person("ute")
    facts = ute.open_alone(image_page(site, "photographs/coffee.tif")).locator(".facts").inner_text()
    assert "The coffee house" in facts and "Inv 1923/5" in facts
    found = ute.open_alone("gallery?q=coffee+house").locator("main").inner_html()
    assert "coffee.tif" in found and "rocket.jpg" not in found


def test_of_two_people_the_second_is_told_of_the_first(person: LogIn, site: Path, airflow: LocalAirflow) -> None:
    olga, ute = person("olga"), person("ute")
    frames = [one.open_alone("gallery?q=filter.png") for one in (olga, ute)]
    for frame in frames:
        frame.locator("body").press("ArrowRight")
    frames[0].locator(".tile").press("4")
    frames[0].get_by_text("class corrected").wait_for()
    frames[1].locator(".tile").press("5")
    said = frames[1].locator("#said.bad")
    said.wait_for()
    assert "olga was faster ('Sketch'" in said.inner_text()
    assert "Sketch" in frames[1].locator(".tile .what").inner_text()
    frames[1].locator(".tile").press("3")  # having seen it, ute may say otherwise
    frames[1].locator(".what", has_text="Schematics").wait_for()


def test_slider_shows_as_much_of_the_enhanced_picture_as_asked_for(person: LogIn, site: Path) -> None:
    frame = person("vera").open_alone(image_page(site, "photographs/portrait in poor light.jpg"))
    frame.locator("#slider").fill("25")
    assert frame.locator("img.after").evaluate("i => i.style.clipPath").replace(" ", "") == "inset(0px0px0px75%)"
    frame.locator("#zoom").click()
    width = frame.locator("img.before").evaluate("i => [i.clientWidth, i.naturalWidth]")
    assert width[0] == width[1]


def test_what_is_to_be_scanned_again_is_a_list(person: LogIn, site: Path, airflow: LocalAirflow) -> None:
    date, batch = batch_of(site)
    answer = post(airflow, "ute", "reviews", correction(site, "photographs/rocket.jpg", "scan_again", None))
    assert answer.status_code == 200, answer.text
    frame = person("vera").open_alone(f"gallery?mark=scan_again&date={date}&batch={batch}")
    assert frame.locator(".tile .name").all_inner_texts() == ["rocket.jpg"]
    text = get(airflow, "vera", f"scan-again.csv?date={date}&batch={batch}").text
    assert text.splitlines()[1].split(",")[3] == "photographs/rocket.jpg"


def test_sample_says_how_many_are_wrong(person: LogIn, site: Path) -> None:
    ute = person("ute")
    date, batch = batch_of(site)
    frame = ute.open_alone(f"sample?date={date}&batch={batch}")
    frame.get_by_role("button", name=re.compile("Draw")).last.click()
    frame = ute.frame("&id=")
    total = frame.locator(".tile").count()
    frame.locator("body").press("ArrowRight")
    ute.page.keyboard.press("g")
    frame.locator(".tile").nth(0).get_by_text("good as it is").wait_for()
    frame.locator(".tile").nth(1).press("1")
    frame.locator(".tile").nth(1).get_by_text("class corrected").wait_for()
    ute.page.reload()
    frame = ute.frame("&id=")
    (kept,) = (site / "lake" / "reviews" / "samples").glob("*.json")
    sample = json.loads(kept.read_text())
    drawn = [item["image_id"] for item in sample["items"]]
    looked_at = sum(image in drawn[:2] for image in drawn)  # by chance one is drawn that has a copy in the sample
    assert f"of {looked_at} have a wrong class" in frame.locator("main").inner_text()
    assert frame.locator(".tile").count() in (total - looked_at, 60)
    assert sample["outcome"]["classes"]["looked_at"] == looked_at
    ute.page.keyboard.press("u")
    ute.page.wait_for_timeout(1000)


def test_quarantine_says_what_to_do_and_remembers_what_was_done(person: LogIn) -> None:
    ute = person("ute")
    frame = ute.open_alone("quarantine")
    row = frame.locator("tr", has_text="copy broke off.jpg")
    assert "copy the file again from its source" in row.inner_text()
    with ute.page.expect_download() as download:
        row.get_by_role("link", name="download").click()
    assert download.value.suggested_filename == "copy broke off.jpg"
    row.get_by_role("button", name="taken care of").click()
    row.get_by_role("button", name="undo").wait_for()
    frame = ute.open_alone("quarantine")
    frame.locator("tr.done").get_by_role("button", name="undo").click()
    frame.locator("tr.done").wait_for(state="detached")


def test_more_like_this(person: LogIn, site: Path) -> None:
    frame = person("vera").open_alone(image_page(site, "photographs/cat.png"))
    frame.locator("#more").click()
    frame.locator("#like .tile").first.wait_for()
    assert frame.locator("#like .tile").count() > 3


def test_only_approvers_promote(person: LogIn, airflow: LocalAirflow) -> None:
    assert post(airflow, "ute", "promotions", {"model": "classifier"}).status_code == 403
    refused = post(airflow, "olga", "promotions", {"model": "classifier", "version": "none-such"})
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("There is no version none-such of the classifier")
    assert person("ute").open_alone("models").locator("[data-promote]").count() == 0


def test_how_a_version_was_trained_is_drawn_if_its_card_says(person: LogIn, site: Path, tmp_path: Path) -> None:
    write_safetensors(tmp_path / WEIGHTS_FILE, {"weights": np.zeros(2, np.float16)})
    curve = [{"step": step, "training_loss": 2.0 / step, "validation_loss": 3.0 / step} for step in (1.0, 2.0, 4.0)]
    write_card(tmp_path, name="classifier", version="drawn-1", curve=curve)
    assert command(site, "models", "register", str(tmp_path)).returncode == 0
    assert command(site, "index").returncode == 0
    vera = person("vera")
    frame = vera.open_alone("models?model=classifier&version=drawn-1")
    drawn = frame.get_by_role("img", name="Loss: training from 2 to 0.5, validation from 3 to 0.75")
    assert drawn.bounding_box()["height"] > 20
    assert drawn.locator("polyline").count() == 2
    assert vera.violations(frame) == [] and vera.errors == []
    starter = frame.locator("tr", has_text="starter").get_by_role("link").first.get_attribute("href")
    frame = vera.open_alone(starter.rpartition("/")[2])
    assert frame.get_by_text("This version brings no curve").is_visible()


def test_phone_shows_all_of_a_page_in_its_width(person: LogIn) -> None:
    vera = person("vera")
    vera.page.set_viewport_size({"width": 420, "height": 850})
    for page in ("nights", "gallery", "runs"):
        frame = vera.open(page)
        assert frame.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page


def test_batches_made_with_the_models_in_production_are_done(person: LogIn) -> None:
    frame = person("vera").open_alone("changes")
    assert "1 of 1 batch was made with these models." in frame.locator("main").inner_text()
    assert frame.locator("tbody tr", has_text="Sample").get_by_text("done").is_visible()


def test_thumbnails_that_are_gone_are_made_again(person: LogIn, site: Path) -> None:
    for file in (site / "lake" / "thumbnails").rglob("*.webp"):
        file.unlink()
    vera = person("vera", viewport={"width": 1300, "height": 900})  # a browser that has kept no picture
    frame = vera.open_alone("gallery?class=Schematics")
    widths = "images => images.map(image => image.naturalWidth)"
    for _ in range(60):
        if all(frame.locator(".frame img").evaluate_all(widths)):
            break
        frame.wait_for_timeout(1000)
    assert all(frame.locator(".frame img").evaluate_all(widths))


def test_dry_run_of_a_backfill_lists_the_days(person: LogIn, site: Path) -> None:
    ute = person("ute")
    frame = ute.open_alone("runs")
    form = frame.locator("#backfill")
    form.locator("[name=from_date]").fill("2026-01-16")
    form.locator("[name=to_date]").fill("2026-01-17")
    form.get_by_role("button", name="Show what would run").click()
    form.locator(".outcome", has_text="2 days would run: 2026-01-16, 2026-01-17.").wait_for()
    assert form.get_by_role("button", name="Start").is_enabled()


def get(airflow: LocalAirflow, name: str, path: str, **headers: str) -> httpx.Response:
    return CLIENT.get(f"{airflow.base_url}/tounum/{path}", headers=_login(airflow, name) | headers)


def post(airflow: LocalAirflow, name: str, path: str, body: object, **headers: str) -> httpx.Response:
    own = {"x-tounum": "1"} | headers
    return CLIENT.post(f"{airflow.base_url}/tounum/{path}", json=body, headers=_login(airflow, name) | own)


def _login(airflow: LocalAirflow, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(airflow, name)}"}


def correction(site: Path, path: str, mark: str, value: str | None) -> dict:
    date, batch = batch_of(site)
    item = {"date": date, "batch": batch, "path": path, "page": 1}
    return {"mark": mark, "items": [item]} | ({"value": value} if value else {})


def run_again(site: Path) -> None:
    """Work on the batch again, as ``apply now`` does."""
    date, batch = batch_of(site)
    done = command(site, "run", "--batch-date", date, "--batch", batch)
    assert done.returncode == 0, done.stderr
