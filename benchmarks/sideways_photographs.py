"""Photographs that lie on their side or head: learn to tell them by their features, and how often that is right.

    python -m benchmarks.sideways_photographs train --data DIR [--images 3200]
    python -m benchmarks.sideways_photographs measure --data DIR [--count N]

``train`` writes tounum_tasks/features/turns.safetensors for the packaged extractor. It learns from photographs of
Flickr8k and MS-COCO (their split ``train``), each turned in two ways of four, some of them cut, made grey or old, and
from rooms of ADE20K; the evidence from which a turn is told is chosen on other photographs. Features are computed in
int8 for it, a third of the time. ``measure`` looks at sources that served for neither, each picture upright and turned.
DIR holds ``captions`` (``captions.tsv``, ``coco.tsv``), ``classes/CLASS/SOURCE`` and ``restoration/bsds500``.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tounum_tasks.datasets.captions import load_captions
from tounum_tasks.features import graph
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.features.inception import CHANNELS, POSITIONS, last_layer_of
from tounum_tasks.features.turns import FILE, QUARTERS, VALUES, Turns, packaged_turns
from tounum_tasks.images.decode import decode
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.card import WEIGHTS_FILE
from tounum_tasks.models.layers import indices, operations
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.runtime import OpenVinoNetwork, load_openvino
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.training.archive_looks import old_photograph

if TYPE_CHECKING:
    import openvino

Array = np.ndarray
Rng = np.random.Generator

STARTER = STARTERS / "extractor" / "starter-2"
MIRRORED = np.arange(POSITIONS).reshape(8, 8)[:, ::-1].ravel()  # places of a picture seen in a mirror,
TURN_MIRRORED = np.array([0, 3, 2, 1])  # and how it has to be turned then
COMPONENTS = 384  # principal components of the channels, in which is learnt
FITTED = 400  # photographs to which the components are fitted
PASSES, TOGETHER, RATE, DECAY = 12, 64, 2e-3, 0.01
DROPPED, INPUTS_DROPPED = 0.5, 0.1
WRONG, MARGIN = 0.01, 1.5
REPORTED = ("classes/Photo/oldnyc", "classes/Photo/pacs", "classes/Painting/peopleart")
CHOSEN_FROM = 4_000  # photographs of Flickr8k are learnt from, and the evidence is chosen on some of the others


def main() -> None:
    """Learn or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "measure"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=3_200, help="photographs to learn from")
    parser.add_argument("--count", type=int, default=10_000, help="pictures of each source to measure on, at most")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.what == "train":
        train(arguments.data, arguments.images)
    else:
        measure(arguments.data, arguments.count)


# Pictures


def captioned(data: Path, name: str, split: str) -> list[Path]:
    """Photographs of a split of a table of captions, in order of name."""
    return [image.path for image in load_captions(data / "captions" / name).split(split)]


def to_learn_from(data: Path, count: int) -> tuple[list[Path], list[Path]]:
    """Photographs with captions, and others of rooms, to learn from."""
    draw = random.Random(7)
    flickr, coco = captioned(data, "captions.tsv", "train"), captioned(data, "coco.tsv", "train")
    draw.shuffle(flickr)
    learnt = flickr[:CHOSEN_FROM] + coco
    draw.shuffle(learnt)
    draw.shuffle(captioned(data, "captions.tsv", "dev"))  # which rooms are drawn hangs on it
    rooms = sorted((data / "classes/Photo/ade20k").iterdir())
    draw.shuffle(rooms)
    return learnt[:count], rooms[:200]


def to_choose_on(data: Path) -> list[Path]:
    """Photographs on which the evidence is chosen: of Flickr8k others than those that are learnt from."""
    flickr = captioned(data, "captions.tsv", "train")
    random.Random(7).shuffle(flickr)
    return (
        flickr[CHOSEN_FROM : CHOSEN_FROM + 150]
        + drawn(data / "classes/Photo/oldphotos")
        + drawn(data / "restoration/bsds500")[:110]
    )


def drawn(folder: Path) -> list[Path]:
    """The pictures of a source in an order that is drawn once and for all."""
    paths = sorted(folder.iterdir())
    random.Random(11).shuffle(paths)
    return paths


def rng_of(path: Path) -> Rng:
    """Chance that hangs on the picture alone."""
    return np.random.default_rng(int.from_bytes(str(path)[-24:].encode(), "little") % 2**31)


def changed(rgb: Array, rng: Rng) -> Array:
    """A picture as archives may hold it: half are cut a little, one in four is an old print, one in seven is grey."""
    kind = rng.random()
    if rng.random() < 0.5:
        height, width = (int(share * side) for share, side in zip(rng.uniform(0.75, 1, 2), rgb.shape[:2], strict=True))
        top, left = (int(rng.integers(side - kept + 1)) for side, kept in zip(rgb.shape, (height, width), strict=False))
        rgb = np.ascontiguousarray(rgb[top : top + height, left : left + width])
    if kind < 0.25:
        return old_photograph(rgb, rng)
    return np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) if kind < 0.4 else rgb


def views(path: Path, *, is_changed: bool) -> Iterator[tuple[int, Array]]:
    """Yield two views of a picture: by how many quarters to turn it clockwise, and uint8 299x299x3.

    Of a picture that is changed, both are turned at random; of others the first view is upright.
    """
    rng, rgb = rng_of(path), decode(path.read_bytes()).rgb
    if is_changed:
        rgb = changed(rgb, rng)
        turned = sorted(rng.choice(QUARTERS, 2, replace=False).tolist())
    else:
        turned = [0, int(rng.integers(1, QUARTERS))]
    for quarters in turned:
        yield -quarters % QUARTERS, to_model_input(np.ascontiguousarray(np.rot90(rgb, -quarters)))


# Features


def in_int8(data: Path) -> Callable[[Array], Array]:
    """The packaged extractor, computed in int8: from uint8 299x299x3 to float32 64 x 2048."""
    weights = read_safetensors(STARTER / WEIGHTS_FILE)
    last = last_layer_of(weights)
    paths = sorted((data / "captions/images").glob("*.webp"))
    random.Random(3).shuffle(paths)

    def largest_inputs() -> openvino.Model:
        network = graph.Inception(weights, last)
        largest = [operations().reduce_max(each, indices(1, 2, 3)).output(0) for each in network.inputs]
        return load_openvino().Model([operations().concat(largest, 0)], [network.pixels])

    measured = OpenVinoNetwork(largest_inputs, "float32")
    turned = (np.rot90(decode(path.read_bytes()).rgb, -number) for number, path in enumerate(paths[:70]))
    largest = [measured(to_model_input(np.ascontiguousarray(rgb))[None])[0] for rgb in turned]
    highest = np.quantile(np.stack(largest), 0.98, axis=0).astype(np.float32)

    def features() -> openvino.Model:
        network = graph.Inception(weights, last, highest)
        output = operations().transpose(network.blocks[last], indices(0, 2, 3, 1))
        return load_openvino().Model([output], [network.pixels])

    network = OpenVinoNetwork(features, "float32")
    return lambda pixels: network(pixels[None])[0].reshape(POSITIONS, CHANNELS)


def components_of(features: Array) -> tuple[Array, Array]:
    """The mean of channels, and what makes their principal components of them, the strong ones damped: 2048 x K."""
    channels = features.astype(np.float32).reshape(-1, CHANNELS)
    mean = channels.mean(axis=0)
    channels -= mean
    variances, directions = np.linalg.eigh(channels.T @ channels / len(channels))
    variances, directions = variances[::-1][:COMPONENTS], directions[:, ::-1][:, :COMPONENTS]
    return mean, (directions / np.sqrt(variances + variances[64])).astype(np.float32)


