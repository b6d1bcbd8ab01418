"""What files say of the size of their pixels, and pixels that are made square.

Fax machines, microfilm scanners and old sheet feeders deliver pixels that are twice as high as wide. Whoever shows them
as they lie shows a squashed page, so the axis with fewer dots is resampled to the dots of the other.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_CENTIMETRES = 3
_SQUARE = 1.01  # 118 dots per centimetre beside 300 per inch: that is rounding
_MOST = 5.0  # fax has 408 x 98 at most; more is a tag that nobody filled in


@dataclass(frozen=True)
class Resolution:
    """Dots along the rows (``x``) and columns (``y``) of a picture as it is stored, before it is turned upright.

    Attributes:
        x: greater than 0.
        y: greater than 0.
        per_inch: False if the file gives nothing but how ``x`` relates to ``y``.
    """

    x: float
    y: float
    per_inch: bool = True

    @property
    def dpi_x(self) -> float | None:
        """Dots per inch along the rows."""
        return round(self.x, 2) if self.per_inch else None

    @property
    def dpi_y(self) -> float | None:
        """Dots per inch along the columns."""
        return round(self.y, 2) if self.per_inch else None

    @property
    def dpi(self) -> float | None:
        """Dots per inch of the square pixels."""
        if not self.per_inch:
            return None
        return round(self.x if self.stretch == (1.0, 1.0) else max(self.x, self.y), 2)

    @property
    def stretch(self) -> tuple[float, float]:
        """By what the width and the height must grow for square pixels; one of both is 1."""
        most = max(self.x, self.y)
        width, height = most / self.x, most / self.y
        return (width, height) if _SQUARE < max(width, height) <= _MOST else (1.0, 1.0)

    def square_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) in square pixels of a picture of ``width`` x ``height`` stored pixels."""
        across, down = self.stretch
        return round(width * across), round(height * down)


def made_square(rgb: NDArray[np.uint8], resolution: Resolution | None, orientation: int | None) -> NDArray[np.uint8]:
    """Return uint8 HxWx3 pixels, upright already, resampled (bicubic) along one axis so that they are square.

    Args:
        resolution: of the picture as it is stored.
        orientation: 1 to 8, by which the picture was turned upright.
    """
    if resolution is None or resolution.stretch == (1.0, 1.0):
        return rgb
    height, width = rgb.shape[:2]
    if orientation in (5, 6, 7, 8):
        size = resolution.square_size(height, width)[::-1]
    else:
        size = resolution.square_size(width, height)
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))


def in_dpi(x: float | None, y: float | None) -> Resolution | None:
    """Return a resolution in dots per inch; None if ``x`` is nothing that a scanner or printer could mean.

    A ``y`` that is missing, or that nobody could mean, is taken for ``x``.
    """
    if not _is_plausible(x):
        return None
    assert x is not None
    return Resolution(float(x), float(y) if y is not None and _is_plausible(y) else float(x))


def in_ratio(x: float, y: float) -> Resolution | None:
    """Return the shape of pixels of which no size is known; None if they are square."""
    return Resolution(float(x), float(y), per_inch=False) if x > 0 and y > 0 and x != y else None


def of_picture(image: ImageFile.ImageFile, exif: Image.Exif) -> Resolution | None:
    """Return the resolution of a picture that Pillow has opened, None if the file gives none."""
    given = image.info.get("dpi")
    # Pillow's own answer is 72 for JPEG files that give none.
    if given and (image.format != "JPEG" or image.info.get("jfif_unit") in (1, 2)):
        found = in_dpi(*given)
        # Many programs wrote the size of the screen into PCX files: what differs is no resolution.
        return None if image.format == "PCX" and found and found.x != found.y else found
    ratio = image.info.get("aspect")  # of PNG files
    if image.format == "JPEG" and image.info.get("jfif_unit") == 0:
        ratio = image.info.get("jfif_density")
    return of_exif(exif) or (in_ratio(*ratio) if ratio else None)


def of_exif(exif: Image.Exif) -> Resolution | None:
    """Return the resolution that EXIF tags give, None if they give none."""
    scale = 2.54 if exif.get(_RESOLUTION_UNIT) == _CENTIMETRES else 1.0
    x, y = _number(exif.get(_X_RESOLUTION)), _number(exif.get(_Y_RESOLUTION))
    return in_dpi(x and x * scale, y and y * scale)


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _is_plausible(dpi: float | None) -> bool:
    return dpi is not None and isfinite(dpi) and 1 < dpi < 100_000
