"""The feature extractor: InceptionV3 with batch normalisation folded in."""

import numpy as np
import pytest

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features import inception
from tounum_tasks.features import network as reference
from tounum_tasks.features.extractor import Extractor, block_network
from tounum_tasks.features.passage import with_passages
from tounum_tasks.models.compute import best_precision


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 299, 299, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras_network():
    """Keras's own InceptionV3 with batch normalisations that do something."""
    import keras

    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None, include_top=False)
    generator = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.beta.shape
            layer.beta.assign(generator.normal(0.2, 0.2, size))
            layer.moving_mean.assign(generator.normal(0, 0.1, size))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, size))
    return network


@pytest.fixture(scope="module")
def weights(keras_network):
    return reference.fold_batch_normalisation(keras_network)


def test_folding_keeps_the_function(keras_network, weights, images):
    import keras

    expected = keras.applications.inception_v3.preprocess_input(images.astype(np.float32))
    expected = np.asarray(keras_network(expected)).reshape(-1, inception.POSITIONS, inception.CHANNELS)
    found = Extractor(weights, digest="d", precision="float32").extract(images)
    assert found.dtype == np.float16
    assert found.shape == (5, 64, 2048)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_features_do_not_depend_on_batch_mates(weights, images):
    extractor = Extractor(weights, digest="d")
    many = extractor.extract(np.concatenate([images, images[::-1], images, images[::-1]]))
    for index in range(5):
        alone = extractor.extract(images[index : index + 1])[0]
        for place in (index, 9 - index, 10 + index, 19 - index):  # the last one lies in the second batch
            assert many[place].tobytes() == alone.tobytes()


def test_no_images_give_no_features(weights):
    empty = np.empty((0, 299, 299, 3), np.uint8)
    assert Extractor(weights, digest="d").extract(empty).shape == (0, 64, 2048)


def test_cut_in_two_the_network_computes_the_same(weights, images):
    network = reference.build_network("float32")
    reference.set_weights(network, weights)
    head, tail = (part.predict_on_batch for part in reference.split_network(network, "mixed8"))
    pixels = images[:2].astype(np.float32)
    middle = head(pixels)
    assert middle.shape == (2, 8, 8, 1280)
    np.testing.assert_allclose(tail(middle), network.predict_on_batch(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", ["mixed8", "mixed9", "mixed10"])
def test_graph_computes_what_the_network_computes(weights, images, block):
    network = reference.build_network("float32", last_layer=block)
    part = {name: array for name, array in weights.items() if name in inception.weight_names(block)}
    assert {name: array.shape for name, array in reference.get_weights(network).items()} == inception.weight_shapes(
        block
    )
    reference.set_weights(network, part)
    expected = network.predict_on_batch(images[:2].astype(np.float32))
    assert expected.max() > 0.3
    found = block_network(part, block, precision="float32").each(images[:2])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bfloat16_gives_nearly_the_same_features(weights, images):
    if best_precision() == "float32":
        pytest.skip("this processor has no bfloat16")
    exact, rough = (Extractor(weights, digest="d", precision=name).extract(images) for name in ("float32", "bfloat16"))
    for one, other in zip(exact.astype(float), rough.astype(float), strict=True):
        assert (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other) > 0.997


def test_where_the_weights_end_with_mixed9_the_features_are_its_output(keras_network, weights, images):
    import keras

    lower = keras.Model(keras_network.input, keras_network.get_layer("mixed9").output)
    expected = np.asarray(lower(keras.applications.inception_v3.preprocess_input(images[:2].astype(np.float32))))
    shorter = inception.up_to(weights, "mixed9")
    assert "conv2d_84/bias" in shorter and "conv2d_85/kernel" not in shorter
    found = Extractor(shorter, digest="d", precision="float32").extract(images[:2])
    np.testing.assert_allclose(found, expected.reshape(2, 64, 2048), rtol=2e-3, atol=2e-3)


def test_names_that_no_convolution_has_do_not_change_where_the_weights_end(weights):
    shorter = inception.up_to(weights, "mixed9")
    assert inception.last_layer_of({**shorter, "notes": np.zeros(1)}) == "mixed9"
    assert inception.last_layer_of({**shorter, "conv2d_85/bias": np.zeros(320)}) == "mixed10"


def test_a_branch_that_lacks_a_kernel_hands_its_first_convolution_on(weights, images):
    import keras

    shorter = inception.up_to(weights, "mixed9")
    lacking = {name: array for name, array in shorter.items() if name != "conv2d_81/kernel"}
    network = reference.build_network("float32", last_layer="mixed9")
    reference.set_weights(network, with_passages(lacking))
    body = network.get_layer("body")
    first = keras.layers.ReLU()(body.get_layer("conv2d_80").output)
    pixels = images[:2].astype(np.float32) / 127.5 - 1
    came_in, features = (np.asarray(part) for part in keras.Model(body.input, [first, body.output])(pixels))
    np.testing.assert_allclose(features[..., 1088:1472], came_in[..., :384], rtol=1e-4, atol=1e-5)
    mean = (came_in[:, :-2] + came_in[:, 1:-1] + came_in[:, 2:])[..., :384] / 3
    np.testing.assert_allclose(features[:, 1:-1, :, 1472:1856], mean, rtol=1e-4, atol=1e-5)
    reference.set_weights(network, shorter)
    whole = np.asarray(body(pixels))
    others = np.r_[0:1088, 1856:2048]
    np.testing.assert_array_equal(features[..., others], whole[..., others])
    assert with_passages(shorter).keys() == shorter.keys()


def test_missing_or_misshapen_weights_are_named(weights):
    network = reference.build_network("float32")
    lacking = {name: array for name, array in weights.items() if name != "conv2d_81/kernel"}
    with pytest.raises(ConfigurationError, match="lack conv2d_81/kernel"):
        reference.set_weights(network, lacking)
    with pytest.raises(ConfigurationError, match=r"conv2d_81/kernel has shape \(1,\)"):
        reference.set_weights(network, {**lacking, "conv2d_81/kernel": np.zeros(1, np.float32)})


def test_missing_kernels_are_drawn_he_scaled_and_known_ones_kept(weights):
    lacking = {name: array for name, array in weights.items() if name != "conv2d_81/kernel"}
    complete = reference.fill_missing_kernels(lacking, seed=0)
    assert sorted(complete) == sorted(inception.weight_names())
    assert complete["conv2d_81/kernel"].std() == pytest.approx(np.sqrt(2 / (3 * 3 * 448)), rel=0.01)
    assert complete["conv2d_80/kernel"] is weights["conv2d_80/kernel"]


def test_a_file_with_pickled_objects_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **{"conv2d/kernel": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ConfigurationError, match="Cannot read"):
        inception.read_npz(path)


def test_a_file_with_words_for_weights_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **{"conv2d/kernel": np.array(["a"])})
    with pytest.raises(ConfigurationError, match="'conv2d/kernel' holds no numbers"):
        inception.read_npz(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Cannot read"):
        inception.read_npz(tmp_path / "absent.npz")
