"""How a training went, as small charts: the lines that a page draws of the curve in a version's card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 100, 40
# What is drawn in one box, and how each column of a curve is called there.
CHARTS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "Loss",
        {"training_loss": "training", "train_loss": "training", "validation_loss": "validation", "dev_loss": "dev"},
    ),
    ("Accuracy", {"training_accuracy": "training", "validation_accuracy": "validation"}),
    ("Reward", {"train_reward": "training"}),
    ("CIDEr", {"cider": "dev"}),
    ("BLEU-4", {"bleu_4": "dev"}),
    ("Error, grey levels", {"training_error": "training"}),
    ("Nearness to the original, dB", {"psnr": "restored", "psnr_untouched": "untouched"}),
)


@dataclass(frozen=True)
class Line:
    """One line: ``points`` as SVG wants them, and the values at its ends."""

    name: str
    points: str
    first: float
    last: float


@dataclass(frozen=True)
class Chart:
    """A box of :data:`WIDTH` x :data:`HEIGHT` with lines on one scale."""

    title: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """What is to be seen, in words."""
        ends = (f"{line.name} from {line.first:.4g} to {line.last:.4g}" for line in self.lines)
        return f"{self.title}: {', '.join(ends)}"


def charts_of(curve: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return the charts of a card's curve, none if there is nothing to be drawn.

    Args:
        curve: a row for each measurement, with the figures that were measured then.
    """
    charts = []
    for title, columns in CHARTS:
        found = {column: [row[column] for row in curve if column in row] for column in columns}
        values = [value for column in found.values() for value in column]
        if values:
            low, high = min(values), max(values)
            lines = (_line(columns[name], name, curve, low, high) for name, column in found.items() if column)
            charts.append(Chart(title, tuple(lines)))
    return charts


def _line(name: str, column: str, curve: Sequence[Mapping[str, Any]], low: float, high: float) -> Line:
    """One column; rows without a figure leave no gap, they are passed over."""
    across, up = WIDTH / max(len(curve) - 1, 1), (HEIGHT - 2) / ((high - low) or 1)
    drawn = [(number, row[column]) for number, row in enumerate(curve) if column in row]
    points = " ".join(f"{number * across:.1f},{HEIGHT - 1 - (value - low) * up:.1f}" for number, value in drawn)
    return Line(name, points, drawn[0][1], drawn[-1][1])
