"""More sources, made from the training images: what archives hold and data sets lack, and what is of no class."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import UNKNOWN
from tounum_tasks.datasets.classes import LABELS, Example, load
from tounum_tasks.files import whole_file
from tounum_tasks.images.encode import encode
from tounum_tasks.training.archive_looks import light_on_dark, old_photograph, small_page
from tounum_tasks.training.renderings import engraved, painted, realistic_pencil, sketched, woodblock
from tounum_tasks.training.unknown_kinds import KINDS

RENDERED = "rendered"
log = logging.getLogger(__name__)

Rendering = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]

Manner = tuple[str, str, Rendering, tuple[str, ...]]
"""The label that comes out, the manner, the function, and the classes of what it is made from."""
MANNERS: tuple[Manner, ...] = (
    ("Painting", "painted", painted, ("Photo",)),
    ("Painting", "woodblock", woodblock, ("Photo", "Painting")),
    ("Photo", "old", old_photograph, ("Photo",)),
    ("Schematics", "light", light_on_dark, ("Schematics",)),
    ("Sketch", "sketched", sketched, ("Photo", "Painting")),
    ("Sketch", "pencil", realistic_pencil, ("Photo",)),
    ("Sketch", "engraved", engraved, ("Photo", "Painting")),
    ("Sketch", "light", light_on_dark, ("Sketch",)),
    ("Text", "small", small_page, ("Text",)),
    ("Text", "light", light_on_dark, ("Text",)),
)
"""What is rendered of each class.

A print in colours from wooden blocks is a painting, as in the collections of paintings that are trained on; a print in
black lines alone, engraved or cut, is a sketch.
"""
UNKNOWN_KINDS: tuple[Manner, ...] = tuple((UNKNOWN, kind, draw, ("Photo", "Painting")) for kind, draw in KINDS.items())
"""What is drawn of none of them; some of it contains a picture."""


def render_sources(
    examples: Sequence[Example], manners: Sequence[Manner], count: int, folder: Path, seed: int
) -> list[Example]:
    """Render ``count`` images in each of the manners.

    The originals are drawn at random, every source alike. Renderings are kept in ``folder``, which belongs to these
    examples and this seed. Each names the source that it was made from, so that a validation without that source can
    do without its renderings, too.
    """
    rendered = []
    for number, (name, manner, rendering, classes) in enumerate(manners):
        fitting = [example for example in examples if LABELS[example.label] in classes]
        originals = drawn_evenly(fitting, count, np.random.default_rng((seed, count, number)))
        source = f"{name}/{RENDERED}-{manner}"
        for index, original in enumerate(originals):
            path = folder / source / f"{index:05}.png"
            if not path.exists():
                _render(original, rendering, np.random.default_rng((seed, number, index)), path)
            rendered.append(Example(path, LABELS.index(name), source, made_from=original.source))
        log.info("rendered: %s, %d images", source, len(originals))
    return rendered


def drawn_evenly(examples: Sequence[Example], count: int, generator: np.random.Generator) -> list[Example]:
    """At most ``count`` different examples, from each source about as many as from any other."""
    orders = []
    for source in dict.fromkeys(example.source for example in examples):
        members = [example for example in examples if example.source == source]
        orders.append([members[index] for index in generator.permutation(len(members))])
    rounds = [order[turn] for turn in range(max(map(len, orders), default=0)) for order in orders if turn < len(order)]
    return rounds[:count]


def _render(original: Example, rendering: Rendering, generator: np.random.Generator, path: Path) -> None:
    """Render a part of a picture at a size of its own, and write it whole or not at all."""
    rgb = load(original)
    height, width = rgb.shape[:2]
    part = generator.uniform(0.7, 1.0)
    top, left = (int(generator.uniform(0, 1 - part) * side) for side in (height, width))
    rgb = rgb[top : top + max(int(part * height), 1), left : left + max(int(part * width), 1)]
    factor = generator.uniform(200, 360) / min(rgb.shape[:2])
    size = (max(round(rgb.shape[1] * factor * generator.uniform(0.8, 1.2)), 1), max(round(rgb.shape[0] * factor), 1))
    rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    with whole_file(path) as staged:
        staged.write_bytes(encode(rendering(rgb, generator), format="png"))
