"""``train restorer``: from folders of clean pictures to a model version."""

import argparse
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from tounum_tasks.cli.training_options import add_training_options, settings_given
from tounum_tasks.cli.version import version_name
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.settings import load_settings
from tounum_tasks.training.restorer_recipe import Recipe

if TYPE_CHECKING:
    from tounum_tasks.datasets.pictures import Source
    from tounum_tasks.training.degradation import Pair

VALIDATION_PICTURES, VALIDATION_SIDE = 12, 256
log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "restorer",
        help="train the network that removes noise, blur and JPEG blocks",
        description="Trains on clean pictures, which it degrades itself: photographs and pages, in folders of any "
        "depth, and pages of text that it draws. Stopped at any moment, the same command goes on where it was. The "
        "version lies in OUT/restorer/VERSION.",
    )
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="DIR[=SHARE]",
        help="folder of clean pictures, and how often it is drawn against the others (default: 1); repeatable",
    )
    parser.add_argument(
        "--reduced",
        action="append",
        default=[],
        metavar="DIR[=SHARE]",
        help="the same for compressed pictures: each is reduced to half its size, which cleans it; repeatable",
    )
    parser.add_argument("--out", type=Path, default=Path("data/training/restorer"), metavar="DIR")
    parser.add_argument(
        "--version", type=version_name, default="trained-1", help="name of the new version (default: trained-1)"
    )
    parser.add_argument(
        "--continue",
        dest="going_on",
        metavar="VERSION",
        help="go on with the weights of this restorer (production, or a version) in place of new ones",
    )
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.add_argument(
        "--validate-on",
        type=Path,
        metavar="FILE",
        help="file with stems of pictures among --data, one a line, that are validated on and not trained on",
    )
    parser.add_argument("--data-licence", default="", metavar="TEXT", help="for the card")
    parser.add_argument("--notes", default="", metavar="TEXT", help="for the card")
    add_training_options(parser, Recipe)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, write the version, print its figures."""
    require_keras("Training")
    from tounum_tasks.datasets.pictures import load_pictures, read_stems
    from tounum_tasks.models.card import WEIGHTS_FILE
    from tounum_tasks.models.trained_on import read_trained_on
    from tounum_tasks.models.weights import read_safetensors
    from tounum_tasks.training.degradation import MARGIN
    from tounum_tasks.training.restorer import train

    recipe = settings_given(arguments, Recipe)
    begun_with = _begun_with(arguments)
    sources = [_source(text, reduced=False) for text in arguments.data]
    reduced = [_source(text, reduced=True) for text in arguments.reduced]
    kept_back = read_stems(arguments.validate_on) if arguments.validate_on else set()
    validation = _validation_pairs(sources, kept_back)
    if arguments.validate_on and not validation:
        raise ConfigurationError(
            f"{arguments.validate_on} names no picture of --data: give names without folder and ending, one a line."
        )
    pictures = load_pictures(
        [*sources, *reduced],
        smallest_side=recipe.patch + 2 * MARGIN,
        leave_out=kept_back,
        drawn_share=recipe.drawn_share,
    )
    log.info("%d pictures, %d of validation", len(pictures), len(validation))
    card = train(
        pictures,
        recipe,
        arguments.out,
        version=arguments.version,
        validation=validation,
        initial=read_safetensors(begun_with / WEIGHTS_FILE) if begun_with else None,
        trained_on=[*_learnt([*sources, *reduced], kept_back), *((begun_with and read_trained_on(begun_with)) or ())],
        data_licence=arguments.data_licence,
        notes=arguments.notes,
    )
    log.info("restorer %s: %s; it lies in %s", card.version, card.metrics, arguments.out / "restorer" / card.version)
    return 0


def _begun_with(arguments: argparse.Namespace) -> Path | None:
    """The folder of the version to go on with, if one is asked for."""
    from tounum_tasks.models.registry import Registry

    if not arguments.going_on:
        return None
    return Registry.of(load_settings(lake_root=arguments.lake)).resolve("restorer", arguments.going_on).folder


def _learnt(sources: "list[Source]", kept_back: set[str]) -> list[bytes]:
    from tounum_tasks.datasets.lots import hashes_of_files
    from tounum_tasks.datasets.pictures import files_of
    from tounum_tasks.models.trained_on import prefix_of

    files = [path for source in sources for path in files_of(source) if path.stem not in kept_back]
    return [prefix_of(sha256) for sha256 in hashes_of_files(files).values()]


def _source(text: str, *, reduced: bool) -> "Source":
    """The folder and share that an argument names.

    Raises:
        ConfigurationError: there is no such folder, or the share is no positive number.
    """
    from tounum_tasks.datasets.pictures import Source

    folder, separator, share = text.rpartition("=")
    try:
        source = Source(Path(folder), float(share), reduced) if separator else Source(Path(text), reduced=reduced)
    except ValueError:
        source = Source(Path(text), reduced=reduced)
    if not source.folder.is_dir() or not 0 < source.share < math.inf:
        raise ConfigurationError(f"{text}: expected an existing folder, or FOLDER=SHARE with a share above 0.")
    return source


def _validation_pairs(sources: "list[Source]", stems: set[str]) -> "list[Pair]":
    """The middles of the first pictures that were kept back, in every degradation."""
    import numpy as np

    from tounum_tasks.datasets.pictures import files_of, load_picture
    from tounum_tasks.evaluation.restorer import BLURS, DEGRADED, degraded
    from tounum_tasks.training.degradation import Pair

    files = [path for source in sources for path in files_of(source) if path.stem in stems]
    pairs = []
    for number, path in enumerate(files[:VALIDATION_PICTURES]):
        rgb = load_picture(path)
        height, width = (min(side, VALIDATION_SIDE) // 4 * 4 for side in rgb.shape[:2])
        top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
        for kind in DEGRADED:
            given = degraded(rgb, kind, number)[top : top + height, left : left + width]
            wanted = rgb[top : top + height, left : left + width].astype(np.float32)
            pairs.append(Pair(np.ascontiguousarray(given), wanted, BLURS.get(kind, 0.0)))
    return pairs
