"""Camera raw is developed by LibRaw; the embedded preview is never taken in its place."""

import struct
from io import BytesIO

import numpy as np
import pytest
import tifffile

from tests.image_files import picture, tiff
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.images.tiff import upright
from tounum_tasks.sample.dng import dng

RGB = picture(120, 160)
PREVIEW = np.full((30, 40, 3), (0, 255, 0), np.uint8)


def refusal(data: bytes, **limits: int) -> ItemError:
    """What both intake and decoding say of a file that they refuse."""
    chosen = ImageLimits(**limits)
    with pytest.raises(ItemError) as refused:
        inspect(data, limits=chosen)
    with pytest.raises(ItemError) as refused_again:
        decode(data, limits=chosen)
    assert str(refused.value) == str(refused_again.value)
    return refused.value


def test_a_raw_is_developed_as_the_sensor_saw_it() -> None:
    data = dng(RGB, preview=PREVIEW)
    assert (inspect(data, limits=ImageLimits()).format, inspect(data, limits=ImageLimits()).pages) == ("raw", 1)
    decoded = decode(data)
    assert (decoded.format, decoded.colour_mode, decoded.bit_depth) == (ImageFormat.RAW, "rgb", 14)
    assert decoded.rgb.shape == RGB.shape and decoded.rgb.flags.c_contiguous
    difference = np.abs(decoded.rgb.astype(int) - RGB)
    assert np.median(difference) <= 2 and difference.mean() < 3  # edges are guessed between the sensor's elements


def test_a_dark_picture_stays_dark() -> None:
    dark = (RGB // 4).astype(np.uint8)
    assert abs(decode(dng(dark, preview=PREVIEW)).rgb.mean() - dark.mean()) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once(orientation: int) -> None:
    decoded = decode(dng(RGB, preview=PREVIEW, orientation=orientation))
    expected = upright(RGB, orientation).astype(int)
    assert decoded.exif_orientation == orientation
    assert decoded.rgb.shape == expected.shape and np.abs(decoded.rgb - expected).mean() < 3


def linear(samples: np.ndarray) -> bytes:
    """A DNG without a filter before its sensor, or whose colours were mixed already."""
    tags = [(50706, "B", 4, (1, 4, 0, 0), True), (50717, "H", 1, 65_535, True)]
    data = bytearray(tiff(samples, photometric="minisblack", planarconfig="contig", metadata=None, extratags=tags))
    with tifffile.TiffFile(BytesIO(bytes(data))) as file:
        struct.pack_into("<H", data, file.pages[0].tags[262].offset + 8, 34_892)  # LinearRaw
    return bytes(data)


def test_a_sensor_without_a_filter_gives_greys() -> None:
    light = np.linspace(0, 65_535, 120 * 160).astype(np.uint16).reshape(120, 160)
    decoded = decode(linear(light))
    assert (decoded.colour_mode, decoded.bit_depth) == ("grey", 16)
    assert decoded.rgb.shape == (120, 160, 3) and (decoded.rgb == decoded.rgb[..., :1]).all()
    assert abs(int(decoded.rgb[60, 0, 0]) - 188) <= 1  # half of the light is 188 in sRGB


def test_a_preview_larger_than_the_sensor_is_not_taken_either() -> None:
    decoded = decode(dng(RGB, preview=np.full((600, 800, 3), (0, 255, 0), np.uint8)))
    assert decoded.rgb.shape == RGB.shape


@pytest.mark.parametrize("kept", [0.97, 0.7, 0.4, 0.2, 0.05])
def test_a_file_that_ends_early_is_refused(kept: float) -> None:
    data = dng(RGB, preview=PREVIEW)
    assert refusal(data[: int(kept * len(data))]).code == ErrorCode.TRUNCATED


def test_what_is_left_of_a_raw_of_another_maker_is_not_taken_for_its_thumbnail() -> None:
    """A NEF, say: TIFF/EP without the tags of DNG; the list that names the sensor's data is cut off."""
    data = dng(RGB, preview=PREVIEW).replace(struct.pack("<HHI", 50706, 1, 4), struct.pack("<HHI", 50709, 1, 4))
    assert inspect(data, limits=ImageLimits()).format == ImageFormat.RAW
    assert refusal(data[: 30 * 40 * 3]).code == ErrorCode.TRUNCATED


def test_a_dng_of_previews_alone_is_refused() -> None:
    version = [(50706, "B", 4, (1, 4, 0, 0), True)]
    error = refusal(tiff(PREVIEW, photometric="rgb", metadata=None, extratags=version))
    assert error.code == ErrorCode.CORRUPT and "previews" in str(error)


def test_the_limit_on_pixels_holds_before_anything_is_developed() -> None:
    assert decode(dng(RGB, preview=PREVIEW), limits=ImageLimits(max_pixels=120 * 160)).rgb.shape == RGB.shape
    assert refusal(dng(RGB, preview=PREVIEW), max_pixels=120 * 160 - 1).code == ErrorCode.TOO_MANY_PIXELS


def test_a_header_that_lies_about_the_size_is_refused() -> None:
    data = bytearray(dng(RGB, preview=PREVIEW))
    size = data.index(struct.pack("<HHII", 256, 4, 1, 160))  # of the sensor: the preview has 40 columns
    struct.pack_into("<I", data, size + 8, 60_000)
    struct.pack_into("<I", data, size + 20, 60_000)
    assert refusal(bytes(data)).code == ErrorCode.TOO_MANY_PIXELS
    struct.pack_into("<I", data, size + 8, 4_000)
    struct.pack_into("<I", data, size + 20, 4_000)
    with pytest.raises(ItemError) as refused:
        decode(bytes(data), limits=ImageLimits(page_seconds=20))
    assert refused.value.code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT)


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201",
        b"IIU\0\x18\0\0\0",
        b"IIRO\x08\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"FOVb",
        b"\0MRM",
        b"II*\0\x10\0\0\0CR\x02\0",
        b"MM\0*\0\0\0\x10MMMMRaw",
    ],
)
def test_every_kind_of_raw_is_given_to_libraw(head: bytes) -> None:
    """Of files that are nothing but their first bytes it says in one sentence that it cannot."""
    error = refusal(head + bytes(5000))
    assert error.code in (ErrorCode.UNSUPPORTED, ErrorCode.TRUNCATED, ErrorCode.CORRUPT)
    assert "raw" in str(error) and "Traceback" not in str(error)
