"""HEIC files, decoded with libheif and libde265 (pi-heif) inside a decoder's process.

pi-heif is in the extra `formats`, so it is imported when it is needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits, hostile_input
from tounum_tasks.metadata.containers import Blocks


@dataclass(frozen=True)
class HeifPicture:
    """The primary picture of a file, upright.

    Attributes:
        samples: uint8 or uint16 HxW (grey), HxWx3 (RGB) or HxWx4 (RGBA); uint16 uses all of its range.
        bit_depth: bits of a sample in the file.
        premultiplied: whether colours are multiplied with their alpha.
        icc_profile: the embedded profile, or None.
        exif: tags, empty if there are none.
    """

    samples: NDArray[np.generic]
    bit_depth: int
    premultiplied: bool
    icc_profile: bytes | None
    exif: Image.Exif


def read(data: bytes, limits: ImageLimits) -> HeifPicture:
    """Decode the primary picture of a HEIF file.

    The boxes of the file say how it is to be turned and cropped, and libheif does so; an orientation in its EXIF block
    is a note (ISO/IEC 23008-12, annex A.2.1) and is not applied once more.

    Raises:
        ItemError: TOO_MANY_PIXELS, UNSUPPORTED if its pictures are not coded in HEVC.
        Exception: whatever pi-heif raises for damaged files.
    """
    import pi_heif

    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    pi_heif.options.DECODE_THREADS = 1  # several files are decoded at once
    try:
        image = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
        if not len(image):
            raise _without_hevc()
        limits.check_size(*image.size)
        samples = np.array(image)  # a copy: libheif takes its memory back with the image
    except (ValueError, SyntaxError, RuntimeError) as error:
        if "unsupported" in str(error).lower():
            raise _without_hevc() from error
        raise
    exif = _tags(image.info["exif"])
    return HeifPicture(samples, image.info["bit_depth"], image.premultiplied_alpha, image.info.get("icc_profile"), exif)


def metadata_blocks(data: bytes) -> Blocks:
    """Return the blocks of the primary picture; it is not decoded for them."""
    import pi_heif

    told = pi_heif.open_heif(data, convert_hdr_to_8bit=False).info
    exif, xmp = told.get("exif") or b"", told.get("xmp") or b""
    return Blocks(exif=exif.removeprefix(b"Exif\0\0"), xmp=xmp, has_profile=bool(told.get("icc_profile")))


def _tags(block: bytes | None) -> Image.Exif:
    """Return the tags of an EXIF block, empty if it is damaged: that costs nothing but its tags."""
    try:
        with hostile_input("EXIF"):
            exif = Image.Exif()
            exif.load(block or b"")
            return exif
    except ItemError:
        return Image.Exif()


def _without_hevc() -> ItemError:
    return ItemError(
        ErrorCode.UNSUPPORTED,
        "of HEIF files those with pictures in HEVC (HEIC) are read, and this one has none; convert it to TIFF or PNG",
    )
