"""Small files that unpack to far more than their header says: they cost no more than their header allows."""

import os
import resource
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.image_files import picture, png_chunk, saved
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


def limit_this_process() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT,) * 2)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS, hard))


def answered(data: bytes, name: str) -> bool:
    """Whether a file was read as the picture that its header promises, or refused for another reason than memory."""
    try:
        inspect(data, name, limits=ImageLimits())
        return decode(data).rgb.shape == (SIDE, SIDE, 3)
    except ItemError as error:
        return "more memory" not in str(error)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_what_its_header_allows(name: str) -> None:
    data = BOMBS[name]()
    decode(saved(picture(), "PNG"))  # what decoding needs once
    child = os.fork()
    if child == 0:
        try:
            limit_this_process()
            os._exit(0 if answered(data, name) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_a_tiff_that_promises_too_much_is_refused_by_its_header() -> None:
    with pytest.raises(ItemError) as refused:
        decode(grey_tiff(8, zlib.compress(bytes(SIDE)), side=60_000))
    assert refused.value.code == ErrorCode.TOO_MANY_PIXELS
