"""``evaluate restorer``: measure a version on clean pictures that are degraded on purpose."""

import argparse
import logging
from pathlib import Path

from tounum_tasks.cli.items import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.settings import load_settings

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "restorer",
        help="measure a restorer",
        description="Degrades clean pictures by noise, blur and JPEG, lets mode auto restore them, and measures PSNR "
        "and SSIM against the clean ones, per degradation, beside the untouched ones.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of clean pictures, any depth")
    parser.add_argument("--json", required=True, metavar="FILE", help="where the measures go")
    parser.add_argument("--names", type=Path, metavar="FILE", help="use only the pictures with these stems, one a line")
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N pictures")
    parser.add_argument("--restorer", metavar="VERSION", help="default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, write JSON, print the main figures."""
    from tounum_tasks.datasets.pictures import Source, files_of, load_picture, read_stems
    from tounum_tasks.evaluation.restorer import summary, treat_all
    from tounum_tasks.steps.pins import auto_engine

    if arguments.limit is not None and arguments.limit < 1:
        raise ConfigurationError(f"--limit {arguments.limit}: give a whole number from 1 on.")
    files = files_of(Source(arguments.data))
    if arguments.names:
        wanted = read_stems(arguments.names)
        files = [path for path in files if path.stem in wanted]
    if not files:
        raise ConfigurationError(f"{arguments.data} holds none of the pictures that {arguments.names} names.")
    settings = load_settings(lake_root=arguments.lake, restorer=arguments.restorer)
    version, engine = auto_engine(settings)
    rows = []
    for number, path in enumerate(files[: arguments.limit]):
        rows += treat_all(str(path), load_picture(path), number, methods=("untouched", "auto"), engine=engine)
        log.info("%d of %d pictures", number + 1, len(files[: arguments.limit]))
    measures = {"restorer": {"version": version.version, "digest": version.digest}, "methods": summary(rows)}
    write_json(arguments.json, measures)
    means = [measures["methods"][method]["mean of the six"]["psnr"] for method in ("untouched", "auto")]
    log.info("mean of the six degradations: untouched %s dB, restored %s dB", *means)
    return 0
