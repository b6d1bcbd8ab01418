"""Plots as inline SVG: they follow the page's light or dark colours, print well, and need no library to look at.

All text in them is the program's own; no name of a file or folder is ever drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tounum_tasks.pages.wording import quantity

_WIDTH, _HEIGHT = 440, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 44
_BINS = 28


class _Axis:
    """Maps values to pixels, on a linear or a logarithmic scale that covers ``values``."""

    def __init__(self, values: NDArray[np.float64], start: float, end: float, *, log: bool) -> None:
        self.log = log
        self._start, self._end = start, end
        if log:
            self.low = max(float(values.min()), 0.1)
            self.high = max(float(values.max()), self.low * 10)
        else:
            self.low, self.high = 0.0, max(float(values.max()), 1.0)

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``values`` as shares of the axis, 0 to 1."""
        clipped = np.clip(values, self.low, self.high)
        if self.log:
            return np.log(clipped / self.low) / math.log(self.high / self.low)
        return (clipped - self.low) / (self.high - self.low)

    def pixel(self, value: float) -> float:
        share = float(self.scaled(np.array([value]))[0])
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high))
            steps = (1,) if last - first > 3 else (1, 2, 5)
            marks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            return [mark for mark in marks if self.low <= mark <= self.high]
        step = 10.0 ** math.floor(math.log10(self.high))
        step = next(step * part for part in (1, 0.5, 0.2, 0.1) if self.high / (step * part) >= 3)
        return [number * step for number in range(int(self.high / step) + 1)]


@dataclass(frozen=True)
class Plot:
    """A plot and its title."""

    title: str
    svg: Markup


def distribution(before: NDArray[np.float64], after: NDArray[np.float64], *, title: str, unit: str, log: bool) -> Plot:
    """Draw how many images have which value: before upwards, after downwards, with their medians.

    Args:
        before: values of the images before enhancement, at least one.
        after: the same after enhancement, at least one.
    """
    axis = _Axis(np.concatenate([before, after]), _LEFT, _WIDTH - _RIGHT, log=log)
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    half = (_HEIGHT - _BOTTOM - _TOP) / 2 - 16
    edges = np.linspace(0, 1, _BINS + 1)
    heights = [np.histogram(axis.scaled(values), edges)[0] for values in (before, after)]
    most = max(int(heights[0].max()), int(heights[1].max()), 1)
    step = (_WIDTH - _RIGHT - _LEFT) / _BINS
    parts = [*_value_ticks(axis, vertical_lines_from=_TOP)]
    for name, numbers, direction in (("before", heights[0], -1), ("after", heights[1], 1)):
        for index, number in enumerate(numbers):
            if number:
                size = float(number) / most * half
                top = middle - size if direction < 0 else middle
                parts.append(
                    f'<rect class="{name}" x="{_LEFT + index * step + 0.5:.1f}" y="{top:.1f}" '
                    f'width="{step - 1:.1f}" height="{size:.1f}"/>'
                )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{middle}" y2="{middle}"/>')
    for y, number in ((middle - half, most), (middle, 0), (middle + half, most)):
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number:,}</text>')
    for name, values, direction in (("before", before, -1), ("after", after, 1)):
        median = float(np.median(values))
        x, end = axis.pixel(median), middle + direction * (half + 4)
        anchor = "end" if x > _WIDTH * 0.6 else "start"
        label_y = _TOP + 4 if direction < 0 else _HEIGHT - _BOTTOM - 2
        shift = -5 if anchor == "end" else 5
        parts.append(
            f'<line class="median {name}" x1="{x:.1f}" x2="{x:.1f}" y1="{middle}" y2="{end:.1f}"/>'
            f'<text class="value {name}" x="{x + shift:.1f}" y="{label_y + 4}" text-anchor="{anchor}">'
            f"{name}: median {quantity(median)}</text>"
        )
    parts.append(_unit(unit))
    description = (
        f"{title}. Before: {_in_words(before)}. After: {_in_words(after)}. Bars upwards count images before, bars "
        f"downwards after enhancement; the longest bar is {most} images."
    )
    return _plot(parts, title, description)


def change(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    labels: Sequence[str | None],
    *,
    title: str,
    unit: str,
    log: bool,
    better: str,
) -> Plot:
    """Draw one point per changed image: value before to the right, value after upwards, coloured by class.

    Args:
        before, after: values of the same images, at least one.
        labels: their classes.
        better: ``above`` or ``below``, the side of the diagonal on which a change is an improvement.
    """
    both = np.concatenate([before, after])
    across = _Axis(both, _LEFT, _WIDTH - _RIGHT, log=log)
    up = _Axis(both, _HEIGHT - _BOTTOM, _TOP, log=log)
    bottom = _HEIGHT - _BOTTOM
    area = (
        f"{_LEFT},{bottom} {_LEFT},{_TOP} {_WIDTH - _RIGHT},{_TOP}"
        if better == "above"
        else f"{_LEFT},{bottom} {_WIDTH - _RIGHT},{bottom} {_WIDTH - _RIGHT},{_TOP}"
    )
    parts = [f'<polygon class="better" points="{area}"/>', *_value_ticks(across, vertical_lines_from=_TOP)]
    for tick in up.ticks():
        y = up.pixel(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>'
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{_TOP}"/>')
    for x, y, label in zip(before, after, labels, strict=True):
        kind = f"class-{label.lower()}" if label else "class-none"
        parts.append(f'<circle class="{kind}" cx="{across.pixel(x):.1f}" cy="{up.pixel(y):.1f}" r="3.5"/>')
    x, y, anchor = (_LEFT + 8, _TOP + 16, "start") if better == "above" else (_WIDTH - _RIGHT - 8, bottom - 8, "end")
    word = "sharper after" if better == "above" else "less noise after"
    parts.append(f'<text class="note" x="{x}" y="{y}" text-anchor="{anchor}">{word}</text>')
    parts.append(_unit(f"before; upwards: after ({unit})"))
    good = int(np.sum(after > before) if better == "above" else np.sum(after < before))
    description = f"{title}: of {len(before)} changed images shown, {good} lie on the side '{word} enhancement'."
    return _plot(parts, title, description)


def _value_ticks(axis: _Axis, *, vertical_lines_from: float) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    return [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{vertical_lines_from}" y2="{bottom}"/>'
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_short(tick)}</text>'
        for tick in axis.ticks()
        for x in [axis.pixel(tick)]
    ]


def _unit(text: str) -> str:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return f'<text class="unit" x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{text}</text>'


def _short(value: float) -> str:
    if value >= 1_000_000:
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def _in_words(values: NDArray[np.float64]) -> str:
    low, middle, high = (quantity(float(value)) for value in np.quantile(values, (0, 0.5, 1)))
    return f"{len(values)} images from {low} to {high}, median {middle}"


def _plot(parts: list[str], title: str, description: str) -> Plot:
    svg = Markup(
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}. {description}">'
        f"{''.join(parts)}</svg>"
    )
    return Plot(title, svg)