# Learning


def learn(inputs: Array, truth: Array, seed: int = 0) -> dict[str, Array]:
    """Learn both layers by Adam with decoupled decay (Loshchilov and Hutter 2019), cross entropy and dropout.

    Args:
        inputs: float32 N x 64 x K.
        truth: by how many quarters each has to be turned, int N.
    """
    rng, width = np.random.default_rng(seed), inputs.shape[-1]
    layers = {
        "channels": rng.normal(0, 1.5 * width**-0.5, (width, VALUES)).astype(np.float32),
        "bias": np.zeros(VALUES, np.float32),
        "places": rng.normal(0, 0.3 * (POSITIONS * VALUES) ** -0.5, (POSITIONS * VALUES, QUARTERS)).astype(np.float32),
        "turns": np.zeros(QUARTERS, np.float32),
    }
    means = {name: (np.zeros_like(layer), np.zeros_like(layer)) for name, layer in layers.items()}
    steps, step = PASSES * -(-len(inputs) // TOGETHER), 0
    for _ in range(PASSES):
        order = rng.permutation(len(inputs))
        for start in range(0, len(inputs), TOGETHER):
            chosen = order[start : start + TOGETHER]
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps)) * min(1, step / 50)
            for name, slope in slopes(layers, *mirrored(inputs[chosen], truth[chosen], rng), rng).items():
                first, second = means[name]
                first += 0.1 * (slope - first)
                second += 0.001 * (slope**2 - second)
                move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                decay = DECAY * layers[name] if layers[name].ndim == 2 else 0
                layers[name] -= (rate * (move + decay)).astype(np.float32)
    return layers


def mirrored(inputs: Array, truth: Array, rng: Rng) -> tuple[Array, Array]:
    """Every second view as a mirror shows it."""
    inputs, truth, is_so = inputs.copy(), truth.copy(), rng.random(len(inputs)) < 0.5
    inputs[is_so] = inputs[is_so][:, MIRRORED]
    truth[is_so] = TURN_MIRRORED[truth[is_so]]
    return inputs, truth


def slopes(layers: dict[str, Array], inputs: Array, truth: Array, rng: Rng) -> dict[str, Array]:
    """Slopes of the mean cross entropy, by name of the layer, with components and values left out at random."""
    count, _, width = inputs.shape
    kept = (rng.random((count, 1, width)) > INPUTS_DROPPED) / np.float32(1 - INPUTS_DROPPED)
    flat = (inputs * kept.astype(np.float32)).reshape(-1, width)
    values = np.maximum(flat @ layers["channels"] + layers["bias"], 0)
    mask = (rng.random(values.shape, np.float32) > DROPPED) / np.float32(1 - DROPPED)
    seen = (values * mask).reshape(count, -1)
    scores = seen @ layers["places"] + layers["turns"]
    wrong = np.exp(scores - scores.max(axis=1, keepdims=True))
    wrong /= wrong.sum(axis=1, keepdims=True)
    wrong[np.arange(count), truth] -= 1
    wrong /= count
    back = (wrong @ layers["places"].T).reshape(-1, VALUES) * mask * (values > 0)
    return {
        "channels": flat.T @ back, "bias": back.sum(axis=0),
        "places": seen.T @ wrong, "turns": wrong.sum(axis=0),
    }  # fmt: skip


def packed(layers: dict[str, Array], mean: Array, components: Array, extractor: str) -> dict[str, Array]:
    """The layers as they work on features: components are part of the first, both views of a mirror of the second.

    Args:
        extractor: digest of the one whose features were learnt from.
    """
    channels = (components @ layers["channels"]).astype(np.float16)
    places = layers["places"].reshape(POSITIONS, VALUES, QUARTERS)
    places = (places + places[MIRRORED][:, :, TURN_MIRRORED]) / 2
    turns = (layers["turns"] + layers["turns"][TURN_MIRRORED]) / 2
    return {
        "channels": channels,
        "bias": (layers["bias"] - mean @ components @ layers["channels"]).astype(np.float32),
        "places": places.reshape(-1, QUARTERS).astype(np.float16),
        "turns": turns.astype(np.float32),
        "sure_from": np.zeros(1, np.float32),
        "extractor": np.frombuffer(bytes.fromhex(extractor), np.uint8),
    }


