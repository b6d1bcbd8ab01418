"""``evaluate captioner``: how good its captions are on a data set."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tounum_tasks.cli.items import beam_width, write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.settings import load_settings

if TYPE_CHECKING:
    from tounum_tasks.caption.captioner import Caption

FEWEST_TOLD_APART = 20
"""Of fewer captions no correlation is told."""

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
    parser.add_argument(
        "--html", metavar="FILE", help="page with the figures and the best and worst captions (or a folder for it)"
    )
    parser.add_argument("--split", default="dev", choices=["train", "dev", "test"], help="default: dev")
    parser.add_argument("--beam", type=beam_width, nargs="+", default=[1, 3], metavar="N", help="widths (default: 1 3)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only so many images")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what --limit takes")
    parser.add_argument(
        "--train-share", type=float, default=0.8, metavar="X", help="where the data brings no split (default: 0.8)"
    )
    parser.add_argument(
        "--tokenizer",
        default="plain",
        choices=["plain", "ptb"],
        help="plain: lower-case letters and digits (default); ptb: Penn Treebank's, needs Java and pycocoevalcap",
    )
    parser.add_argument("--meteor", action="store_true", help="METEOR, too; needs Java and pycocoevalcap")
    parser.add_argument("--captioner", default="production", metavar="VERSION", help="default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes the figures and every caption, and the page.

    Raises:
        ConfigurationError: the data, the model or Java is missing, or a file cannot be written.
    """
    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.datasets.captions import load_captions
    from tounum_tasks.evaluation.caption_page import Evaluated, render, write_page
    from tounum_tasks.evaluation.captioner import cider_of_each, evaluate, extract_features, plain_words, search_name
    from tounum_tasks.evaluation.java_metrics import ptb_words, require_java_metrics
    from tounum_tasks.features.extractor import Extractor
    from tounum_tasks.models.registry import Registry

    if arguments.tokenizer == "ptb" or arguments.meteor:
        require_java_metrics()
    tokenizer = ptb_words if arguments.tokenizer == "ptb" else plain_words
    settings = load_settings(lake_root=arguments.lake)
    data = load_captions(
        Path(arguments.data), seed=arguments.seed, limit=arguments.limit, train_share=arguments.train_share
    )
    images = data.split(arguments.split)
    if not images:
        raise ConfigurationError(f"{arguments.data} has no images in the split {arguments.split}.")
    registry = Registry.of(settings)
    chosen = registry.resolve("captioner", arguments.captioner)
    partner = registry.partner(chosen, "extractor")
    captioner = Captioner.load(chosen.folder, extractor_digest=partner.digest)
    log.info("captioner %s on %d images", chosen.version, len(images))
    features = extract_features(Extractor.load(partner.folder), [image.path for image in images])
    figures, captions = evaluate(
        captioner,
        images,
        features,
        beams=arguments.beam,
        tokenizer=tokenizer,
        with_meteor=arguments.meteor,
    )
    references = [image.captions for image in images]
    ciders = {
        beam: cider_of_each([caption.text for caption in found], references, tokenizer=tokenizer)
        for beam, found in captions.items()
    }
    report = {
        "captioner": {"version": chosen.version, "digest": chosen.digest},
        "data_fingerprint": data.fingerprint,
        "split": arguments.split,
        "tokenizer": arguments.tokenizer,
        "figures": figures,
        "confidence": {search_name(beam): _of_confidence(found, ciders[beam]) for beam, found in captions.items()},
        "captions": [{"image": image.name, **_columns(index, captions, ciders)} for index, image in enumerate(images)],
    }
    write_json(arguments.json, report)
    if arguments.html:
        about = Evaluated(
            chosen.version,
            chosen.digest,
            partner.digest,
            arguments.data,
            data.fingerprint,
            arguments.split,
            arguments.tokenizer,
        )
        named = {search_name(beam): found for beam, found in captions.items()}
        widest = max(captions)
        search, scores = search_name(widest), ciders[widest]
        now = dt.datetime.now(dt.UTC)
        page = render(about, figures, images, named, scores, search=search, made_at=now)
        log.info("wrote %s", write_page(Path(arguments.html), page))
    log.info("%s", json.dumps(figures))
    return 0


def _columns(index: int, captions: Mapping[int, Sequence[Caption]], ciders: Mapping[int, Sequence[float]]) -> dict:
    """What the file says of the captions of one image, by beam width."""
    columns: dict[str, Any] = {}
    for beam, found in captions.items():
        columns |= {
            f"beam_{beam}": found[index].text,
            f"beam_{beam}_cider": round(ciders[beam][index], 4),
            f"beam_{beam}_confidence": found[index].confidence,
        }
    return columns


def _of_confidence(captions: Sequence[Caption], ciders: Sequence[float]) -> dict[str, Any] | None:
    """How well the confidence of one search's captions tells good ones from bad; None if they have none, or are few."""
    from tounum_tasks.evaluation.confidence import by_limit, told_apart

    estimated, quality = np.array([caption.confidence for caption in captions], float), np.array(ciders)
    if len(captions) < FEWEST_TOLD_APART or np.isnan(estimated).any():
        return None
    return {**told_apart(estimated, quality), "by_limit": by_limit(estimated, quality)}
