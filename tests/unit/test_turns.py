"""Photographs that lie on their side or head: what a run says of them, by the packaged extractor's features."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.published import DATE, plan_for, small_settings
from tests.unit.reviews import a_review
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.turns import FILE, Turns, packaged_turns
from tounum_tasks.history.restore import restore
from tounum_tasks.items import read_items
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.models.card import WEIGHTS_FILE, read_version, write_card
from tounum_tasks.models.registry import STARTERS, Registry
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.plan import ModelPin, RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.sample import photos
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import pin_models
from tounum_tasks.steps.shard import run_step
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.open import open_storage

STARTER = STARTERS / "extractor" / "starter-2"
SHOWN = photos.photographs()
TURNED = {
    "upright.png": (SHOWN["astronaut"], 0),
    "on its left side.png": (SHOWN["motorcycle"][:, ::-1], 90),
    "on its head.png": (SHOWN["cameraman"], 180),
    "on its right side.png": (SHOWN["motorcycle"], 270),
}
TURNS = {name: degrees for name, (_, degrees) in TURNED.items()}
COLUMNS = ["source_path", "label", "page_flags", "turn_degrees"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Where photographs wait, one upright and three as hurried people scan them."""
    box = tmp_path / "ingest/Box"
    box.mkdir(parents=True)
    for name, (picture, degrees) in TURNED.items():
        turned = np.rot90(picture, degrees // 90)  # counter-clockwise
        cv2.imwrite(str(box / name), turned[..., ::-1])
    (box / "_READY").touch()
    return small_settings(tmp_path)


def rows_after(settings: Settings, run_id: str, **models: ModelPin) -> dict[str, dict]:
    """Rows by source_path after a run of all steps with the packaged models, or others."""
    plan = plan_for(settings, run_id, **{**pin_models(RunRequest(run_id=run_id), settings), **models})
    for shard in plan.shards():
        for step in STEPS:
            if step.name != "caption":
                run_step(step.name, plan, shard, settings)
    publish.run(plan, settings)
    return rows_of(settings, plan.batches[0].batch_id)


def rows_of(settings: Settings, batch_id: str) -> dict[str, dict]:
    table = read_columns(open_storage(settings.lake_root), DATE, batch_id, COLUMNS)
    assert table is not None
    return {row["source_path"]: row for row in table.to_pylist()}


def test_a_photograph_that_lies_on_its_side_or_head_is_told_with_its_turn(settings: Settings) -> None:
    rows = rows_after(settings, "first")
    assert {name: row["turn_degrees"] or 0 for name, row in rows.items()} == TURNS
    assert rows["upright.png"]["page_flags"] == []
    for name, degrees in TURNS.items():
        for flag in rows[name]["page_flags"]:
            where = "head" if degrees == 180 else "side"
            reason = f"the photograph lies on its {where}: turned by {degrees} degrees clockwise it stands upright"
            assert (flag["flag"], flag["reason"]) == ("sideways", reason) and flag["score"] >= flag["threshold"] > 0
    assert sum(len(row["page_flags"]) for row in rows.values()) == 3


def test_what_was_told_of_a_photograph_goes_when_a_person_says_it_is_none(settings: Settings) -> None:
    """At once in a restore, as in the next run."""
    rows_after(settings, "first")
    lake = open_storage(settings.lake_root)
    (batch,) = [entry.name for entry in lake.list_folder(f"registers/{DATE}")]
    (item,) = [item for item in read_items(lake, DATE, batch) if item.source_path == "on its head.png"]
    ReviewStore(lake).add(
        a_review("label", "Painting", image_id=item.image_id, batch_id=batch, source_path=item.source_path)
    )
    restore(settings, DATE, batch, 1)
    restored = rows_of(settings, batch)
    assert (restored["on its head.png"]["page_flags"], restored["on its head.png"]["turn_degrees"]) == ([], None)
    assert restored["on its left side.png"]["turn_degrees"] == 90
    assert rows_after(settings, "second") == restored


def test_nothing_is_told_by_the_features_of_another_extractor(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "trained/extractor/other-1"
    shutil.copytree(STARTER, folder)
    weights = read_safetensors(folder / WEIGHTS_FILE)
    weights["conv2d/bias"] = weights["conv2d/bias"] + np.float16(0.001)
    write_safetensors(folder / WEIGHTS_FILE, weights)
    card = write_card(folder, name="extractor", version="other-1")
    Registry.of(settings).register(folder)
    other = ModelPin(name="extractor", version="other-1", digest=card.digest)
    assert all(
        row["page_flags"] == [] and row["turn_degrees"] is None
        for row in rows_after(settings, "1", extractor=other).values()
    )


def test_the_packaged_turns_were_learnt_on_the_packaged_extractor() -> None:
    assert packaged_turns().extractor == read_version(STARTER, name="extractor").digest


def test_turns_without_an_array_are_refused() -> None:
    weights = read_safetensors(FILE)
    del weights["places"]
    with pytest.raises(ConfigurationError, match="lack places"):
        Turns(weights)
