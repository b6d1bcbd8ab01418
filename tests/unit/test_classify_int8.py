"""The classifier in int8: the same classes as in float, the same bits wherever it runs, and ranges that can be used."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from tests.conftest import REPOSITORY
from tounum_tasks.classify import graph
from tounum_tasks.classify.classifier import Classifier, resize_inputs
from tounum_tasks.classify.network import RANGES, architecture_of
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.card import write_card
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.runtime import OpenVinoNetwork, load_openvino
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.settings import load_settings
from tounum_tasks.training.ranges import ranges_of
from tounum_tasks.training.renderings import engraved, painted, sketched
from tounum_tasks.training.unknown_kinds import KINDS

STARTER = max((STARTERS / "classifier").iterdir()) / "weights.safetensors"

# Prints a version's scores of three images as hex digits.
SCORES = """
import sys
from pathlib import Path

import numpy as np
from tounum_tasks.classify.classifier import Classifier

images = np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), np.uint8)
print(Classifier.load(Path(sys.argv[1]), precision="float32").scores(images).tobytes().hex())
"""


@pytest.fixture(scope="module")
def weights(images: np.ndarray) -> dict[str, np.ndarray]:
    """The starter's, with ranges of activations that were measured on the images."""
    found = read_safetensors(STARTER)
    network = OpenVinoNetwork(lambda: graph.largest_inputs(found, architecture_of(found)), "float32")
    return found | {RANGES: ranges_of(np.stack([network(image[None])[0] for image in resized(images, found)]))}


def resized(images: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    return resize_inputs(images, architecture_of(weights))


def classifier(weights: dict[str, np.ndarray]) -> Classifier:
    return Classifier(weights, architecture=architecture_of(weights), digest="", precision="float32")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Photographs, pages and what is rendered of them: N x 299 x 299 x 3."""
    photographs = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    drawings = [
        render(photograph, np.random.default_rng(0))
        for render in (painted, sketched, engraved)
        for photograph in photographs
    ]
    kinds = [draw(photographs[0], np.random.default_rng(1)) for draw in KINDS.values()]
    pages = [np.repeat(data.page()[..., None], 3, axis=2), np.repeat(data.text()[..., None], 3, axis=2)]
    return np.stack([to_model_input(image) for image in [*photographs, *drawings, *kinds, *pages]])


def test_classes_are_those_of_float(weights: dict[str, np.ndarray], images: np.ndarray) -> None:
    plain = {name: array for name, array in weights.items() if name != RANGES}
    expected, found = classifier(plain).predict(images), classifier(weights).predict(images)
    is_sure = expected.max(axis=1) >= load_settings().review_confidence
    assert is_sure.sum() >= 8
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[is_sure].all()
    assert 0 < np.abs(found - expected).mean() < 0.02


def test_convolutions_are_computed_in_whole_numbers(weights: dict[str, np.ndarray]) -> None:
    compiled = load_openvino().Core().compile_model(graph.scores(weights, architecture_of(weights)), "CPU")
    described = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    precisions = [told["runtimePrecision"] for told in described if told["layerType"] == "Convolution"]
    assert precisions.count("u8") == 49 and len(precisions) == 50


def test_older_instructions_overflow_nothing(weights: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Without VNNI two products are added in 16 bits; were they too large, scores would differ by more than .01."""
    write_safetensors(tmp_path / "weights.safetensors", weights)
    write_card(tmp_path, name="classifier", version="int8", metrics={})

    def scores(**variables: str) -> np.ndarray:
        command = [sys.executable, "-c", SCORES, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
        return np.frombuffer(bytes.fromhex(done.stdout), np.float32)

    np.testing.assert_allclose(scores(ONEDNN_MAX_CPU_ISA="AVX2"), scores(), atol=1e-3)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (np.ones(48, np.float16), "activation_ranges has shape"),
        (np.zeros(49, np.float16), "no positive number"),
        (np.full(49, np.nan, np.float16), "no positive number"),
        (np.full(49, np.inf, np.float16), "no positive number"),
        (np.full(49, -1, np.float16), "no positive number"),
    ],
)
def test_damaged_ranges_are_refused(weights: dict[str, np.ndarray], ranges: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        classifier(weights | {RANGES: ranges})


def test_keras_stays_the_reference_in_float(weights: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    plain = {name: array for name, array in weights.items() if name != RANGES}
    image = np.random.default_rng(2).integers(0, 256, (1, 299, 299, 3), np.uint8)
    expected = classifier(plain).scores(image)
    monkeypatch.setenv("TOUNUM_RUNTIME", "keras")
    np.testing.assert_allclose(classifier(weights).scores(image), expected, atol=1e-3)
