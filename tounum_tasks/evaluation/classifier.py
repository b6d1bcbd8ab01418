"""How good a classifier is: F1, confusion, calibration, and the plots of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES

RELIABILITY_BINS = 10


def evaluate(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], sources: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measures of a classifier on labelled images, ready for JSON.

    Args:
        probabilities: N x 5, in the order of ``CLASSES``.
        labels: N class indices.
        sources: where each image comes from; when given, accuracy per source is measured too.

    Returns:
        ``images``, ``accuracy``, ``macro_f1``, ``per_class`` (precision, recall, f1, images), ``confusion`` (rows are
        the true classes, columns what was predicted), ``calibration_error`` (expected calibration error of Guo et al.
        2017, ten bins), ``reliability`` (the bins) and ``accuracy_per_source``.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(CLASSES), len(CLASSES)), int)
    np.add.at(confusion, (labels, predicted), 1)
    right = np.diag(confusion)
    precision = right / np.maximum(confusion.sum(axis=0), 1)
    recall = right / np.maximum(confusion.sum(axis=1), 1)
    f1 = 2 * right / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    bins = reliability(probabilities, labels)
    error = sum(row["images"] * abs(row["confidence"] - row["accuracy"]) for row in bins) / max(len(labels), 1)
    result: dict[str, Any] = {
        "images": len(labels),
        "accuracy": round(float(right.sum() / max(len(labels), 1)), 4),
        "macro_f1": round(float(f1.mean()), 4),
        "per_class": {
            name: {
                "precision": round(float(precision[index]), 4),
                "recall": round(float(recall[index]), 4),
                "f1": round(float(f1[index]), 4),
                "images": int(confusion[index].sum()),
            }
            for index, name in enumerate(CLASSES)
        },
        "confusion": confusion.tolist(),
        "calibration_error": round(float(error), 4),
        "reliability": bins,
    }
    if sources is not None:
        hits: dict[str, list[bool]] = {}
        for source, hit in zip(sources, predicted == labels, strict=True):
            hits.setdefault(source, []).append(bool(hit))
        result["accuracy_per_source"] = {
            source: {"images": len(values), "accuracy": round(float(np.mean(values)), 4)}
            for source, values in hits.items()
        }
    return result


def source_rows(
    probabilities: NDArray[np.floating], sources: Sequence[str], labels: NDArray[np.integer]
) -> list[dict[str, Any]]:
    """A row for each source: ``source``, ``images``, ``accuracy``, and how its images were ``classified_as``."""
    predicted, rows = probabilities.argmax(axis=1), []
    for source in dict.fromkeys(sources):
        inside = np.array([each == source for each in sources])
        found = np.bincount(predicted[inside], minlength=len(CLASSES))
        hits = predicted[inside] == labels[inside]
        rows.append(
            {
                "source": source,
                "images": int(inside.sum()),
                "accuracy": round(float(hits.mean()), 4),
                "classified_as": dict(zip(CLASSES, found.tolist(), strict=True)),
            }
        )
    return rows


def source_table(
    rows: Sequence[Mapping[str, Any]],
    measures: Mapping[str, Any],
    review: Mapping[str, float] | None = None,
    unknown: Mapping[str, float] | None = None,
) -> str:
    """Write :func:`source_rows` as Markdown, with what they come to.

    Args:
        rows: of the sources.
        measures: of all their images.
        review: result of :func:`review_shares`.
        unknown: which share of the images of each kind that is none of the classes is in review.
    """
    lines = [f"| left out | images | accuracy | {' | '.join(CLASSES)} |", "|---|---|---|" + "---|" * len(CLASSES)]
    for row in rows:
        counts = " | ".join(str(count) for count in row["classified_as"].values())
        lines.append(f"| {row['source']} | {row['images']} | {row['accuracy']:.3f} | {counts} |")
    mean = float(np.mean([row["accuracy"] for row in rows]))
    lines.append(f"\nMacro F1 over all images, each classified without its source: {measures['macro_f1']:.3f}")
    lines.append(f"Accuracy, each source counting alike: {mean:.3f}")
    if review:
        lines.append(
            f"In review (confidence below {review['limit']:g}): {review['wrong']:.1%} of the wrong ones, "
            f"{review['right']:.1%} of the right ones"
        )
    if unknown:
        shares = ", ".join(f"{kind} {share:.0%}" for kind, share in unknown.items())
        lines.append(f"In review, of kinds that are none of the classes, each while it was left out: {shares}")
    return "\n".join(lines) + "\n"


def review_shares(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], limit: float, weights: NDArray[np.floating]
) -> dict[str, float]:
    """Which share of the wrong verdicts, and of the right ones, has a confidence below ``limit``.

    Args:
        weights: of the images.
    """
    is_right = probabilities.argmax(axis=1) == labels
    is_low = probabilities.max(axis=1) < limit
    shares = [
        float((weights * is_low * part).sum() / max((weights * part).sum(), 1e-12)) for part in (~is_right, is_right)
    ]
    return {"limit": limit, "wrong": round(shares[0], 4), "right": round(shares[1], 4)}


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> list[dict[str, Any]]:
    """Confidence against accuracy in ten bins of equal width; empty bins are left out."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return [
        {
            "from": index / RELIABILITY_BINS,
            "images": int((bins == index).sum()),
            "confidence": round(float(confidence[bins == index].mean()), 4),
            "accuracy": round(float(hit[bins == index].mean()), 4),
        }
        for index in range(RELIABILITY_BINS)
        if (bins == index).any()
    ]


def plot_confusion(measures: Mapping[str, Any], path: Path) -> None:
    """Draw the confusion matrix with its counts as PNG."""
    from matplotlib.figure import Figure

    confusion = np.array(measures["confusion"])
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=30)
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.set_xlabel("classified as")
    axes.set_ylabel("is")
    for (row, column), count in np.ndenumerate(confusion):
        share = count / max(confusion[row].sum(), 1)
        axes.text(column, row, str(count), ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set_title(f"Macro F1 {measures['macro_f1']:.3f} on {measures['images']} images")
    figure.savefig(path, dpi=120)


def plot_reliability(measures: Mapping[str, Any], path: Path) -> None:
    """Draw confidence against accuracy as PNG; honest probabilities lie on the diagonal."""
    from matplotlib.figure import Figure

    bins = measures["reliability"]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    axes.plot([row["confidence"] for row in bins], [row["accuracy"] for row in bins], marker="o")
    for row in bins:
        at = (row["confidence"], row["accuracy"])
        axes.annotate(str(row["images"]), at, textcoords="offset points", xytext=(6, -10))
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title(f"Expected calibration error {measures['calibration_error']:.3f}")
    figure.savefig(path, dpi=120)


def plot_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the training curve (loss and accuracy over the images drawn) as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        for part in ("training", "validation"):
            points = [(row["images"], row[f"{part}_{name}"]) for row in rows if row.get(f"{part}_{name}") is not None]
            if points:
                axis.plot(*zip(*points, strict=True), label=part, marker="o" if part == "validation" else None)
        axis.set_xlabel("images")
        axis.set_title(name)
        axis.legend()
    figure.savefig(path, dpi=120)
