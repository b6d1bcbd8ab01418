"""One page of a TIFF file: its tags, and the samples of pages that Pillow would not read or would cut down to 8 bits.

A page is handed to a decoder by making the header of the file point at that page. So every decoder sees a
one-page file, a broken page cannot spoil the others, and reading the last page costs no more than reading the
first.
"""

import logging
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import resolution, structure
from tounum_tasks.images.formats import ImageFormat
from tounum_tasks.images.headers import PILLOW_READERS
from tounum_tasks.images.resolution import Resolution
from tounum_tasks.images.zero_end import MIN_ZERO_BYTES

if TYPE_CHECKING:
    import tifffile

# Damaged files are answered with an ItemError; what the libraries print about them as well would only fill
# the logs.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_TIFFFILE_CODECS = (1, 8, 32773, 32946)  # none, deflate, PackBits, old deflate: read without further packages
_OPENCV_CODECS = (1, 5, 7, 8, 32773, 32946)
_OPENCV_BITS = (10, 12, 14, 16, 32, 64)
_OLD_JPEG, _JPEG = 6, 7
WITH_END = (_JPEG, 8, 32946)
"""Compressions whose streams have an end of their own: JPEG and Deflate."""
_DEFLATE_HEADER, _FLUSHED = 2, b"\0\0\xff\xff"  # bytes before a stream; how one ends that was never finished
_FED_AT_ONCE = 1 << 14  # coded bytes, which unpack to 16 MB at most
_MAX_SAMPLES = 8
_UNREAD_CODECS = {
    34712: "JPEG 2000", 33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34715: "JBIG2", 34887: "LERC",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 34676: "SGI LogLuv", 34677: "SGI LogLuv", 22610: "JPEG XR",
}  # fmt: skip


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
    resolution: Resolution | None
    icc_profile: bytes | None
    segments: tuple[tuple[int, int], ...]  # (offset, bytes) of the strips or tiles, as the tables give them
    segment_shape: tuple[int, int]  # (rows, columns) of a strip or tile
    tiled: bool
    big_endian: bool
    greys_in_jpeg: (
        tuple[int, int] | None
    )  # (offset, bytes) of the whole JPEG stream of a page of greys in old-style JPEG
    is_coarse_in_colour: bool  # raw YCbCr with less colour than brightness

    @property
    def bytes_per_pixel(self) -> float:
        """Bytes that the samples of one pixel take when unpacked."""
        return self.samples * max(self.bits, 1) / 8

    @property
    def is_deep(self) -> bool:
        """Whether Pillow would cut the samples down to 8 bits, or cannot read them."""
        return self.bits > 8 or self.sample_format in (2, 3)

    @property
    def is_premultiplied(self) -> bool:
        """Whether colours are multiplied with their alpha; Pillow divides them again, and loses those with an alpha
        of 0.
        """
        return self.extra_samples[:1] == (1,)

    @property
    def has_alpha(self) -> bool:
        """Whether the first sample behind the colours is an alpha channel; a missing tag means that it is."""
        colours = {2: 3, 5: 4, 6: 3, 8: 3}.get(self.photometric, 1)
        return self.samples > colours and self.extra_samples[:1] in ((), (1,), (2,))


def read_header(data: "IO[bytes]", size: int) -> TiffHeader:
    """Read the tags of the first page of a file of ``size`` bytes.

    Only tags are read: never the metadata in which some dialects name other files that belong to the picture.

    Raises:
        ItemError: TRUNCATED if pixel data lie beyond the end of the file, UNSUPPORTED for more than 8
            samples, complex numbers and compressions that no library here knows.
        Exception: whatever tifffile raises for damaged tags.
    """
    import tifffile  # a tenth of a decoder's start, which only TIFF files are worth

    data.seek(0)
    with tifffile.TiffFile(data) as file:
        page = file.pages.first
        assert isinstance(page, tifffile.TiffPage)
        segments = tuple(zip(page.dataoffsets, page.databytecounts, strict=False))
        _check_is_read(page)
        if any(start + length > size for start, length in segments):
            raise ItemError(ErrorCode.TRUNCATED, "the TIFF file ends before its pixel data do")
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
            resolution=_resolution(page),
            icc_profile=profile if isinstance(profile, bytes) else None,
            segments=segments,
            segment_shape=(page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth),
            tiled=page.is_tiled,
            big_endian=file.byteorder == ">",
            greys_in_jpeg=_greys_in_jpeg(page, size),
            is_coarse_in_colour=_is_coarse_in_colour(page),
        )


