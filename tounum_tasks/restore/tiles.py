"""Pages in tiles with a margin, so that memory does not grow with the page."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Tile:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` (exclusive) of a page."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, page: np.ndarray) -> np.ndarray:
        """Return the view of a page that the tile covers."""
        return page[self.top : self.bottom, self.left : self.right]

    def with_margin(self, page: np.ndarray, margin: int) -> np.ndarray:
        """Return the tile with ``margin`` pixels around it, mirrored where the page ends."""
        height, width = page.shape[:2]
        above, below = max(margin - self.top, 0), max(self.bottom + margin - height, 0)
        before, after = max(margin - self.left, 0), max(self.right + margin - width, 0)
        # Where the page ends, as many pixels are needed inside as are mirrored outside.
        first_row = max(min(self.top - margin, height - below), 0)
        last_row = min(max(self.bottom + margin, above), height)
        first_column = max(min(self.left - margin, width - after), 0)
        last_column = min(max(self.right + margin, before), width)
        padded = cv2.copyMakeBorder(
            page[first_row:last_row, first_column:last_column], above, below, before, after, cv2.BORDER_REFLECT
        )
        row, column = self.top - margin + above - first_row, self.left - margin + before - first_column
        rows, columns = self.bottom - self.top + 2 * margin, self.right - self.left + 2 * margin
        return padded[row : row + rows, column : column + columns]


def tiles(page: np.ndarray, side: int) -> Iterator[Tile]:
    """Yield tiles of at most ``side`` x ``side`` pixels that cover a page, row by row."""
    height, width = page.shape[:2]
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield Tile(top, min(top + side, height), left, min(left + side, width))
