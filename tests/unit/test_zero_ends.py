"""Copies that broke off and were filled up with zeros, where the format has no checksum."""

import random
import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from benchmarks.zero_ends import KINDS, tiff, tilted, whole_forms
from tests.image_files import picture, saved
from tests.image_files import tiff as tifffile_of
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


TILE_BYTES = 64 * 64 * 3
TILES_AT = len(KINDS["TIFF tiles"](RGB)) - 3 * 5 * TILE_BYTES  # of three rows of five tiles


@pytest.mark.parametrize(
    ("at", "share"),
    [
        pytest.param(7 * TILE_BYTES, 8 / 15, id="between two tiles"),
        pytest.param(7 * TILE_BYTES + 90, 8 / 15, id="in the first row of a tile"),
        pytest.param(8 * TILE_BYTES - 90, 7 / 15, id="in the last row of a tile"),
        pytest.param(7 * TILE_BYTES + 20 * 64 * 3, 8 / 15 - 20 / 64 / 15, id="between two rows of a tile"),
        pytest.param(14 * TILE_BYTES + 30 * 64 * 3, 34 / 64 / 15, id="in the last tile"),
        pytest.param(3 * TILE_BYTES + 40 * 64 * 3, 12 / 15 - 40 / 64 / 15, id="in the first row of tiles"),
    ],
)
def test_a_cut_is_found_wherever_it_meets_tiles(at: int, share: float) -> None:
    suspect_end = decode(cut_at(KINDS["TIFF tiles"](RGB), TILES_AT + at)).suspect_end
    assert suspect_end == pytest.approx(share, abs=0.003)


def test_a_cut_behind_the_page_in_a_tile_is_found() -> None:
    data = KINDS["TIFF tiles"](photograph(200, 300))  # the fifth tile of a row holds 44 columns, the fourth row 8
    start = len(data) - 4 * 5 * TILE_BYTES
    suspect_end = decode(cut_at(data, start + 9 * TILE_BYTES + (20 * 64 + 50) * 3)).suspect_end
    assert suspect_end == pytest.approx((43 * 44 + 72 * 300) / (200 * 300), abs=0.003)


def test_a_cut_at_the_end_of_a_row_of_tiles_cannot_be_told() -> None:
    assert decode(cut_at(KINDS["TIFF tiles"](RGB), TILES_AT + 10 * TILE_BYTES)).suspect_end is None


@pytest.mark.parametrize("borders", [(0, 64, 0, 32), (0, 64, 0, 64), (64, 64, 64, 64), (0, 40, 0, 64), (0, 0, 0, 30)])
def test_black_frames_that_meet_the_edges_of_tiles_are_not_suspected(borders: tuple[int, int, int, int]) -> None:
    framed = cv2.copyMakeBorder(RGB, *borders, cv2.BORDER_CONSTANT)
    assert decode(KINDS["TIFF tiles"](framed)).suspect_end is None


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
    assert decode(tiff(page, photometric="miniswhite", tile=(64, 64))).suspect_end is None


def drawing() -> np.ndarray:
    """Ink on paper that is zero: slanted strokes that end in different rows."""
    ink = np.zeros((240, 400), np.uint8)
    for number, left in enumerate(range(20, 370, 22)):
        cv2.line(ink, (left, 20), (left + 4, 32), 255, 2, cv2.LINE_AA)
        cv2.line(ink, (left, 50 + number), (left + 9, 200 - 4 * number), 255, 2, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.7), np.uint8)


def zero_from(page: np.ndarray, row: int, column: int) -> np.ndarray:
    page = page.copy()
    page[row, column:] = page[row + 1 :] = 0
    return page


@pytest.mark.parametrize("column", [80, 150, 200])
def test_a_cut_through_the_strokes_of_a_white_drawing_is_found(column: int) -> None:
    whole = drawing()
    assert decode(tiff(whole, photometric="miniswhite")).suspect_end is None
    cut = tiff(zero_from(whole, 110, column), photometric="miniswhite")
    assert decode(cut).suspect_end == pytest.approx(1 - 110 / 240, abs=0.01)


