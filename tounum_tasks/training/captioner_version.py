"""From a finished training to version folders that the registry takes."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import Captioner, SearchOptions, version_files
from tounum_tasks.evaluation.captioner import evaluate, score
from tounum_tasks.models.card import write_card
from tounum_tasks.models.weights import write_safetensors
from tounum_tasks.training.captioner import FEATURE_SHAPE, CaptionerTraining, read_curves
from tounum_tasks.training.feature_cache import FeatureCache
from tounum_tasks.training.mixture import merit, try_shares

LENGTH_POWERS = (0.0, 0.5, 0.8, 1.1, 1.4, 1.7)
ENOUGH_TO_CHOOSE = 100
log = logging.getLogger(__name__)


def write_versions(
    training: CaptionerTraining,
    out: Path,
    *,
    version: str,
    licence: str = "",
    notes: str = "",
    extractor_digest: str | None = None,
) -> dict[str, Any]:
    """Writes ``OUT/extractor/VERSION`` and ``OUT/captioner/VERSION``.

    The captioner is evaluated on the dev split, as it is stored; there, too, is chosen how far it goes with the rewards
    and how much long captions are preferred, if the split has images enough to tell.

    Args:
        extractor_digest: of the registered extractor that the training began with; if the training left it as it was,
            no second version of it is written.
        licence: of the data, as the cards shall say it.

    Returns:
        the figures on the dev split, which the captioner's card holds too.
    """
    settings = asdict(training.settings)
    described: dict[str, Any] = {
        "data_fingerprint": training.data.fingerprint,
        "data_licence": licence,
        "notes": notes,
    }
    folder = out / "extractor" / version
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "weights.safetensors", training.extractor_weights())
    digest = write_card(folder, name="extractor", version=version, training=settings, **described).digest
    if digest == extractor_digest:
        shutil.rmtree(folder)
    folder = out / "captioner" / version
    folder.mkdir(parents=True, exist_ok=True)
    options = SearchOptions(max_words=training.settings.max_words)
    described["partners"] = {"extractor": digest}

    def write(options: SearchOptions, metrics: dict[str, Any]) -> Captioner:
        architecture = version_files(folder, training.captioner, training.vocabulary, options)
        described["training"] = {**settings, **architecture}
        write_card(folder, name="captioner", version=version, metrics=metrics, **described)
        return Captioner.load(folder, extractor_digest=digest)

    if not training.dev_images:
        write(options, {})
        return {}
    cache = FeatureCache(training.work / "cache" / "features" / "dev", training.dev_images, FEATURE_SHAPE)
    can_choose = len(cache.images) >= ENOUGH_TO_CHOOSE
    shares = {}
    if can_choose and training.unrewarded:
        rewarded = Captioner(training.captioner, training.vocabulary, digest="", options=options)
        shares = try_shares(training.captioner, training.unrewarded, rewarded, cache)
    captioner = write(options, {})
    tried = try_length_powers(captioner, cache) if can_choose else {}
    best = max(tried, key=lambda power: merit(tried[power]), default=options.length_power)
    captioner = write(replace(options, length_power=best), {})
    figures, _ = evaluate(captioner, cache.images, (cache.read(i) for i in range(cache.shards)))
    chosen = {"dev_by_length_power": _by_text(tried), "dev_by_share_of_rewards": _by_text(shares)}
    write(captioner.options, {"dev": figures, **chosen})
    log.info("wrote %s and its partner %s", folder, digest[:12])
    return figures


def _by_text(tried: Mapping[float, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {str(value): figures for value, figures in tried.items()}


def try_length_powers(captioner: Captioner, cache: FeatureCache) -> dict[float, dict[str, float]]:
    """BLEU-4 and CIDEr with beam 3 for several preferences of long captions."""
    references = [image.captions for image in cache.images]
    tried = {}
    for power in LENGTH_POWERS:
        searching = captioner.with_options(replace(captioner.options, length_power=power))
        captions = [caption.text for i in range(cache.shards) for caption in searching.caption(cache.read(i), beam=3)]
        figures = score(captions, references)
        tried[power] = {name: figures[name] for name in ("bleu_4", "cider")}
        log.info("length power %.1f: BLEU-4 %.4f, CIDEr %.4f", power, *tried[power].values())
    return tried


def draw_curves(work: Path, picture: Path) -> None:
    """Draws the losses and the metrics of every pass, phase after phase, from the table that the training keeps."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = read_curves(work)
    passes = np.arange(1, len(rows) + 1)
    figure, (losses, metrics) = plt.subplots(2, 1, figsize=(7.5, 6.5), sharex=True)
    for column, label in (("train_loss", "train (with smoothing and dropout)"), ("dev_loss", "dev")):
        losses.plot(passes, _column(rows, column), marker="o", label=label)
    losses.set(ylabel="loss per word")
    figure.suptitle("Captioner")
    drawn = (("cider", "CIDEr, dev, greedy"), ("bleu_4", "BLEU-4, dev, greedy"), ("train_reward", "reward, train"))
    for column, label in drawn:
        values = _column(rows, column)
        if not np.isnan(values).all():
            metrics.plot(passes, values, marker="o", label=label)
    metrics.set(xlabel="pass", ylabel="metric", ylim=(0, None))
    metrics.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    for axes in (losses, metrics):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    for index, row in enumerate(rows):
        if index == 0 or row["phase"] != rows[index - 1]["phase"]:
            for axes in (losses, metrics):
                axes.axvline(index + 0.5, color="grey", linestyle=":")
            losses.text(index + 0.5, 1.02, row["phase"], transform=losses.get_xaxis_transform())
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    plt.close(figure)


def _column(rows: Sequence[Mapping[str, str]], name: str) -> NDArray[np.float64]:
    """One column of the table; NaN where a phase has no such figure."""
    return np.array([float(row.get(name) or "nan") for row in rows])
