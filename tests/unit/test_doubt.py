"""How likely the class of an image is wrong."""

import numpy as np
import pytest

from tounum_tasks.classify.classifier import softmax
from tounum_tasks.classify.doubt import BIAS, KERNEL, Doubt
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training.doubt import fit_doubt, without_each_source

PHOTO = CLASSES.index("Photo")


def classified(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of images, and their classes: every other photograph is none, however sure the classifier is."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(CLASSES), size=count)
    scores = generator.normal(0, 1, (count, len(CLASSES)))
    taken_for = np.where((labels == 0) & (generator.random(count) < 0.7), PHOTO, labels)
    scores[np.arange(count), taken_for] += generator.uniform(0.5, 5, count)
    return softmax(scores), labels


def fitted(count: int = 800, seed: int = 0) -> Doubt:
    probabilities, labels = classified(count, seed)
    return fit_doubt(probabilities, labels, np.full(count, 1 / count))


def test_the_risk_is_how_often_classes_are_wrong():
    probabilities, labels = classified(2000, seed=1)
    risk = fitted().risk(probabilities)
    wrong = probabilities.argmax(axis=1) != labels
    assert risk.mean() == pytest.approx(wrong.mean(), abs=0.03)
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        inside = (risk >= low) & (risk < high)
        assert risk[inside].mean() == pytest.approx(wrong[inside].mean(), abs=0.08)


def test_a_class_that_others_are_taken_for_is_doubted_more():
    probabilities, _ = classified(2000, seed=2)
    risk, chosen = fitted().risk(probabilities), probabilities.argmax(axis=1)
    photographs = risk[chosen == PHOTO].mean()
    assert all(photographs > risk[chosen == other].mean() + 0.1 for other in set(range(5)) - {PHOTO})


def test_each_source_is_judged_without_itself():
    probabilities, labels = classified(300, seed=3)
    sources = ["a"] * 150 + ["b"] * 150
    weights = np.full(300, 1 / 300)
    expected = fit_doubt(probabilities[150:], labels[150:], np.full(150, 1 / 150)).risk(probabilities[:150])
    assert without_each_source(probabilities, labels, weights, sources)[:150] == pytest.approx(expected)


def test_where_nothing_is_wrong_there_is_no_doubt():
    probabilities = softmax(np.eye(5).repeat(20, axis=0) * 6)
    labels = probabilities.argmax(axis=1)
    assert fit_doubt(probabilities, labels, np.full(100, 0.01)).risk(probabilities).max() < 0.05


def test_it_is_stored_with_the_weights():
    doubt = fitted(100)
    probabilities, _ = classified(10, seed=4)
    again = Doubt.of(doubt.to_weights())
    assert again is not None
    assert again.risk(probabilities).tolist() == doubt.risk(probabilities).tolist()
    assert Doubt.of({}) is None


@pytest.mark.parametrize("weights", [{KERNEL: np.zeros((5, 3))}, {KERNEL: np.zeros((5, 2)), BIAS: np.zeros(5)}])
def test_a_part_of_it_is_refused(weights):
    with pytest.raises(ConfigurationError, match="The classifier's weights need doubt/"):
        Doubt.of(weights)
