"""Copies that broke off and were filled up with zeros, in formats that have no checksum.

Programs that copy allocate the whole file first; when the connection breaks, the rest of it stays zeros. In raw
pixels that is a black end (white where zero means white), which looks like a picture. What tells it from a picture with
a black end is that it begins in the middle of a row:

- in the order of the file, the last pixel that is not zero lies left of 98 % of the row;
- of the rows just above, at least 90 % of the pixels right of that column are not zero, and of the cut row left of it;
- neither the rows just above fade, nor the cut row towards its end (a black edge that is tilted by a hair does).

A cut at the very end of a row cannot be told from a black border.

On paper that is zero itself (drawings where zero means white), a cut shows only where it goes through strokes: all that
cross the row above it end there at full strength right of the cut, and a row lower left of it. That proves something
where the other strokes of the page fade at their ends, as those do that were scanned, photographed or drawn smoothly;
in pages of two values, and in diagrams on whole pixels, strokes may end so by themselves.

Where the pixels lie in tiles, the end begins in the middle of a tile or between two of them. Its edge then runs along
the edges of tiles, in steps, as that of no picture does: all along it, the pixels on the other side are not zero and do
not fade. A cut at the very end of a row of tiles cannot be told.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_LAST_COLUMN = 0.98
_FILLED = 0.90
_ROWS_ABOVE = 4
_FADED = 0.5
_TAIL = 0.05  # of a row, in which a fading edge would show
_STRONG = 1 / 8  # of the strongest ink
_KEPT = 0.8  # strength of a stroke that does not fade, over that of the row above
_MIN_STROKES, _MIN_STROKES_RIGHT = 4, 2
_MIN_ENDS, _MOST_SHARP_ENDS = 20, 0.2  # of strokes above the cut
MIN_ZERO_BYTES = 64  # at the end of coded pixels
_MIN_ZERO_PIXELS = 64  # at the end of tiles: the darkest corners of pictures are smaller
_MIN_STEPS = 16  # pixels of an edge that no picture has

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
    is_cut = is_filled and not _fades(cut, column, above)
    return (last, column) if is_cut or _breaks_strokes(row, last, column) else None


def _breaks_strokes(row: Row, last: int, column: int) -> bool:
    """Whether strokes that would fade at their ends all end at full strength where the pixels turn to zeros."""
    if last < _ROWS_ABOVE - 1:
        return False
    cut, first, second, third = (_brightness(row(last - up)) for up in range(4))
    strong = _STRONG * first.max()
    left = _strokes(cut[:column], first[:column], second[:column], strong)
    right = _strokes(first[column:], second[column:], third[column:], strong)
    if not any(left) or sum(right) < _MIN_STROKES_RIGHT or sum(left) + sum(right) < _MIN_STROKES:
        return False
    return bool(min(np.mean(left), np.mean(right)) >= _FILLED) and _ends_softly(row, last - 1, strong)


def _strokes(
    below: NDArray[np.float64], line: NDArray[np.float64], above: NDArray[np.float64], strong: float
) -> list[bool]:
    """Return for each strong stroke that comes down to a line whether it reaches the row below without fading."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line > 0, [0]])))
    reaching = []
    for start, end in edges.reshape(-1, 2):
        around = slice(max(start - 1, 0), end + 1)
        strength = line[start:end].max()
        if min(strength, above[around].max()) >= strong:
            reaching.append(bool(below[around].max() >= _KEPT * strength))
    return reaching


def _ends_softly(row: Row, rows: int, strong: float) -> bool:
    """Whether most of the strokes in so many rows fade before they end."""
    ends = sharp_ends = 0
    above, line = _brightness(row(0)), _brightness(row(1))
    for number in range(2, rows):
        below = _brightness(row(number))
        is_end = (above >= strong) & (line > 0) & (below == 0)
        ends += int(np.count_nonzero(is_end))
        sharp_ends += int(np.count_nonzero(is_end & (line >= np.maximum(strong, _KEPT * above))))
        above, line = line, below
    return ends >= _MIN_ENDS and sharp_ends <= _MOST_SHARP_ENDS * ends


def cut_in_tiles(tiles: Sequence[NDArray[np.generic]], across: int) -> tuple[int, int, int] | None:
    """Return (tile, row, column) at which a raster in tiles turns to zeros, None if it does not.

    Args:
        tiles: their samples, HxW or HxWxC, by rows of tiles, without what reaches beyond the raster.
        across: how many tiles make up a row.
    """
    last = next((number for number in range(len(tiles) - 1, -1, -1) if tiles[number].any()), None)
    if last is None:
        return None
    row, column = _behind_the_last(tiles[last])
    found = cut_in_rows(tiles[last].__getitem__, len(tiles[last]))
    if found is None and not _is_stepped_edge(tiles, across, last, row, column):
        return None
    return (last, row, column)


