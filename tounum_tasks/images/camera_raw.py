"""Camera raw files, developed with LibRaw (rawpy) inside a decoder's process.

What is developed is what the sensor saw, never the picture that the camera embedded: with the white balance of the
camera, exposed as it was taken, in sRGB. rawpy is in the extra `formats`, so it is imported when it is needed.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import tiff_pages
from tounum_tasks.images.formats import camera_raw_name
from tounum_tasks.images.limits import ImageLimits

if TYPE_CHECKING:
    import rawpy

_SRGB_CURVE = (2.4, 12.92)  # power and slope of its straight part (IEC 61966-2-1)
# LibRaw counts turns and mirrors in bits of its own; the EXIF orientation of each.
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}


@dataclass(frozen=True)
class Developed:
    """A developed picture: uint8 HxWx3 sRGB, upright, and what its file says.

    Attributes:
        rgb: uint8 HxWx3, upright.
        colours: how many colours the sensor tells apart; 1 for a monochrome one.
        bit_depth: bits of a sample, by the largest that the camera gives.
        orientation: EXIF orientation by which ``rgb`` was turned, 1 to 8.
    """

    rgb: NDArray[np.uint8]
    colours: int
    bit_depth: int
    orientation: int


def check_size(data: bytes, limits: ImageLimits) -> None:
    """Read the header of a camera raw file; nothing is developed.

    Raises:
        ItemError: TOO_MANY_PIXELS, TRUNCATED, CORRUPT, UNSUPPORTED if LibRaw does not know the camera.
    """
    with _opened(data, limits):
        pass


def develop(data: bytes, limits: ImageLimits) -> Developed:
    """Develop a camera raw file.

    Raises:
        ItemError: as for ``check_size``.
    """
    import rawpy

    with _opened(data, limits) as raw:
        try:
            raw.unpack()
            rgb = raw.postprocess(
                use_camera_wb=True,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=_SRGB_CURVE,
                # No picture is made brighter than it was taken because nothing in it is bright.
                no_auto_bright=True,
                adjust_maximum_thr=0.0,
            )
        except rawpy.LibRawError as error:
            raise _refused(error, data) from error
        orientation = _ORIENTATIONS.get(raw.sizes.flip, 1)
        bit_depth = int(raw.white_level).bit_length()
        colours = raw.num_colors
    rgb = np.repeat(rgb, 3, axis=-1) if rgb.shape[-1] == 1 else rgb
    return Developed(np.ascontiguousarray(rgb), colours, bit_depth, orientation)


def _opened(data: bytes, limits: ImageLimits) -> "rawpy.RawPy":
    """Return a raw file whose header was read and is within the limits."""
    import rawpy

    tiff_pages.check_camera_raw(data)
    raw = rawpy.RawPy()
    try:
        raw.open_buffer(BytesIO(data))
    except rawpy.LibRawError as error:
        raise _refused(error, data) from error
    limits.check_size(raw.sizes.raw_width, raw.sizes.raw_height)
    limits.check_size(raw.sizes.iwidth, raw.sizes.iheight)
    return raw


def _refused(error: Exception, data: bytes) -> ItemError:
    import rawpy

    name = camera_raw_name(data)
    if isinstance(error, rawpy.LibRawFileUnsupportedError | rawpy.LibRawNotImplementedError):
        version = ".".join(map(str, rawpy.libraw_version))
        return ItemError(
            ErrorCode.UNSUPPORTED,
            f"LibRaw {version} does not read this camera raw ({name}); develop it to TIFF or PNG in a raw converter",
        )
    if isinstance(error, rawpy.LibRawIOError):
        return ItemError(ErrorCode.TRUNCATED, f"the camera raw file ({name}) ends before its picture does")
    if isinstance(error, rawpy.LibRawUnsufficientMemoryError | rawpy.LibRawTooBigError):
        return ItemError(
            ErrorCode.TOO_COSTLY, f"camera raw ({name}) that takes more memory than it may use; convert the file"
        )
    return ItemError(ErrorCode.CORRUPT, f"the camera raw data ({name}) cannot be decoded")
