"""What int8 costs the classifier on sources that it never saw, and what it brings: float beside int8.

    python benchmarks/classifier_int8.py --data DATA --extra Photo=PHOTOS --limit-per-source 60 --renderings 30 \
        --unknown 20 --initial STARTER/weights.safetensors --out data/training/classifier

The arguments are those of ``train classifier``; features are computed once and kept in OUT. For each source, a head in
float and one in int8 are fitted to the features of the others and judge it. The ranges by which a half of the sources
is computed and judged in int8 are measured on the other half. The same for each kind that is none of the classes. The
last lines are seconds, float and int8 in turns.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify import graph
from tounum_tasks.classify.classifier import class_probabilities
from tounum_tasks.classify.labels import CLASSES, PHOTO, UNKNOWN
from tounum_tasks.classify.network import TAPS
from tounum_tasks.cli import train_classifier
from tounum_tasks.datasets.classes import LABELS, Example, balanced_weights, split
from tounum_tasks.evaluation.classifier import evaluate, review_shares
from tounum_tasks.models.runtime import OpenVinoNetwork
from tounum_tasks.settings import load_settings
from tounum_tasks.training import features as pixels
from tounum_tasks.training.classifier import HeadFitter, prepare_features
from tounum_tasks.training.linear import fit_temperature
from tounum_tasks.training.ranges import IMAGES, largest_inputs, ranges_of
from tounum_tasks.training.rendered_sources import drawn_evenly

ROUNDS, TIMED = 5, 40
Scores = NDArray[np.float32]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    train_classifier.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["classifier", *sys.argv[1:]])
    real, weights, recipe = train_classifier.training_of(arguments)
    measured_on = drawn_evenly(split(real, recipe.validation_share)[0], IMAGES, np.random.default_rng(recipe.seed))
    largest = largest_inputs(weights, recipe.architecture, measured_on)
    names = list(dict.fromkeys(example.source for example in real))
    features, examples = prepare_features(real, weights, recipe, arguments.out)
    is_tested = np.array([not example.made_from or LABELS[example.label] == UNKNOWN for example in examples])
    fitter = HeadFitter(features, examples, recipe)
    scores = np.full((2, len(examples), fitter.outputs), np.nan, np.float32)
    _judge(scores[0], fitter, features, examples, {example.source for example in examples})
    for half in (set(names[::2]), set(names[1::2])):
        ranges = ranges_of(largest[[example.source not in half for example in measured_on]])
        features, _ = prepare_features(real, weights, recipe, arguments.out, ranges=ranges)
        judged = half | {example.source for example in examples if LABELS[example.label] == UNKNOWN}
        _judge(scores[1], HeadFitter(features, examples, recipe), features, examples, judged)
    _compare(scores[:, is_tested], [example for example, wanted in zip(examples, is_tested, strict=True) if wanted])
    _time(weights, ranges_of(largest), real)


def _judge(
    scores: Scores, fitter: HeadFitter, features: NDArray[np.float16], examples: Sequence[Example], judged: set[str]
) -> None:
    """Fill in the scores of some sources, each by a head that was fitted without it."""
    sources = np.array([example.source for example in examples])
    for source in judged:
        inside = sources == source
        scores[inside] = fitter.fit(without=source).scores(features[0, inside])


def _compare(scores: Scores, examples: Sequence[Example]) -> None:
    """Print figures of both, from scores 2 x N x 6; the temperature is that of float."""
    limit = load_settings().review_confidence
    known = np.array([LABELS[example.label] != UNKNOWN for example in examples])
    tested = [example for example, is_known in zip(examples, known, strict=True) if is_known]
    labels, shares = np.array([example.label for example in tested]), balanced_weights(tested)
    sources = np.array([example.source for example in tested])
    temperature = fit_temperature(scores[0, known, : len(CLASSES)], labels, shares)
    of_all = [class_probabilities(of / temperature) for of in scores]
    both = [of[known] for of in of_all]
    print(
        "| | macro F1 | accuracy by source | photo precision | photo recall | calibration error | in review | ", end=""
    )
    print("of the wrong | of the right | unknown in review |\n" + "|---" * 10 + "|")
    for name, probabilities, everything in zip(("float", "int8"), both, of_all, strict=True):
        measures, review = evaluate(probabilities, labels), review_shares(probabilities, labels, limit, shares)
        hits = probabilities.argmax(axis=1) == labels
        figures = [
            measures["macro_f1"],
            np.mean([hits[sources == source].mean() for source in dict.fromkeys(sources)]),
            *(measures["per_class"][PHOTO][figure] for figure in ("precision", "recall")),
            measures["calibration_error"],
            (probabilities.max(axis=1) < limit).mean(),
            review["wrong"],
            review["right"],
            (everything[~known].max(axis=1) < limit).mean(),
        ]
        print(f"| {name} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |")
    verdicts = [probabilities.argmax(axis=1) for probabilities in both]
    same, is_sure = verdicts[0] == verdicts[1], both[0].max(axis=1) >= limit
    alike = ((both[0].max(axis=1) < limit) == (both[1].max(axis=1) < limit)).mean()
    difference = np.abs(both[0] - both[1])
    print(f"{len(same)} images: same class {same.mean():.4f}, where float is sure {same[is_sure].mean():.4f}; ", end="")
    print(f"where they differ float is right {(verdicts[0] == labels)[~same].sum()} and int8 ", end="")
    print(
        f"{(verdicts[1] == labels)[~same].sum()} times of {(~same).sum()}; both or neither in review {alike:.4f}; ",
        end="",
    )
    print(f"probabilities differ by {difference.mean():.4f} in the mean, {difference.max():.3f} at most")
    for source in dict.fromkeys(sources):
        inside = sources == source
        accuracies = [(found == labels)[inside].mean() for found in verdicts]
        print(
            f"| {source} | {inside.sum()} | "
            + " | ".join(f"{one:.3f}" for one in (*accuracies, same[inside].mean()))
            + " |"
        )


def _time(weights: Any, ranges: NDArray[np.float16], examples: Sequence[Example]) -> None:
    """Print seconds of processor and images a second, pixels given, the first call apart."""
    images = [pixels.prepared(example, None) for example in examples[:: max(len(examples) // TIMED, 1)]]
    networks = {
        name: OpenVinoNetwork(lambda of=of: graph.pooled(weights, TAPS, of), "float32")
        for name, of in (("float", None), ("int8", ranges))
    }
    for name, network in networks.items():
        began, began_cpu = time.monotonic(), time.process_time()
        network.each(images[:1])
        seconds, cpu = time.monotonic() - began, time.process_time() - began_cpu
        print(f"{name}: compiled, first image: {seconds:.2f} s, {cpu:.2f} s of processor")
    for _ in range(ROUNDS):
        for name, network in networks.items():
            began, began_cpu = time.monotonic(), time.process_time()
            network.each(images)
            rate, cpu = len(images) / (time.monotonic() - began), (time.process_time() - began_cpu) / len(images)
            print(f"{name}: {rate:.1f} images/s, {1000 * cpu:.1f} ms of processor each")


if __name__ == "__main__":
    main()
