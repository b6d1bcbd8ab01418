"""How well the confidence of captions tells good ones from bad, and what a limit for review would flag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

LIMITS = (0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.35, 0.4)
BAD_BELOW = 0.2
"""A caption with a lower CIDEr shares hardly a word with what people say of its image."""


def told_apart(estimated: NDArray[np.float64], quality: NDArray[np.float64]) -> dict[str, float | None]:
    """Return how well estimates tell good captions from bad.

    Args:
        estimated: of each caption, in any unit.
        quality: its CIDEr, 0 to 10.

    Returns:
        ``rank_correlation`` (Spearman) of both, None where all estimates or all captions are alike, and
        ``better_half`` and ``other_half``, the mean CIDEr of the captions by their estimates, the former None if there
        is only one.
    """
    is_known = np.ptp(estimated) > 0 and np.ptp(quality) > 0
    order = np.argsort(-estimated, kind="stable")
    half = len(order) // 2
    return {
        "rank_correlation": round(float(spearmanr(estimated, quality).statistic), 4) if is_known else None,
        "better_half": round(float(quality[order[:half]].mean()), 4) if half else None,
        "other_half": round(float(quality[order[half:]].mean()), 4),
    }


def by_limit(estimated: NDArray[np.float64], quality: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return what each of some limits for review would do.

    Args:
        estimated: confidence of each caption, 0 to 1.
        quality: its CIDEr, 0 to 10.

    Returns:
        for each ``limit`` the share of the captions ``in_review``, the share of the bad ones that is
        (``bad_in_review``, None without bad ones), and the mean CIDEr of those in review and of the others
        (``cider_in_review``, ``cider_of_others``, None where there is none).
    """
    is_bad = quality < BAD_BELOW

    def mean(values: NDArray[Any]) -> float | None:
        return round(float(values.mean()), 4) if values.size else None

    found = []
    for limit in LIMITS:
        doubted = estimated < limit
        found.append(
            {
                "limit": limit,
                "in_review": mean(doubted),
                "bad_in_review": mean(doubted[is_bad]),
                "cider_in_review": mean(quality[doubted]),
                "cider_of_others": mean(quality[~doubted]),
            }
        )
    return found
