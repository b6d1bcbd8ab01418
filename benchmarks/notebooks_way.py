"""The notebooks' way: a file is decoded again for every step, and models see one image (or 16) at a time.

The models compute what the pipeline's do, from the same weights, so that the results can be compared: only the way of
calling them differs. The classifier is the notebooks' own small one, untrained, which takes as long as a trained one.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from skimage.restoration import estimate_sigma
from stopwatch import PASSES, Stages, peak_mib, timed

from tounum_tasks.models.registry import Registry
from tounum_tasks.quality.metrics import Quality
from tounum_tasks.restore import classic

if TYPE_CHECKING:
    import keras

INCEPTION_BATCH = 16
Captions = dict[str, list[str]]


def run_notebooks(folder: Path) -> dict[str, Any]:
    """Both passes over ``folder/images``, with photographs and features as :func:`run_pipeline` left them."""
    reference = folder / "reference"
    expected: Captions = json.loads((reference / "captions.json").read_text())
    files = sorted((folder / "images").iterdir())
    passes = []
    for name in PASSES:
        print(f"  the notebooks' way, {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            stages, captions = _notebooks_pass(files, list(expected), Path(scratch), reference)
        passes.append(stages)
    return {
        "passes": passes,
        "peak_mib": peak_mib(),
        "captions_equal": sum(captions[photo] == words for photo, words in expected.items()),
        "features_cosine": features_cosine(reference, lambda inputs: eager_features(plain_inception(), inputs)),
    }


def _notebooks_pass(files: list[Path], photos: list[str], scratch: Path, reference: Path) -> tuple[Stages, Captions]:
    stages: Stages = {}
    with timed(stages, "measure"):
        enhanced = {file.stem: scratch / f"{file.stem}.jpg" for file in files}
        threads = [threading.Thread(target=notebook_enhance, args=(file, enhanced[file.stem])) for file in files]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with timed(stages, "classify"):
        from keras.utils import load_img

        small = small_network()
        for file in enhanced.values():
            small.predict(np.asarray(load_img(file, target_size=(250, 250)), np.float32)[None], verbose=0)

    with timed(stages, "features"):
        inception = plain_inception()
        for start in range(0, len(photos), INCEPTION_BATCH):
            batch = photos[start : start + INCEPTION_BATCH]
            images = np.stack([np.asarray(load_img(enhanced[photo], target_size=(299, 299))) for photo in batch])
            for photo, features in zip(batch, eager_features(inception, images), strict=True):
                np.save(scratch / f"{photo}.npy", features)

    captions: Captions = {}
    with timed(stages, "caption"):
        captioner = eager_captioner()
        for photo in photos:
            captions[photo] = captioner.caption(np.load(reference / f"{photo}.npy"))
    return stages, captions


def notebook_enhance(source: Path, target: Path) -> None:
    """Measure a file, improve it as mode ``classic`` does, write it as JPEG, and measure what was written."""
    blur, noise = notebook_metrics(source)
    rgb = cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB)
    enhanced, _ = classic.restore(rgb, Quality(blur, noise, brightness=0.0, contrast=0.0, flags=()))
    cv2.imwrite(str(target), cv2.cvtColor(enhanced, cv2.COLOR_RGB2BGR))
    notebook_metrics(target)


def notebook_metrics(file: Path) -> tuple[float, float]:
    """Variance of the Laplacian and estimated noise of a file, each from a decoding of its own."""
    blur = cv2.Laplacian(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), cv2.CV_64F).var()
    return float(blur), float(estimate_sigma(cv2.imread(str(file)), channel_axis=-1, average_sigmas=True))


@cache
def small_network() -> "keras.Model":
    """The notebooks' classifier, untrained: three convolutions on 250 x 250 pixels, five classes."""
    from tounum_tasks.classify.network import build_network

    return build_network("notebook", "float32")


@cache
def plain_inception() -> "keras.Model":
    """InceptionV3 as Keras has it, float32, which computes the same function as the production extractor.

    It ends with the same block. The extractor's batch normalisation is folded into its kernels: here it becomes one
    that only adds the bias.
    """
    import keras

    from tounum_tasks.features.inception import convolution_name, last_layer_of
    from tounum_tasks.models.weights import read_safetensors

    weights = read_safetensors(production("extractor") / "weights.safetensors")
    whole = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3))
    network = keras.Model(whole.inputs, whole.get_layer(last_layer_of(weights)).output)
    convolutions = _in_creation_order(network, keras.layers.Conv2D)
    normalisations = _in_creation_order(network, keras.layers.BatchNormalization)
    for index, (convolution, normalisation) in enumerate(zip(convolutions, normalisations, strict=True)):
        convolution.kernel.assign(weights[f"{convolution_name(index)}/kernel"].astype(np.float32))
        normalisation.beta.assign(weights[f"{convolution_name(index)}/bias"].astype(np.float32))
        normalisation.moving_variance.assign(np.full(normalisation.beta.shape, 1 - normalisation.epsilon))
    return network


