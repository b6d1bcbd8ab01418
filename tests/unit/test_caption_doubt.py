"""What becomes of captions that are probably wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.numbered_images import numbered_images
from tests.unit.test_caption_judge import CHANNELS, POSITIONS, SCENES, VOCABULARY, looks
from tests.unit.test_captioner import features, make_captioner
from tounum_tasks.caption.captioner import Caption, Captioner, SearchOptions
from tounum_tasks.caption.confidence import Confidence
from tounum_tasks.caption.decoder import Decoder
from tounum_tasks.caption.doubt import Doubt, captions_of
from tounum_tasks.caption.judge import Judge
from tounum_tasks.caption.network import CaptionNetwork
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training.judge import fit_judge

SCENE_IMAGES = np.stack([looks(scene, 30_000 + number) for number, scene in enumerate(SCENES)])


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    """A captioner that talks nonsense and knows it, with a judge of what is to be seen."""
    scenes = [SCENES[number % len(SCENES)] for number in range(480)]
    captions = [(f"a {animal} on {place}", f"{colour} {place} with a {animal}") for colour, animal, place in scenes]
    images = numbered_images(tmp_path_factory.mktemp("images"), captions)
    cache = FeatureCache(tmp_path_factory.mktemp("cache"), images, (POSITIONS, CHANNELS))
    cache.fill(lambda members: np.stack([looks(scenes[int(m.name)], int(m.name)) for m in members]))
    network = CaptionNetwork(NetworkShape(len(VOCABULARY), POSITIONS, CHANNELS, embedding=6, units=5, attention=3))
    network.build()
    unsure = Confidence((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), 0.1)
    return Captioner(
        Decoder(network.sizes, network.weight_arrays(), precision="float32"),
        VOCABULARY,
        digest="d",
        options=SearchOptions(max_words=6, judgement=1.0),
        judge=Judge(fit_judge(cache, VOCABULARY)),
        estimates={"greedy": unsure, "beam": unsure},
    )


@pytest.mark.parametrize("beam", [1, 3])
def test_a_short_caption_says_what_is_to_be_seen(knowing, beam):
    found = captions_of(knowing, SCENE_IMAGES, beam=beam, doubt=Doubt("short", 0.2))
    assert [caption.text for caption in found] == [f"A {animal} on {place}." for _, animal, place in SCENES]


def test_the_caption_that_was_doubted_stays_with_the_alternatives(knowing):
    kept = captions_of(knowing, SCENE_IMAGES, beam=3, doubt=Doubt("keep", 0.2))
    for doubtful in ("short", "none"):
        found = captions_of(knowing, SCENE_IMAGES, beam=3, doubt=Doubt(doubtful, 0.2))
        for before, after in zip(kept, found, strict=True):
            assert after.alternatives == (before.text, *before.alternatives)
            assert (after.confidence, after.log_probability) == (before.confidence, before.log_probability)
            assert after.attention.shape == (len(after.words), POSITIONS)
            assert after.attention.sum(axis=1) == pytest.approx(1, abs=0.01)


def test_no_caption_is_no_word(knowing):
    found = captions_of(knowing, SCENE_IMAGES[:2], beam=1, doubt=Doubt("none", 0.2))
    assert [(caption.text, caption.words) for caption in found] == [("", ()), ("", ())]


@pytest.mark.parametrize("doubtful", ["keep", "short", "none"])
def test_captions_that_are_not_doubtful_stay(knowing, doubtful):
    found = captions_of(knowing, SCENE_IMAGES[:4], beam=3, doubt=Doubt(doubtful, 0.1))
    assert [caption.text for caption in found] == [caption.text for caption in knowing.caption(SCENE_IMAGES[:4])]


def test_a_captioner_without_short_captions_says_so_before_it_works():
    captioner, _ = make_captioner()
    with pytest.raises(ConfigurationError, match="no short captions for TOUNUM_DOUBTFUL_CAPTIONS=short"):
        captions_of(captioner, features(1), beam=3, doubt=Doubt("short", 0.2))


def test_a_judge_whose_phrases_are_not_its_own_is_refused(knowing):
    arrays = {
        "groups": np.array([[4, 0, 0, 0]], np.int32),
        "rarity": np.ones(2, np.float32),
        "image/kernel": np.zeros((16, 1), np.float16),
        "image/bias": np.zeros(1, np.float32),
        "groups/kernel": np.zeros((1, 1), np.float16),
        "groups/bias": np.ones(1, np.float32),
        "phrases": np.array([1], np.int32),
    }
    with pytest.raises(ConfigurationError, match="phrases names groups that it does not list"):
        Judge(arrays)


@given(st.one_of(st.none(), st.floats(0, 1), st.just(float("nan"))), st.floats(0, 1))
def test_what_is_kept_is_never_replaced_and_what_has_no_estimate_neither(confidence, limit):
    caption = Caption("A.", ("a",), -1.0, (), np.zeros((1, 64), np.float16), confidence)
    assert not Doubt("keep", limit).of(caption)
    assert Doubt("none", limit).of(caption) == (confidence is not None and not confidence >= limit)
    assert not Doubt("short", limit).of(replace(caption, confidence=None))


@pytest.mark.parametrize("beam", [2, 3, 20])
def test_a_short_caption_is_the_same_whatever_the_beam(knowing, beam):
    """The search for the judge is as wide for all of them."""
    expected = [caption.text for caption in captions_of(knowing, SCENE_IMAGES, beam=3, doubt=Doubt("short", 0.2))]
    found = captions_of(knowing, SCENE_IMAGES[::-1], beam=beam, doubt=Doubt("short", 0.2))
    assert [caption.text for caption in found][::-1] == expected


def test_no_image_has_no_caption(knowing):
    for doubtful in ("keep", "short", "none"):
        assert captions_of(knowing, SCENE_IMAGES[:0], beam=3, doubt=Doubt(doubtful, 0.2)) == []
