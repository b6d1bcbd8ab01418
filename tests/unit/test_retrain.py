"""Retraining: parameters, the table that people decide by, and what may go into production."""

import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.unit.retraining import retraining_in
from tests.unit.test_registry import as_weights
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.models.card import write_card
from tounum_tasks.models.registry import STARTERS, Registry, version_order
from tounum_tasks.retrain.compare import compare, comparison_of, escaped, remember_question
from tounum_tasks.retrain.data_set import datasets_folder
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.prepare import prepare
from tounum_tasks.retrain.promote import may_promote_unasked, promote, tidy
from tounum_tasks.retrain.table import read_again
from tounum_tasks.retrain.train import train
from tounum_tasks.retrain.work_folder import candidate_folder, remove_abandoned, work_folder
from tounum_tasks.settings import Settings

DAY = 24 * 3600
STARTED_AT = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
STARTER = max((path.name for path in (STARTERS / "classifier").iterdir()), key=version_order)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_classes(tmp_path / "datasets" / "archive")
    return retraining_in(tmp_path)


def write_classes(root: Path) -> None:
    for part in (root, root / "test"):
        for label, name in enumerate(CLASSES):
            folder = part / name / "source"
            folder.mkdir(parents=True)
            for index in range(2):
                picture = np.full((20, 20, 3), 50 * label, np.uint8)
                picture[index] = len(part.parts)
                cv2.imwrite(str(folder / f"{index}.png"), picture)


def request(**given: Any) -> RetrainRequest:
    # One run, whose attempts have its time in common.
    run = {"run_id": "manual__1", "started_at": STARTED_AT}
    return RetrainRequest(**{**run, "model": "classifier", "data": "archive", **given})


def class_figures(macro_f1: float) -> dict[str, Any]:
    per_class = {name: {"precision": macro_f1, "recall": macro_f1} for name in CLASSES}
    return {"macro_f1": macro_f1, "accuracy": macro_f1, "per_class": per_class, "calibration_error": 0.05}


def caption_figures(cider: float) -> dict[str, Any]:
    names = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "distinct_captions", "vocabulary_used"]
    ways = dict.fromkeys([*names, "words_per_caption", "share_with_repeated_bigram"], 0.5)
    return {"greedy": ways | {"cider": 0.1}, "beam_3": ways | {"cider": cider}}


@pytest.fixture
def trained(settings: Settings) -> RetrainPlan:
    """A plan whose candidate lies in the work folder, as training leaves it."""
    plan = prepare(request(), settings)
    folder = candidate_folder(plan, settings)
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(as_weights(b"new weights"))
    write_card(folder, name="classifier", version=plan.version)
    (work_folder(plan, settings) / "features-123").mkdir()
    (work_folder(plan, settings) / "curve.png").write_bytes(b"picture")
    return plan


def measured(plan: RetrainPlan, settings: Settings, production: float, candidate: float) -> dict[str, Any]:
    """What ``evaluate`` would have written about these figures."""
    card = json.loads((candidate_folder(plan, settings) / "model.json").read_text())
    current = Registry.of(settings).resolve(plan.model)
    evaluation = {
        "model": plan.model,
        "images": 10,
        "candidate": {"version": plan.version, "digest": card["digest"]},
        "production": {"version": current.version, "digest": current.digest},
        "figures": {"production": class_figures(production), "candidate": class_figures(candidate)},
    }
    (work_folder(plan, settings) / "evaluation.json").write_text(json.dumps(evaluation))
    return evaluation


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Preparing


def test_the_plan_is_the_same_for_every_attempt(settings: Settings) -> None:
    asked = request(notes="first try", seed=3)
    plan = prepare(asked, settings)
    assert prepare(asked, settings) == plan == RetrainPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert plan.images == {"train": 10, "test": 10}
    assert (plan.epochs, plan.seed, plan.initial.name) == (0.5, 3, "classifier")
    assert prepare(request(run_id="manual__2"), settings).work != plan.work


def test_prepare_names_every_damaged_picture_of_every_split(settings: Settings) -> None:
    archive = datasets_folder(settings) / "archive"
    damaged = [archive / "Photo" / "source" / "0.png", archive / "test" / "Text" / "source" / "1.png"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ConfigurationError, match="2 of 20 pictures cannot be trained on") as refused:
        prepare(request(), settings)
    assert all(str(path) in str(refused.value) for path in damaged)
    assert "1.png" not in str(refused.value).replace(str(damaged[1]), "")
    assert not list(Path(settings.training_root.removeprefix("file://")).glob("*/plan.json"))


