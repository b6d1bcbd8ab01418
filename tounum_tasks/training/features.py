"""Features of training images, computed once and kept: the means and spreads of some layers over each image.

They are kept for each image by itself, under the hash of its content: a training that was interrupted goes on with the
next image, and one more source, or one more view, costs no more than itself.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify import graph
from tounum_tasks.classify.network import CHANNELS, RANGES
from tounum_tasks.datasets.classes import LABELS, Example, load
from tounum_tasks.files import whole_file
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.runtime import OpenVinoNetwork
from tounum_tasks.models.weights import hashes_of
from tounum_tasks.threads import in_threads
from tounum_tasks.training.augmentation import augment, without_bars

FILLS_THE_IMAGE = frozenset({"Painting", "Photo"})
"""Classes of which no bare ground belongs to the image."""
AUGMENTATION = 2
"""Of what :func:`prepared` makes of an image; features of other ones are not used."""
BLOCK = 256
log = logging.getLogger(__name__)


def prepared(example: Example, seed: Sequence[int] | None) -> NDArray[np.uint8]:
    """One image as the network takes it: uint8 299 x 299 x 3; damaged at random unless ``seed`` is None."""
    rgb = load(example)
    has_ground = LABELS[example.label] not in FILLS_THE_IMAGE
    if not has_ground:
        rgb = without_bars(rgb)
    if seed is not None:
        rgb = augment(rgb, np.random.default_rng(seed), ink_on_paper=has_ground)
    return to_model_input(rgb)


def features_of(
    examples: Sequence[Example],
    weights: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    folder: Path,
    *,
    views: int,
    seed: int,
    ranges: NDArray[np.float16] | None = None,
) -> NDArray[np.float16]:
    """Features of all views of all examples: float16 views x N x D, kept in ``folder``.

    The first view is the image itself, the others are damaged copies.

    Args:
        weights: of the layers.
        names: the layers whose means and spreads are taken.
        seed: of the damage.
        ranges: of activations, to compute the features in int8.
    """
    network = OpenVinoNetwork(lambda: graph.pooled(weights, names, ranges), "float32")
    computed = hashes_of(weights if ranges is None else {**weights, RANGES: ranges})
    folder = folder / fingerprint(weights=computed, names=list(names), version=AUGMENTATION)[:16]
    done = Counter[str]()

    def features(job: tuple[str, Example], view: int) -> NDArray[np.float16]:
        digest, example = job
        path = folder / digest[:2] / (f"{digest}-{seed}-{view}.npy" if view else f"{digest}.npy")
        if not path.exists():
            pixels = prepared(example, (seed, view, int(digest[:8], 16)) if view else None)
            with whole_file(path) as staged, staged.open("wb") as file:
                np.save(file, network(pixels[None])[0][0].astype(np.float16))
            done[example.source] += 1
        return np.asarray(np.load(path, allow_pickle=False))

    result = np.zeros((views, len(examples), 2 * sum(CHANNELS[name] for name in names)), np.float16)
    for view in range(views):
        for start in range(0, len(examples), BLOCK):
            part = examples[start : start + BLOCK]
            digests = in_threads(_digest, part)
            jobs = dict(zip(digests, part, strict=True))  # the same image twice is computed once
            found = dict(zip(jobs, in_threads(partial(features, view=view), list(jobs.items())), strict=True))
            result[view, start : start + len(part)] = [found[digest] for digest in digests]
            if done:
                log.info("features: view %d, %d of %d", view, start + len(part), len(examples))
                done.clear()
    return result


def _digest(example: Example) -> str:
    return hashlib.sha256(example.path.read_bytes() + example.source.encode()).hexdigest()
