"""From an open file to the upright sRGB pixels of one page; runs in a decoder's process (:mod:`~.decoder_process`)."""

import mmap
from collections.abc import Callable
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import camera_raw, heif, jpeg2000, netpbm, raw_pixels, structure, tiff, zero_end
from tounum_tasks.images.colour import DeepToSrgb
from tounum_tasks.images.decoded_image import DecodedImage
from tounum_tasks.images.formats import ImageFormat, detect_format
from tounum_tasks.images.headers import PILLOW_READERS, header_size
from tounum_tasks.images.limits import ImageLimits, hostile_input
from tounum_tasks.images.resolution import Resolution, made_square, of_exif, of_picture
from tounum_tasks.images.tiff_pages import camera_raw_name, page_offsets, point_to, with_photometric
from tounum_tasks.images.to_rgb import colours_to_rgb, extremes, is_unfilled, picture_to_rgb, samples_to_rgb
from tounum_tasks.metadata.containers import Blocks
from tounum_tasks.metadata.document import document_fields
from tounum_tasks.metadata.embedded import Metadata, read_metadata

if TYPE_CHECKING:
    from tounum_tasks.images.pdf import PdfFile

_LIBPNG_LONGEST_SIDE = 1_000_000
_HEAD = 1 << 20  # enough to tell a format
_ORIENTATION, _COLOUR_MAP = 274, 320
_CMYK_SPACE = b"CMYK"  # in the header of an ICC profile

_CHECKS: dict[ImageFormat, Callable[[bytes], None]] = {
    ImageFormat.JPEG: structure.check_jpeg,
    ImageFormat.PNG: structure.check_png,
    ImageFormat.WEBP: structure.check_webp,
    ImageFormat.GIF: structure.check_gif,
    ImageFormat.AVIF: structure.check_heif,
    ImageFormat.HEIC: structure.check_heif,
    ImageFormat.PNM: netpbm.check,
    ImageFormat.JPEG2000: jpeg2000.check,
}
_COLOUR_MODES = {
    "1": "bilevel", "L": "grey", "LA": "grey_alpha", "P": "palette", "PA": "palette", "RGB": "rgb", "RGBX":
    "rgb", "RGBA": "rgb_alpha", "CMYK": "cmyk", "YCbCr": "rgb", "LAB": "lab",
}  # fmt: skip
_PNG_MODES = {0: "grey", 2: "rgb", 3: "palette", 4: "grey_alpha", 6: "rgb_alpha"}
_TIFF_MODES = {0: "grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb", 8: "lab"}


def _avif_blocks(data: bytes) -> Blocks:
    told = PILLOW_READERS[ImageFormat.AVIF](BytesIO(data)).info
    exif = told.get("exif", b"").removeprefix(b"Exif\0\0")
    return Blocks(exif=exif, xmp=told.get("xmp", b""), has_profile=bool(told.get("icc_profile")))


