"""``evaluate classifier``: measure a version on labelled images."""

import argparse
import logging
from pathlib import Path

from tounum_tasks.cli.items import write_json
from tounum_tasks.settings import load_settings

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "classifier",
        help="measure a classifier",
        description="Measures a classifier on a folder with one sub-folder per class: accuracy, F1, confusion, "
        "calibration and accuracy per source as JSON, and plots beside it.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with one folder per class")
    parser.add_argument("--json", required=True, metavar="FILE", help="where the measures go; plots beside it")
    parser.add_argument("--classifier", metavar="VERSION", help="default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.add_argument("--limit-per-source", type=int, metavar="N", help="use at most N images of each source")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write JSON and plots, print the main figures."""
    from tounum_tasks.datasets.classes import read_class_folders
    from tounum_tasks.evaluation.classifier import plot_confusion, plot_reliability
    from tounum_tasks.evaluation.measure import measure_classifier
    from tounum_tasks.models.registry import Registry

    examples = read_class_folders(arguments.data, limit_per_source=arguments.limit_per_source)
    settings = load_settings(lake_root=arguments.lake, classifier=arguments.classifier)
    version = Registry.of(settings).resolve("classifier", settings.classifier)
    measures = measure_classifier(version.folder, examples)
    measures["classifier"] = {"version": version.version, "digest": version.digest}
    write_json(arguments.json, measures)
    if arguments.json != "-":
        plot_confusion(measures, Path(arguments.json).with_suffix(".confusion.png"))
        plot_reliability(measures, Path(arguments.json).with_suffix(".reliability.png"))
    log.info("macro F1 %.3f, accuracy %.3f on %d images", measures["macro_f1"], measures["accuracy"], len(examples))
    return 0
