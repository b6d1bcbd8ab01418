"""``classify``: the class of images on disk."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.batches import in_batches
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.cli.items import (
    FileItem,
    ItemWriter,
    add_arguments,
    find_files,
    limits_of,
    read_items,
    row,
)
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.plan import RunRequest
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.pins import load_model, pin_models

AT_ONCE = 64


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "classify",
        help="class of images",
        description="Tells photographs from paintings, schematics, sketches and pages of text.",
    )
    add_arguments(parser)
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--classifier`` and ``--lake``."""
    parser.add_argument("--classifier", metavar="VERSION", help="default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake whose models are used (TOUNUM_LAKE_ROOT)")


def run(arguments: argparse.Namespace) -> int:
    """Writes one row per page.

    Raises:
        ConfigurationError: a path or the model is missing.
        FailureRateExceeded: too many files could not be read; the rows were all written.
    """
    settings = load_settings(lake_root=arguments.lake, classifier=arguments.classifier)
    files = find_files(arguments.paths)
    classifier = load_model("classifier", pin_models(RunRequest(run_id="classify"), settings), settings)
    with ItemWriter(arguments.json) as writer:
        inputs = (shrunk(item) for item in read_items(files, limits_of(settings), settings.max_file_bytes))
        for batch in in_batches(inputs, AT_ONCE):
            readable = [item.rgb for item in batch if item.rgb is not None]
            distributions = iter(classifier.predict(np.stack(readable)) if readable else ())
            for item in batch:
                found = {} if item.error else class_columns(next(distributions), settings.review_confidence)
                writer.write(row(item.path, item.page, item.error, **found))
        writer.check(settings.max_failure_rate)
    return 0


def shrunk(item: FileItem) -> FileItem:
    """The item at the size that the models take, so that a batch of large scans stays small."""
    return item if item.rgb is None else FileItem(item.path, item.page, to_model_input(item.rgb))


def class_columns(distribution: NDArray[np.float32], review_confidence: float) -> dict[str, Any]:
    """Return the columns of a row that say what an image is, from its five probabilities."""
    best = int(distribution.argmax())
    probabilities = {name: round(float(value), 6) for name, value in zip(CLASSES, distribution, strict=True)}
    reasons = [] if float(distribution[best]) >= review_confidence else ["class"]  # as a run compares them
    return {
        "label": CLASSES[best],
        "confidence": probabilities[CLASSES[best]],
        "probabilities": probabilities,
        "needs_review": bool(reasons),
        "review_reasons": reasons,
    }