def test_prepare_names_a_damaged_captioned_picture_that_only_the_test_split_has(settings: Settings) -> None:
    folder = datasets_folder(settings) / "captioned"
    folder.mkdir()
    lines = ["image\tsplit\tcaption"]
    for index, split in enumerate(["train"] * 3 + ["dev", "test"]):
        cv2.imwrite(str(folder / f"{index}.jpg"), np.full((40, 40, 3), 40 * index, np.uint8))
        lines.append(f"{index}.jpg\t{split}\ta grey square")
    (folder / "captions.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "4.jpg").write_bytes(b"no picture")
    with pytest.raises(ConfigurationError, match=r"1 of 5 pictures cannot be trained on.*4\.jpg"):
        prepare(request(model="captioner", data="captioned"), settings)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"data": "../archive"}, "is no data set"),
        ({"data": "elsewhere"}, "There is no data set 'elsewhere'"),
        ({"model": "captioner"}, "no captions_"),
        ({"model": "captioner", "epochs": 0.5}, "no whole number"),
        ({"model": "captioner", "epochs": 0}, "no whole number"),
        ({"epochs": 1e9}, "0 to 1000"),
        ({"reward_epochs": 2}, "are for the captioner"),
        ({"windows": 2}, "are for the captioner"),
        ({"model": "captioner", "windows": 101}, "windows: a number from 0 to 100, not 101"),
    ],
)
def test_wrong_parameters_end_with_one_sentence(settings: Settings, given: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        prepare(request(**given), settings)
    assert "\n" not in str(caught.value)
    assert not Path(settings.training_root.removeprefix("file://")).exists()


def test_an_attempt_after_another_promotion_still_begins_with_the_same_weights(
    settings: Settings, trained: RetrainPlan
) -> None:
    asked = request(started_at=trained_at(trained))
    measured(trained, settings, 0.1, 0.9)
    registry = Registry.of(settings)
    registry.register(candidate_folder(trained, settings))
    other = request(run_id="manual__2", started_at=trained_at(trained).replace(microsecond=0, year=2020))
    registry.promote("classifier", trained.version)
    assert prepare(other, settings).initial.version == trained.version
    with pytest.raises(ConfigurationError, match="start a new run"):
        prepare(asked, settings)


def trained_at(plan: RetrainPlan) -> Any:
    import datetime as dt

    return dt.datetime.strptime(plan.version, "%Y.%m.%d-%H%M%S").replace(tzinfo=dt.UTC)


def test_checkpoints_on_other_data_are_thrown_away_features_are_not(settings: Settings, tmp_path: Path) -> None:
    asked = request()
    plan = prepare(asked, settings)
    folder = work_folder(plan, settings)
    kept = [folder / "features" / "a1", folder / "work" / "cache" / "train"]
    checkpoints = [folder / "tuning-1", folder / "work" / "decoder"]
    for path in [*kept, *checkpoints]:
        path.mkdir(parents=True)
    assert prepare(asked, settings) == plan
    assert all(path.exists() for path in [*kept, *checkpoints])
    mended = np.zeros((9, 9, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "datasets" / "archive" / "Text" / "source" / "mended.png"), mended)
    again = prepare(asked, settings)
    assert again.work == plan.work and again.data_fingerprint != plan.data_fingerprint
    assert all(path.exists() for path in kept) and not any(path.exists() for path in checkpoints)


def test_a_test_image_that_was_mended_costs_no_training(settings: Settings, tmp_path: Path) -> None:
    plan = prepare(request(), settings)
    (work_folder(plan, settings) / "tuning-1").mkdir()
    tests = tmp_path / "datasets" / "archive" / "test" / "Text" / "source"
    cv2.imwrite(str(tests / "0.png"), np.full((30, 30, 3), 77, np.uint8))
    cv2.imwrite(str(tests / "another.png"), np.full((31, 30, 3), 77, np.uint8))
    again = prepare(request(), settings)
    assert again.images["test"] == plan.images["test"] + 1
    assert (work_folder(again, settings) / "tuning-1").exists()
    assert len(read_again(plan, settings).tests) == again.images["test"]  # whether prepare was cleared or not


def test_data_that_changes_underneath_a_training_is_refused(settings: Settings, tmp_path: Path) -> None:
    plan = prepare(request(), settings)
    (tmp_path / "datasets" / "archive" / "Text" / "source" / "0.png").unlink()
    with pytest.raises(ConfigurationError, match="has changed since the run began"):
        train(plan, settings)


def test_a_worker_that_does_not_see_the_work_folder_says_so(settings: Settings, tmp_path: Path) -> None:
    plan = prepare(request(), settings)
    elsewhere = settings.model_copy(update={"training_root": f"file://{tmp_path}/other disk"})
    for step in (train, compare):
        with pytest.raises(EnvironmentFault, match="TOUNUM_TRAINING_ROOT must be a folder that all workers share"):
            step(plan, elsewhere)  # type: ignore[operator]


def test_a_full_disk_is_seen_before_the_training(settings: Settings) -> None:
    with pytest.raises(EnvironmentFault, match="make room"):
        prepare(request(), settings.model_copy(update={"min_free_gib": 10.0**9}))


# Comparing


@pytest.mark.parametrize(
    ("production", "candidate", "verdict"), [(0.9, 0.91, "better"), (0.9, 0.9, "no better"), (0.9, 0.89, "worse")]
)
def test_better_is_a_higher_deciding_figure(
    settings: Settings, trained: RetrainPlan, production: float, candidate: float, verdict: str
) -> None:
    evaluation = measured(trained, settings, production, candidate)
    comparison = comparison_of(evaluation)
    assert comparison.verdict == verdict
    assert comparison.is_better is (verdict == "better")
    page = compare(trained, settings)[1]
    assert f"The candidate is {verdict.upper()} than production: macro F1 {candidate - production:+.3f}." in page
    assert f"| **macro F1 (decides)** | **{production:.3f}** | **{candidate:.3f}** |" in page
    assert "| Photo: recall |" in page and "few images" in page


def test_beam_search_decides_for_captioners(settings: Settings) -> None:
    evaluation = {
        "model": "captioner",
        "images": 1000,
        "beam": 3,
        "candidate": {"version": "new"},
        "production": {"version": "old"},
        "figures": {"production": caption_figures(0.5), "candidate": caption_figures(0.6)},
        "examples": [{"image": "a.png", "production": "a dog", "candidate": "a brown dog"}],
    }
    comparison = comparison_of(evaluation)
    assert comparison.is_better
    assert comparison.rows[0].label == "CIDEr, beam 3"
    assert comparison.examples == (("a.png", "a dog", "a brown dog"),)
    assert comparison.subject == "Captioner new is better than old: CIDEr, beam 3 0.600 against 0.500. Promote it?"


def test_nobody_is_asked_twice_with_a_page_that_is_out_of_date(settings: Settings, trained: RetrainPlan) -> None:
    measured(trained, settings, 0.9, 0.95)
    page = compare(trained, settings)[1]
    remember_question(trained, settings, page)
    assert compare(trained, settings)[1] == page
    measured(trained, settings, 0.9, 0.5)
    with pytest.raises(ConfigurationError, match="has asked about other figures before"):
        compare(trained, settings)


def test_notes_cannot_become_markup(settings: Settings) -> None:
    hostile = "<img src=x onerror=alert(1)> | [here](javascript:alert(1)) `code`\n# Title\n\n| a | b |\u202e {{ ti }}"
    plan = prepare(request(notes=hostile), settings)
    folder = candidate_folder(plan, settings)
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"x")
    write_card(folder, name="classifier", version=plan.version)
    measured(plan, settings, 0.5, 0.6)
    page = compare(plan, settings)[1]
    (line,) = [line for line in page.splitlines() if line.startswith("Notes:")]
    assert line.endswith(escaped(hostile))
    assert not re.search(r"(?<!\\)[<\[\]`|#]|\u202e", line)


