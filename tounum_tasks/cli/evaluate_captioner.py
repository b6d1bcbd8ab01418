"""``evaluate captioner``: how good its captions are on a data set."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from tounum_tasks.cli.items import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.settings import load_settings

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the choice ``captioner`` of ``evaluate``."""
    parser = commands.add_parser(
        "captioner",
        help="BLEU, ROUGE-L and CIDEr",
        description="Captions the images of one split and compares with their reference captions.",
    )
    parser.add_argument("--data", required=True, metavar="PATH", help="folder, .tsv or COCO captions_*.json")
    parser.add_argument("--json", required=True, metavar="FILE", help="for the figures")
    parser.add_argument("--split", default="dev", choices=["train", "dev", "test"], help="default: dev")
    parser.add_argument("--beam", type=int, nargs="+", default=[1, 3], metavar="N", help="widths (default: 1 3)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only so many images")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split, where the data brings none")
    parser.add_argument("--captioner", default="production", metavar="VERSION", help="default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the figures and every caption.

    Raises:
        ConfigurationError: the data or the model is missing, or the file cannot be written.
    """
    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.evaluation.captioner import evaluate, extract_features
    from tounum_tasks.features.extractor import Extractor
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.training.data import load_captions

    settings = load_settings(lake_root=arguments.lake)
    data = load_captions(Path(arguments.data), seed=arguments.seed, limit=arguments.limit)
    images = data.split(arguments.split)
    if not images:
        raise ConfigurationError(f"{arguments.data} has no images in the split {arguments.split}.")
    registry = Registry(settings.lake_root, cache=Path(settings.model_cache))
    chosen = registry.resolve("captioner", arguments.captioner)
    partner = registry.partner(chosen, "extractor")
    captioner = Captioner.load(chosen.folder, extractor_digest=partner.digest)
    log.info("captioner %s on %d images", chosen.version, len(images))
    features = extract_features(Extractor.load(partner.folder), [image.path for image in images])
    figures, captions = evaluate(captioner, images, features, beams=arguments.beam)
    report = {
        "captioner": {"version": chosen.version, "digest": chosen.digest},
        "data_fingerprint": data.fingerprint,
        "split": arguments.split,
        "figures": figures,
        "captions": [
            {"image": image.name, **{f"beam_{beam}": found[index].text for beam, found in captions.items()}}
            for index, image in enumerate(images)
        ],
    }
    write_json(arguments.json, report)
    log.info("%s", json.dumps(figures))
    return 0
