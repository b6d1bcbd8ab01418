"""From the bytes of a file to the upright sRGB pixels of one page."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from math import isfinite

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import pdf, structure, tiff
from tounum_tasks.images.colour import To8Bit, ToSrgb, bands, on_white
from tounum_tasks.images.limits import ImageLimits, hostile_input
from tounum_tasks.images.pages import PILLOW_READERS, ImageFormat, detect_format, header_size

_ORIENTATION, _X_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 296

_CHECKS: dict[ImageFormat, Callable[[bytes], None]] = {
    ImageFormat.JPEG: structure.check_jpeg,
    ImageFormat.PNG: structure.check_png,
    ImageFormat.WEBP: structure.check_webp,
    ImageFormat.GIF: structure.check_gif,
    ImageFormat.JPEG2000: structure.check_jpeg2000,
}
_COLOUR_MODES = {
    "1": "bilevel", "L": "grey", "LA": "grey_alpha", "P": "palette", "PA": "palette", "RGB": "rgb", "RGBX":
    "rgb", "RGBA": "rgb_alpha", "CMYK": "cmyk", "YCbCr": "rgb", "LAB": "lab",
}  # fmt: skip
_PNG_MODES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgb_alpha"}
_TIFF_MODES = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb", 8: "lab"}


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
        dpi: resolution as the file gives it, or the one that a PDF page was rendered at; None if it gives
            none.
        exif_orientation: 1 to 8 as the file gives it (already applied to ``rgb``), or None.
    """

    rgb: NDArray[np.uint8]
    format: ImageFormat
    page: int
    colour_mode: str
    bit_depth: int
    dpi: float | None
    exif_orientation: int | None

    @property
    def width_px(self) -> int:
        """Width of the upright page."""
        return int(self.rgb.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the upright page."""
        return int(self.rgb.shape[0])


def decode(data: bytes, *, page: int = 1, limits: ImageLimits | None = None) -> DecodedImage:
    """Decode page ``page`` (from 1) of a file.

    Safe to be called from several threads; PDF pages are rendered one at a time.

    Args:
        data: the whole file.
        page: 1 but for TIFF and PDF files.
        limits: default limits if None.

    Raises:
        ItemError: EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PIXELS or
            TOO_MANY_PAGES.
    """
    limits = limits or ImageLimits()
    found = detect_format(data)
    with hostile_input(found):
        if found is ImageFormat.PDF:
            rendered = pdf.render(data, page, limits)
            return DecodedImage(rendered.rgb, found, page, "rgb", 8, round(rendered.dpi, 2), None)
        if found is ImageFormat.TIFF:
            return _decode_tiff(data, page, limits)
        if page != 1:
            raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
        limits.check_size(*header_size(data, found))
        if found in _CHECKS:
            _CHECKS[found](data)
        return _decode_single(data, found, limits)


def _decode_single(data: bytes, found: ImageFormat, limits: ImageLimits) -> DecodedImage:
    image = PILLOW_READERS[found](BytesIO(data))
    limits.check_size(*image.size)  # the first frame of a GIF may be larger than its header says
    exif = _exif(image)
    orientation = exif.get(_ORIENTATION)
    orientation = orientation if orientation in range(1, 9) else None
    profile = image.info.get("icc_profile")
    colour_mode, depth = _COLOUR_MODES.get(image.mode, image.mode), 1 if image.mode == "1" else 8
    deep = False
    if found is ImageFormat.PNG:
        depth, colour_mode = data[24], _PNG_MODES.get(data[25], colour_mode)
        deep = depth == 16
    elif found is ImageFormat.JPEG2000:
        components, depth = structure.jpeg2000_samples(data)
        profile = structure.jpeg2000_profile(data)
        deep = depth > 8 and components != 2  # OpenCV does not read grey with alpha
        colour_mode = "grey" if components == 1 else colour_mode
    dpi = _dpi(image, exif)
    if deep:
        samples, key = _opencv_samples(data), image.info.get("transparency")
        rgb = _deep_to_rgb(samples, profile)
        if samples.ndim == 2 and isinstance(key, int):  # one grey is declared transparent; OpenCV leaves that out
            rgb[samples == key] = 255
        del samples
    else:
        image.load()
        rgb = _pillow_to_rgb(image, profile)
        del image
    rgb = np.ascontiguousarray(tiff.upright(rgb, orientation))
    return DecodedImage(rgb, found, 1, colour_mode, depth, dpi, orientation)


def _decode_tiff(data: bytes, page: int, limits: ImageLimits) -> DecodedImage:
    offsets = tiff.page_offsets(data, limits)
    if not 1 <= page <= len(offsets):
        raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
    data = tiff.single_page(data, offsets[page - 1])
    header = tiff.read_header(data)
    limits.check_size(header.width, header.height)
    samples = tiff.read_deep(data, header) if header.is_deep else None
    if samples is not None:
        rgb = _deep_tiff_to_rgb(samples, header)
    else:
        rgb = _pillow_to_rgb(_load_tiff(data, header), header.icc_profile)
    colour_mode = _TIFF_MODES.get(header.photometric, "grey")
    if header.bits == 1 and colour_mode == "grey":
        colour_mode = "bilevel"
    elif header.has_alpha and colour_mode in ("grey", "rgb"):
        colour_mode += "_alpha"
    dpi = _plausible(header.dpi)
    return DecodedImage(
        np.ascontiguousarray(rgb), ImageFormat.TIFF, page, colour_mode, header.bits, dpi, header.orientation
    )


def _load_tiff(data: bytes, header: tiff.TiffHeader) -> ImageFile.ImageFile:
    """Let Pillow read a page; unlike for other formats, it turns the page upright itself."""
    try:
        image = PILLOW_READERS[ImageFormat.TIFF](BytesIO(data))
    except (SyntaxError, KeyError) as error:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"TIFF pages with {header.samples} samples of {header.bits} bits, photometric interpretation "
            f"{header.photometric} and compression {header.compression} are not read",
        ) from error
    image.load()
    return image


def _pillow_to_rgb(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    """Convert a loaded image to uint8 HxWx3 sRGB on white."""
    mode = _banded_mode(image)
    to_srgb = ToSrgb(mode, profile)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top, bottom in bands(image.height):
        band = image.crop((0, top, image.width, bottom))
        rgb[top:bottom] = to_srgb(band if band.mode == mode else band.convert(mode))
    return rgb


def _banded_mode(image: Image.Image) -> str:
    """Return the mode to which bands of ``image`` are converted first: one that ToSrgb knows."""
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    if image.mode.startswith(("I", "F")):
        raise ItemError(ErrorCode.UNSUPPORTED, f"pixels of the kind {image.mode} are not read in this layout")
    if image.has_transparency_data:
        # Some programs write bitmaps with an alpha channel that they never filled.
        if image.format == "BMP" and image.getextrema()[-1] == (0, 0):
            return "RGB"
        return "LA" if image.mode in ("LA", "La") else "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _opencv_samples(data: bytes) -> NDArray[np.generic]:
    """Return the samples of a PNG or JPEG 2000 file as uint16 HxW, HxWx3 (RGB) or HxWx4 (RGBA), not turned."""
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ItemError(ErrorCode.CORRUPT, "the pixel data cannot be decoded")
    if samples.ndim == 3:
        samples = cv2.cvtColor(samples, cv2.COLOR_BGR2RGB if samples.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return np.asarray(samples)


def _deep_to_rgb(samples: NDArray[np.generic], profile: bytes | None) -> NDArray[np.uint8]:
    """Convert HxW, HxWx3 or HxWx4 (RGBA) samples to uint8 HxWx3 sRGB on white."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[1 if samples.ndim == 2 else samples.shape[2]]
    to_8bit, to_srgb = To8Bit(samples), ToSrgb(mode, profile)
    rgb = np.empty((*samples.shape[:2], 3), np.uint8)
    for top, bottom in bands(len(samples)):
        rgb[top:bottom] = to_srgb(Image.fromarray(to_8bit(samples[top:bottom])))
    return rgb


def _deep_tiff_to_rgb(samples: NDArray[np.generic], header: tiff.TiffHeader) -> NDArray[np.uint8]:
    """Convert HxW or HxWxC samples of a TIFF page to uint8 HxWx3 sRGB on white."""
    colours = {0: 1, 1: 1, 2: 3, 5: 4}.get(header.photometric, 0)
    samples = samples[..., None] if samples.ndim == 2 else samples
    if not colours or samples.ndim != 3 or samples.shape[2] < colours:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"TIFF pages with {header.samples} samples of {header.bits} bits and photometric interpretation "
            f"{header.photometric} are not read",
        )
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours]
    to_8bit, to_srgb = To8Bit(samples[..., :colours]), ToSrgb(mode, header.icc_profile)
    alpha_to_8bit = To8Bit(samples[..., colours]) if header.has_alpha else None
    rgb = np.empty((*samples.shape[:2], 3), np.uint8)
    for top, bottom in bands(len(samples)):
        band = to_8bit(samples[top:bottom, :, :colours])
        if header.photometric == 0:  # white is zero
            band = 255 - band
        pixels = to_srgb(Image.fromarray(band[..., 0] if colours == 1 else band, mode))
        if alpha_to_8bit:
            alpha = alpha_to_8bit(samples[top:bottom, :, colours])
            pixels = on_white(pixels, alpha, premultiplied=header.extra_samples[:1] == (1,))
        rgb[top:bottom] = pixels
    return rgb


def _exif(image: ImageFile.ImageFile) -> Image.Exif:
    """Return the EXIF tags, empty if the block is damaged: that costs nothing but its tags."""
    try:
        with hostile_input("EXIF"):
            return image.getexif()
    except ItemError:
        return Image.Exif()


def _dpi(image: ImageFile.ImageFile, exif: Image.Exif) -> float | None:
    """Return the horizontal resolution; Pillow's own answer is 72 for JPEG files that give none."""
    given = image.info.get("dpi")
    if given and (image.format != "JPEG" or image.info.get("jfif_unit") in (1, 2)):
        return _plausible(given[0])
    try:
        resolution = float(exif.get(_X_RESOLUTION, 0))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return _plausible(resolution * (2.54 if exif.get(_RESOLUTION_UNIT) == 3 else 1.0))


def _plausible(dpi: float | None) -> float | None:
    """Return ``dpi`` rounded, or None for what no scanner or printer could mean."""
    return round(float(dpi), 2) if dpi is not None and isfinite(dpi) and 1 < dpi < 100_000 else None