def test_a_cut_of_white_drawings_that_could_be_their_end_is_not_suspected() -> None:
    between_rows = zero_from(drawing(), 110, 400)
    below_all_strokes_but_one = zero_from(drawing(), 188, 30)
    on_whole_pixels = np.zeros((240, 400), np.uint8)
    for number, left in enumerate(range(20, 370, 22)):
        on_whole_pixels[20:40, left : left + 6] = on_whole_pixels[60 : 110 - (number > 7), left : left + 2] = 255
    for page in (between_rows, below_all_strokes_but_one, on_whole_pixels):
        assert decode(tiff(page, photometric="miniswhite")).suspect_end is None


@pytest.mark.parametrize("slope", [-2, -1, 1, 2])
def test_white_drawings_that_are_tilted_by_a_hair_are_not_suspected(slope: int) -> None:
    page = np.zeros((240, 400), np.uint8)
    page[40:180, 30:370:20] = page[40:180, 31:370:20] = 255  # strokes that all end in one row
    for tail in range(40, 370, 20):
        cv2.line(page, (tail, 20), (tail + 3, 60 + tail // 4), 255, 1, cv2.LINE_AA)
    turn = np.array([[1, -slope / 400, 0], [slope / 400, 1, 0]])
    tilted_page = np.asarray(cv2.warpAffine(page, turn, (400, 240), flags=cv2.INTER_LINEAR), np.uint8)
    assert decode(tiff(tilted_page, photometric="miniswhite")).suspect_end is None


def test_what_is_no_number_is_not_zero() -> None:
    values = np.random.default_rng(5).uniform(0.1, 1, (80, 100)).astype("<f4")
    values[:20, :50] = np.nan  # no data
    header = b"Pf\n100 80\n-1.0\n"
    found = decode(cut_at(header + values.tobytes(), len(header) + 4 * (60 * 100 + 50))).suspect_end
    assert found == pytest.approx(1 - 6050 / 8000, abs=0.001)
    values[20:] = np.nan
    whole = decode(header + values.tobytes())
    assert whole.rgb.shape == (80, 100, 3) and whole.suspect_end is None


def test_a_list_of_pages_that_is_zeros_proves_it() -> None:
    data = saved(RGB, "TIFF")
    (at,) = struct.unpack_from("<I", data, 4)
    if at < 1000:  # the list stands first: move it behind the pixels
        data = data[:4] + struct.pack("<I", len(data)) + data[8:] + data[at : at + 200]
    with pytest.raises(ItemError) as refused:
        decode(cut_at(data, len(data) // 2))
    assert refused.value.code == ErrorCode.TRUNCATED and "zero" in str(refused.value)


# Coded pixels of TIFF pages


BILEVEL = Image.fromarray(RGB).convert("1")
CODED = {
    "Deflate": saved(RGB, "TIFF", compression="tiff_adobe_deflate", strip_size=1 << 30),
    "JPEG": saved(RGB, "TIFF", compression="jpeg", strip_size=1 << 30),
    "fax G4": saved(BILEVEL, "TIFF", compression="group4"),
    "fax G3": saved(BILEVEL, "TIFF", compression="group3"),
}


@pytest.mark.parametrize("kind", CODED)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.15])
def test_coded_pixels_of_a_tiff_page_that_end_in_zeros_are_told_with_their_share(kind: str, share: float) -> None:
    data = CODED[kind]
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages.first
        start, length = page.dataoffsets[0], page.databytecounts[0]
    zeros = int(share * length)
    cut = data[: start + length - zeros] + bytes(zeros) + data[start + length :]
    assert decode(data).suspect_end is None
    if kind.startswith("fax"):
        assert decode(cut).suspect_end == pytest.approx(share, abs=0.01)
    else:  # which have an end marker
        with pytest.raises(ItemError, match="coded pixels of the TIFF page end in zero bytes") as refused:
            decode(cut)
        assert refused.value.code is ErrorCode.TRUNCATED


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_strip_in_the_middle_of_a_tiff_page_that_turns_to_zeros_is_told(compression: str, depth: type) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 60, 3)).astype(depth)
    if depth is np.uint8:
        data = saved(picture, "TIFF", compression=compression, tiffinfo={278: 32})
    else:
        data = tifffile_of(picture, photometric="rgb", compression="zlib", rowsperstrip=32)
    with tifffile.TiffFile(BytesIO(data)) as file:
        start, length = (table[1] for table in (file.pages.first.dataoffsets, file.pages.first.databytecounts))
    assert decode(data)
    for zeros in (0.5, 0.2):
        first = start + length - int(zeros * length)
        with pytest.raises(ItemError) as refused:
            decode(data[:first] + bytes(start + length - first) + data[start + length :])
        assert refused.value.code is ErrorCode.TRUNCATED