# Promoting


def test_an_approved_candidate_goes_into_production_and_can_be_rolled_back(
    settings: Settings, trained: RetrainPlan
) -> None:
    measured(trained, settings, 0.9, 0.5)
    promoted = promote(trained, settings, approved_by="Ada")
    assert (promoted["version"], promoted["replaced"], promoted["approved_by"]) == (trained.version, STARTER, "Ada")
    registry = Registry.of(settings)
    assert registry.production("classifier") == trained.version
    assert promote(trained, settings, approved_by="Ada") == promoted  # a retry after a kill
    assert tidy(trained, settings) == f"classifier {trained.version} is in production."
    assert {path.name for path in work_folder(trained, settings).iterdir()} == {
        "plan.json", "evaluation.json", "curve.png"
    }  # fmt: skip
    assert registry.rollback("classifier").version == STARTER
    assert f"{STARTER} is in production" in tidy(trained, settings)


@pytest.mark.parametrize(
    ("auto_approve", "candidate", "goes"),
    [(True, 0.91, True), (True, 0.9, False), (True, 0.5, False), (False, 1, False)],
)
def test_nothing_but_a_better_model_is_promoted_unasked(
    settings: Settings, trained: RetrainPlan, auto_approve: bool, candidate: float, goes: bool
) -> None:
    plan = trained.model_copy(update={"auto_approve": auto_approve})
    comparison = comparison_of(measured(plan, settings, 0.9, candidate))
    assert may_promote_unasked(plan, is_better=comparison.is_better) is goes
    if goes:
        assert promote(plan, settings, approved_by=None)["approved_by"] is None
    else:
        with pytest.raises(ConfigurationError, match="Nobody approved"):
            promote(plan, settings, approved_by=None)
    assert (Registry.of(settings).production("classifier") == plan.version) is goes


