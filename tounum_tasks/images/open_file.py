"""From an open file to the upright sRGB pixels of one page; runs in a decoder's process (:mod:`~.decoder_process`)."""

import mmap
from collections.abc import Callable, Sequence
from functools import cached_property
from io import BytesIO
from math import isfinite
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import netpbm, pdf, raw_pixels, structure, tiff, zero_end
from tounum_tasks.images.colour import To8Bit, ToSrgb, bands, on_white
from tounum_tasks.images.decoded_image import DecodedImage
from tounum_tasks.images.formats import ImageFormat, detect_format
from tounum_tasks.images.headers import PILLOW_READERS, header_size
from tounum_tasks.images.limits import ImageLimits, hostile_input
from tounum_tasks.images.tiff_pages import page_offsets, point_to, with_photometric
from tounum_tasks.metadata.embedded import Metadata, read_metadata

_LIBPNG_LONGEST_SIDE = 1_000_000
_HEAD = 1 << 20  # enough to tell a format
_ORIENTATION, _X_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 296

_CHECKS: dict[ImageFormat, Callable[[bytes], None]] = {
    ImageFormat.JPEG: structure.check_jpeg,
    ImageFormat.PNG: structure.check_png,
    ImageFormat.WEBP: structure.check_webp,
    ImageFormat.GIF: structure.check_gif,
    ImageFormat.AVIF: structure.check_avif,
    ImageFormat.PNM: netpbm.check,
    ImageFormat.PCX: structure.check_pcx,
    ImageFormat.JPEG2000: structure.check_jpeg2000,
}
_COLOUR_MODES = {
    "1": "bilevel", "L": "grey", "LA": "grey_alpha", "P": "palette", "PA": "palette", "RGB": "rgb", "RGBX":
    "rgb", "RGBA": "rgb_alpha", "CMYK": "cmyk", "YCbCr": "rgb", "LAB": "lab",
}  # fmt: skip
_ALPHA_MODES = ("LA", "La", "RGBA", "RGBa", "PA")
_PNG_MODES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgb_alpha"}
_TIFF_MODES = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb", 8: "lab"}


class MappedFile(mmap.mmap):
    """A file in memory that Pillow hands to libtiff without copying it (it asks for ``getvalue``)."""

    def getvalue(self) -> "MappedFile":
        """Return the content, which is the object itself."""
        return self


class OpenFile:
    """A file that a decoder's process has open; what is found out once serves all its pages."""

    def __init__(self, mapped: MappedFile) -> None:
        self._mapped = mapped
        self.size = len(mapped)
        self.format = detect_format(mapped[:]) if self.size < _HEAD else detect_format(mapped[:_HEAD])
        self._offsets: list[int] = []

    @cached_property
    def _pdf(self) -> "pdf.PdfFile":
        return pdf.PdfFile(self._mapped)

    def count_pages(self, limits: ImageLimits) -> int:
        """Return the number of pages.

        Raises:
            ItemError: ENCRYPTED, TRUNCATED, CORRUPT or TOO_MANY_PAGES.
        """
        if self.format is ImageFormat.PDF:
            return self._pdf.count_pages()
        return len(self._page_offsets(limits)) if self.format is ImageFormat.TIFF else 1

    def read(self, page: int, limits: ImageLimits) -> DecodedImage:
        """Decode page ``page`` (from 1).

        Raises:
            ItemError: UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PIXELS or TOO_MANY_PAGES.
            Exception: whatever a decoder raises for damaged files.
        """
        if self.format is ImageFormat.PDF:
            rendered = self._pdf.render(page, limits)
            return DecodedImage(rendered.rgb, self.format, page, "rgb", 8, round(rendered.dpi, 2), None)
        if self.format is ImageFormat.TIFF:
            offsets = self._page_offsets(limits)
            if page > len(offsets):
                raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
            return _decode_tiff(self._mapped, offsets[page - 1], page, limits)
        if page != 1:
            raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
        data = self._mapped[:]
        limits.check_size(*header_size(data, self.format))
        if self.format in _CHECKS:
            _CHECKS[self.format](data)
        if self.format is ImageFormat.PNM:
            return _decode_netpbm(data, limits)
        return _decode_single(data, self.format, limits)

    def metadata(
        self, page: int, size: tuple[int, int], *, dpi: float | None, turned: bool, limits: ImageLimits
    ) -> Metadata:
        """Return the metadata of a page for its upright picture of ``size`` (width, height)."""
        offset = self._page_offsets(limits)[page - 1] if self.format is ImageFormat.TIFF else None
        return read_metadata(self._mapped, self.format, size, dpi=dpi, turned=turned, offset=offset)

    def _page_offsets(self, limits: ImageLimits) -> list[int]:
        if not self._offsets:
            self._offsets = page_offsets(cast(bytes, self._mapped), limits)
        limits.check_pages(len(self._offsets))
        return self._offsets


