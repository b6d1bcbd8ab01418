"""How a captioner is to search for captions, and which of those that it finds it is to choose: tried on dev images."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tounum_tasks.caption.captioner import Candidates, Captioner, SearchOptions, sentence
from tounum_tasks.caption.metrics import CiderD, bleu_counts, bleu_of_counts
from tounum_tasks.caption.vocabulary import Vocabulary
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.evaluation.captioner import plain_words, rows_by_source
from tounum_tasks.training.mixture import merit

LENGTH_POWERS = (0.0, 0.5, 0.8, 1.1, 1.4, 1.7)
JUDGEMENTS = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
RARITIES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
SEARCH_RARITIES = (0.0, 0.1, 0.2)
log = logging.getLogger(__name__)

Figures = dict[str, float]


def choose_search(captioner: Captioner, cache: FeatureCache) -> tuple[SearchOptions, dict[str, Any]]:
    """The best way to search for captions and to choose among them, by :func:`~tounum_tasks.training.mixture.merit`.

    That is how much long captions are preferred, and how much the captioner's judge and rare words have to say. All
    ways choose from the same captions of the dev images, which are looked for with and without a preference for rare
    words.

    Returns:
        the best options, and for the card the figures for every say of the judge and of rare words, with the others as
        they are best.
    """
    tried: dict[SearchOptions, Figures] = {}
    for search_rarity in SEARCH_RARITIES:
        searching = captioner.with_options(replace(captioner.options, search_rarity=search_rarity))
        tried |= _ways_tried(searching, cache)
        if not max(tried, key=lambda way: merit(tried[way])).judgement:
            break  # it is the judge who knows what is rare
    best = max(tried, key=lambda way: merit(tried[way]))
    log.info("%s: BLEU-4 %.4f, CIDEr %.4f, %d words", best, *tried[best].values())
    tables: dict[str, Any] = {
        f"dev_by_{name}": {
            str(getattr(way, name)): figures
            for way, figures in tried.items()
            if replace(way, **{name: getattr(best, name)}) == best
        }
        for name in ("judgement", "rarity", "search_rarity")
    }
    return best, tables


def _ways_tried(captioner: Captioner, cache: FeatureCache) -> dict[SearchOptions, Figures]:
    """The figures of all ways to choose among the captions that one search finds."""
    found = [one for shard in range(cache.shards) for one in captioner.candidates(cache.read(shard), beam=3)]
    scored = ScoredCandidates(found, cache.images, captioner.vocabulary)
    says = [(judgement, rarity) for judgement in JUDGEMENTS for rarity in RARITIES if judgement or not rarity]
    ways = [
        replace(captioner.options, length_power=power, judgement=judgement, rarity=rarity)
        for power, (judgement, rarity) in itertools.product(LENGTH_POWERS, says)
    ]
    return {way: scored.figures(way) for way in ways}


class ScoredCandidates:
    """What a search found of some images, each caption scored once for all ways to choose among them."""

    def __init__(self, found: Sequence[Candidates], images: Sequence[CaptionedImage], vocabulary: Vocabulary) -> None:
        """``found``: of each of the images, in their order."""
        self._found = found
        self._sets = rows_by_source(images)
        self._said = [
            plain_words([sentence(tuple(vocabulary.decode(words))) for words in candidates.words])
            for candidates in found
        ]
        self._cider: dict[int, list[float]] = {}
        self._counts: dict[int, np.ndarray] = {}
        for rows in self._sets:
            known = [plain_words(images[row].captions) for row in rows]
            scorer = CiderD(known)
            for place, (row, references) in enumerate(zip(rows, known, strict=True)):
                self._cider[row] = [scorer.score(place, words) for words in self._said[row]]
                self._counts[row] = np.array([bleu_counts(words, references) for words in self._said[row]])

    def figures(self, way: SearchOptions) -> Figures:
        """BLEU-4 and CIDEr of the captions that are chosen, the mean over the data sets, and the words used in all."""
        chosen = [candidates.ranked(way)[0] for candidates in self._found]
        by_set = [
            {
                "bleu_4": bleu_of_counts(sum(self._counts[row][chosen[row]] for row in rows).tolist())[-1],
                "cider": sum(self._cider[row][chosen[row]] for row in rows) / len(rows),
            }
            for rows in self._sets
        ]
        figures = _mean(by_set)
        words = {word for said, index in zip(self._said, chosen, strict=True) for word in said[index]}
        return {**figures, "vocabulary_used": len(words)}


def _mean(figures: Sequence[Mapping[str, float]]) -> Figures:
    return {name: round(sum(one[name] for one in figures) / len(figures), 4) for name in figures[0]}
