"""``train classifier``: from folders of images to a model version."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tounum_tasks.cli.training_options import add_training_options, settings_given
from tounum_tasks.cli.version import version_name
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.training.classifier_recipe import Recipe

if TYPE_CHECKING:
    from tounum_tasks.datasets.classes import Example

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "classifier",
        help="train the classifier",
        description="Trains from a folder with one sub-folder per class (Painting, Photo, Schematics, Sketch, Text), "
        "images at any depth; the first sub-folder of a class names the source of its images. Stopped at any moment, "
        "the same command goes on where it was. The version lies in OUT/classifier/VERSION.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with one folder per class")
    parser.add_argument("--out", type=Path, default=Path("data/training/classifier"), metavar="DIR")
    parser.add_argument(
        "--version", type=version_name, default="trained-1", help="name of the new version (default: trained-1)"
    )
    parser.add_argument(
        "--extra", action="append", default=[], metavar="CLASS=DIR", help="one more source of a class; repeatable"
    )
    parser.add_argument("--limit-per-source", type=int, metavar="N", help="use at most N images of each source")
    parser.add_argument("--leave-out", action="append", default=[], metavar="SOURCE", help="not this CLASS/SOURCE")
    parser.add_argument(
        "--leave-out-images",
        type=Path,
        metavar="FILE",
        help="not the images that this file names, one on each line: CLASS/SOURCE/NAME, and anything behind a #",
    )
    parser.add_argument(
        "--initial",
        default="production",
        metavar="WEIGHTS",
        help="where the layers start: production (the classifier in use, default), imagenet (downloaded by Keras), "
        "or an .npz or .safetensors file of InceptionV3 with folded batch normalisation",
    )
    parser.add_argument(
        "--leave-one-source-out",
        action="store_true",
        help="first validate the head on each source without it",
    )
    parser.add_argument(
        "--average-with",
        metavar="WEIGHTS",
        help="average the head with that of an earlier version on the same layers: production, or a .safetensors file",
    )
    parser.add_argument(
        "--ranges-of",
        type=Path,
        metavar="FOLDER",
        help="train nothing: write the version in this folder once more, with the ranges of activations that versions "
        "of earlier releases lack, measured on the images; then it computes in int8",
    )
    parser.add_argument("--data-licence", default="", metavar="TEXT", help="for the card")
    parser.add_argument("--notes", default="", metavar="TEXT", help="for the card")
    add_training_options(parser, Recipe)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, write the version, print its figures."""
    require_keras("Training")
    from tounum_tasks.training.classifier import train
    from tounum_tasks.training.ranges import add_ranges

    _check_together(arguments)
    examples, initial, recipe = training_of(arguments)
    if arguments.ranges_of:
        card = add_ranges(arguments.ranges_of, examples, recipe, arguments.out, version=arguments.version)
        log.info("classifier %s lies in %s", card.version, arguments.out / "classifier" / card.version)
        return 0
    card = train(
        examples,
        initial,
        recipe,
        arguments.out,
        version=arguments.version,
        data_licence=arguments.data_licence,
        notes=arguments.notes,
        validate_sources=arguments.leave_one_source_out,
        average_with=_initial(arguments.average_with) if arguments.average_with else None,
    )
    validation = card.metrics["validation"]
    log.info(
        "classifier %s: macro F1 %.3f on %d validation images; it lies in %s",
        card.version,
        validation["macro_f1"],
        validation["images"],
        arguments.out / "classifier" / card.version,
    )
    return 0


def _check_together(arguments: argparse.Namespace) -> None:
    """Checks what the options are to each other.

    Raises:
        ConfigurationError: one of them would be passed over.
    """
    for option in ("average_with", "leave_one_source_out", "int8"):
        if arguments.architecture == "notebook" and getattr(arguments, option):
            raise ConfigurationError(
                f"--{option.replace('_', '-')} is about the layers of InceptionV3: leave it out with --architecture "
                "notebook."
            )


def training_of(arguments: argparse.Namespace) -> "tuple[list[Example], dict[str, NDArray[Any]], Recipe]":
    """What the arguments say: images, the weights that training starts from, and the recipe.

    Raises:
        ConfigurationError: images or weights are missing.
    """
    from tounum_tasks.datasets.classes import read_class_folders

    examples = read_class_folders(
        arguments.data,
        extra=[_extra(text) for text in arguments.extra],
        left_out=_names_in(arguments.leave_out_images) if arguments.leave_out_images else (),
        left_out_sources=arguments.leave_out,
        limit_per_source=arguments.limit_per_source,
    )
    initial = {} if arguments.architecture == "notebook" else _initial(arguments.initial)
    return examples, initial, settings_given(arguments, Recipe)


def _extra(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not separator or not Path(folder).is_dir():
        raise ConfigurationError(f"--extra {text}: expected CLASS=DIR with an existing folder.")
    return name, Path(folder)


def _names_in(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Cannot read the list of images to leave out, {file}: {error}") from error
    names = [line.partition("#")[0].strip() for line in lines]
    return [name for name in names if name]


def _initial(choice: str) -> dict[str, NDArray[Any]]:
    """Weights of the layers by name.

    Raises:
        ConfigurationError: they cannot be found or read.
    """
    from tounum_tasks.features.inception import read_npz
    from tounum_tasks.features.network import imagenet_weights
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.models.weights import read_safetensors
    from tounum_tasks.settings import load_settings

    if choice == "imagenet":
        return dict(imagenet_weights())
    if choice == "production":
        settings = load_settings()
        registry = Registry.of(settings)
        return read_safetensors(registry.resolve("classifier").folder / "weights.safetensors")
    path = Path(choice)
    return read_npz(path) if path.suffix == ".npz" else read_safetensors(path)
