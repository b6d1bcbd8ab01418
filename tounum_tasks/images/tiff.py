"""TIFF files: finding the pages, and reading those with more than 8 bits per sample.

A page is handed to a decoder as a copy of the file whose header points at that page. So every decoder sees a
one-page file, a broken page cannot spoil the others, and reading the last page costs no more than reading the
first.
"""

import logging
import struct
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits

# Damaged files are answered with an ItemError; what the libraries print about them as well would only fill
# the logs.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_REDUCED_OR_MASK = 0b101
_TIFFFILE_CODECS = (1, 8, 32773, 32946)  # none, deflate, PackBits, old deflate: read without further packages
_MAX_SAMPLES = 8


@dataclass(frozen=True)
class TiffHeader:
    """What the tags of one page say (TIFF 6.0, section 8)."""

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int  # 1 unsigned, 2 signed, 3 floating point, 4 left open
    photometric: int
    compression: int
    planar: bool
    extra_samples: tuple[int, ...]  # 0 unspecified, 1 premultiplied alpha, 2 alpha
    orientation: int | None
    dpi: float | None
    icc_profile: bytes | None

    @property
    def is_deep(self) -> bool:
        """Whether Pillow would cut the samples down to 8 bits, or cannot read them."""
        return self.bits > 8 or self.sample_format in (2, 3)

    @property
    def has_alpha(self) -> bool:
        """Whether the first sample behind the colours is an alpha channel; a missing tag means that it is."""
        colours = {2: 3, 5: 4, 6: 3, 8: 3}.get(self.photometric, 1)
        return self.samples > colours and self.extra_samples[:1] in ((), (1,), (2,))


class _Layout:
    """Sizes of the fields of a classic TIFF or a BigTIFF."""

    def __init__(self, data: bytes) -> None:
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = data[2:4] in (b"+\0", b"\0+")
        self.pointer_at = 8 if self.big else 4
        self.pointer = self.order + ("Q" if self.big else "I")
        self.count = self.order + ("Q" if self.big else "H")
        self.entry_size = 20 if self.big else 12
        self.value_at = 12 if self.big else 8


def page_offsets(data: bytes, limits: ImageLimits) -> list[int]:
    """Return the offset of the directory of each page; thumbnails and masks are left out.

    Raises:
        ItemError: TRUNCATED if the chain of directories leaves the file, TOO_MANY_PAGES, CORRUPT.
    """
    layout = _Layout(data)
    pages: list[int] = []
    others: list[int] = []
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(layout.pointer, data, layout.pointer_at)
        while offset and offset not in seen:  # a chain that bites its tail ends there
            seen.add(offset)
            (entries,) = struct.unpack_from(layout.count, data, offset)
            first = offset + struct.calcsize(layout.count)
            end = first + entries * layout.entry_size
            (following,) = struct.unpack_from(layout.pointer, data, end)
            is_page = not _is_reduced(data, layout, range(first, end, layout.entry_size))
            (pages if is_page else others).append(offset)
            limits.check_pages(len(seen))
            offset = following
    except struct.error as error:
        raise ItemError(ErrorCode.TRUNCATED, "the TIFF file ends before its list of pages does") from error
    if not seen:
        raise ItemError(ErrorCode.CORRUPT, "the TIFF file holds no page")
    return pages or others


def _is_reduced(data: bytes, layout: _Layout, entries: range) -> bool:
    """Whether the directory describes a smaller copy or a mask of another page (TIFF 6.0, page 36)."""
    for at in entries:
        (tag,) = struct.unpack_from(layout.order + "H", data, at)
        if tag > _SUBFILE_TYPE:  # tags are in ascending order
            return False
        if tag == _NEW_SUBFILE_TYPE:
            (value,) = struct.unpack_from(layout.order + "I", data, at + layout.value_at)
            return bool(value & _REDUCED_OR_MASK)
        if tag == _SUBFILE_TYPE:
            (value,) = struct.unpack_from(layout.order + "H", data, at + layout.value_at)
            return bool(value == 2)
    return False