def check_segments(data: Any, header: TiffHeader) -> None:
    """Look whether all strips or tiles of a page were written, and whether those in Deflate and JPEG are whole.

    Decoders take what lacks for black, or for the header of the file, and look at no more of a strip when they have
    its pixels.

    Raises:
        ItemError: TRUNCATED or CORRUPT.
    """
    if header.compression == _OLD_JPEG:  # its stream lies elsewhere
        return
    rows, columns = header.segment_shape[0] or header.height, header.segment_shape[1] or header.width
    across = -(-header.width // columns) if header.tiled else 1
    expected = -(-header.height // rows) * across * (header.samples if header.planar else 1)
    lacking = expected - sum(start > 0 for start, _ in header.segments[:expected])
    if lacking:
        kind = "tiles" if header.tiled else "strips"
        raise ItemError(
            ErrorCode.TRUNCATED, f"{lacking} of {expected} {kind} of the TIFF page were never written; save it again"
        )
    if header.compression in WITH_END:
        for start, length in set(header.segments):
            coded = bytes(data.getvalue()[start : start + length])
            damage = _damage_of_jpeg(coded) if header.compression == _JPEG else _damage_of_deflate(coded)
            if damage and not coded[-MIN_ZERO_BYTES:].strip(b"\0"):
                raise ItemError(
                    ErrorCode.TRUNCATED, "coded pixels of the TIFF page end in zero bytes; was it copied completely?"
                )
            if damage:
                raise ItemError(ErrorCode.CORRUPT, f"{damage} the TIFF page is wrong: its content has changed")


def _damage_of_deflate(coded: bytes) -> str | None:
    """Return what is wrong with a stream, None if it is whole up to its checksum, if it has one (RFC 1950 and 1951).

    Decoders stop when they have their pixels: of a stream that goes on in zeros they make some.
    """
    stream, checksum, end = zlib.decompressobj(wbits=-zlib.MAX_WBITS), 1, _DEFLATE_HEADER
    try:
        while end < len(coded) and not stream.eof:
            piece = coded[end : end + _FED_AT_ONCE]
            checksum = zlib.adler32(stream.decompress(piece), checksum)
            end += len(piece) - len(stream.unused_data)
    except zlib.error:
        return "a code in"
    if not stream.eof:
        return None if coded.endswith(_FLUSHED) else "the end of a strip or tile of"
    told = coded[end : end + 4]
    return "a checksum in" if len(told) == 4 and int.from_bytes(told, "big") != checksum else None


def _damage_of_jpeg(coded: bytes) -> str | None:
    """Return what is wrong with a stream, None if it has its end marker (TIFF Technical Note 2)."""
    return None if b"\xff\xd9" in coded.rstrip(b"\0")[-64:] else "the end of a strip or tile of"


def _greys_in_jpeg(page: "tifffile.TiffPage", size: int) -> tuple[int, int] | None:
    """Return where the JPEG stream of a page of greys in old-style JPEG lies (TIFF 6.0, section 22), if it is whole."""
    start, length = (np.ravel(page.tags.valueof(tag, 0))[0] for tag in (513, 514))
    is_old = int(page.compression) == _OLD_JPEG and page.samplesperpixel == 1
    return (int(start), int(length)) if is_old and start and length and start + length <= size else None


def _is_coarse_in_colour(page: "tifffile.TiffPage") -> bool:
    is_raw_ycbcr = int(page.photometric) == 6 and int(page.compression) == 1
    return is_raw_ycbcr and tuple(page.tags.valueof(530, (2, 2))) != (1, 1)


def _check_is_read(page: "tifffile.TiffPage") -> None:
    if not isinstance(page.bitspersample, int):
        raise ItemError(ErrorCode.UNSUPPORTED, "TIFF pages whose samples have different numbers of bits are not read")
    if page.samplesperpixel > _MAX_SAMPLES:
        raise ItemError(ErrorCode.UNSUPPORTED, f"TIFF pages with {page.samplesperpixel} samples per pixel are not read")
    if int(page.sampleformat) in (5, 6):
        raise ItemError(ErrorCode.UNSUPPORTED, "TIFF pages of complex numbers are not read; export it as an image")
    compression = int(page.compression)
    if compression in _UNREAD_CODECS:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"TIFF pages with {_UNREAD_CODECS[compression]} compression are not read; save it with LZW or Deflate",
        )


def _resolution(page: "tifffile.TiffPage") -> Resolution | None:
    """Return the resolution; unit 1 means that both numbers only tell the shape of a pixel (TIFF 6.0, page 38)."""
    x, y, unit = _quotient(page.tags.valueof(282)), _quotient(page.tags.valueof(283)), page.tags.valueof(296)
    if unit == 1:
        return resolution.in_ratio(x, y) if x and y else None
    scale = 2.54 if unit == 3 else 1.0
    return resolution.in_dpi(x and x * scale, y and y * scale)


def _quotient(value: Any) -> float | None:
    return value[0] / value[1] if isinstance(value, tuple) and len(value) == 2 and value[1] else None


def read_deep(data: Any, header: TiffHeader) -> NDArray[np.generic] | None:
    """Return the samples of the first page of ``data`` as they are stored, upright; None if Pillow has to read it.

    Returns:
        HxW or HxWxC in the order of the file (RGB, RGBA, ...), in the file's own type.

    Pillow asks libtiff for the colours of greys in old-style JPEG, which fails: their stream is read as a JPEG file.
    It misreads raw pixels whose colours are coarser than their brightness.
    OpenCV decodes most compressions but only grey, RGB and RGBA that is stored pixel by pixel. The other
    layouts go through tifffile, which knows every layout but few compressions without further packages.
    """
    if header.greys_in_jpeg:
        return upright(_greys(data.getvalue(), header), header.orientation)
    if header.is_coarse_in_colour:
        return _opencv_samples(data)
    is_half = header.sample_format == 3 and header.bits < 32
    by_opencv = (
        header.bits in _OPENCV_BITS  # of signed bytes it takes RGBA for something else
        and not header.planar
        and not is_half
        and header.samples in (1, 3, 4)
        and header.photometric in (0, 1, 2)
    )
    if by_opencv and header.compression in _OPENCV_CODECS:
        return _opencv_samples(data)
    if header.compression not in _TIFFFILE_CODECS:
        if header.is_deep and (header.planar or is_half):  # Pillow would take one plane for another
            raise ItemError(
                ErrorCode.UNSUPPORTED,
                f"TIFF pages of {header.bits} bits in this layout with compression {header.compression} are not read; "
                "save it with Deflate",
            )
        return None
    samples = _tifffile_samples(data, header)
    if header.planar and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    return upright(samples, header.orientation)


def _tifffile_samples(data: Any, header: TiffHeader) -> NDArray[np.generic]:
    import tifffile

    data.seek(0)
    with tifffile.TiffFile(data) as file:
        try:
            return np.asarray(file.pages.first.asarray())
        except (ValueError, KeyError, NotImplementedError) as error:
            if "imagecodecs" not in str(error):
                raise
            raise ItemError(
                ErrorCode.UNSUPPORTED,
                f"TIFF pages of {header.bits} bits that are packed in this way are not read; save it with 16 bits and "
                "LZW or Deflate",
            ) from error


def _greys(data: bytes, header: TiffHeader) -> NDArray[np.uint8]:
    assert header.greys_in_jpeg
    start, length = header.greys_in_jpeg
    stream = bytes(data[start : start + length])
    structure.check_jpeg(stream)
    image = PILLOW_READERS[ImageFormat.JPEG](BytesIO(stream))
    if image.size != (header.width, header.height) or image.mode != "L":
        raise ItemError(ErrorCode.CORRUPT, "the JPEG stream of the TIFF page is of another picture")
    return np.asarray(image)


def _opencv_samples(data: Any) -> NDArray[np.generic]:
    samples = cv2.imdecode(np.frombuffer(data.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)  # turns the page upright
    if samples is None:
        raise ItemError(ErrorCode.CORRUPT, "the TIFF data cannot be decoded")
    if samples.ndim == 3:
        if samples.dtype in (np.uint8, np.uint16, np.float32):
            samples = cv2.cvtColor(samples, cv2.COLOR_BGR2RGB if samples.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
        else:  # it does not convert other types
            samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    return np.asarray(samples)


def upright(pixels: NDArray[np.generic], orientation: int | None) -> NDArray[np.generic]:
    """Turn and mirror HxW or HxWxC ``pixels`` as an orientation of 1 to 8 asks for (TIFF 6.0, page 36)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
