"""The classifier: networks, prediction, loading."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from tounum_tasks.classify.classifier import Classifier, class_probabilities, resize_inputs, softmax
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.classify.network import TAPS_OF, build_network, get_weights, weight_shapes
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.card import write_card
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.settings import load_settings
from tounum_tasks.training.unknown_kinds import KINDS

pytest.importorskip("keras")

NOTEBOOK_SHAPES = {
    "conv0/kernel": (3, 3, 3, 16),
    "conv0/bias": (16,),
    "conv1/kernel": (3, 3, 16, 32),
    "conv1/bias": (32,),
    "conv2/kernel": (3, 3, 32, 64),
    "conv2/bias": (64,),
    "hidden/kernel": (31 * 31 * 64, 128),
    "hidden/bias": (128,),
    "scores/kernel": (128, 5),
    "scores/bias": (5,),
}


@pytest.fixture(scope="module")
def starter() -> Classifier:
    versions = sorted(path for path in (STARTERS / "classifier").iterdir() if path.is_dir())
    return Classifier.load(versions[-1])


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), dtype=np.uint8)


def notebook_weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    weights = {name: generator.normal(0, 0.05, shape).astype(np.float16) for name, shape in NOTEBOOK_SHAPES.items()}
    return weights | {"temperature": np.array([2.0], np.float32)}


def test_probabilities_of_each_image_sum_to_one(starter: Classifier, images: np.ndarray) -> None:
    probabilities = starter.predict(images)
    assert probabilities.shape == (3, len(CLASSES))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_what_is_of_no_class_is_doubted_and_changes_no_verdict() -> None:
    scores = np.array([[3.0, 1, 0, 0, 0, -9], [3.0, 1, 0, 0, 0, 6]])
    of_a_class, of_none = class_probabilities(scores)
    np.testing.assert_allclose(of_a_class, softmax(scores[0, :5]), atol=1e-4)
    assert of_none.sum() == pytest.approx(1) and of_none.argmax() == 0
    assert of_none.max() < 0.25 < 0.7 < of_a_class.max()
    np.testing.assert_allclose(class_probabilities(scores[:, :5]), softmax(scores[:, :5]))


@pytest.mark.parametrize("kind", ["map", "stamp", "blank", "score", "target", "code", "plain"])
def test_starter_doubts_kinds_that_are_none_of_the_classes(starter: Classifier, kind: str) -> None:
    """Drawn anew, with pictures that it has not seen: at least three of four are below the confidence of the review."""
    picture = data.astronaut()
    drawn = [KINDS[kind](picture, np.random.default_rng((5, seed))) for seed in range(12)]
    confidence = starter.predict(np.stack([to_model_input(one) for one in drawn])).max(axis=1)
    assert (confidence < load_settings().review_confidence).mean() >= 0.75


def test_no_images_give_no_rows(starter: Classifier) -> None:
    assert starter.predict(np.zeros((0, 299, 299, 3), np.uint8)).shape == (0, len(CLASSES))


def test_result_does_not_depend_on_batch_mates_or_position(starter: Classifier, images: np.ndarray) -> None:
    together = starter.predict(images)
    alone = np.concatenate([starter.predict(image[None]) for image in images])
    turned = starter.predict(images[::-1].copy())[::-1]
    assert together.tobytes() == alone.tobytes() == turned.tobytes()


def test_many_images(images: np.ndarray) -> None:
    classifier = Classifier(notebook_weights(), architecture="notebook", digest="", precision="float32")
    many = np.concatenate([images] * 12)
    assert classifier.predict(many)[-3:].tobytes() == classifier.predict(images).tobytes()


def test_temperature_divides_the_scores(images: np.ndarray) -> None:
    weights = notebook_weights()
    warm = Classifier(weights, architecture="notebook", digest="", precision="float32").scores(images)
    plain = Classifier(
        weights | {"temperature": np.array([1.0], np.float32)}, architecture="notebook", digest="", precision="float32"
    ).scores(images)
    np.testing.assert_allclose(warm * 2, plain, rtol=1e-5)


def test_version_on_disk_says_its_architecture(tmp_path: Path, images: np.ndarray) -> None:
    write_safetensors(tmp_path / "weights.safetensors", notebook_weights())
    card = write_card(tmp_path, name="classifier", version="baseline-1")
    classifier = Classifier.load(tmp_path)
    assert classifier.architecture == "notebook"
    assert classifier.digest == card.digest


@pytest.mark.parametrize("architecture", [*TAPS_OF, "notebook"])
def test_graph_computes_what_the_network_computes(images: np.ndarray, architecture: str) -> None:
    network = build_network(architecture, "float32")
    weights = get_weights(network)
    assert {name: array.shape for name, array in weights.items()} == weight_shapes(architecture)
    expected = network.predict_on_batch(resize_inputs(images, architecture).astype(np.float32))
    weights |= {"temperature": np.array([1.0], np.float32)}
    found = Classifier(weights, architecture=architecture, digest="", precision="float32").scores(images)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("architecture", TAPS_OF)
def test_version_looks_at_the_layers_that_it_was_trained_with(
    tmp_path: Path, images: np.ndarray, architecture: str
) -> None:
    network = build_network(architecture, "float32")
    weights = get_weights(network) | {"temperature": np.array([1.0], np.float32)}
    write_safetensors(tmp_path / "weights.safetensors", weights)
    write_card(tmp_path, name="classifier", version="trained-1")
    classifier = Classifier.load(tmp_path)
    assert classifier.architecture == architecture
    same = Classifier(weights, architecture=architecture, digest="")
    assert classifier.scores(images[:1]).tobytes() == same.scores(images[:1]).tobytes()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("scores/kernel", None, "lack scores/kernel"),
        ("scores/bias", np.zeros(4, np.float16), "has shape"),
        ("temperature", None, "temperature"),
        ("temperature", np.array([0.0], np.float32), "temperature"),
        ("temperature", np.ones(2, np.float32), "temperature"),
    ],
)
def test_incomplete_weights_are_refused(name: str, array: np.ndarray | None, message: str) -> None:
    weights = notebook_weights()
    del weights[name]
    if array is not None:
        weights[name] = array
    with pytest.raises(ConfigurationError, match=message):
        Classifier(weights, architecture="notebook", digest="", precision="float32")


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Unknown classifier architecture"):
        Classifier({}, architecture="transformer", digest="", precision="float32")


def test_version_whose_last_layer_has_another_shape_is_refused(tmp_path: Path) -> None:
    weights = read_safetensors(max(STARTERS.glob("classifier/*")) / "weights.safetensors")
    write_safetensors(tmp_path / "weights.safetensors", weights | {"scores/kernel": weights["scores/kernel"][:, 0]})
    write_card(tmp_path, name="classifier", version="1")
    with pytest.raises(ConfigurationError, match=r"scores/kernel has shape \(7296,\)"):
        Classifier.load(tmp_path)


def test_version_that_gives_no_numbers_classifies_nothing(images: np.ndarray) -> None:
    weights = notebook_weights() | {"scores/bias": np.full(5, 3e38, np.float32), "temperature": np.array([1e-3])}
    classifier = Classifier(weights, architecture="notebook", digest="", precision="float32")
    with pytest.raises(ConfigurationError, match="The classifier gives no numbers"):
        classifier.predict(images)


def test_another_model_is_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "weights.safetensors", notebook_weights())
    write_card(tmp_path, name="captioner", version="1")
    with pytest.raises(ConfigurationError, match="not classifier"):
        Classifier.load(tmp_path)


def test_starter_is_small_and_half_precision() -> None:
    for folder in (STARTERS / "classifier").iterdir():
        path = folder / "weights.safetensors"
        assert path.stat().st_size < 25_000_000
        weights = read_safetensors(path)
        assert {array.dtype for name, array in weights.items() if name != "temperature"} == {np.dtype(np.float16)}


def test_softmax_of_large_scores_is_finite() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 0.0], [0.0, 0.0]])), [[1, 0], [0.5, 0.5]], atol=1e-12)


def test_unfamiliar_images_are_trusted_less(starter: Classifier) -> None:
    """Noise, a bare sheet and a chequerboard are of no class: none is sure to be a photograph."""
    squares = np.kron(np.indices((13, 13)).sum(axis=0) % 2, np.ones((23, 23)))[..., None] * np.array([255, 255, 255])
    noise = np.random.default_rng(0).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    strange = np.stack([noise, np.full((299, 299, 3), 236, np.uint8), squares.astype(np.uint8)])
    assert starter.predict(strange)[:, CLASSES.index("Photo")].max() < 0.6
