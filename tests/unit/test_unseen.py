"""Models are compared on images that neither was trained on, as the files beside their cards say it."""

import hashlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.unit.retraining import retraining_in
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import CARD_FILE, read_version, write_card
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.trained_on import TRAINED_ON_FILE, prefix_of, read_trained_on, write_trained_on
from tounum_tasks.retrain.compare import compare
from tounum_tasks.retrain.evaluate import evaluate
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.prepare import prepare
from tounum_tasks.retrain.train import train
from tounum_tasks.retrain.work_folder import candidate_folder
from tounum_tasks.settings import Settings

TESTS, LEARNT = 3, 4  # of each class


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for part, count in (("", LEARNT), ("test", TESTS)):
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "datasets" / "archive" / part / name / "source"
            folder.mkdir(parents=True)
            for number in range(count):
                picture = np.full((20, 20, 3), 50 * label, np.uint8)
                picture[0, 0] = (number, len(part), 0)
                cv2.imwrite(str(folder / f"{number}.png"), picture)
    return retraining_in(tmp_path)


def images_of(settings: Settings, name: str) -> list[Path]:
    return sorted(Path(settings.datasets_root.removeprefix("file://"), "archive", "test", name, "source").iterdir())


def prefixes(paths: list[Path]) -> list[bytes]:
    return [prefix_of(hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def request(**given: str) -> RetrainRequest:
    return RetrainRequest(**{"run_id": "manual__1", "model": "classifier", "data": "archive", **given})


def write_version(folder: Path, version: str, settings: Settings, learnt: list[Path]) -> Path:
    """The starter under another name, which says that it was trained on some images."""
    starter = Registry.of(settings).resolve("classifier").folder
    shutil.copytree(starter, folder, ignore=shutil.ignore_patterns(CARD_FILE, TRAINED_ON_FILE))
    write_trained_on(folder, prefixes(learnt))
    described = read_version(starter).model_dump(exclude={"name", "version", "files", "digest"})
    write_card(folder, name="classifier", version=version, **described)
    return folder


def with_candidate(settings: Settings, learnt: list[Path]) -> RetrainPlan:
    plan = prepare(request(), settings)
    write_version(candidate_folder(plan, settings), plan.version, settings, learnt)
    return plan


def test_what_one_of_the_two_has_learnt_is_left_out_and_told(settings: Settings) -> None:
    plan = with_candidate(settings, images_of(settings, "Photo")[:1] + images_of(settings, "Text")[:2])
    assert evaluate(plan, settings)["images"] == TESTS * len(CLASSES) - 3
    page = compare(plan, settings)[1]
    assert "on the same 12 test images" in page
    assert "3 more are left out: one of the two was trained on them." in page
    assert (
        "was trained on is not known" not in page
        or read_trained_on(Registry.of(settings).resolve("classifier").folder) is None
    )


def test_a_class_of_which_nothing_is_left_is_named(settings: Settings) -> None:
    plan = with_candidate(settings, images_of(settings, "Sketch"))
    with pytest.raises(ConfigurationError, match=r"3 of 15 test images, and no other is left of class Sketch"):
        evaluate(plan, settings)


def test_a_production_model_that_knows_the_tests_is_noticed_before_the_training(
    settings: Settings, tmp_path: Path
) -> None:
    registry = Registry.of(settings)
    registry.register(write_version(tmp_path / "version", "mine-1", settings, images_of(settings, "Sketch")))
    registry.promote("classifier", "mine-1")
    with pytest.raises(ConfigurationError, match="no other is left of class Sketch"):
        prepare(request(), settings)


def test_a_training_keeps_what_it_learnt_and_what_its_beginning_had_learnt(settings: Settings, tmp_path: Path) -> None:
    registry = Registry.of(settings)
    earlier = images_of(settings, "Sketch")[:1]
    registry.register(write_version(tmp_path / "version", "mine-1", settings, earlier))
    registry.promote("classifier", "mine-1")
    plan = prepare(request(epochs=0), settings)
    train(plan, settings)
    learnt = read_trained_on(candidate_folder(plan, settings))
    assert learnt is not None and set(prefixes(earlier)) < learnt
    everything = [path for path in (tmp_path / "datasets" / "archive").rglob("*.png") if "test" not in path.parts]
    assert len(everything) / 2 < len(learnt & set(prefixes(everything))) < len(everything)  # the others validate
    assert evaluate(plan, settings)["images"] == TESTS * len(CLASSES) - 1


def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    (tmp_path / TRAINED_ON_FILE).write_bytes(b"123456789")
    with pytest.raises(ConfigurationError, match="cut short"):
        read_trained_on(tmp_path)
    (tmp_path / TRAINED_ON_FILE).unlink()
    assert read_trained_on(tmp_path) is None
