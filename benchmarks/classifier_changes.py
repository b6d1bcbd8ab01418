"""What each part of the classifier's training brings on sources that it never saw, as a Markdown table.

    python benchmarks/classifier_changes.py --data DATA --extra Photo=PHOTOS --limit-per-source 1000 \
        --initial inception_v3_imagenet_2015.npz --out data/training/classifier

The arguments are those of ``train classifier``. The features, of more layers than the classifier looks at, are computed
once and kept in OUT. Every row is a leave-one-source-out validation of the head. Besides the accuracy with each source
counting alike, it shows the worst source of each class.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.classify.network import CHANNELS, TAPS
from tounum_tasks.cli import train_classifier
from tounum_tasks.datasets.classes import Example
from tounum_tasks.evaluation.classifier import evaluate
from tounum_tasks.training.classifier import Recipe, leave_one_source_out, prepare_features

ALL = tuple(CHANNELS)
WIDTHS = tuple(CHANNELS.values())
COLUMNS = dict(zip(ALL, np.split(np.arange(sum(WIDTHS)), np.cumsum(WIDTHS)[:-1]), strict=True))
OTHERS = (
    ("mixed4",),
    ("mixed6",),
    ("mixed8",),
    ("mixed2", "mixed4"),
    ("mixed2", "mixed4", "mixed6"),
    ("mixed4", "mixed6"),
    ("mixed2", "mixed4", "mixed6", "mixed8"),
    ("mixed4", "mixed6", "mixed8"),
)
"""Layers that might be looked at instead."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    train_classifier.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["classifier", *sys.argv[1:]])
    examples, initial, recipe = train_classifier.training_of(arguments)
    features, examples = prepare_features(examples, initial, recipe, arguments.out, ALL)
    real = [not example.made_from for example in examples]
    no_drawings = [example.source != "Sketch/rendered" for example in examples]
    no_paintings = [example.source != "Painting/rendered" for example in examples]
    print(f"| training | mean accuracy | macro F1 | {' | '.join(CLASSES)} |")
    print("|---|---|---|" + "---|" * len(CLASSES))
    for views in range(1, recipe.views + 1):
        row(f"{views} view(s), no renderings", features[:views, real], _only(examples, real), recipe)
    row("paintings rendered", features[:, no_drawings], _only(examples, no_drawings), recipe)
    row("drawings rendered", features[:, no_paintings], _only(examples, no_paintings), recipe)
    row("both rendered: the recipe", features, examples, recipe)
    for taps in OTHERS:
        row("recipe, " + " + ".join(taps), features, examples, recipe, taps=taps)
    for l2 in (1e-4, 1e-3, 1e-2):
        row(f"recipe, l2 {l2:g}", features, examples, recipe, l2=l2)


def row(
    name: str,
    features: NDArray[np.float16],
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    taps: Sequence[str] = TAPS,
    l2: float | None = None,
) -> None:
    """Validate one way of fitting the head and print its line."""
    columns = np.concatenate([COLUMNS[tap] for tap in taps])
    blocks = [CHANNELS[tap] for tap in taps]
    rows, scores = leave_one_source_out(features[:, :, columns], examples, l2 or recipe.l2, blocks)
    is_tested = ~np.isnan(scores[:, 0])
    labels = np.array([example.label for example in examples])[is_tested]
    worst = [
        min((tested["accuracy"] for tested in rows if tested["source"].startswith(f"{label}/")), default=float("nan"))
        for label in CLASSES
    ]
    figures = [
        np.mean([tested["accuracy"] for tested in rows]),
        evaluate(scores[is_tested], labels)["macro_f1"],
        *worst,
    ]
    print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)


def _only(examples: Sequence[Example], wanted: Sequence[bool]) -> list[Example]:
    return [example for example, is_wanted in zip(examples, wanted, strict=True) if is_wanted]


if __name__ == "__main__":
    main()