def train(data: Path, count: int) -> None:
    """Learn, choose the evidence from which a turn is told, and write both into the package."""
    network = in_int8(data)
    captioned, rooms = to_learn_from(data, count)
    first, truth = views_through(network, captioned[:FITTED], is_changed=True)
    mean, components = components_of(first[::2, ::3])

    def reduced(pixels: Array) -> Array:
        return (network(pixels) - mean) @ components

    seen = [
        ((first - mean) @ components, truth),
        views_through(reduced, captioned[FITTED:], is_changed=True),
        views_through(reduced, rooms, is_changed=False),
    ]
    layers = learn(np.concatenate([inputs for inputs, _ in seen]), np.concatenate([turned for _, turned in seen]))
    extractor = Extractor.load(STARTER)
    weights = packed(layers, mean, components, extractor.digest)
    weights["sure_from"][0] = choose(*evidence_on(to_choose_on(data), Turns(weights), extractor))
    write_safetensors(FILE, weights)


def views_through(see: Callable[[Array], Array], paths: Sequence[Path], *, is_changed: bool) -> tuple[Array, Array]:
    """What is seen in two views of each picture, N x ..., and by how many quarters they have to be turned, int N."""
    found = [(see(pixels), quarters) for path in paths for quarters, pixels in views(path, is_changed=is_changed)]
    return np.stack([seen for seen, _ in found]), np.array([quarters for _, quarters in found])


def evidence_on(paths: Sequence[Path], turns: Turns, extractor: Extractor) -> tuple[Array, Array]:
    """The evidence of each turn, float64 N x 4, for views upright and turned, and how they have to be turned."""
    return views_through(lambda pixels: turns.evidence(extractor.extract(pixels[None])[0]), paths, is_changed=False)


def choose(evidence: Array, truth: Array) -> float:
    """The least evidence at which no upright view is told to lie, and one told turn in a hundred is wrong; and more."""
    told, surest, is_upright = evidence.argmax(axis=1), evidence.max(axis=1), truth == 0
    sure_from = float(surest[is_upright & (told > 0)].max(initial=0.0))
    lying = ~is_upright & (told > 0)
    while np.mean((told != truth)[lying & (surest >= sure_from)]) > WRONG:
        sure_from += 0.05
    return sure_from + MARGIN


# Measuring


def measure(data: Path, count: int) -> None:
    """Print by source how many turned photographs are told, how many with a wrong turn, and how many upright ones."""
    turns, extractor = packaged_turns(), Extractor.load(STARTER)
    for name in REPORTED:
        print_told(name, *evidence_on(drawn(data / name)[:count], turns, extractor), turns.sure_from)
    coco = captioned(data, "coco.tsv", "dev")
    random.Random(11).shuffle(coco)
    print_told("captions/coco, dev", *evidence_on(coco[:count], turns, extractor), turns.sure_from)


def print_told(name: str, evidence: Array, truth: Array, sure_from: float) -> None:
    """Print the figures of one source."""
    told, is_sure, is_upright = evidence.argmax(axis=1), evidence.max(axis=1) >= sure_from, truth == 0
    is_told = is_sure & (told > 0)
    right, wrong = (int((is_told & ~is_upright & is_so).sum()) for is_so in (told == truth, told != truth))
    print(
        f"{name}: of {(~is_upright).sum()} turned {right} told, {wrong} with a wrong turn; "
        f"of {is_upright.sum()} upright {(is_told & is_upright).sum()} told to lie"
    )


if __name__ == "__main__":
    main()