# The formats whose metadata their decoders find.
_BLOCKS: dict[ImageFormat, Callable[[bytes], Blocks]] = {
    ImageFormat.AVIF: _avif_blocks,
    ImageFormat.HEIC: heif.metadata_blocks,
    ImageFormat.JPEG2000: jpeg2000.metadata_blocks,
}


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
        if self.format is ImageFormat.TIFF and camera_raw_name(cast(bytes, mapped)):
            self.format = ImageFormat.RAW
        self._offsets: list[int] = []

    @cached_property
    def _pdf(self) -> "PdfFile":
        from tounum_tasks.images.pdf import PdfFile  # a tenth of a decoder's start, which only PDF files are worth

        return PdfFile(self._mapped)

    def count_pages(self, limits: ImageLimits) -> int:
        """Return the number of pages.

        Raises:
            ItemError: ENCRYPTED, TRUNCATED, CORRUPT or TOO_MANY_PAGES.
        """
        if self.format is ImageFormat.PDF:
            return self._pdf.count_pages()
        if self.format is ImageFormat.RAW:
            camera_raw.check_size(self._mapped[:], limits)
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
        if self.format is ImageFormat.RAW:
            return _develop(data, limits)
        limits.check_size(*header_size(data, self.format))
        if self.format in _CHECKS:
            _CHECKS[self.format](data)
        if self.format is ImageFormat.JPEG2000:
            data = jpeg2000.decodable(data)
        if self.format is ImageFormat.PCX:
            data = structure.pcx_without_rest(data)
        if self.format is ImageFormat.PNM:
            return _decode_netpbm(data, limits)
        if self.format is ImageFormat.HEIC:
            return _decode_heif(data, limits)
        return _decode_single(data, self.format, limits)

    def metadata(
        self, page: int, size: tuple[int, int], *, dpi: float | None, turned: bool, limits: ImageLimits
    ) -> Metadata:
        """Return the metadata of a page for its upright picture of ``size`` (width, height)."""
        if self.format is ImageFormat.PDF:
            return Metadata(fields=document_fields(self._pdf.information()))
        offset = self._page_offsets(limits)[page - 1] if self.format is ImageFormat.TIFF else None
        turned = turned or self.format is ImageFormat.HEIC  # by its boxes, of which nothing else is told
        blocks = _BLOCKS[self.format](self._mapped[:]) if self.format in _BLOCKS else None
        return read_metadata(self._mapped, self.format, size, dpi=dpi, turned=turned, offset=offset, blocks=blocks)

    def explained(self, error: ItemError) -> ItemError:
        """Return why a page was refused: not for damage, if all that lacks is the end of the file."""
        if error.code is ErrorCode.CORRUPT and not self._mapped[-zero_end.MIN_ZERO_BYTES :].strip(b"\0"):
            return ItemError(
                ErrorCode.TRUNCATED, f"the {self.format} file ends in zero bytes; was it copied completely?"
            )
        return error

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
        key = image.info.get("transparency")
        if depth in (2, 4) and isinstance(key, int) and image.mode == "L":  # Pillow scales the pixels, but not the key
            image.info["transparency"] = key * 255 // (2**depth - 1)
    elif found is ImageFormat.JPEG2000:
        components, depth = jpeg2000.samples(data)
        profile = jpeg2000.icc_profile(data)
        deep = depth > 8 and components != 2  # OpenCV does not read grey with alpha
        colour_mode = "grey" if components == 1 else colour_mode
        if components == 4 and profile and profile[16:20] == _CMYK_SPACE:
            colour_mode, deep = "cmyk", False
    resolution = of_picture(image, exif)
    _check_square_size(*image.size, resolution, limits)
    if deep:
        _check_sides(image)
        samples, key = _opencv_samples(data), image.info.get("transparency")
        rgb = samples_to_rgb(samples, profile)
        if samples.ndim == 2 and isinstance(key, int):  # one grey is declared transparent; OpenCV leaves that out
            rgb[samples == key] = 255
        del samples
    else:
        rgb = _loaded_to_rgb(image, data, found, profile)
        del image
    suspect_end = _suspect_end(data, found, rgb)
    rgb = np.ascontiguousarray(tiff.upright(rgb, orientation))
    return _decoded(rgb, found, 1, colour_mode, depth, resolution, orientation, suspect_end)


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
        return samples_to_rgb(_opencv_samples(data), profile)
    if image.format == "JPEG2000" and image.mode == "RGBA" and profile and profile[16:20] == _CMYK_SPACE:
        return picture_to_rgb(Image.fromarray(np.asarray(image), "CMYK"), profile)  # nothing else says so
    return picture_to_rgb(image, profile)


def _suspect_end(data: bytes, found: ImageFormat, rgb: NDArray[np.uint8]) -> float | None:
    if found is ImageFormat.BMP:
        return raw_pixels.bmp_suspect_end(data)
    if found is ImageFormat.PCX:
        return raw_pixels.pcx_suspect_end(rgb)
    if found in (ImageFormat.WEBP, ImageFormat.AVIF):
        start, end = structure.webp_pixel_data(data) if found is ImageFormat.WEBP else structure.heif_pixel_data(data)
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
    rgb = np.ascontiguousarray(samples_to_rgb(samples, None))
    suspect_end = raw_pixels.pnm_suspect_end(data)
    return DecodedImage(rgb, ImageFormat.PNM, 1, colour_mode, header.bits, None, None, suspect_end)


def _develop(data: bytes, limits: ImageLimits) -> DecodedImage:
    raw = camera_raw.develop(data, limits)
    suspect_end = zero_end.zeros_behind(data, raw.rgb.shape[0] * raw.rgb.shape[1])
    colour_mode = "grey" if raw.colours == 1 else "rgb"
    return DecodedImage(raw.rgb, ImageFormat.RAW, 1, colour_mode, raw.bit_depth, None, raw.orientation, suspect_end)


def _decode_heif(data: bytes, limits: ImageLimits) -> DecodedImage:
    picture = heif.read(data, limits)
    resolution = of_exif(picture.exif)
    height, width = picture.samples.shape[:2]
    _check_square_size(width, height, resolution, limits)
    colour_mode = {2: "grey", 3: "rgb", 4: "rgb_alpha"}[sum(picture.samples.shape[2:]) or 2]
    rgb = samples_to_rgb(picture.samples, picture.icc_profile, premultiplied=picture.premultiplied)
    start, end = structure.heif_pixel_data(data)
    suspect_end = zero_end.zeros_behind(data[start:end], height * width)
    return _decoded(rgb, ImageFormat.HEIC, 1, colour_mode, picture.bit_depth, resolution, None, suspect_end)


