"""A camera's raw file, drawn: a DNG that holds what a sensor behind a Bayer filter would have seen of a picture."""

from io import BytesIO

import numpy as np
import tifffile
from numpy.typing import NDArray

WHITE = 16_383  # 14 bits
_CFA = 32_803
# From CIE XYZ to the colours of a sensor that sees as sRGB is defined (IEC 61966-2-1), in ten-thousandths.
_FROM_XYZ = (32_405, -15_371, -4_985, -9_693, 18_760, 416, 556, -2_040, 10_572)
_DAYLIGHT = 21  # D65


def dng(rgb: NDArray[np.uint8], *, preview: NDArray[np.uint8], orientation: int = 1) -> bytes:
    """Return a DNG 1.4 of uint8 HxWx3 sRGB pixels (both sides even), with a smaller picture embedded as cameras do.

    Args:
        rgb: what lies in the file; whoever reads it turns it by ``orientation``.
        preview: uint8 HxWx3, any picture.
        orientation: EXIF orientation, 1 to 8.
    """
    # (tag, type, count, value, whether it is written once); DNG 1.4 specification, chapter 4.
    about_file = [
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Drawn camera", True),  # UniqueCameraModel
        (50721, "2i", 9, _fractions(_FROM_XYZ, 10_000), True),  # ColorMatrix1
        (50728, "2I", 3, _fractions((1, 1, 1), 1), True),  # AsShotNeutral
        (50778, "H", 1, _DAYLIGHT, True),  # CalibrationIlluminant1
        (274, "H", 1, orientation, True),
        (271, "s", 0, "TouNum", True),
        (272, "s", 0, "Drawn camera", True),
    ]
    about_sensor = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern: red, green, green, blue
        (50717, "H", 1, WHITE, True),  # WhiteLevel
    ]
    out = BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(preview, photometric="rgb", subfiletype=1, subifds=1, metadata=None, extratags=about_file)
        file.write(_behind_filter(rgb), photometric=_CFA, subfiletype=0, metadata=None, extratags=about_sensor)
    return out.getvalue()


def _behind_filter(rgb: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return what each element of the sensor sees of one colour, in linear light up to ``WHITE``."""
    levels = rgb / 255
    light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    seen = light[..., 1].copy()
    seen[::2, ::2] = light[::2, ::2, 0]
    seen[1::2, 1::2] = light[1::2, 1::2, 2]
    return np.round(seen * WHITE).astype(np.uint16)


def _fractions(numbers: tuple[int, ...], denominator: int) -> tuple[int, ...]:
    return tuple(part for number in numbers for part in (number, denominator))