def test_deflate_without_checksum_or_last_block_is_whole() -> None:
    rows = RGB.tobytes()
    packer = zlib.compressobj()
    flushed = packer.compress(rows) + packer.flush(zlib.Z_SYNC_FLUSH)
    for stream in (zlib.compress(rows)[:-4], flushed, zlib.compress(rows) + bytes(100)):
        data = tifffile_of(RGB, photometric="rgb", compression="zlib", rowsperstrip=len(RGB))
        with tifffile.TiffFile(BytesIO(data)) as file:
            tags = file.pages.first.tags
            places = tags[273].valueoffset, tags[279].valueoffset
        changed = bytearray(data) + stream
        for place, value in zip(places, (len(data), len(stream)), strict=True):
            struct.pack_into("<I", changed, place, value)
        found = decode(bytes(changed))
        assert np.array_equal(found.rgb, RGB) and found.suspect_end is None


@pytest.mark.parametrize(
    "compression", ["tiff_adobe_deflate", "tiff_lzw", "zstd", "lzma", "jpeg", "packbits", "group4", "group3"]
)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_tiff_pages_are_not_suspected(compression: str, value: int) -> None:
    page = Image.fromarray(np.full((1500, 2000), value, np.uint8))
    page = page.convert("1") if compression.startswith("group") else page
    assert decode(saved(page, "TIFF", compression=compression)).suspect_end is None


def rle_bmp() -> bytes:
    """Run lengths of one byte each, in a BMP file of 16 x 200 pixels with a palette of greys."""
    pixels = np.random.default_rng(5).integers(1, 256, (200, 16), dtype=np.uint8)
    rows = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in pixels) + b"\0\1"
    palette = b"".join(bytes([value, value, value, 0]) for value in range(256))
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 200, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def in_text() -> bytes:
    return b"P3\n320 192\n255\n" + b"\n".join(b" ".join(b"%d" % v for v in row) for row in RGB.reshape(192, -1))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(RGB, "PNG"), id="PNG"),
        pytest.param(saved(RGB, "AVIF"), id="AVIF"),
        pytest.param(rle_bmp(), id="BMP with run lengths"),
        pytest.param(in_text(), id="PNM in text"),
        pytest.param(tiff(RGB, photometric="rgb", compression="zlib", rowsperstrip=16), id="TIFF"),
    ],
)
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_what_ends_in_zeros_is_to_be_copied_again_not_scanned_again(data: bytes, share: float) -> None:
    try:
        assert decode(cut_at(data, len(data) - int(share * len(data)))).suspect_end
    except ItemError as error:
        assert error.code is ErrorCode.TRUNCATED


def test_run_lengths_that_end_early_are_truncated() -> None:
    with pytest.raises(ItemError) as refused:
        decode(rle_bmp()[:-2000])
    assert refused.value.code is ErrorCode.TRUNCATED
