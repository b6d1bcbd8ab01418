"""Retraining with corrections: alone or added, fixed at the start, and told apart in the figures."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.unit.published import DATE, Night, drop_pages, process
from tests.unit.reviews import a_review
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.corrections.truth import split_of
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.items import read_items
from tounum_tasks.models.card import read_version, write_card
from tounum_tasks.models.registry import Registry
from tounum_tasks.retrain.compare import compare
from tounum_tasks.retrain.evaluate import evaluate
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.prepare import prepare
from tounum_tasks.retrain.promote import tidy
from tounum_tasks.retrain.table import read_again
from tounum_tasks.retrain.work_folder import candidate_folder, work_folder
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import Settings

PAGES = 60
STARTED_AT = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Sixty pages that people gave classes in turn, every second one in a sample, and an archive of two a class."""
    found = Night(tmp_path)
    found.settings = Settings(
        **{
            **found.settings.model_dump(),
            "shard_size": 100,
            "datasets_root": str(tmp_path / "datasets"),
            "training_root": str(tmp_path / "training"),
            "model_cache": str(tmp_path / "cache"),
        }
    )
    drop_pages(found.settings, PAGES)
    plan = found.plan("first")
    process(plan, found.settings, "Text")
    found.publish(plan)
    store = ReviewStore(found.lake)
    for number, item in enumerate(pages(found)):
        where = {"image_id": item.image_id, "batch_id": item.batch_id, "source_path": item.source_path}
        sample = "s" if number % 2 else None
        store.add(a_review("label", CLASSES[number % 5], sample=sample, **where))
        if CLASSES[number % 5] == "Photo":
            store.add(a_review("caption", f"page {number}", sample=sample, **where))
    for part in ("archive", "archive/test"):
        for label, name in enumerate(CLASSES):
            for index in range(2):
                path = tmp_path / "datasets" / part / name / "source" / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = np.full((20, 20, 3), 50 * label, np.uint8)
                picture[index] = len(part)
                cv2.imwrite(str(path), picture)
    return found


def pages(night: Night) -> list:
    (batch,) = night.lake.list_folder(f"registers/{DATE}")
    return [item for item in read_items(night.lake, DATE, batch.name) if not item.error_code][:PAGES]


def ask(**given: Any) -> RetrainRequest:
    # One run, whose attempts have its time in common.
    run = {"run_id": "manual__1", "started_at": STARTED_AT}
    return RetrainRequest(**{**run, "model": "classifier", "data": "corrections", **given})


def test_corrections_alone_are_dealt_as_they_are_exported(night: Night) -> None:
    plan = prepare(ask(), night.settings)
    tests = sum(split_of(item.image_id) == "test" for item in pages(night))
    assert plan.corrections and plan.images == {"train": PAGES - tests, "test": tests}
    assert plan.test == "what people corrected and confirmed, dealt by hash"
    data = read_again(RetrainPlan.from_json(json.loads(json.dumps(plan.to_json()))), night.settings)
    assert {origin: len(found) for origin, found in data.content.groups.items()}.keys() == {"hard", "sample"}
    assert sum(len(found) for found in data.content.groups.values()) == tests
    assert prepare(ask(), night.settings) == plan


def test_what_is_said_after_the_start_is_not_learnt(night: Night) -> None:
    plan = prepare(ask(), night.settings)
    first = ReviewStore(night.lake).all()[0]
    where = {name: getattr(first, name) for name in ("image_id", "batch_id", "source_path")}
    value = next(name for name in CLASSES if name != first.value)
    ReviewStore(night.lake).add(a_review("label", value, after=first, **where))
    read_again(plan, night.settings)
    again = prepare(ask(), night.settings)  # cleared on purpose
    assert again.data_fingerprint != plan.data_fingerprint
    with pytest.raises(ConfigurationError, match="has changed since"):
        read_again(plan, night.settings)


def test_corrections_are_added_to_a_data_set(night: Night) -> None:
    plain = prepare(ask(data="archive"), night.settings)
    assert not plain.corrections and plain.images == {"train": 10, "test": 10}
    both = prepare(ask(data="archive", corrections=True), night.settings)
    assert both.images["train"] + both.images["test"] == 20 + PAGES
    assert "its folder test, and what people corrected" in both.test
    sources = {example.source for example in read_again(both, night.settings).content.training}
    assert {"Photo/source", "Photo/corrections hard", "Photo/corrections sample"} <= sources


def test_captions_of_people_are_a_data_set(night: Night) -> None:
    plan = prepare(ask(model="captioner"), night.settings)
    assert sum(plan.images.values()) == PAGES // 5 and plan.images["train"] and plan.images["test"]


def test_figures_on_both_kinds_stand_on_the_page(night: Night) -> None:
    plan = prepare(ask(), night.settings)
    folder = candidate_folder(plan, night.settings)
    production = Registry.of(night.settings).resolve("classifier")
    folder.mkdir(parents=True)
    for path in production.folder.iterdir():
        if path.name != "model.json":
            (folder / path.name).write_bytes(path.read_bytes())
    card = read_version(production.folder).model_dump(exclude={"name", "version", "files", "digest"})
    write_card(folder, name="classifier", version=plan.version, **card)
    evaluate(plan, night.settings)
    comparison, page = compare(plan, night.settings)
    groups = read_again(plan, night.settings).content.groups
    for origin, told in (("hard", "corrected by people"), ("sample", "chosen by lot")):
        assert f"{told} ({len(groups[origin])} images): accuracy" in page
    assert not comparison.is_better
    tidy(plan, night.settings)
    assert not (work_folder(plan, night.settings) / "corrections").exists()


def test_a_lake_without_corrections_is_refused_and_leaves_nothing(night: Night, tmp_path: Path) -> None:
    empty = night.settings.model_copy(update={"lake_root": f"file://{tmp_path}/empty"})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="nothing to export"):
        prepare(ask(), empty)
    for review in ReviewStore(night.lake).all():
        if review.value == "Photo":
            undo = a_review("label", after=review, undoes=review.review_id, image_id=review.image_id)
            ReviewStore(night.lake).add(undo)
    with pytest.raises(ConfigurationError, match="has no images of class Photo to train on"):
        prepare(ask(), night.settings)
    assert not list(tmp_path.rglob("corrections.json"))
