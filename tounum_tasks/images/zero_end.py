"""Copies that broke off and were filled up with zeros, in formats that have no checksum.

Programs that copy allocate the whole file first; when the connection breaks, the rest of it stays zeros. In raw
pixels that is a
black end (white where zero means white), which looks like a picture. What tells it from a picture with a black end is
that it
begins in the middle of a row:

- in the order of the file, the last pixel that is not zero lies left of 98 % of the row;
- of the rows just above, at least 90 % of the pixels right of that column are not zero, and of the cut row left of it;
- neither the rows just above fade, nor the cut row towards its end (a black edge that is tilted by a hair does).

A cut at the very end of a row cannot be told from a black border.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_LAST_COLUMN = 0.98
_FILLED = 0.90
_ROWS_ABOVE = 4
_FADED = 0.5
_TAIL = 0.05  # of a row, in which a fading edge would show
_MIN_ZERO_BYTES = 64  # at the end of coded pixels

Row = Callable[[int], NDArray[np.generic]]


def cut_in_rows(row: Row, rows: int) -> tuple[int, int] | None:
    """Return (row, column) at which a raster of ``rows`` rows in the order of the file turns to zeros, None if it
    does not.

    Args:
        row: returns the samples of a row by its number, W or WxC.
        rows: how many there are.
    """
    last = next((number for number in range(rows - 1, -1, -1) if row(number).any()), None)
    if last is None or last == 0:
        return None
    cut = _brightness(row(last))
    width = len(cut)
    column = int(np.flatnonzero(cut)[-1]) + 1  # the first that is zero
    if column > _LAST_COLUMN * width:
        return None
    above = [_brightness(row(number)) for number in range(last - 1, max(last - 1 - _ROWS_ABOVE, -1), -1)]
    is_filled = np.mean(cut[:column] != 0) >= _FILLED and all(np.mean(line[column:] != 0) >= _FILLED for line in above)
    return (last, column) if is_filled and not _fades(cut, column, above) else None


def _fades(cut: NDArray[np.float64], column: int, above: list[NDArray[np.float64]]) -> bool:
    """Whether the picture grows dark towards the cut, as at an edge and unlike at a cut."""
    means = [line[column:].mean() for line in above]
    if means[0] < _FADED * means[-1]:
        return True
    tail = slice(max(0, column - max(4, int(_TAIL * len(cut)))), column)
    return bool(cut[tail].mean() < _FADED * above[0][tail].mean())


def _brightness(row: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return one number per pixel, 0 only if all its samples are."""
    values = np.abs(np.nan_to_num(row.astype(np.float64)))
    return values if values.ndim == 1 else np.asarray(values.sum(axis=-1))


def share_of(cut: tuple[int, int] | None, rows: int, width: int) -> float | None:
    """Return the share, 0..1, of a raster of ``rows`` x ``width`` pixels that lies behind a cut."""
    return None if cut is None else round(1 - (cut[0] * width + cut[1]) / (rows * width), 4)


def zeros_behind(coded: bytes, pixels: int) -> float | None:
    """Return the share, 0..1, of the coded bytes of ``pixels`` pixels that is zeros at their end, None if a coder may
    write those.

    What an entropy coder writes looks like noise: 64 zero bytes in a row do not happen, but for plain pictures, which
    take
    next to no bytes. So the zeros must also be more than a fiftieth of the whole, and the whole more than a byte for
    50 pixels.
    """
    content = coded.rstrip(b"\0")
    zeros = len(coded) - len(content)
    if zeros < _MIN_ZERO_BYTES or zeros * 50 < len(coded) or len(coded) * 50 < pixels:
        return None
    return round(zeros / len(coded), 4)
