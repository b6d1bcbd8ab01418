"""The report of a run: its numbers, its page, what hostile names and missing files do to it."""

import datetime as dt
import html.parser
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from tests.unit.published_lake import (
    DATE,
    RUN_ID,
    bad_row,
    make_plan,
    make_settings,
    ok_row,
    publish,
    with_attention,
)
from tounum_tasks.pages import plots
from tounum_tasks.pages.pictures import attention_overlay, detail_window, shrink
from tounum_tasks.pages.wording import duration, percent, place, quantity, visible
from tounum_tasks.plan import BatchPlan
from tounum_tasks.report import stage
from tounum_tasks.report.figures import RunFigures, evenly, read_figures
from tounum_tasks.report.page import MAX_FAILURES
from tounum_tasks.report.paths import report_path
from tounum_tasks.report.summary import print_run
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

VOID = {"meta", "img", "br", "link"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def batch(settings: Settings) -> BatchPlan:
    rows = [ok_row(settings, f"album/{number:03}.png", "Photo") for number in range(8)]
    rows += [ok_row(settings, f"{label}.png", label) for label in ("Painting", "Schematics", "Sketch", "Text")]
    rows += [bad_row(settings, "broken.jpg"), bad_row(settings, "lost.jpg", "failed", destination_uri=None)]
    return publish(settings, rows)


class _Checker(html.parser.HTMLParser):
    """Collects tags and attributes, and fails when tags are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def page_of(plan, settings: Settings) -> tuple[str, _Checker]:
    summary = stage.run(plan, settings)
    lake = open_storage(settings.lake_root)
    page = lake.read_bytes(lake.relative(summary["uri"])).decode()
    assert summary["bytes"] == len(page.encode())
    checker = _Checker()
    checker.feed(page)
    assert not checker.open
    return page, checker


def test_page_tells_the_outcome_and_needs_nothing_from_outside(settings: Settings, batch: BatchPlan) -> None:
    page, checker = page_of(make_plan(batch, waiting=["Batch 'late' must wait: it changed 3 s ago."]), settings)
    assert "14 images: 12 done, 1 quarantined, 1 failed" in page
    assert "within the limit of 20" in page
    assert "Batch &#39;late&#39; must wait" in page
    assert "truncated" in page and "broken.jpg" in page
    assert "a dog runs on grass" in page
    assert "starter-1" in page and "0.1.0" in page
    tags = {tag for tag, _ in checker.found}
    assert not tags & {"script", "link", "iframe", "object", "form"}
    for _, attributes in checker.found:
        assert attributes.get("src", "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in page and "@import" not in page


def test_page_is_accessible(settings: Settings, batch: BatchPlan) -> None:
    page, checker = page_of(make_plan(batch), settings)
    assert '<html lang="en">' in page
    images = [attributes for tag, attributes in checker.found if tag == "img"]
    assert images and all(attributes["alt"].strip() for attributes in images)
    plots_found = [attributes for tag, attributes in checker.found if tag == "svg"]
    assert len(plots_found) == 4 and all(attributes["aria-label"] for attributes in plots_found)
    levels = [int(tag[1]) for tag, _ in checker.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in itertools.pairwise(levels))
    targets = {attributes["href"][1:] for tag, attributes in checker.found if tag == "a"}
    assert targets <= {attributes["id"] for _, attributes in checker.found if "id" in attributes}


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.png",
        'a" onerror="x\' & b.png',
        "{{ 7 * 7 }}{% raw %}.png",
        "\u202egnp.exe.png",
        "bell\x07\x1b[31m\x00.png",
        "صورة 写真 फोटो 🐕.png",
    ],
)
def test_hostile_names_are_shown_and_do_nothing(settings: Settings, name: str) -> None:
    photo = ok_row(settings, "harmless.png", "Photo", caption=name, caption_alternatives=[name])
    rows = [
        {**photo, "source_path": name, "batch_name": name},
        bad_row(settings, name + "2", error_message=name, error_code=name),
    ]
    plan = make_plan(publish(settings, rows), run_id=f"run {name}"[:250], waiting=[name], left_behind=[name])
    page, checker = page_of(plan, settings)
    assert "script" not in {tag for tag, _ in checker.found}
    assert all("onerror" not in attributes for _, attributes in checker.found)
    assert not any(character in page for character in "\x00\x07\x1b\u202e")
    assert visible(name) in "".join(checker.text)


def test_nothing_arrived(settings: Settings) -> None:
    page, _ = page_of(make_plan(waiting=["Batch 'late' must wait: it changed 3 s ago."]), settings)
    assert "Nothing arrived" in page
    assert "1 batch must wait in ingest" in page
    assert "it changed 3 s ago" in page


def test_images_that_are_gone_or_elsewhere_leave_a_reason(settings: Settings) -> None:
    gone = ok_row(settings, "b.png", "Photo")
    lake = open_storage(settings.lake_root)
    lake.remove(lake.relative(gone["original_uri"]))
    elsewhere = ok_row(settings, "c.png", "Photo", needs_review=False, original_uri="file:///etc/passwd")
    climbing = ok_row(settings, "d.png", "Text", original_uri=f"{settings.lake_root}/../../etc/passwd")
    damaged = ok_row(settings, "e.png", "Photo")
    lake.write_bytes(lake.relative(damaged["original_uri"]), b"\x89PNG\r\n\x1a\n damaged")
    changed = ok_row(settings, "f.png", "Photo", enhancement_accepted=True, destination_uri=None)
    page, _ = page_of(make_plan(publish(settings, [gone, elsewhere, climbing, damaged, changed])), settings)
    assert "No picture: the file is gone" in page
    assert page.count("No picture: the file lies outside the roots") == 2
    assert "root:x" not in page
    assert page.count("No picture") == 5


def test_attention_is_shown_and_its_absence_is_no_error(settings: Settings) -> None:
    row = ok_row(settings, "a.png", "Photo")
    first = publish(settings, [row])
    assert "Where the captioner looked" not in page_of(make_plan(first), settings)[0]
    lost = {**row, "attention_uri": f"{settings.lake_root}/attention/gone.parquet"}
    publish(settings, [lost], version=2)
    assert "Where the captioner looked" not in page_of(make_plan(first), settings)[0]
    publish(settings, [with_attention(settings, row, first)], version=3)
    page, _ = page_of(make_plan(first), settings)
    assert page.count("Attention of the word") == 5


def test_a_run_that_changed_nothing_has_no_plot_of_changes(settings: Settings) -> None:
    rows = [ok_row(settings, "a.png", "Text"), ok_row(settings, "b.png", "Sketch", enhancement_accepted=None)]
    page, checker = page_of(make_plan(publish(settings, rows), enhancement="off"), settings)
    assert len([tag for tag, _ in checker.found if tag == "svg"]) == 2
    assert "0 images changed" in page


def test_large_batches_give_a_bounded_page(settings: Settings) -> None:
    photo = ok_row(settings, "a.png", "Photo")
    rows = [{**photo, "source_path": f"{number:05}.png"} for number in range(2000)]
    rows += [bad_row(settings, f"broken {number}.jpg") for number in range(500)]
    page, _ = page_of(make_plan(publish(settings, rows)), settings)
    assert len(page) < 3_000_000
    assert page.count("/originals/") == MAX_FAILURES
    assert "The first 100 of 500 images without a result are shown" in page


def test_verdict_by_the_limit_of_each_batch(settings: Settings) -> None:
    good = publish(settings, [ok_row(settings, f"{n}.png", "Photo", batch_id="good-1") for n in range(9)])
    bad = publish(
        settings, [bad_row(settings, "a.jpg", batch_id="bad-1"), bad_row(settings, "b.jpg", batch_id="bad-1")]
    )
    figures = read_figures(make_plan(good, bad), settings)
    assert figures.verdict.level == "bad"
    assert figures.verdict.word == "Failure limit exceeded"
    assert "2 of 2 images of batch bad-1" in figures.verdict.sentences[0]
    assert read_figures(make_plan(good, bad, max_failure_rate=1), settings).verdict.level == "attention"
    assert read_figures(make_plan(good), settings).verdict.level == "good"


def test_a_batch_without_manifest_is_bad(settings: Settings) -> None:
    plan = make_plan(BatchPlan(batch_id="gone-1", batch_date=DATE, items=3, shards=1, base_version=0))
    page, _ = page_of(plan, settings)
    assert "Not published" in page and "gone-1 has no manifest" in page


def test_outcome_of_a_batch(settings: Settings, batch: BatchPlan) -> None:
    def outcome(run_id: str, base_version: int) -> str:
        planned = batch.model_copy(update={"base_version": base_version})
        return read_figures(make_plan(planned, run_id=run_id), settings).batches[0].outcome

    assert outcome(RUN_ID, 0) == "published"
    assert outcome("another", 1) == "unchanged"
    assert outcome("another", 0) == "superseded"


def test_figures(settings: Settings, batch: BatchPlan) -> None:
    figures: RunFigures = read_figures(make_plan(batch), settings)
    assert figures.classes == {"Painting": 1, "Photo": 8, "Schematics": 1, "Sketch": 1, "Text": 1}
    assert figures.routes(settings) == {
        "photos": 8,
        "non_photos/painting": 1,
        "non_photos/schematics": 1,
        "non_photos/sketch": 1,
        "non_photos/text": 1,
        "nowhere (no result)": 2,
    }
    assert figures.captioned == 8
    assert figures.operations == [("denoise_light, then sharpen_light", 4)]
    times = {time.stage: time for time in figures.stage_times}
    assert times["measure_and_enhance"].computed == 14 and times["measure_and_enhance"].reused == 0
    assert times["classify"].computed + times["classify"].reused == 12
    assert times["caption"].seconds == pytest.approx(8 * 0.02)
    other_run = read_figures(make_plan(batch, run_id="later"), settings)
    assert all(time.computed == time.reused == 0 for time in other_run.stage_times)
    spread = figures.batches[0].spread("noise_sigma", "before")
    values = [row["noise_sigma_before"] for row in figures.table.to_pylist() if row["noise_sigma_before"]]
    assert spread is not None
    assert (spread.minimum, spread.maximum, spread.median, spread.mean) == pytest.approx(
        (min(values), max(values), np.median(values), np.mean(values))
    )


def test_report_path_keeps_runs_apart_and_stays_below_reports() -> None:
    assert re.fullmatch(
        rf"reports/{DATE}/manual__2026-11-20T10-00-00-00-00-[0-9a-f]{{8}}\.html", report_path(DATE, RUN_ID)
    )
    assert report_path(DATE, "../../etc").startswith(f"reports/{DATE}/etc-")
    assert report_path(DATE, "写真").startswith(f"reports/{DATE}/run-")
    assert report_path(DATE, "a b") != report_path(DATE, "a/b")
    assert len(report_path(DATE, "x" * 250)) < 130


def test_a_second_report_replaces_the_first(settings: Settings, batch: BatchPlan) -> None:
    stage.run(make_plan(batch), settings)
    stage.run(make_plan(batch), settings)
    lake = open_storage(settings.lake_root)
    assert len(lake.list_folder(f"reports/{DATE}")) == 1


def test_summary_tells_every_fate_and_where_results_lie(settings: Settings, batch: BatchPlan) -> None:
    plan = make_plan(batch, waiting=["Batch 'late' must wait."])
    stage.run(plan, settings)
    out = io.StringIO()
    print_run(plan, settings, out)
    text = out.getvalue()
    for number in range(8):
        assert f"album/{number:03}.png" in text
    assert "truncated: the JPEG file ends" in text
    assert "Batch 'late' must wait." in text
    assert "14 images: 12 done, 1 quarantined, 1 failed" in text
    for line in ("manifests/2026-11-20/scans-0123456789/manifest.parquet", "photos/2026-11-20/scans-0123456789"):
        assert str(Path(settings.lake_root.removeprefix("file://"), line)) in text
    assert re.search(r"report +/.*\.html", text)


def test_summary_of_an_empty_night(settings: Settings) -> None:
    out = io.StringIO()
    print_run(make_plan(), settings, out)
    assert out.getvalue().startswith("Nothing arrived.")
    assert "Where the results lie" not in out.getvalue()


def test_summary_of_a_large_batch_puts_the_failures_first(settings: Settings) -> None:
    photo = ok_row(settings, "a.png", "Photo")
    rows = [{**photo, "source_path": f"{number:05}.png"} for number in range(600)] + [bad_row(settings, "bad.jpg")]
    out = io.StringIO()
    print_run(make_plan(publish(settings, rows)), settings, out)
    assert "bad.jpg" in out.getvalue()
    assert "… and 101 more images" in out.getvalue()


def test_plots_of_extreme_values_stay_inside_their_box() -> None:
    for values in ([0.0], [0.0, 0.0], [1e7, 3.0], [5.0] * 3, [0.001, 1e-9]):
        array = np.array(values)
        for log in (True, False):
            drawn = plots.distribution(array, array, title="t", unit="u", log=log)
            points = plots.change(array, array, ["Photo"] * len(array), title="t", unit="u", log=log, better="above")
            for svg in (drawn.svg, points.svg):
                numbers = [float(found) for found in re.findall(r' (?:x|y|cx|cy|x1|y2)="([^"]*)"', svg)]
                assert all(-1 <= number <= 445 for number in numbers)


def test_pictures_keep_shape_and_range() -> None:
    wide = np.zeros((3, 4000, 3), np.uint8)
    assert shrink(wide, 200).shape == (1, 200, 3)
    small = np.full((5, 7, 3), 9, np.uint8)
    assert shrink(small, 200) is small
    rows, columns = detail_window(small)
    assert small[rows, columns].shape == small.shape
    busy = np.zeros((600, 900, 3), np.uint8)
    busy[400:, 700:] = np.random.default_rng(0).integers(0, 255, (200, 200, 3))
    rows, columns = detail_window(busy)
    assert rows.stop > 500 and columns.stop > 800
    overlay = attention_overlay(np.full((80, 80, 3), 200, np.uint8), np.eye(8).ravel())
    assert overlay.shape == (80, 80, 3) and overlay[4, 4, 0] > overlay[4, 75, 0]
    assert attention_overlay(small, np.full(64, 1 / 64)).dtype == np.uint8


def test_wording() -> None:
    assert [quantity(value) for value in (None, 0.0, 0.824, 47.26, 12345.6)] == ["–", "0.00", "0.82", "47.3", "12,346"]
    assert [percent(share) for share in (0, 0.0001, 0.2, 0.0952, 0.9999, 1)] == [
        "0\u00a0%", "< 0.1\u00a0%", "20\u00a0%", "9.5\u00a0%", "> 99.9\u00a0%", "100\u00a0%",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (0.0384, 4.21, 185, 7800)] == [
        "38 ms",
        "4.2 s",
        "3 min 05 s",
        "2 h 10 min",
    ]
    assert visible("a\\b\x07\u202e") == "a\\b\\u0007\\u202e"
    assert place("file:///data/lake") == "/data/lake" and place("s3://b/lake") == "s3://b/lake"


def test_evenly() -> None:
    assert evenly([1, 2, 3], 5) == [1, 2, 3]
    assert evenly(range(100), 3) == [0, 49, 99]
    assert evenly(range(9), 1) == [0] and evenly(range(9), 0) == []


def test_times_of_the_page_are_those_of_the_configured_zone(settings: Settings, batch: BatchPlan) -> None:
    berlin = settings.model_copy(update={"timezone": "Europe/Berlin"})
    plan = make_plan(batch, started_at=dt.datetime(2026, 11, 20, 10, tzinfo=dt.UTC))
    assert "Run started 2026-11-20 11:00:00 CET" in page_of(plan, berlin)[0]


def test_a_batch_that_was_kept_out_is_the_headline(settings: Settings) -> None:
    batch = publish(settings, [ok_row(settings, "a.png", "Photo")])
    plan = make_plan(batch).model_copy(update={"faults": ["Batch 'large' stays in ingest: it needs 9 GiB."]})
    page, _ = page_of(plan, settings)
    assert "A batch was kept out" in page and "stays in ingest: it needs 9 GiB" in page


def test_page_says_why_an_image_needs_a_look_the_most_doubtful_first(settings: Settings) -> None:
    doubts = {
        "class.png": {"review_reasons": ["class"], "confidence": 0.5},
        "broken off.png": {"review_reasons": ["end"], "confidence": 0.99},
        "words.png": {"review_reasons": ["caption"], "confidence": 0.99, "caption_confidence": 0.1},
        "none.png": {"review_reasons": ["caption"], "confidence": 0.99, "caption_confidence": 0.1, "caption": None},
        "sure.png": {"review_reasons": [], "confidence": 0.99},
    }
    rows = [
        ok_row(settings, name, "Photo", needs_review=bool(values["review_reasons"]), **values)
        for name, values in doubts.items()
    ]
    page, _ = page_of(make_plan(publish(settings, rows)), settings)
    part = page[page.index('id="review"') : page.index('id="times"')]
    names = ["broken off.png", "words.png", "class.png"]
    assert sorted(names, key=part.index) == names and "sure.png" not in part
    assert "the end of the file is empty: copy it again from its source" in part
    assert "no caption" in part  # TOUNUM_DOUBTFUL_CAPTIONS=none
    assert "caption in doubt" in part and "class in doubt" in part


def test_page_says_what_people_corrected(settings: Settings) -> None:
    rows = [
        ok_row(settings, "corrected.png", "Photo", label_source="person", confidence=0.931, caption_source="person"),
        ok_row(settings, "plain.png", "Photo", confidence=0.872),
    ]
    page, _ = page_of(make_plan(publish(settings, rows)), settings)
    assert page.count("by a person") == 2 and "93.1" not in page and "87.2" in page


def test_page_says_how_many_images_came_with_a_title_a_number_or_a_date(settings: Settings) -> None:
    rows = [
        ok_row(settings, "a.png", "Photo", title="Market", inventory_number="1923/5", keywords=["market", "war"]),
        ok_row(settings, "b.png", "Photo", title="Harbour", captured_at="1931", keywords=[]),
        ok_row(settings, "c.png", "Photo"),
    ]
    plan = make_plan(publish(settings, rows))
    page, _ = page_of(plan, settings)
    _, _, part = page.partition("What came with them")
    part, _, _ = part.partition("</table>")
    told = re.findall(r'<th scope="row">(.*?)</th><td class="number">(\d+)</td>', part)
    assert sorted(told) == [("captured at", "1"), ("inventory number", "1"), ("keywords", "1"), ("title", "2")]


def test_page_says_why_pages_are_flagged(settings: Settings) -> None:
    def flag(name: str, score: float, reason: str) -> dict:
        return {"flag": name, "score": score, "threshold": 0.5, "reason": reason}

    rows = [
        ok_row(settings, f"{number}.png", "Text", page_flags=[flag("skewed", number, f"its lines are turned {number}")])
        for number in range(1, 6)
    ]
    rows.append(ok_row(settings, "b.png", "Text", page_flags=[flag("border", 0.25, "a <border> surrounds it")]))
    text = " ".join("".join(page_of(make_plan(publish(settings, rows)), settings)[1].text).split())
    assert "1.png skewed its lines are turned 1 (1.0, threshold 0.5)" in text
    assert "b.png border a <border> surrounds it (0.25, threshold 0.5)" in text
    assert "3.png skewed" in text and "4.png skewed" not in text


def test_page_has_no_table_of_what_came_with_images_of_which_nothing_is_said(
    settings: Settings, batch: BatchPlan
) -> None:
    page, _ = page_of(make_plan(batch), settings)
    assert "What came with them" not in page
