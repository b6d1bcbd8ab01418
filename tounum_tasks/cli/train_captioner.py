"""``train captioner``: train a captioner, and the extractor underneath it if wanted."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tounum_tasks.cli.training_options import add_training_options, settings_given
from tounum_tasks.cli.version import version_name
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.settings import load_settings
from tounum_tasks.training.captioner_settings import TrainingSettings

if TYPE_CHECKING:
    from tounum_tasks.datasets.captions import CaptionData
    from tounum_tasks.features.inception import Weights
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.training.captioner import TrainedCaptioner

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the choice ``captioner`` of ``train``."""
    parser = commands.add_parser(
        "captioner",
        help="attention captioner over InceptionV3 features",
        description="Trains a captioner and writes version folders that `models register` takes. Stopped at any "
        "moment, the same command goes on at its last checkpoint.",
    )
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="PATH",
        help="folder, .tsv or COCO captions_*.json; several are learnt together",
    )
    parser.add_argument(
        "--out", default="data/training/captioner", metavar="DIR", help="for versions, curves, caches and checkpoints"
    )
    parser.add_argument(
        "--extractor",
        default="production",
        metavar="WHICH",
        help="to begin with: production, a version, imagenet (a download) or an .npz file (default: production)",
    )
    parser.add_argument(
        "--last-block",
        choices=("mixed9",),
        help="leave out what the extractor has above this block (default: nothing)",
    )
    parser.add_argument(
        "--continue",
        dest="going_on",
        metavar="VERSION",
        help="go on with this captioner and its extractor (production, or a version) in place of a new one",
    )
    parser.add_argument(
        "--keep-judge",
        action="store_true",
        help="with --continue: keep its judge and its way of searching, fit the captions' confidence alone",
    )
    parser.add_argument(
        "--balance",
        type=int,
        default=1,
        metavar="N",
        help="images of smaller data sets come up to N times a pass (default: 1)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="use only so many images of each split of each data set")
    parser.add_argument(
        "--train-share", type=float, default=0.8, metavar="X", help="where the data brings no split (default: 0.8)"
    )
    parser.add_argument(
        "--version", type=version_name, metavar="V", help="of what is written (default: today's date and a number)"
    )
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the data, for the cards")
    parser.add_argument("--notes", default="", metavar="TEXT", help="for the cards")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    add_training_options(parser, TrainingSettings)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Trains, evaluates on the dev split and writes the versions.

    Raises:
        ConfigurationError: data, extractor or options are wrong.
    """
    require_keras("Training")
    from tounum_tasks.features.inception import up_to
    from tounum_tasks.models.registry import next_version
    from tounum_tasks.training.captioner_run import train_captioner

    settings = settings_given(arguments, TrainingSettings)
    _check_together(arguments, settings)
    data = _data(arguments, settings)
    captioner = _captioner(arguments)
    initial, digest = _extractor(arguments)
    if arguments.last_block:
        initial = up_to(initial, arguments.last_block)
    out = Path(arguments.out)
    taken = [folder.name for folder in (out / "captioner").glob("*")]
    version = arguments.version or next_version(dt.datetime.now(dt.UTC).date().isoformat(), taken)
    figures = train_captioner(
        data,
        out,
        settings,
        initial,
        captioner,
        version=version,
        licence=arguments.licence,
        notes=arguments.notes,
        extractor_digest=digest,
        keep_judge=arguments.keep_judge,
    )
    print(json.dumps({"version": version, "dev": figures}, indent=2))
    return 0


def _check_together(arguments: argparse.Namespace, settings: TrainingSettings) -> None:
    """Checks what the options are to each other.

    Raises:
        ConfigurationError: one of them wants another one, or forbids it.
    """
    if arguments.balance < 1:
        raise ConfigurationError(f"--balance {arguments.balance}: images come at least once a pass.")
    if settings.views_of_repeated and arguments.balance == 1:
        raise ConfigurationError("--views-of-repeated: without --balance no image comes several times.")
    if not settings.decoder_epochs and not arguments.going_on:
        raise ConfigurationError("Nothing to train: give --epochs at least 1, or --continue.")
    if arguments.going_on and (arguments.extractor != "production" or arguments.last_block):
        raise ConfigurationError("--continue brings its own extractor: leave --extractor and --last-block out.")
    if arguments.keep_judge and settings.fewest_images:
        raise ConfigurationError("--keep-judge: the judge knows the words that --fewest-images leaves out.")
    if arguments.keep_judge and not arguments.going_on:
        raise ConfigurationError("--keep-judge keeps the judge of a captioner that is gone on with: give --continue.")


def _data(arguments: argparse.Namespace, settings: TrainingSettings) -> CaptionData:
    """The images and captions of all data sets.

    Raises:
        ConfigurationError: they cannot be read, or are too few for what is asked.
    """
    from tounum_tasks.datasets.captions import joined, load_captions
    from tounum_tasks.training.captioner_version import ENOUGH_TO_CHOOSE

    found = [
        load_captions(Path(path), seed=settings.seed, limit=arguments.limit, train_share=arguments.train_share)
        for path in arguments.data
    ]
    data = joined(found, balance=arguments.balance)
    if not any(settings.passes) and len(data.split("dev")) < ENOUGH_TO_CHOOSE:
        raise ConfigurationError(f"A judge alone is fitted where the dev split has {ENOUGH_TO_CHOOSE} images or more.")
    return data


def _captioner(arguments: argparse.Namespace) -> TrainedCaptioner | None:
    """The captioner to go on with, if one is asked for.

    Raises:
        ConfigurationError: it cannot be used; better now than after hours of training.
    """
    from tounum_tasks.caption.captioner import (
        CONFIDENCE_FILE,
        JUDGE_FILE,
        VOCABULARY_FILE,
        WEIGHTS_FILE,
        Captioner,
        described,
    )
    from tounum_tasks.caption.confidence import load as load_confidence
    from tounum_tasks.caption.vocabulary import Vocabulary
    from tounum_tasks.models.trained_on import read_trained_on
    from tounum_tasks.models.weights import read_safetensors
    from tounum_tasks.training.captioner import TrainedCaptioner

    if not arguments.going_on:
        return None
    registry = _registry(arguments)
    version = registry.resolve("captioner", arguments.going_on)
    folder = version.folder
    Captioner.load(folder, extractor_digest=registry.partner(version, "extractor").digest)
    shape, options = described(version.card, folder)
    return TrainedCaptioner(
        Vocabulary.load(folder / VOCABULARY_FILE),
        shape,
        read_safetensors(folder / WEIGHTS_FILE),
        options,
        read_safetensors(folder / JUDGE_FILE) if options.judgement else {},
        load_confidence(folder / CONFIDENCE_FILE) if (folder / CONFIDENCE_FILE).exists() else {},
        read_trained_on(folder) or frozenset(),
    )


def _extractor(arguments: argparse.Namespace) -> tuple[Weights, str | None]:
    """The weights to begin with, and their digest if they are a registered version's."""
    from tounum_tasks.features.inception import read_npz
    from tounum_tasks.features.network import imagenet_weights
    from tounum_tasks.models.weights import read_safetensors

    if arguments.extractor == "imagenet":
        return imagenet_weights(), None
    if arguments.extractor.endswith(".npz"):
        return read_npz(Path(arguments.extractor)), None
    registry = _registry(arguments)
    if arguments.going_on:
        found = registry.partner(registry.resolve("captioner", arguments.going_on), "extractor")
    else:
        found = registry.resolve("extractor", arguments.extractor)
    return read_safetensors(found.folder / "weights.safetensors"), found.digest


def _registry(arguments: argparse.Namespace) -> Registry:
    from tounum_tasks.models.registry import Registry

    settings = load_settings(lake_root=arguments.lake)
    return Registry.of(settings)
