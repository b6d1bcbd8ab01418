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

from tounum_tasks.caption.captioner import Captioner, SearchOptions, sentence, version_files
from tounum_tasks.caption.confidence import BEAM, GREEDY, Confidence
from tounum_tasks.caption.judge import Judge
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.datasets.lots import hashes_of_files
from tounum_tasks.evaluation.captioner import (
    cider_of_each,
    evaluate,
    rows_by_source,
    score,
    search_name,
)
from tounum_tasks.models.card import write_card
from tounum_tasks.models.trained_on import prefix_of, write_trained_on
from tounum_tasks.models.weights import write_safetensors
from tounum_tasks.training.captioner import CaptionerTraining, read_curves
from tounum_tasks.training.confidence import fit_confidence
from tounum_tasks.training.curve import figures_of
from tounum_tasks.training.judge import fit_judge
from tounum_tasks.training.mixture import try_shares
from tounum_tasks.training.search_choice import choose_search

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
    keep_judge: bool = False,
) -> dict[str, Any]:
    """Writes ``OUT/extractor/VERSION`` and ``OUT/captioner/VERSION``.

    The captioner is evaluated on the dev split, as it is stored; there, too, is chosen how far it goes with the
    rewards, how much long captions are preferred and how much a judge has to say, if the split has images enough to
    tell, and the captions' confidence is fitted. Without them a captioner that was gone on with keeps what was chosen
    for it, its judge included, and others have none.

    Args:
        extractor_digest: of the registered extractor that the training began with; if the training left it as it was,
            no second version of it is written.
        licence: of the data, as the cards shall say it.
        keep_judge: a captioner that is gone on with keeps its judge and its way of searching all the same.

    Returns:
        the figures on the dev split, which the captioner's card holds too.
    """
    settings = asdict(training.settings)
    described: dict[str, Any] = {"data_fingerprint": training.data.fingerprint, "data_licence": licence, "notes": notes}
    digest = _write_extractor(training, out / "extractor" / version, extractor_digest, described)
    described["curve"] = figures_of(read_curves(training.work))
    folder = out / "captioner" / version
    folder.mkdir(parents=True, exist_ok=True)
    options = SearchOptions(max_words=training.settings.max_words)
    described["partners"] = {"extractor": digest}
    _write_images_learnt(training, folder)

    begun_with = training.begun_with
    judge: Mapping[str, NDArray[Any]] = {}
    can_choose = len(training.dev_images) >= ENOUGH_TO_CHOOSE
    estimates: dict[str, Confidence] = {}
    if begun_with and digest == extractor_digest and (keep_judge or not can_choose):
        options, judge = replace(begun_with.options, max_words=options.max_words), begun_with.judge
        estimates = dict(begun_with.estimates)

    def write(options: SearchOptions, metrics: dict[str, Any]) -> Captioner:
        network = training.captioner
        architecture = version_files(
            folder, network.sizes, network.weight_arrays(), training.vocabulary, options, judge, estimates
        )
        described["training"] = {**settings, **architecture}
        write_card(folder, name="captioner", version=version, metrics=metrics, **described)
        return Captioner.load(folder, extractor_digest=digest)

    if not training.dev_images:
        write(options, {})
        return {}
    cache = training.finished_features("dev")
    chosen: dict[str, Any] = {}
    if can_choose:
        if training.unrewarded:
            tried = try_shares(training.captioner, training.unrewarded, training.vocabulary, options, cache)
            chosen["dev_by_share_of_rewards"] = _by_text(tried)
        if not (keep_judge and judge):
            captioner = write(options, {})
            judge = fit_judge(training.finished_features("train"), training.vocabulary)
            options, tables = choose_search(captioner.with_options(options, Judge(judge)), cache)
            chosen |= tables
        estimates, chosen["dev_confidence"] = fit_estimates(write(options, {}), cache)
    captioner = write(options, {})
    figures, captions = evaluate(captioner, cache.images, (cache.read(i) for i in range(cache.shards)))
    by_set = _by_data_set({beam: [one.text for one in found] for beam, found in captions.items()}, cache.images)
    write(options, {"dev": figures, **by_set, **chosen})
    log.info("wrote %s and its partner %s", folder, digest[:12])
    return figures


def _write_extractor(
    training: CaptionerTraining, folder: Path, known_digest: str | None, described: Mapping[str, Any]
) -> str:
    """Write a version of the extractor, if it is another one than the one with the known digest; return its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / "weights.safetensors", training.extractor_weights())
    settings = asdict(training.settings)
    digest = write_card(folder, name="extractor", version=folder.name, training=settings, **described).digest
    if digest == known_digest:
        shutil.rmtree(folder)
    return digest


def _write_images_learnt(training: CaptionerTraining, folder: Path) -> None:
    """Write which images the captioner of a folder has learnt, now and before."""
    learnt = hashes_of_files(image.path for image in training.train_images).values()
    before = training.begun_with.trained_on if training.begun_with else frozenset()
    write_trained_on(folder, [*map(prefix_of, learnt), *before])


def _by_text(tried: Mapping[float, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {str(value): figures for value, figures in tried.items()}


def _by_data_set(captions: Mapping[int, Sequence[str]], images: Sequence[CaptionedImage]) -> dict[str, Any]:
    """Figures for each of several data sets, numbered from 1 as they were given; nothing where there is one only."""
    sets = rows_by_source(images)
    if len(sets) == 1:
        return {}
    return {
        f"dev_of_data_set_{number}": {
            "images": len(rows),
            **{
                search_name(beam): score([texts[row] for row in rows], [images[row].captions for row in rows])
                for beam, texts in captions.items()
            },
        }
        for number, rows in enumerate(sets, start=1)
    }


def fit_estimates(captioner: Captioner, cache: FeatureCache) -> tuple[dict[str, Confidence], dict[str, Any]]:
    """The captions' confidence by kind of search, and how well each tells good captions of the dev images from bad."""
    estimates: dict[str, Confidence] = {}
    told: dict[str, Any] = {}
    for search, beam in ((GREEDY, 1), (BEAM, 3)):
        found = [one for shard in range(cache.shards) for one in captioner.candidates(cache.read(shard), beam=beam)]
        best = [candidates.ranked(captioner.options)[0] for candidates in found]
        texts = [
            sentence(tuple(captioner.vocabulary.decode(candidates.words[index])))
            for candidates, index in zip(found, best, strict=True)
        ]
        quality = np.empty(len(texts))
        sets = rows_by_source(cache.images)
        for rows in sets:
            quality[rows] = cider_of_each([texts[row] for row in rows], [cache.images[row].captions for row in rows])
        estimates[search], told[search] = fit_confidence(found, best, quality, sets)
        log.info("confidence of %s captions: %s", search, told[search])
    return estimates, told


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