def _decode_tiff(mapped: MappedFile, offset: int, page: int, limits: ImageLimits) -> DecodedImage:
    completed = with_photometric(cast(bytes, mapped), offset)
    data: Any = BytesIO(completed) if completed else mapped
    if not completed:
        point_to(mapped, offset)
    header = tiff.read_header(data, len(data.getvalue()))
    limits.check_size(header.width, header.height)
    limits.check_samples(header.width, header.height, header.bytes_per_pixel)
    _check_square_size(header.width, header.height, header.resolution, limits)
    tiff.check_segments(data, header)
    is_ours = header.is_deep or header.is_premultiplied or header.greys_in_jpeg or header.is_coarse_in_colour
    samples = tiff.read_deep(data, header) if is_ours else None
    image: Image.Image | None = _load_tiff(data, header) if samples is None else None
    if image and image.mode.startswith("I;16") and header.photometric == 1:
        samples = np.asarray(image)
    if samples is not None:
        rgb = _deep_tiff_to_rgb(samples, header)
    else:
        assert image
        if image.mode == "RGBA" and not _has_alpha(np.asarray(image), 3, header):
            image = image.convert("RGB")
        rgb = picture_to_rgb(image, header.icc_profile)
    colour_mode = _TIFF_MODES.get(header.photometric, "grey")
    if header.bits == 1 and colour_mode == "grey":
        colour_mode = "bilevel"
    elif header.has_alpha and colour_mode in ("grey", "rgb"):
        colour_mode += "_alpha"
    suspect_end = raw_pixels.tiff_suspect_end(data.getvalue(), header)
    return _decoded(
        np.ascontiguousarray(rgb), ImageFormat.TIFF, page, colour_mode, header.bits, header.resolution,
        header.orientation, suspect_end,
    )  # fmt: skip


def _check_square_size(width: int, height: int, resolution: Resolution | None, limits: ImageLimits) -> None:
    """Raise ItemError if a page would have too many pixels once they are square."""
    if resolution:
        limits.check_size(*resolution.square_size(width, height))


def _decoded(
    rgb: NDArray[np.uint8], found: ImageFormat, page: int, colour_mode: str, depth: int,
    resolution: Resolution | None, orientation: int | None, suspect_end: float | None,
) -> DecodedImage:  # fmt: skip
    """Return an upright page with square pixels."""
    rgb = made_square(rgb, resolution, orientation)
    dpi, x, y = (resolution.dpi, resolution.dpi_x, resolution.dpi_y) if resolution else (None, None, None)
    return DecodedImage(rgb, found, page, colour_mode, depth, dpi, orientation, suspect_end, x, y)


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
    colour_map = cast(Any, image).tag_v2.get(_COLOUR_MAP, ())
    if image.mode == "P" and max(colour_map, default=256) < 256:  # of 8 bits, as libtiff takes it; they should be 16
        image.putpalette(bytes(colour_map), "RGB;L")
    return image


def _opencv_samples(data: bytes) -> NDArray[np.generic]:
    """Return the samples of a PNG or JPEG 2000 file as uint16 HxW, HxWx3 (RGB) or HxWx4 (RGBA), not turned."""
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ItemError(ErrorCode.CORRUPT, "the pixel data cannot be decoded")
    if samples.ndim == 3:
        samples = cv2.cvtColor(samples, cv2.COLOR_BGR2RGB if samples.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    return np.asarray(samples)


def _has_alpha(samples: NDArray[np.generic], colours: int, header: tiff.TiffHeader) -> bool:
    """Whether the sample behind the colours is transparency: declared as such and filled, or undeclared but like a
    mask.

    A fourth sample without a tag is an alpha channel in some files and infrared in others, which is never all or
    nothing.
    """
    if not header.has_alpha or is_unfilled(extremes(samples[..., : colours + 1]), None):
        return False
    if header.extra_samples:
        return True
    alpha = samples[..., colours]
    full = np.iinfo(cast(Any, alpha.dtype)).max if alpha.dtype.kind in "ui" else 1
    return bool(np.mean((alpha == 0) | (alpha == full)) >= 0.5)


def _deep_tiff_to_rgb(samples: NDArray[np.generic], header: tiff.TiffHeader) -> NDArray[np.uint8]:
    """Convert HxW or HxWxC samples of a TIFF page to uint8 HxWx3 sRGB on white."""
    colours = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}.get(header.photometric, 0)
    samples = samples[..., None] if samples.ndim == 2 else samples
    if not colours or samples.ndim != 3 or samples.shape[2] < colours:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"TIFF pages with {header.samples} samples of {header.bits} bits and photometric interpretation "
            f"{header.photometric} are not read",
        )
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours]
    alpha = samples[..., colours] if _has_alpha(samples, colours, header) else None
    coloured = samples[..., 0] if colours == 1 else samples[..., :colours]
    to_srgb = DeepToSrgb(coloured, mode, header.icc_profile, inverted=header.photometric == 0)
    return colours_to_rgb(to_srgb, coloured, alpha, premultiplied=header.is_premultiplied)


def _exif(image: ImageFile.ImageFile) -> Image.Exif:
    """Return the EXIF tags, empty if the block is damaged: that costs nothing but its tags."""
    try:
        with hostile_input("EXIF"):
            return image.getexif()
    except ItemError:
        return Image.Exif()
