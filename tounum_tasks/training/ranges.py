"""Ranges of activations, measured on training images: with them the classifier computes in int8.

The range of a convolution's inputs goes from 0, for they come from a rectifier, to what all but one in a hundred images
stay below; in an image that goes beyond, its largest values count as the limit.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify import graph
from tounum_tasks.classify.network import RANGES, TAPS_OF, architecture_of
from tounum_tasks.datasets.classes import Example, split
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import WEIGHTS_FILE, ModelCard, read_version, write_card
from tounum_tasks.models.runtime import OpenVinoNetwork
from tounum_tasks.models.trained_on import TRAINED_ON_FILE
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.threads import in_threads
from tounum_tasks.training.classifier_recipe import Recipe
from tounum_tasks.training.features import prepared
from tounum_tasks.training.rendered_sources import drawn_evenly

IMAGES = 324
QUANTILE = 0.99
log = logging.getLogger(__name__)


def measure_ranges(
    weights: Mapping[str, NDArray[Any]], architecture: str, examples: Sequence[Example], *, seed: int
) -> NDArray[np.float16]:
    """Ranges for a version: the largest inputs of all convolutions of InceptionV3 but the first, in order.

    Args:
        examples: to be trained on; some hundred are looked at, of each source as many.
        seed: of drawing them.
    """
    chosen = drawn_evenly(examples, IMAGES, np.random.default_rng(seed))
    log.info("ranges of activations: measured on %d images", len(chosen))
    return ranges_of(largest_inputs(weights, architecture, chosen))


def largest_inputs(
    weights: Mapping[str, NDArray[Any]], architecture: str, examples: Sequence[Example]
) -> NDArray[np.float32]:
    """The largest input of each convolution of InceptionV3 but the first, by image: N x convolutions."""
    network = OpenVinoNetwork(lambda: graph.largest_inputs(weights, architecture), "float32")
    return np.stack(in_threads(lambda example: network(prepared(example, None)[None])[0], examples))


def ranges_of(largest: NDArray[np.float32]) -> NDArray[np.float16]:
    """Ranges from the largest inputs of N images, N x convolutions: one for each convolution."""
    ranges = np.quantile(largest, QUANTILE, axis=0)
    return np.maximum(ranges, 2.0**-14).astype(np.float16)  # an input that is always zero needs a range, too


def add_ranges(folder: Path, examples: Sequence[Example], recipe: Recipe, out: Path, *, version: str) -> ModelCard:
    """Write the version in ``folder`` once more, with ranges and otherwise as it is, to ``out/classifier/VERSION``.

    Raises:
        ConfigurationError: it is damaged, is no InceptionV3, or has ranges; or an image cannot be read.
    """
    card = read_version(folder, name="classifier")
    weights = read_safetensors(folder / WEIGHTS_FILE)
    architecture = architecture_of(weights)
    if architecture not in TAPS_OF or RANGES in weights:
        raise ConfigurationError(f"The version {folder} takes no ranges: it has some, or is no InceptionV3.")
    training, _ = split(examples, recipe.validation_share)
    weights[RANGES] = measure_ranges(weights, architecture, training, seed=recipe.seed)
    target = out / "classifier" / version
    target.mkdir(parents=True, exist_ok=True)
    write_safetensors(target / WEIGHTS_FILE, weights)
    if TRAINED_ON_FILE in card.files:
        shutil.copyfile(folder / TRAINED_ON_FILE, target / TRAINED_ON_FILE)
    described = card.model_dump(include={"metrics", "curve", "data_fingerprint", "training", "data_licence"})
    described["notes"] = (
        f"{card.notes} {card.version} with ranges for int8; its figures were measured in float.".strip()
    )
    return write_card(target, name="classifier", version=version, **described)
