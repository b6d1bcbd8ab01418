"""The captioner's graphs against its network in Keras, for every shape that a captioner may have."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from tounum_tasks.caption.captioner import Captioner
from tounum_tasks.caption.decoder import Decoder, Memory
from tounum_tasks.caption.network import CaptionNetwork, set_weights
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.registry import STARTERS

SHAPES = {
    "looks by word": NetworkShape(50, 6, channels=16, embedding=12, units=10, attention=7, looks_by_word=True),
    "of before": NetworkShape(50, 6, channels=16, embedding=12, units=10, attention=7),
    "as the starter": NetworkShape(60, looks_by_word=True),
}


def weights_of(shape: NetworkShape, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    drawn = {name: generator.normal(0, size[0] ** -0.5, size) for name, size in shape.weight_shapes().items()}
    return {name: array.astype(np.float16) for name, array in drawn.items()}


@pytest.mark.parametrize("name", SHAPES)
def test_graphs_compute_what_the_network_computes(name: str) -> None:
    shape = SHAPES[name]
    weights = weights_of(shape)
    network = CaptionNetwork(shape)
    network.build()
    assert {name: tuple(weight.shape) for name, weight in network.named_weights().items()} == shape.weight_shapes()
    set_weights(network, weights)
    decoder = Decoder(shape, weights, precision="float32")
    generator = np.random.default_rng(1)
    features = generator.exponential(1, (3, shape.positions, shape.channels)).astype(np.float32)
    memory, state = network.encode(features)
    found = decoder.encode(features)
    for ours, theirs in zip((found.values, found.keys, found.state), (*memory, state), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    rows = np.repeat(np.arange(3), 2)
    for step in range(3):
        words = generator.integers(0, shape.vocabulary, 6)
        state = np.repeat(state, 2, axis=0) if step == 0 else state
        expected = network.step(words, state, memory, per_image=2)
        ours = decoder.step(words, rows, np.asarray(state), found)
        state = expected[0]
        for array, tensor in zip(ours, (state, network.logits(expected[1]), expected[2]), strict=True):
            np.testing.assert_allclose(array, tensor, atol=1e-4)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(SHAPES["as the starter"], weights_of(SHAPES["as the starter"]), precision="float32")


@pytest.fixture(scope="module")
def memory(decoder: Decoder) -> Memory:
    features = np.random.default_rng(2).exponential(1, (5, 64, 2048)).astype(np.float32)
    return decoder.encode(features)


@settings(max_examples=25)
@given(counts=st.lists(st.integers(0, 20), min_size=5, max_size=5).filter(any), alone=st.integers(0, 4))
def test_a_step_does_not_depend_on_what_else_is_computed(
    decoder: Decoder, memory: Memory, counts: list[int], alone: int
) -> None:
    """Whatever number of captions the other images have, and beside its own: the same bits."""
    images = np.repeat(np.arange(5), counts)
    words, states = np.arange(len(images)) % 60, np.tanh(memory.state[images] + np.arange(len(images))[:, None] / 100)
    together = decoder.step(words, images, states.astype(np.float32), memory)
    (rows,) = np.nonzero(images == alone)
    if not len(rows):
        return
    for some in (rows, rows[:1], rows[-1:]):
        one = np.zeros(len(some), int)
        found = decoder.step(words[some], one, states[some].astype(np.float32), memory.of(np.array([alone])))
        assert all(ours.tobytes() == theirs[some].tobytes() for ours, theirs in zip(found, together, strict=True))


def test_keras_and_openvino_say_the_same_of_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.astronaut(), skimage.data.rocket()]
    captioner, extractor = (max((STARTERS / name).iterdir()) for name in ("captioner", "extractor"))
    eyes = Extractor.load(extractor, precision="float32")
    features = eyes.extract(np.stack([to_model_input(picture) for picture in pictures]))
    said = {}
    for runtime in ("openvino", "keras"):
        monkeypatch.setenv("TOUNUM_RUNTIME", runtime)
        loaded = Captioner.load(captioner, extractor_digest=eyes.digest, precision="float32")
        said[runtime] = [*loaded.caption(features, beam=1), *loaded.caption(features, beam=3)]
    for ours, theirs in zip(said["openvino"], said["keras"], strict=True):
        assert (ours.text, ours.alternatives) == (theirs.text, theirs.alternatives)
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-3)
        np.testing.assert_allclose(ours.attention, theirs.attention, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("attention_word/kernel", None, "captioner's weights lack attention_word/kernel"),
        ("gru/bias", np.zeros(30), r"captioner's gru/bias has shape \(30,\), expected \(2, 30\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(name: str, array: np.ndarray | None, sentence: str) -> None:
    shape = SHAPES["looks by word"]
    weights = {key: value for key, value in weights_of(shape).items() if key != name}
    if array is not None:
        weights[name] = array
    with pytest.raises(ConfigurationError, match=sentence):
        Decoder(shape, weights, precision="float32")