def _in_creation_order(network: "keras.Model", kind: type) -> list[Any]:
    found = [layer for layer in network.layers if isinstance(layer, kind)]
    return sorted(found, key=lambda layer: (len(layer.name), layer.name))  # conv2d, conv2d_1, ... conv2d_10


def eager_features(network: "keras.Model", images: np.ndarray) -> np.ndarray:
    """Features of uint8 N x 299 x 299 x 3, the network called as a function: float32 N x 64 x 2048."""
    from keras.applications.inception_v3 import preprocess_input

    return np.asarray(network(preprocess_input(images.astype(np.float32)), training=False)).reshape(-1, 64, 2048)


class EagerCaptioner:
    """One image and one word at a time, with the weights of the captioner in production.

    Written as TensorFlow's tutorial on image captions has it: the recurrent layer is ``keras.layers.GRU`` over
    sequences of one word, and the attention's keys are computed again for every word.
    """

    def __init__(self) -> None:
        import keras

        from tounum_tasks.caption.captioner import SearchOptions
        from tounum_tasks.caption.network import CaptionNetwork, set_weights
        from tounum_tasks.caption.shape import NetworkShape
        from tounum_tasks.caption.vocabulary import Vocabulary
        from tounum_tasks.models.card import read_version
        from tounum_tasks.models.weights import read_safetensors

        folder = production("captioner")
        training = read_version(folder, name="captioner").training
        self.max_words = SearchOptions(**training["search"]).max_words
        self.vocabulary = Vocabulary.load(folder / "vocabulary.json")
        self.network = CaptionNetwork(NetworkShape(**training["network"]))
        self.network.build()
        set_weights(self.network, read_safetensors(folder / "weights.safetensors"))
        sizes = self.network.sizes
        self.gru = keras.layers.GRU(sizes.units, return_sequences=True, return_state=True)
        self.gru.build((1, 1, 2 * sizes.embedding))
        self.gru.set_weights(self.network.gru.get_weights())

    def caption(self, features: np.ndarray) -> list[str]:
        """Greedy caption of float32 64 x 2048, by the rules of ``tounum_tasks.caption.search``."""
        import tensorflow as tf

        from tounum_tasks.caption.vocabulary import END, PAD, START, UNK

        values = self.network.encoder(tf.constant(features[None]))
        state = self.network.first_state(tf.reduce_mean(values, axis=1))
        said, maps = [START], []
        while said[-1] != END and len(said) <= self.max_words:
            logits, state, attention = self._step(tf.constant([said[-1]]), state, values)
            maps.append(attention.numpy())
            scores = logits.numpy()[0]
            followed = [after for before, after in pairwise(said) if before == said[-1]]
            scores[[PAD, START, UNK, said[-1], *followed]] = -np.inf
            said.append(int(scores.argmax()))
        return self.vocabulary.decode(said)

    def _step(self, word: Any, state: Any, values: Any) -> tuple[Any, Any, Any]:
        import tensorflow as tf

        network = self.network
        embedded = network.words(word)
        query = network.attention_query(state)
        if network.attention_word:
            query += network.attention_word(embedded)
        hidden = tf.tanh(network.attention_keys(values) + query[:, None])
        attention = tf.nn.softmax(network.attention_score(hidden), axis=1)
        attended = network.gate(state) * tf.reduce_sum(attention * values, axis=1)
        output, state = self.gru(tf.concat([embedded, attended], axis=-1)[:, None], initial_state=state)
        output = tf.tanh(network.output_state(output[:, 0]) + network.output_context(attended) + embedded)
        logits = tf.matmul(output, network.words.embeddings, transpose_b=True) + network.output_bias
        return logits, state, attention


eager_captioner = cache(EagerCaptioner)


def production(name: str) -> Path:
    """Folder of a model that a new lake has in production; of the extractor, that which the captioner was made for."""
    with tempfile.TemporaryDirectory() as lake:
        registry = Registry(lake)
        if name != "extractor":
            return registry.resolve(name).folder
        return registry.partner(registry.resolve("captioner"), name).folder


def features_cosine(reference: Path, extract: Callable[[np.ndarray], np.ndarray]) -> float:
    """Smallest cosine between the pipeline's features and those that another way extracts from the same model inputs.

    Args:
        extract: from uint8 N x 299 x 299 x 3 to float32 N x 64 x 2048.
    """
    with np.load(reference / "check.npz") as check:
        expected = check["features"].reshape(len(check["inputs"]), -1).astype(np.float32)
        found = extract(check["inputs"]).reshape(expected.shape)
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return float(((expected * found).sum(axis=1) / norms).min())
