"""Mixtures of two captioners, chosen by what they say about images with known captions."""

import numpy as np

from tests.unit.numbered_images import numbered_images
from tounum_tasks.caption.captioner import SearchOptions
from tounum_tasks.caption.network import CaptionNetwork
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.caption.vocabulary import SPECIAL, Vocabulary
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.evaluation.captioner import score
from tounum_tasks.training.captioner_model import captioner_of
from tounum_tasks.training.mixture import mix, try_shares

POSITIONS, CHANNELS = 4, 8


def random_weights(network, seed):
    generator = np.random.default_rng(seed)
    arrays = network.weight_arrays()
    return {name: generator.normal(0, 1.0, array.shape).astype(np.float32) for name, array in arrays.items()}


def test_the_network_gets_the_mixture_that_describes_the_images_best(tmp_path):
    vocabulary = Vocabulary([*SPECIAL, *(f"w{i}" for i in range(40))])
    shape = NetworkShape(len(vocabulary), POSITIONS, channels=CHANNELS, embedding=6, units=5, attention=3)
    network = CaptionNetwork(shape)
    network.build()
    before, after = random_weights(network, 1), random_weights(network, 2)
    features = np.random.default_rng(3).normal(size=(12, POSITIONS, CHANNELS)).astype(np.float16)

    def assign(weights):
        for name, variable in network.named_weights().items():
            variable.assign(weights[name])

    assign(mix(before, after, 0.4))
    truth = [caption.text for caption in captioner_of(network, vocabulary).caption(features, beam=3)]
    images = numbered_images(tmp_path, [(text,) for text in truth], "dev")
    cache = FeatureCache(tmp_path / "cache", images, (POSITIONS, CHANNELS))
    cache.fill(lambda members: features[[int(image.name) for image in members]])

    assign(after)
    tried = try_shares(network, before, vocabulary, SearchOptions(), cache)
    assert tried[0.4]["cider"] == max(figures["cider"] for figures in tried.values()) > tried[1.0]["cider"]
    said = [caption.text for caption in captioner_of(network, vocabulary).caption(features, beam=3)]
    assert score(said, [image.captions for image in images])["cider"] == tried[0.4]["cider"]
