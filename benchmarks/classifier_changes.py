"""What each part of the classifier's training brings on sources that it never saw, as a Markdown table.

    python benchmarks/classifier_changes.py --data DATA --extra Photo=PHOTOS --limit-per-source 300 \
        --initial inception_v3_imagenet_2015.npz --out data/training/classifier

The arguments are those of ``train classifier``. The features are computed once and kept in OUT. Every row is a
leave-one-source-out validation of the head. Besides the accuracy with each source counting alike, it shows macro F1,
precision and recall of photographs, which share of the wrong verdicts is less sure than 92 % of the right ones, and the
worst source of each class.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES, PHOTO, UNKNOWN
from tounum_tasks.classify.network import CHANNELS, TAPS
from tounum_tasks.cli import train_classifier
from tounum_tasks.datasets.classes import LABELS, Example
from tounum_tasks.evaluation.classifier import evaluate
from tounum_tasks.training.classifier import leave_one_source_out, prepare_features
from tounum_tasks.training.classifier_recipe import Recipe

WIDTHS = [CHANNELS[tap] for tap in TAPS]
PARTS = dict(zip(TAPS, np.split(np.arange(sum(WIDTHS)), np.cumsum(WIDTHS)[:-1]), strict=True))
OTHERS = (("mixed2",), ("mixed4",), ("mixed5",), ("mixed2", "mixed4"), ("mixed4", "mixed5"))
"""Layers that might be looked at instead."""
RIGHT_IN_REVIEW = 0.08


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    train_classifier.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["classifier", *sys.argv[1:]])
    examples, initial, recipe = train_classifier.training_of(arguments)
    features, examples = prepare_features(examples, initial, recipe, arguments.out)
    print("| training | mean accuracy | macro F1 | photo precision | photo recall | wrong in review | ", end="")
    print(" | ".join(CLASSES) + " |\n|" + "---|" * (6 + len(CLASSES)))
    row("the recipe", features, examples, recipe)
    row("means alone", features, examples, recipe, spread=False)
    real = [not example.made_from for example in examples]
    row("no renderings", features[:, real], _only(examples, real), recipe)
    known = [LABELS[example.label] != UNKNOWN for example in examples]
    row("no unknown kinds", features[:, known], _only(examples, known), recipe)
    for source in dict.fromkeys(example.source for example in _only(examples, known) if example.made_from):
        others = [example.source != source for example in examples]
        row(f"without {source}", features[:, others], _only(examples, others), recipe)
    for l2 in (3e-3, 3e-2):
        row(f"l2 {l2:g}", features, examples, replace(recipe, l2=l2))
    row("no roots", features, examples, replace(recipe, architecture="inception-spread"))
    for agreement in (0.0, 2.0):
        row(f"agreement {agreement:g}", features, examples, replace(recipe, agreement=agreement))
    for cost in (0.0, 0.1):
        row(f"photo cost {cost:g}", features, examples, replace(recipe, photo_cost=cost))
    for taps in OTHERS:
        row(" + ".join(taps), features, examples, recipe, taps=taps)


def row(
    name: str,
    features: NDArray[np.float16],
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    taps: Sequence[str] = TAPS,
    spread: bool = True,
) -> None:
    """Validate one way of fitting the head and print its line."""
    means = np.concatenate([PARTS[tap] for tap in taps])
    blocks = [CHANNELS[tap] for tap in taps] * (2 if spread else 1)
    columns = np.concatenate([means, means + sum(WIDTHS)]) if spread else means
    rows, scores = leave_one_source_out(features[:, :, columns], examples, recipe, blocks)
    is_tested = ~np.isnan(scores[:, 0])
    scores = scores[is_tested, : len(CLASSES)]
    labels = np.array([example.label for example in examples])[is_tested]
    measures = evaluate(scores, labels)
    worst = [
        min((tested["accuracy"] for tested in rows if tested["source"].startswith(f"{label}/")), default=float("nan"))
        for label in CLASSES
    ]
    ordered = np.sort(scores, axis=1)
    margin, is_right = ordered[:, -1] - ordered[:, -2], scores.argmax(axis=1) == labels
    figures = [
        np.mean([tested["accuracy"] for tested in rows]),
        measures["macro_f1"],
        measures["per_class"][PHOTO]["precision"],
        measures["per_class"][PHOTO]["recall"],
        (margin[~is_right] < np.quantile(margin[is_right], RIGHT_IN_REVIEW)).mean(),
        *worst,
    ]
    print(f"| {name} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)


def _only(examples: Sequence[Example], wanted: Sequence[bool]) -> list[Example]:
    return [example for example, is_wanted in zip(examples, wanted, strict=True) if is_wanted]


if __name__ == "__main__":
    main()
