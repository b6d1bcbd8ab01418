"""What decoding gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.images.formats import ImageFormat


@dataclass(frozen=True)
class DecodedImage:
    """One page, ready to be looked at.

    Attributes:
        rgb: uint8 HxWx3, C-contiguous, sRGB, upright, on white.
        format: format of the file.
        page: page of the file, from 1.
        colour_mode: how the file stores colours: bilevel, grey, grey_alpha, palette, rgb, rgb_alpha, cmyk or
            lab.
        bit_depth: bits per channel in the file.
        dpi: resolution of ``rgb``, whose pixels are square: as the file gives it (the larger of two that differ), or
            the one that a PDF page was rendered at; None if it gives none.
        exif_orientation: 1 to 8 as the file gives it (already applied to ``rgb``), or None.
        suspect_end: share of the page, 0..1, that is zeros up to the end of the pixel data where a copy seems to have
        broken
            off (see :mod:`~.zero_end`); None if nothing points to that.
        dpi_x: dots per inch along the rows of the picture as it is stored, before it is turned; None if the file
            gives none.
        dpi_y: the same along its columns.
    """

    rgb: NDArray[np.uint8]
    format: ImageFormat
    page: int
    colour_mode: str
    bit_depth: int
    dpi: float | None
    exif_orientation: int | None
    suspect_end: float | None = None
    dpi_x: float | None = None
    dpi_y: float | None = None

    @property
    def width_px(self) -> int:
        """Width of the upright page."""
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the upright page."""
        return int(self.rgb.shape[0])

    def facts(self) -> dict[str, Any]:
        """Return everything but the pixels."""
        return {name: value for name, value in vars(self).items() if name != "rgb"}
