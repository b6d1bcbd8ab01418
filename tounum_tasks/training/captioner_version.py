"""From a finished training to version folders that the registry takes."""

from __future__ import annotations

import csv
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tounum_tasks.caption.captioner import Captioner, SearchOptions, version_files
from tounum_tasks.evaluation.captioner import evaluate
from tounum_tasks.models.card import write_card
from tounum_tasks.models.weights import write_safetensors
from tounum_tasks.training.captioner import FEATURE_SHAPE, CaptionerTraining
from tounum_tasks.training.feature_cache import FeatureCache

log = logging.getLogger(__name__)


def write_versions(
    training: CaptionerTraining,
    out: Path,
    *,
    version: str,
    licence: str = "",
    notes: str = "",
    extractor_digest: str | None = None,
    options: SearchOptions | None = None,
) -> dict[str, Any]:
    """Writes ``OUT/extractor/VERSION`` and ``OUT/captioner/VERSION`` and evaluates the captioner on the dev split.

    Args:
        extractor_digest: of the registered extractor that the training began with; if the training left it as it was,
            no second version of it is written.
        licence: of the data, as the cards shall say it.

    Returns:
        the figures on the dev split, which the captioner's card holds too.
    """
    options = options or SearchOptions(max_words=training.settings.max_words)
    settings = asdict(training.settings)
    described: dict[str, Any] = {"data_fingerprint": training.data.fingerprint, "data_licence": licence, "notes": notes}
    folder = out / "extractor" / version
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "weights.safetensors", training.extractor_weights())
    digest = write_card(folder, name="extractor", version=version, training=settings, **described).digest
    if digest == extractor_digest:
        shutil.rmtree(folder)
    folder = out / "captioner" / version
    folder.mkdir(parents=True, exist_ok=True)
    architecture = version_files(folder, training.captioner, training.vocabulary, options)
    figures: dict[str, Any] = {}
    described |= {"training": {**settings, **architecture}, "partners": {"extractor": digest}}
    write_card(folder, name="captioner", version=version, **described)
    if training.dev_images:
        captioner = Captioner.load(folder, extractor_digest=digest)
        cache = FeatureCache(training.work / "cache" / "features" / "dev", training.dev_images, FEATURE_SHAPE)
        figures, _ = evaluate(captioner, training.dev_images, (cache.read(i) for i in range(cache.shards)))
        write_card(folder, name="captioner", version=version, metrics={"dev": figures}, **described)
    log.info("wrote %s and its partner %s", folder, digest[:12])
    return figures


def draw_curves(work: Path, picture: Path) -> None:
    """Draws the losses of every pass, phase after phase, from the table that the training keeps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with (work / "curves.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    passes = np.arange(1, len(rows) + 1)
    figure, axes = plt.subplots(figsize=(7, 4))
    for column, label in (("train_loss", "train (with smoothing and dropout)"), ("dev_loss", "dev")):
        axes.plot(passes, [float(row[column]) for row in rows], marker="o", label=label)
    for index in range(1, len(rows)):
        if rows[index]["phase"] != rows[index - 1]["phase"]:
            axes.axvline(index + 0.5, color="grey", linestyle=":")
    axes.set(xlabel="pass (dotted lines: head, full, decoder)", ylabel="loss per word", title="Captioner")
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    plt.close(figure)
