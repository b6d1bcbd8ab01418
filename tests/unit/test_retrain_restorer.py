"""Retraining the restorer, from pictures to the page that people decide by."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from tests.unit.retraining import retraining_in
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.trained_on import read_trained_on
from tounum_tasks.retrain.compare import compare
from tounum_tasks.retrain.evaluate import evaluate
from tounum_tasks.retrain.plan import RetrainRequest
from tounum_tasks.retrain.prepare import prepare
from tounum_tasks.retrain.promote import promote
from tounum_tasks.retrain.train import train
from tounum_tasks.retrain.work_folder import candidate_folder
from tounum_tasks.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "datasets" / "pictures"
    photograph = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    for part, corners in (("photographs", (0, 128, 256)), ("reduced", (64,)), ("test", (200,))):
        (folder / part).mkdir(parents=True)
        for corner in corners:
            cv2.imwrite(str(folder / part / f"{corner}.png"), photograph[corner : corner + 256, :256])
    return retraining_in(tmp_path)


def ask(**given: object) -> RetrainRequest:
    return RetrainRequest(**{"run_id": "manual__1", "model": "restorer", "data": "pictures", **given})


def test_a_restorer_is_trained_measured_and_promoted(settings: Settings) -> None:
    plan = prepare(ask(epochs=0.02, notes="twenty steps"), settings)
    assert plan.images == {"train": 4, "test": 1} and plan.test == "its folder test"
    train(plan, settings)
    folder = candidate_folder(plan, settings)
    learnt_before = read_trained_on(Registry.of(settings).resolve("restorer").folder) or frozenset()
    assert len((read_trained_on(folder) or frozenset()) - learnt_before) == 4
    assert evaluate(plan, settings)["images"] == 1
    comparison, page = compare(plan, settings)
    rows = {row.label: row for row in comparison.rows}
    first = comparison.rows[0]
    assert first.label == "PSNR in dB, mean of six degradations" and "(decides)" in page
    assert first.production != first.candidate and abs(first.production - first.candidate) < 1
    assert 20 < rows["PSNR in dB, noise 25"].production < rows["PSNR in dB, noise 10"].production < 50
    promote(plan, settings, approved_by="Ada")
    assert Registry.of(settings).production("restorer") == plan.version


def test_pictures_are_held_out_where_there_is_no_test_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "datasets" / "pictures" / "test").rename(tmp_path / "datasets" / "pictures" / "more")
    plan = prepare(ask(), settings)
    assert plan.images == {"train": 4, "test": 1}
    assert plan.test == "15% of its pictures, held out by their bytes"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"corrections": True}, "people correct classes and captions"),
        ({"windows": 2}, "are for the captioner"),
        ({"epochs": 0}, "too few"),
        ({"data": "corrections"}, "people correct classes and captions"),
    ],
)
def test_what_a_restorer_cannot_be_trained_with_is_refused(settings: Settings, given: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        prepare(ask(**given), settings)