def single_page(data: bytes, offset: int) -> bytes:
    """Return ``data`` with its header pointing at the page whose directory lies at ``offset``."""
    layout = _Layout(data)
    pointer = struct.pack(layout.pointer, offset)
    end = layout.pointer_at + len(pointer)
    return data if data[layout.pointer_at : end] == pointer else data[: layout.pointer_at] + pointer + data[end:]


def read_header(data: bytes) -> TiffHeader:
    """Read the tags of the first page of ``data``.

    Only tags are read: never the metadata in which some dialects name other files that belong to the picture.

    Raises:
        ItemError: TRUNCATED if pixel data lie beyond the end of the file, UNSUPPORTED for more than 8
            samples.
        Exception: whatever tifffile raises for damaged tags.
    """
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        segments = zip(page.dataoffsets, page.databytecounts, strict=False)
        if any(start + size > len(data) for start, size in segments):
            raise ItemError(ErrorCode.TRUNCATED, "the TIFF file ends before its pixel data do")
        if page.samplesperpixel > _MAX_SAMPLES:
            raise ItemError(ErrorCode.UNSUPPORTED, f"{page.samplesperpixel} samples per pixel are not read")
        orientation = page.tags.valueof(274)
        profile = page.tags.valueof(34675)
        return TiffHeader(
            width=page.imagewidth,
            height=page.imagelength,
            bits=page.bitspersample,
            samples=page.samplesperpixel,
            sample_format=int(page.sampleformat),
            photometric=int(page.photometric),
            compression=int(page.compression),
            planar=page.planarconfig == 2 and page.samplesperpixel > 1,
            extra_samples=tuple(int(extra) for extra in page.extrasamples),
            orientation=int(orientation) if orientation in range(1, 9) else None,
            dpi=_dpi(page),
            icc_profile=profile if isinstance(profile, bytes) else None,
        )


def _dpi(page: tifffile.TiffPage) -> float | None:
    resolution, unit = page.tags.valueof(282), page.tags.valueof(296)
    if unit == 1 or not isinstance(resolution, tuple) or not resolution[1]:
        return None
    return resolution[0] / resolution[1] * (2.54 if unit == 3 else 1.0)


def read_deep(data: bytes, header: TiffHeader) -> NDArray[np.generic] | None:
    """Return the samples of a page with more than 8 bits, upright; None if Pillow has to read it.

    Returns:
        HxW or HxWxC in the order of the file (RGB, RGBA, ...), in the file's own type.

    OpenCV decodes every compression but only grey, RGB and RGBA that is stored pixel by pixel. The other
    layouts go through tifffile, which knows every layout but few compressions without further packages.
    """
    if not header.planar and header.samples in (1, 3, 4) and header.photometric in (0, 1, 2):
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # turns the page upright
        if samples is None:
            raise ItemError(ErrorCode.CORRUPT, "the TIFF data cannot be decoded")
        if samples.ndim == 3:
            order = cv2.COLOR_BGR2RGB if samples.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
            samples = cv2.cvtColor(samples, order) if samples.dtype != np.float64 else samples[..., [2, 1, 0]]
        return np.asarray(samples)
    if header.compression not in _TIFFFILE_CODECS:
        if header.planar:  # Pillow would take one plane for another
            raise ItemError(
                ErrorCode.UNSUPPORTED,
                f"TIFF pages of {header.bits} bits that are stored plane by plane with compression "
                f"{header.compression} are not read",
            )
        return None
    with tifffile.TiffFile(BytesIO(data)) as file:
        samples = np.asarray(file.pages.first.asarray())
    if header.planar and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    return upright(samples, header.orientation)


def upright(pixels: NDArray[np.generic], orientation: int | None) -> NDArray[np.generic]:
    """Turn and mirror HxW or HxWxC ``pixels`` as an orientation of 1 to 8 asks for (TIFF 6.0, page 36)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
