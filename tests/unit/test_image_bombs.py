"""Small files that unpack to far more than their header says: they cost no more than their header allows."""

import struct
import time
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import ImageCms

from tests.image_files import picture, png_chunk, saved, tiff
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import inspect

SIDE = 64
MEMORY_LIMIT = 192 << 20  # on top of what the process has; the bombs hold 512 MiB
SECONDS = 20


@cache
def zeros() -> bytes:
    packer, block = zlib.compressobj(1), bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(512)), packer.flush()])


def png_with(*chunks: bytes, pixels: bytes | None = None) -> bytes:
    """A PNG with chunks after its header; ``pixels`` in the place of its own."""
    data = saved(picture(SIDE, SIDE), "PNG")
    at = data.index(b"IDAT") - 4
    end = at + 12 + struct.unpack_from(">I", data, at)[0]
    own = data[at:end] if pixels is None else png_chunk(b"IDAT", pixels)
    return data[:33] + b"".join(chunks) + data[33:at] + own + data[end:]


def grey_tiff(
    compression: int, strip: bytes, extra: tuple[int, int, int, int] | None = None, side: int = SIDE
) -> bytes:
    """A grey TIFF of one strip, with one tag more (tag, type, count, value)."""
    tags = [
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1), (273, 4, 1, 0),
        (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, len(strip)), *([extra] if extra else []),
    ]  # fmt: skip
    at = 8 + 2 + 12 * len(tags) + 4
    out = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, kind, count, value in sorted(tags):
        out += struct.pack("<HHII", tag, kind, count, at if tag == 273 else value)
    return out + bytes(4) + strip


BOMBS: dict[str, Callable[[], bytes]] = {
    "png-colour-profile": lambda: png_with(png_chunk(b"iCCP", b"x\0\0" + zeros())),
    "png-text": lambda: png_with(png_chunk(b"zTXt", b"x\0\0" + zeros())),
    "png-unicode-text": lambda: png_with(png_chunk(b"iTXt", b"x\0\1\0\0\0" + zeros())),
    "png-pixels": lambda: png_with(pixels=zeros()),
    "tiff-deflate": lambda: grey_tiff(8, zeros()),
    "tiff-packbits": lambda: grey_tiff(32773, b"\x81\0" * 2**23),
    "tiff-tag-of-4-gigabytes": lambda: grey_tiff(1, bytes(SIDE * SIDE), (700, 1, 0xFFFF_FFF0, 8)),
    "tiff-tag-outside": lambda: grey_tiff(1, bytes(SIDE * SIDE), (33723, 7, 0x7FFF_FFFF, 100)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_what_its_header_allows(name: str) -> None:
    """Read as the picture that its header promises, or refused for another reason than memory or time."""
    data = BOMBS[name]()
    limits = ImageLimits(max_pixels=SIDE * SIDE, decode_memory=MEMORY_LIMIT, page_seconds=SECONDS)
    try:
        inspect(data, name, limits=limits)
        assert decode(data, limits=limits).rgb.shape == (SIDE, SIDE, 3)
    except ItemError as error:
        assert error.code != ErrorCode.TOO_COSTLY


@pytest.mark.parametrize("name", ["png-colour-profile", "png-text", "png-unicode-text"])
def test_a_picture_is_read_whatever_its_texts_and_profile_unpack_to(name: str) -> None:
    assert np.array_equal(decode(BOMBS[name]()).rgb, picture(SIDE, SIDE))


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"x\0\0" + zlib.compress(b"history " * 300_000)),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<x/> " * 500_000),
        png_chunk(b"tEXt", b"x\0" + b"a" * 5_000_000),
        b"".join(png_chunk(b"tEXt", b"x%d\0" % n + b"a" * 60_000) for n in range(1200)),
    ],
    ids=["zTXt", "iTXt", "tEXt", "many"],
)
def test_long_texts_in_a_png_are_no_damage(chunk: bytes) -> None:
    assert np.array_equal(decode(png_with(chunk)).rgb, picture(SIDE, SIDE))


def test_a_large_profile_in_a_png_is_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    large = swapped + bytes(np.random.default_rng(1).integers(0, 256, 2_000_000, dtype=np.uint8))
    large = struct.pack(">I", len(large)) + large[4:]
    data = png_with(png_chunk(b"iCCP", b"x\0\0" + zlib.compress(large)))
    assert np.abs(decode(data).rgb.astype(int) - picture(SIDE, SIDE)[..., ::-1]).max() <= 5


def chained_directories(count: int, entries: int) -> bytes:
    """A BigTIFF of ``count`` directories that lie within each other and share their entries, which are zeros."""
    step, base = 20, 16
    data = bytearray(base + (count - 1) * step + 8 + entries * step + 72)
    data[:16] = b"II+\0\x08\0\0\0" + struct.pack("<Q", base)
    for number in range(count):
        at = base + number * step
        struct.pack_into("<Q", data, at, entries)
        struct.pack_into("<Q", data, at + 8 + entries * step, at + step if number + 1 < count else 0)
    return bytes(data)


@pytest.mark.parametrize("entries", [300, 3_000, 50_000])
def test_directories_that_share_entries_are_refused(entries: int) -> None:
    """Each page used to walk all entries of all pages: hours of processor time for a megabyte."""
    with pytest.raises(ItemError) as refused:
        inspect(chained_directories(2_000, entries), limits=ImageLimits())
    assert refused.value.code == ErrorCode.CORRUPT


def test_samples_count_not_only_pixels() -> None:
    """1,000 x 1,000 pixels of eight samples of 64 bits take as much as 8 million of 8 bytes."""
    data = tiff(np.zeros((1000, 1000, 8)), photometric="minisblack", planarconfig="contig", compression="zlib")
    with pytest.raises(ItemError) as refused:
        decode(data, limits=ImageLimits(max_pixels=1_000_000))
    assert refused.value.code == ErrorCode.TOO_MANY_PIXELS and "bytes" in str(refused.value)
    assert decode(data, limits=ImageLimits(max_pixels=8_000_000)).width_px == 1000


def test_a_file_that_needs_more_memory_than_the_limit_is_too_costly() -> None:
    data = tiff(np.zeros((3000, 3000, 3), np.uint16), photometric="rgb", compression="zlib")
    with pytest.raises(ItemError) as refused:
        decode(data, limits=ImageLimits(max_pixels=9_000_000, decode_memory=-130_000_000))
    assert refused.value.code == ErrorCode.TOO_COSTLY
    large = tiff(np.zeros((4000, 4000, 3), np.uint16), photometric="rgb")  # its limit is its own
    assert decode(large).width_px == 4000


def test_a_tiff_that_promises_too_much_is_refused_by_its_header() -> None:
    with pytest.raises(ItemError) as refused:
        decode(grey_tiff(8, zlib.compress(bytes(SIDE)), side=60_000))
    assert refused.value.code == ErrorCode.TOO_MANY_PIXELS


def test_a_jpeg_with_a_million_empty_comments_is_refused_at_once() -> None:
    jpeg = saved(picture(), "JPEG")
    started = time.process_time()
    with pytest.raises(ItemError, match="more than 100000 segments") as refused:
        inspect(jpeg[:2] + b"\xff\xfe\0\2" * 2_000_000 + jpeg[2:], limits=ImageLimits())
    assert refused.value.code is ErrorCode.CORRUPT
    assert time.process_time() - started < 1
