"""The captioner between what it was before the rewards and what they made of it.

Rewards sharpen a captioner for what its training images have in common: it says surer, shorter and more uniform
sentences, and each pass helps images that it has not seen a little less. Weights on the straight line between both
captioners often describe such images better than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot
models").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import SearchOptions
from tounum_tasks.caption.network import CaptionNetwork, set_weights
from tounum_tasks.caption.vocabulary import Vocabulary
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.evaluation.captioner import score_by_source
from tounum_tasks.training.captioner_model import captioner_of

WORTH_OF_WORDS = 0.05
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
log = logging.getLogger(__name__)


def merit(figures: Mapping[str, float]) -> float:
    """What settings are chosen by.

    BLEU-4 and CIDEr together, because a small difference of one alone is chance, and a little for the words used: a
    tenth more of them is worth half a hundredth of CIDEr.
    """
    return figures["bleu_4"] + figures["cider"] + WORTH_OF_WORDS * math.log(max(1, figures["vocabulary_used"]))


def mix(
    before: Mapping[str, NDArray[np.float32]], after: Mapping[str, NDArray[np.float32]], share: float
) -> dict[str, NDArray[np.float32]]:
    """Weights that lie the ``share`` (0 to 1) of the way from ``before`` to ``after``."""
    return {name: before[name] + np.float32(share) * (after[name] - before[name]) for name in after}


def try_shares(
    network: CaptionNetwork,
    before: Mapping[str, NDArray[np.float32]],
    vocabulary: Vocabulary,
    options: SearchOptions,
    cache: FeatureCache,
) -> dict[float, dict[str, float]]:
    """Gives the network the weights of the best mixture, by :func:`merit` with beam 3.

    Args:
        network: the rewarded one.
        before: its weights before the rewards.
        options: how captions are searched for.
        cache: features of the dev images.

    Returns:
        BLEU-4, CIDEr and words used for each share of the way that was tried.
    """
    after = network.weight_arrays()
    tried = {}
    for share in SHARES:
        set_weights(network, mix(before, after, share))
        captioner = captioner_of(network, vocabulary, options)
        captions = [caption.text for i in range(cache.shards) for caption in captioner.caption(cache.read(i), beam=3)]
        tried[share] = score_by_source(captions, cache.images)
        log.info("%.1f of the way to the rewarded captioner: BLEU-4 %.4f, CIDEr %.4f, %d words", share,
                 *tried[share].values())  # fmt: skip
    set_weights(network, mix(before, after, max(tried, key=lambda share: merit(tried[share]))))
    return tried
