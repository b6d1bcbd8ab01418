"""The curve of a training: a table with a row for each measurement."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tounum_tasks.files import whole_file

WORDS = ("phase",)  # columns that hold no figures


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write the rows as CSV.

    Args:
        columns: in this order; if none are given, all that any row has, in the order of their first mention.
    """
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    with whole_file(path) as staged, staged.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_curve(path: Path) -> list[dict[str, str]]:
    """Return the rows of a curve, none if there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def figures_of(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return a curve as a model's card holds it: the figures of each row, without words and empty cells."""
    told = ({name: float(value) for name, value in row.items() if name not in WORDS and value != ""} for row in rows)
    return [{name: value for name, value in row.items() if math.isfinite(value)} for row in told]