def _decode_single(data: bytes, found: ImageFormat, limits: ImageLimits) -> DecodedImage:
    if found is ImageFormat.PNG:
        data = structure.without_bulk(data)
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
        _check_sides(image)
        samples, key = _opencv_samples(data), image.info.get("transparency")
        rgb = _deep_to_rgb(samples, profile)
        if samples.ndim == 2 and isinstance(key, int):  # one grey is declared transparent; OpenCV leaves that out
            rgb[samples == key] = 255
        del samples
    else:
        rgb = _loaded_to_rgb(image, data, found, profile)
        del image
    rgb = np.ascontiguousarray(tiff.upright(rgb, orientation))
    return DecodedImage(rgb, found, 1, colour_mode, depth, dpi, orientation, _suspect_end(data, found, rgb))


def _check_sides(image: ImageFile.ImageFile) -> None:
    """Raise ItemError for what libpng does not read."""
    if image.format == "PNG" and max(image.size) > _LIBPNG_LONGEST_SIDE:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"PNG files of 16 bits with a side of more than {_LIBPNG_LONGEST_SIDE} pixels are not read; use 8 bits",
        )


def _loaded_to_rgb(
    image: ImageFile.ImageFile, data: bytes, found: ImageFormat, profile: bytes | None
) -> NDArray[np.uint8]:
    try:
        image.load()
    except OSError:
        # Pillow does not read what Photoshop's plug-in for JPX writes; OpenCV does, and both use OpenJPEG, which
        # refuses
        # streams that are damaged.
        if found is not ImageFormat.JPEG2000:
            raise
        return _deep_to_rgb(_opencv_samples(data), profile)
    return _pillow_to_rgb(image, profile)


def _suspect_end(data: bytes, found: ImageFormat, rgb: NDArray[np.uint8]) -> float | None:
    if found is ImageFormat.BMP:
        return raw_pixels.bmp_suspect_end(data)
    if found is ImageFormat.PCX:
        return raw_pixels.pcx_suspect_end(rgb)
    if found in (ImageFormat.WEBP, ImageFormat.AVIF):
        start, end = structure.webp_pixel_data(data) if found is ImageFormat.WEBP else structure.avif_pixel_data(data)
        return zero_end.zeros_behind(data[start:end], rgb.shape[0] * rgb.shape[1])
    return None


def _decode_netpbm(data: bytes, limits: ImageLimits) -> DecodedImage:
    header = netpbm.read_header(data)
    limits.check_samples(header.width, header.height, header.samples * max(header.bits, 8) / 8)
    samples = netpbm.read_samples(data)
    if header.samples == 2:
        samples = np.dstack([samples[..., 0]] * 3 + [samples[..., 1]])
    colour_mode = "bilevel" if header.bits == 1 else "grey" if header.samples < 3 else "rgb"
    colour_mode += "_alpha" if header.alpha else ""
    rgb = np.ascontiguousarray(_deep_to_rgb(samples, None))
    suspect_end = raw_pixels.pnm_suspect_end(data)
    return DecodedImage(rgb, ImageFormat.PNM, 1, colour_mode, header.bits, None, None, suspect_end)


