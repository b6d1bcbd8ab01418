"""Copies that broke off and were filled up with zeros, where the format has no checksum."""

import random
import struct
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.zero_ends import KINDS, tiff, tilted, whole_forms
from tests.image_files import picture, saved
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode


def photograph(height: int = 200, width: int = 300) -> np.ndarray:
    """A picture with grain, brighter than black everywhere."""
    noise = np.random.default_rng(3).integers(-8, 9, (height, width, 3))
    return np.clip(picture(height, width).astype(int) + noise, 1, 255).astype(np.uint8)


RGB = photograph(192, 320)
RAW = [
    "TIFF 8 bits",
    "TIFF 16 bits",
    "TIFF strips",
    "TIFF tiles",
    "TIFF planes",
    "TIFF grey",
    "TIFF white is 0",
    "BMP",
    "PNM",
]


def cut_at(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(len(data) - at)


@pytest.mark.parametrize("kind", RAW)
def test_a_zero_filled_end_is_told_with_its_share(kind: str) -> None:
    data = KINDS[kind](RGB)
    # In the middle of a row (of a tile's row, of a plane's row), somewhat below the middle of the pixels.
    at = len(data) - int(0.4 * len(data))
    shares = [decode(cut_at(data, at + step)).suspect_end for step in (0, 37, 74)]
    found = [share for share in shares if share is not None]
    assert found, shares
    assert all(abs(share - 0.4) < 0.06 for share in found)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_not_suspected(kind: str) -> None:
    assert decode(KINDS[kind](RGB)).suspect_end is None


@pytest.mark.parametrize("kind", ["WebP", "WebP lossless", "AVIF", "PCX"])
@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_a_zero_filled_end_of_coded_pixels_is_found_or_refused(kind: str, share: float) -> None:
    data = KINDS[kind](RGB)
    try:
        assert decode(cut_at(data, len(data) - int(share * len(data)))).suspect_end == pytest.approx(share, abs=0.08)
    except ItemError as error:
        assert error.code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT)


@pytest.mark.parametrize("kind", ["TIFF strips", "TIFF tiles", "BMP"])
def test_black_ends_of_pictures_are_not_suspected(kind: str) -> None:
    for name, pixels in [*whole_forms(RGB, random.Random(1)), ("tilted", tilted(RGB, random.Random(2)))]:
        assert decode(KINDS[kind](pixels)).suspect_end is None, name


@pytest.mark.parametrize(
    "write", [lambda rgb: saved(rgb, "WEBP", quality=80), lambda rgb: saved(rgb, "WEBP", lossless=True)]
)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_pictures_are_not_suspected(write: Callable[[np.ndarray], bytes], value: int) -> None:
    assert decode(write(np.full((1500, 2000, 3), value, np.uint8))).suspect_end is None


def test_white_paper_is_zero_where_zero_means_white() -> None:
    page = np.zeros((200, 300), np.uint8)
    page[20:120:10, 30:270] = 255
    page[110, 30:100] = 200
    assert decode(tiff(page, photometric="miniswhite")).suspect_end is None


def test_a_list_of_pages_that_is_zeros_proves_it() -> None:
    data = saved(RGB, "TIFF")
    (at,) = struct.unpack_from("<I", data, 4)
    if at < 1000:  # the list stands first: move it behind the pixels
        data = data[:4] + struct.pack("<I", len(data)) + data[8:] + data[at : at + 200]
    with pytest.raises(ItemError) as refused:
        decode(cut_at(data, len(data) // 2))
    assert refused.value.code == ErrorCode.TRUNCATED and "zero" in str(refused.value)
