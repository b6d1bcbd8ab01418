"""What a correction does to a batch: at the next run and not before, for good, and to nothing that models said."""

import datetime as dt
from pathlib import Path

import pytest

from tests.unit.published import DATE, Night, caption_all, drop_pages, plan_for, process
from tests.unit.published_s3 import S3Night
from tests.unit.reviews import a_review, an_undo
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.history.prune import prune
from tounum_tasks.history.restore import preview, restore
from tounum_tasks.intake.register import register
from tounum_tasks.intake.rescans import place_of
from tounum_tasks.items import read_items
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.read import latest_version
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.reprocess.outdated import differences
from tounum_tasks.reviews.review import Mark, Review
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.steps.shard import ShardWork


@pytest.fixture(params=["folder", "s3"])
def night(request: pytest.FixtureRequest, tmp_path: Path) -> Night:
    """Three texts, by a model, and a broken file, published once."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        found: Night = S3Night(tmp_path)
    else:
        found = Night(tmp_path)
    plan = found.plan("first")
    process(plan, found.settings, "Text")
    found.publish(plan)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Night:
    """Three photographs, by a model, and a broken file, published once."""
    found = Night(tmp_path)
    plan = found.plan("first")
    caption_all(plan, found.settings, "a dog runs")
    found.publish(plan)
    return found


def say(night: Night, path: str, mark: Mark, value: str | None = None, **fields: object) -> Review:
    """Review a file of the night as a page does."""
    (item,) = [item for item in read_items(night.lake, DATE, night.batch_id) if item.source_path == path]
    review = a_review(mark, value, image_id=item.image_id, batch_id=item.batch_id, source_path=path, **fields)
    ReviewStore(night.lake).add(review)
    return review


def work_again(night: Night, run_id: str, *, label: str = "Text", caption: str = "a dog runs") -> dict:
    """Run all steps as a model with these answers would, and publish."""
    plan = night.plan(run_id)
    process(plan, night.settings, label)
    answer_photographs(plan, night, caption)
    return night.publish(plan)


def answer_photographs(plan: RunPlan, night: Night, caption: str) -> None:
    for shard in plan.shards():
        work = ShardWork(plan, shard, night.settings)
        common = {"run_id": plan.run_id, "seconds": 0.0}
        features = sorted(set(work.fingerprints("extract_features").values()))
        work.cache("extract_features").commit(
            [{"fingerprint": one, **common, "features": bytes(64 * 2048 * 2)} for one in features]
        )
        said = {"caption": caption, "words": caption.split(), "log_probability": -1.0, "alternatives": []}
        captions = sorted(set(work.fingerprints("caption").values()))
        work.cache("caption").commit([{"fingerprint": one, **common, **said} for one in captions])


def row(night: Night, path: str) -> dict:
    (found,) = [row for row in night.lake_table(night.batch_id).to_pylist() if row["source_path"] == path]
    return found


def test_a_review_publishes_nothing_by_itself(night: Night) -> None:
    before = night.lake_table(night.batch_id)
    say(night, "0.png", "label", "Photo")
    assert night.lake_table(night.batch_id).equals(before)
    assert latest_version(night.lake, DATE, night.batch_id) == 1


def test_a_class_moves_the_file_and_brings_a_caption(night: Night) -> None:
    say(night, "0.png", "label", "Photo")
    assert work_again(night, "second")["version"] == 2
    found, other = row(night, "0.png"), row(night, "1.png")
    assert (found["label"], found["label_source"], found["model_label"]) == ("Photo", "person", "Text")
    assert found["is_photo"] and found["caption"] == found["model_caption"] == "a dog runs"
    assert (found["caption_source"], found["marks"], found["reviewed_by"]) == ("model", ["label"], "ada")
    assert found["reviewed_at"] == "2026-03-02T10:00:00+00:00"
    assert night.copies("0.png") == ["photos"]
    assert (other["label"], other["label_source"], other["model_label"]) == ("Text", "model", "Text")
    assert other["caption"] is other["marks"] is other["reviewed_by"] is None
    assert night.copies("1.png") == ["non_photos/text"]
    assert work_again(night, "third")["outcome"] == "unchanged"


def test_a_photograph_that_is_none_loses_its_caption_and_its_place(folder: Night) -> None:
    say(folder, "0.png", "label", "Sketch")
    say(folder, "0.png", "caption", "a cat sleeps")
    work_again(folder, "second", label="Photo")
    found = row(folder, "0.png")
    assert (found["label"], found["model_label"], found["is_photo"]) == ("Sketch", "Photo", False)
    assert found["caption"] is found["model_caption"] is found["caption_source"] is None
    assert folder.copies("0.png") == ["non_photos/sketch"]


def test_a_persons_caption_stands_in_the_row_and_the_models_beside_it(folder: Night) -> None:
    say(folder, "0.png", "caption", "a cat sleeps")
    work_again(folder, "second", label="Photo")
    found = row(folder, "0.png")
    assert (found["caption"], found["caption_source"]) == ("a cat sleeps", "person")
    assert found["model_caption"] == "a dog runs" and found["caption_words"] == ["a", "dog", "runs"]


def test_nothing_of_a_models_work_depends_on_what_people_say(folder: Night) -> None:
    before = row(folder, "0.png")
    say(folder, "0.png", "caption", "a cat sleeps")
    say(folder, "1.png", "label", "Sketch")
    plan = folder.plan("second")
    work_again(folder, "second", label="Photo")
    after = row(folder, "0.png")
    for name in ("measure_and_enhance", "classify", "extract_features", "caption"):
        assert after[f"fingerprint_{name}"] == before[f"fingerprint_{name}"]
    assert row(folder, "1.png")["fingerprint_classify"]
    wanted = {name: version_of(one) for name, one in plan.models.items()}
    assert differences(folder.lake_table(folder.batch_id), wanted) == {}


def test_what_is_said_during_a_run_waits_for_the_next(night: Night) -> None:
    say(night, "0.png", "label", "Photo")
    plan = night.plan("second")
    later = say(night, "1.png", "label", "Sketch")
    process(plan, night.settings, "Text")
    answer_photographs(plan, night, "a dog runs")
    night.publish(plan)
    assert row(night, "0.png")["label"] == "Photo" and row(night, "1.png")["label"] == "Text"
    assert ReviewStore(night.lake).single() == [later]  # the others were put together
    work_again(night, "third")
    assert row(night, "1.png")["label"] == "Sketch"
    assert len(ReviewStore(night.lake).all()) == 2


def test_register_pins_what_it_saw(night: Night) -> None:
    review = say(night, "0.png", "label", "Photo")
    request = RunRequest(run_id="x", batch_date=DATE, take_in=False)
    plan = RunPlan.from_json(register(request, night.settings).to_json())
    assert plan.last_review == review.review_id
    say(night, "0.png", "label", "Sketch", after=review)
    works = [ShardWork(plan, shard, night.settings) for shard in plan.shards()]
    assert {work.reviews.label_of(review.image_id) for work in works} == {"Photo"}
    again = register(request, night.settings)
    assert again.batches[0].reviews != plan.batches[0].reviews


def test_the_same_bytes_in_a_later_batch_are_the_same_truth(folder: Night) -> None:
    review = say(folder, "0.png", "label", "Schematics")
    say(folder, "0.png", "scan_again")
    (folder.root / "ingest").mkdir(exist_ok=True)
    drop_pages(folder.settings, 2)
    plan = plan_for(folder.settings, "second")
    process(plan, folder.settings, "Photo")
    answer_photographs(plan, folder, "a dog runs")
    batches = publish.run(plan, folder.settings)["batches"]
    (new,) = [batch["batch_id"] for batch in batches if batch["batch_id"] != review.batch_id]
    (found,) = [row for row in folder.lake_table(new).to_pylist() if row["source_path"] == "0.png"]
    assert (found["label"], found["marks"], found["image_id"]) == ("Schematics", ["label"], review.image_id)
    (old,) = [row for row in folder.lake_table(review.batch_id).to_pylist() if row["source_path"] == "0.png"]
    assert old["marks"] == ["label", "scan_again"]


@pytest.mark.parametrize(
    ("mark", "value", "old", "reasons"),
    [
        ("label", "Photo", None, ["caption"]),
        ("label", "Painting", None, []),
        ("caption", "a cat", None, ["class"]),
        ("good", None, "Photo: a dog runs", []),
        ("good", None, "Photo", ["caption"]),
        ("good", None, "Text", ["class", "caption"]),
        ("scan_again", None, None, ["class", "caption"]),
    ],
)
@pytest.mark.parametrize("caption", ["a dog runs", ""])
def test_who_has_looked_need_not_look_again(
    tmp_path: Path, mark: Mark, value: str | None, old: str | None, reasons: list[str], caption: str
) -> None:
    """Also where the doubtful caption was withheld: then there is none to be found good."""
    if old == "Photo: a dog runs" and not caption:
        old = "Photo"
    elif old == "Photo" and not caption:
        reasons = []
    night = Night(tmp_path)
    doubt = {"review_confidence": 0.95, "caption_review_confidence": 0.5}
    for run_id in ("first", "second"):
        plan = night.plan(run_id, **doubt)
        process(plan, night.settings, "Photo")
        for shard in plan.shards():
            work = ShardWork(plan, shard, night.settings)
            common = {"run_id": run_id, "seconds": 0.0}
            features = set(work.fingerprints("extract_features").values())
            work.cache("extract_features").commit(
                [{"fingerprint": one, **common, "features": bytes(64 * 2048 * 2)} for one in features]
            )
            said = {
                "caption": caption,
                "words": [],
                "log_probability": -1.0,
                "alternatives": [],
                "confidence": 0.1,
            }
            captions = set(work.fingerprints("caption").values())
            work.cache("caption").commit([{"fingerprint": one, **common, **said} for one in captions])
        night.publish(plan)
        if run_id == "first":
            assert row(night, "0.png")["review_reasons"] == ["class", "caption"]
            say(night, "0.png", mark, value, old=old)
    found = row(night, "0.png")
    assert (found["review_reasons"], found["needs_review"]) == (reasons, bool(reasons))
    assert row(night, "1.png")["review_reasons"] == ["class", "caption"]
    restore(night.settings, DATE, night.batch_id, 1)
    assert row(night, "0.png")["review_reasons"] == reasons  # as in the run


# Restore


def test_a_restore_keeps_what_people_said(night: Night) -> None:
    say(night, "0.png", "label", "Photo")
    say(night, "1.png", "scan_again")
    work_again(night, "second")
    assert preview(night.settings, DATE, night.batch_id, 1).corrected == 2
    done = restore(night.settings, DATE, night.batch_id, 1)
    assert (done.version, done.corrected) == (3, 2)
    found = row(night, "0.png")
    assert (found["label"], found["label_source"], found["model_label"]) == ("Photo", "person", "Text")
    assert night.copies("0.png") == ["photos"] and found["destination_uri"].endswith("/photos/" + below(found))
    assert row(night, "1.png")["marks"] == ["scan_again"]
    assert work_again(night, "third")["version"] == 4
    assert row(night, "0.png")["caption"] == "a dog runs"
    assert work_again(night, "fourth")["outcome"] == "unchanged"


def below(found: dict) -> str:
    return f"{found['batch_date']}/{found['batch_id']}/{found['source_path']}"


def test_what_was_taken_back_does_not_return_by_a_restore(
    folder: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lake", "non_photos", "quarantine"):
        monkeypatch.setenv(f"TOUNUM_{name.upper()}_ROOT", str(folder.root / name))
    review = say(folder, "0.png", "label", "Sketch")
    work_again(folder, "second", label="Photo")
    ReviewStore(folder.lake).add(an_undo(review))
    work_again(folder, "third", label="Photo")
    assert row(folder, "0.png")["label"] == "Photo" and folder.copies("0.png") == ["photos"]
    assert preview(folder.settings, DATE, folder.batch_id, 2).corrected == 1
    say(folder, "1.png", "good", old="Photo: a dog runs")
    with pytest.raises(ConfigurationError, match="no version 9"):
        preview(folder.settings, DATE, folder.batch_id, 9)
    restore(folder.settings, DATE, folder.batch_id, 2)
    found = row(folder, "0.png")
    assert (found["label"], found["label_source"], found["marks"]) == ("Photo", "model", None)
    assert folder.copies("0.png") == ["photos"]
    assert main(["restore", "--batch", folder.batch_id, "--version", "3"]) == 0
    assert "makes 1 row differ from that version" in capsys.readouterr().out


def test_restoring_without_reviews_gives_the_rows_as_they_were(folder: Night) -> None:
    before = folder.lake_table(folder.batch_id).drop_columns(["manifest_version"])
    say(folder, "0.png", "label", "Sketch")
    work_again(folder, "second", label="Photo")
    undone = ReviewStore(folder.lake).effective().in_force()[0]
    ReviewStore(folder.lake).add(an_undo(undone))
    restore(folder.settings, DATE, folder.batch_id, 1)
    assert folder.lake_table(folder.batch_id).drop_columns(["manifest_version"]).to_pylist() == before.to_pylist()


# Keeping, and scanning again


def test_prune_never_touches_reviews(night: Night) -> None:
    say(night, "0.png", "label", "Photo")
    work_again(night, "second")
    say(night, "1.png", "label", "Photo")
    kept = ReviewStore(night.lake).all()
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)
    removed = {found.kind for found in prune(night.lake, keep_days=1, now=later, remove=True)}
    assert "stages/reviews" in removed  # what runs pinned
    assert ReviewStore(night.lake).all() == kept
    assert work_again(night, "third")["outcome"] == "published"


@pytest.mark.parametrize(("is_other", "marks"), [(True, None), (False, ["scan_again"])])
def test_scan_again_is_struck_off_by_a_new_scan_of_that_name(
    tmp_path: Path, is_other: bool, marks: list[str] | None
) -> None:
    night = Night(tmp_path)
    plan = night.plan("first")
    process(plan, night.settings, "Text")
    night.publish(plan)
    first = plan.batches[0].batch_id
    say(night, "0.png", "scan_again")
    say(night, "2.png", "scan_again")
    drop_pages(night.settings, 1, noisy=is_other)  # 0.png, with other pixels or the same
    noon = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    register(RunRequest(run_id="second", started_at=noon), night.settings)
    found = ReviewStore(night.lake).effective()
    items = read_items(night.lake, DATE, first)
    marked = {item.source_path: found.marks_of(place_of(item)) for item in items}
    assert marked["0.png"] == (marks or []) and marked["2.png"] == ["scan_again"]
    if is_other:
        undo = next(review for review in ReviewStore(night.lake).all() if review.undoes)
        assert undo.author == "TouNum" and undo.value is not None and undo.value.endswith(": 0.png")
    register(RunRequest(run_id="third", started_at=noon), night.settings)
    assert len(ReviewStore(night.lake).all()) == (3 if is_other else 2)