def _decode_tiff(mapped: MappedFile, offset: int, page: int, limits: ImageLimits) -> DecodedImage:
    completed = with_photometric(cast(bytes, mapped), offset)
    data: Any = BytesIO(completed) if completed else mapped
    if not completed:
        point_to(mapped, offset)
    header = tiff.read_header(data, len(data.getvalue()))
    limits.check_size(header.width, header.height)
    limits.check_samples(header.width, header.height, header.bytes_per_pixel)
    samples = tiff.read_deep(data, header) if header.is_deep or header.is_premultiplied else None
    image: Image.Image | None = _load_tiff(data, header) if samples is None else None
    if image and image.mode.startswith("I;16") and header.photometric == 1:
        samples = np.asarray(image)
    if samples is not None:
        rgb = _deep_tiff_to_rgb(samples, header)
    else:
        assert image
        if image.mode == "RGBA" and not _has_alpha(np.asarray(image), 3, header):
            image = image.convert("RGB")
        rgb = _pillow_to_rgb(image, header.icc_profile)
    colour_mode = _TIFF_MODES.get(header.photometric, "grey")
    if header.bits == 1 and colour_mode == "grey":
        colour_mode = "bilevel"
    elif header.has_alpha and colour_mode in ("grey", "rgb"):
        colour_mode += "_alpha"
    dpi = _plausible(header.dpi)
    suspect_end = raw_pixels.tiff_suspect_end(data.getvalue(), header)
    rgb = np.ascontiguousarray(rgb)
    return DecodedImage(rgb, ImageFormat.TIFF, page, colour_mode, header.bits, dpi, header.orientation, suspect_end)


def _load_tiff(data: Any, header: tiff.TiffHeader) -> ImageFile.ImageFile:
    """Let Pillow read a page; unlike for other formats, it turns the page upright itself."""
    data.seek(0)
    try:
        image = PILLOW_READERS[ImageFormat.TIFF](data)
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
        if image.mode in _ALPHA_MODES and _is_unfilled(cast(Any, image.getextrema()), image.format):
            return "L" if image.mode in ("LA", "La") else "RGB"
        return "LA" if image.mode in ("LA", "La") else "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _is_unfilled(extremes: Sequence[tuple[float, float]], format: str | None) -> bool:
    """Whether a program wrote an alpha channel and never filled it: nothing would be seen of colours that are there.

    A picture of one colour may as well be empty on purpose, but in a BMP file, whose alpha channel nobody uses.
    """
    *colours, alpha = extremes
    return alpha == (0, 0) and (format == "BMP" or any(low != high for low, high in colours))


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
    if samples.ndim == 3 and samples.shape[2] == 4 and _is_unfilled(_extremes(samples), None):
        samples = np.ascontiguousarray(samples[..., :3])
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[1 if samples.ndim == 2 else samples.shape[2]]
    to_8bit, to_srgb = To8Bit(samples), ToSrgb(mode, profile)
    rgb = np.empty((*samples.shape[:2], 3), np.uint8)
    for top, bottom in bands(len(samples)):
        rgb[top:bottom] = to_srgb(Image.fromarray(to_8bit(samples[top:bottom])))
    return rgb


def _extremes(samples: NDArray[np.generic]) -> list[tuple[float, float]]:
    return [(float(samples[..., band].min()), float(samples[..., band].max())) for band in range(samples.shape[2])]


def _has_alpha(samples: NDArray[np.generic], colours: int, header: tiff.TiffHeader) -> bool:
    """Whether the sample behind the colours is transparency: declared as such and filled, or undeclared but like a
    mask.

    A fourth sample without a tag is an alpha channel in some files and infrared in others, which is never all or
    nothing.
    """
    if not header.has_alpha or _is_unfilled(_extremes(samples[..., : colours + 1]), None):
        return False
    if header.extra_samples:
        return True
    alpha = samples[..., colours]
    full = np.iinfo(cast(Any, alpha.dtype)).max if alpha.dtype.kind in "ui" else 1
    return bool(np.mean((alpha == 0) | (alpha == full)) >= 0.5)


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
    alpha_to_8bit = To8Bit(samples[..., colours]) if _has_alpha(samples, colours, header) else None
    rgb = np.empty((*samples.shape[:2], 3), np.uint8)
    for top, bottom in bands(len(samples)):
        band = to_8bit(samples[top:bottom, :, :colours])
        if header.photometric == 0:  # white is zero
            band = 255 - band
        pixels = to_srgb(Image.fromarray(band[..., 0] if colours == 1 else band, mode))
        if alpha_to_8bit:
            alpha = alpha_to_8bit(samples[top:bottom, :, colours])
            pixels = on_white(pixels, alpha, premultiplied=header.is_premultiplied)
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