def test_rejecting_leaves_production_and_registry_as_they_were(settings: Settings, trained: RetrainPlan) -> None:
    measured(trained, settings, 0.9, 0.5)
    lake = Path(settings.lake_root.removeprefix("file://"))
    before = files_below(lake)
    sentence = tidy(trained, settings)
    assert f"rejected: {STARTER} stays in production, nothing was registered" in sentence
    assert files_below(lake) == before
    assert Registry.of(settings).production("classifier") == STARTER
    assert not (work_folder(trained, settings) / "features-123").exists()
    assert Registry(settings.lake_root).register(candidate_folder(trained, settings)).version == trained.version


def test_a_model_that_was_never_compared_with_production_is_not_promoted(
    settings: Settings, trained: RetrainPlan, tmp_path: Path
) -> None:
    measured(trained, settings, 0.1, 0.9)
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.safetensors").write_bytes(as_weights(b"somebody else's"))
    write_card(other, name="classifier", version="other-1")
    registry = Registry.of(settings)
    registry.register(other)
    registry.promote("classifier", "other-1")
    with pytest.raises(ConfigurationError, match=r"other-1 was promoted since .* start a new run"):
        promote(trained, settings, approved_by="Ada")
    assert registry.production("classifier") == "other-1"


def test_only_what_was_measured_is_promoted(settings: Settings, trained: RetrainPlan) -> None:
    measured(trained, settings, 0.1, 0.9)
    folder = candidate_folder(trained, settings)
    (folder / "weights.safetensors").write_bytes(as_weights(b"trained again meanwhile"))
    write_card(folder, name="classifier", version=trained.version)
    with pytest.raises(ConfigurationError, match="is not what was measured and approved"):
        promote(trained, settings, approved_by="Ada")
    assert Registry.of(settings).production("classifier") == STARTER


def test_a_captioner_brings_its_new_extractor_along(settings: Settings, tmp_path: Path) -> None:
    plan = prepare(request(), settings).model_copy(update={"model": "captioner"})
    extractor, captioner = (candidate_folder(plan, settings, name) for name in ("extractor", "captioner"))
    for folder in (extractor, captioner):
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(as_weights(folder.parent.name.encode()))
    digest = write_card(extractor, name="extractor", version=plan.version).digest
    write_card(captioner, name="captioner", version=plan.version, partners={"extractor": digest})
    evaluation = measured(plan, settings, 0, 0) | {"beam": 3}
    evaluation["figures"] = {"production": caption_figures(0.5), "candidate": caption_figures(0.6)}
    (work_folder(plan, settings) / "evaluation.json").write_text(json.dumps(evaluation))
    promote(plan, settings, approved_by="Ada")
    registry = Registry.of(settings)
    assert registry.partner(registry.resolve("captioner"), "extractor").version == plan.version


# Tidying


def test_only_abandoned_work_folders_are_cleared(settings: Settings, trained: RetrainPlan) -> None:
    folder = work_folder(trained, settings)
    stranger = folder.parent / "somebody's"
    (stranger / "features").mkdir(parents=True)
    assert remove_abandoned(settings) == []
    now = folder.stat().st_mtime
    for path in folder.parent.rglob("*"):
        os.utime(path, (now, now))
    assert remove_abandoned(settings, now=now + 29 * DAY) == []
    assert remove_abandoned(settings, now=now + 31 * DAY) == [trained.work]
    assert not (folder / "features-123").exists()
    assert candidate_folder(trained, settings).exists() and (folder / "curve.png").exists()
    assert (stranger / "features").exists()