def _behind_the_last(tile: NDArray[np.generic]) -> tuple[int, int]:
    """Return the row of the last sample that is not zero, and the column behind it."""
    rows, columns = np.nonzero(np.any(tile.reshape(*tile.shape[:2], -1), axis=-1))
    return int(rows[-1]), int(columns[-1]) + 1


def _is_stepped_edge(tiles: Sequence[NDArray[np.generic]], across: int, last: int, row: int, column: int) -> bool:
    """Whether zeros begin at a place of the tile ``last`` along an edge in steps, with a picture on its other side."""
    down, right = divmod(last, across)
    height, width = tiles[last].shape[:2]
    zeros = (height - row) * width - column + sum(tile.shape[0] * tile.shape[1] for tile in tiles[last + 1 :])
    if zeros < _MIN_ZERO_PIXELS:
        return False
    above = [np.concatenate(tiles[(down - 1) * across : down * across], axis=1)] if down else []
    band = np.concatenate([*above, np.concatenate(tiles[down * across : (down + 1) * across], axis=1)])
    top, left = len(band) - height, sum(tile.shape[1] for tile in tiles[down * across : last])
    corner, end = left + column, left + width

    # The edge: the lower sides of what is left of the cut and of what is right of it, and the right sides of two tiles.
    lower = [(len(band) - 1, x) for x in range(left)] if last + across - right < len(tiles) else []
    lower += [(top + row, x) for x in range(left, corner)] if row < height - 1 or lower else []
    upper = [(top + row - 1, x) for x in range(corner, end)] + [(top - 1, x) for x in range(end, band.shape[1])]
    sides = [(y, left - 1) for y in range(top + row + 1, len(band))] if right else []
    sides += [(y, end - 1) for y in range(top, top + row)] if right < across - 1 else []
    upper, lower = ([(y, x) for y, x in part if y >= _ROWS_ABOVE - 1] for part in (upper, lower))
    if len(upper) + len(sides) < _MIN_STEPS:
        return False
    return _is_filled(band, upper, sides) and _is_filled(band, upper + lower, sides)


def _is_filled(band: NDArray[np.generic], below: list[tuple[int, int]], beside: list[tuple[int, int]]) -> bool:
    """Whether a picture reaches an edge: given are the (row, column) of pixels that it lies below, and beside."""
    ys, xs = np.array(below + beside).T
    inwards = np.arange(len(ys)) < len(below)
    depths = [
        _brightness(band[np.where(inwards, ys - depth, ys), np.where(inwards, xs, np.maximum(xs - depth, 0))])
        for depth in range(_ROWS_ABOVE)
    ]
    are_filled = all(np.mean(line != 0) >= _FILLED for line in depths)
    return are_filled and bool(depths[0].mean() >= _FADED * depths[-1].mean())


def _fades(cut: NDArray[np.float64], column: int, above: list[NDArray[np.float64]]) -> bool:
    """Whether the picture grows dark towards the cut, as at an edge and unlike at a cut."""
    means = [line[column:].mean() for line in above]
    if means[0] < _FADED * means[-1]:
        return True
    tail = slice(max(0, column - max(4, int(_TAIL * len(cut)))), column)
    return bool(cut[tail].mean() < _FADED * above[0][tail].mean())


def _brightness(row: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return one number per pixel, 0 only if all its samples are: what is no number is not zero."""
    values = row if row.dtype.kind == "u" else np.abs(np.nan_to_num(row.astype(np.float64), nan=1.0))
    return values.astype(np.float64) if values.ndim == 1 else np.asarray(values.sum(axis=-1, dtype=np.float64))


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
    if zeros < MIN_ZERO_BYTES or zeros * 50 < len(coded) or len(coded) * 50 < pixels:
        return None
    return round(zeros / len(coded), 4)


def share_of_coded(parts: Iterable[bytes]) -> float | None:
    """Return the share, 0..1, of coded bytes that is zeros at their end, None if those are too few.

    Coders for TIFF pages, however plain, end in a marker, a checksum or a code that is not zero.

    Args:
        parts: strips or tiles as they are coded, from the last one of the file.
    """
    zeros = whole = 0
    is_end = True
    for part in parts:
        content = part.rstrip(b"\0") if is_end else part
        zeros += len(part) - len(content)
        whole += len(part)
        is_end = not content
    if zeros < MIN_ZERO_BYTES:
        return None
    return max(round(zeros / whole, 4), 0.0001)
