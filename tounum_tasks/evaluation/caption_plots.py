"""The plot of an evaluation of captions, as inline SVG that follows the page's colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

_WIDTH, _HEIGHT = 440, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 34, 42
_BIN = 0.25


def cider_histogram(scores: Sequence[float]) -> Markup:
    """How many captions have which CIDEr, with the mean (the published figure) and the median marked.

    Args:
        scores: of every caption, 0 to 10, at least one.
    """
    values = np.asarray(scores, np.float64)
    bins = max(8, int(np.ceil(values.max() / _BIN + 1e-9)))
    counts, _ = np.histogram(values, bins=bins, range=(0, bins * _BIN))
    most = max(int(counts.max()), 1)
    bottom = _HEIGHT - _BOTTOM
    step = (_WIDTH - _LEFT - _RIGHT) / bins

    def pixel(value: float) -> float:
        return _LEFT + value / _BIN * step

    parts = []
    for mark in range(int(bins * _BIN) + 1):
        parts.append(f'<line class="grid" x1="{pixel(mark):.1f}" x2="{pixel(mark):.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{pixel(mark):.1f}" y="{bottom + 16}" text-anchor="middle">{mark}</text>')
    for index, number in enumerate(counts.tolist()):
        size = number / most * (bottom - _TOP)
        parts.append(
            f'<rect class="before" x="{_LEFT + index * step + 0.5:.1f}" y="{bottom - size:.1f}" '
            f'width="{step - 1:.1f}" height="{size:.1f}"/>'
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    parts += [
        f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{number:,}</text>'
        for y, number in ((_TOP, most), (bottom, 0))
    ]
    mean, median = float(values.mean()), float(np.median(values))
    for name, value, is_left in (("mean", mean, mean < median), ("median", median, median <= mean)):
        x, anchor, shift = f"{pixel(value):.1f}", "end" if is_left else "start", -4 if is_left else 4
        parts.append(f'<line class="median" x1="{x}" x2="{x}" y1="{_TOP - 24}" y2="{bottom}"/>')
        parts.append(
            f'<text class="value" x="{pixel(value) + shift:.1f}" y="{_TOP - 16}" text-anchor="{anchor}">{name}</text>'
        )
    label = f"Captions by their CIDEr: mean {mean:.2f}, median {median:.2f}"
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">CIDEr of one caption</text>')
    return Markup(
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )
