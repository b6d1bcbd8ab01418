"""JPX, the extended JPEG 2000, is read as far as its pixels lie in one code stream of known colours."""

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.image_files import deep_picture, jp2, picture, saved
from tests.profiles import rgb_profile
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.sample import cmyk

RGB = picture(64, 96)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        length = length or len(data) - at
        yield kind, data[at + 8 : at + length]
        at += length


SIGNATURE = box(b"jP  ", b"\r\n\x87\n")
START = SIGNATURE + box(b"ftyp", b"jpx \0\0\0\0jpx jp2 jpxb") + box(b"rreq", b"\1\xff\x80\0\1\0\5\x80\0")


def parts(samples: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """The header boxes, the box of the size alone, and the code stream of a JP2 file."""
    file = dict(boxes(jp2(samples)))
    header = file[b"jp2h"]
    return box(b"jp2h", header), box(b"ihdr", dict(boxes(header))[b"ihdr"]), box(b"jp2c", file[b"jp2c"])


def colour(method: int, content: bytes) -> bytes:
    return box(b"colr", bytes((method, 0, 0)) + content)


def space(number: int) -> bytes:
    return colour(1, struct.pack(">I", number))


HEADER, SIZE, STREAM = parts(RGB)
LAYER = box(b"jplh", box(b"cgrp", space(16)))
READ = {
    "brand": START + HEADER + STREAM,
    "brand alone": SIGNATURE + box(b"ftyp", b"jpx \0\0\0\0jpx ") + HEADER + STREAM,
    "vendor's colours": START + box(b"jp2h", SIZE + colour(4, bytes(16))) + STREAM,
    "two descriptions": START + box(b"jp2h", SIZE + space(20) + space(16)) + STREAM,
    "colours of a layer": START + box(b"jp2h", SIZE) + box(b"jpch", SIZE) + LAYER + STREAM,
    "layer before header": START + box(b"jpch", SIZE) + LAYER + HEADER + STREAM,
    "no header": START + box(b"jpch", SIZE) + LAYER + STREAM,
    "two pictures": START + HEADER + STREAM + parts(RGB[::-1].copy())[2],
    "notes": START + HEADER + box(b"asoc", box(b"nlst", bytes(4)) + box(b"xml ", b"<a/>")) + STREAM,
}


@pytest.mark.parametrize("kind", READ)
def test_jpx_is_read(kind: str) -> None:
    assert inspect(READ[kind], limits=ImageLimits()).format == ImageFormat.JPEG2000
    assert np.array_equal(decode(READ[kind]).rgb, RGB)


def test_16_bits_of_a_jpx_are_read() -> None:
    deep = deep_picture(64, 96)
    header, _, stream = parts(deep)
    assert np.array_equal(decode(START + header + stream).rgb, np.round(deep / 257).astype(np.uint8))


def test_any_profile_of_a_jpx_is_applied() -> None:
    """JP2 allows matrices and curves in a profile (method 2), JPX whatever a profile may hold (method 3)."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    _, size, stream = parts(grey)
    for method in (2, 3):
        data = START + box(b"jp2h", size + colour(method, rgb_profile(1.0))) + stream
        assert np.abs(decode(data).rgb.astype(int) - 188).max() <= 1  # half of the light is 188 in sRGB


def test_inks_are_told_by_their_profile() -> None:
    inks = cmyk.separate(RGB)
    _, size, stream = parts(np.asarray(inks))
    decoded = decode(START + box(b"jp2h", size + colour(3, cmyk.profile())) + stream)
    expected = decode(saved(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=cmyk.profile()))
    assert decoded.colour_mode == "cmyk" and np.array_equal(decoded.rgb, expected.rgb)


def fragmented() -> bytes:
    return START + HEADER + box(b"ftbl", box(b"flst", struct.pack(">HQIH", 1, 900, 20, 0))) + box(b"mdat", STREAM)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (START + box(b"jp2h", SIZE + space(14)) + STREAM, "colour space 14"),
        (START + box(b"jp2h", SIZE + space(21)) + STREAM, "colour space 21"),
        (fragmented(), "fragments"),
    ],
)
def test_what_is_not_read_is_named(data: bytes, reason: str) -> None:
    with pytest.raises(ItemError) as refused:
        decode(data)
    assert refused.value.code == ErrorCode.UNSUPPORTED and reason in str(refused.value)


def test_the_limit_on_pixels_holds_without_a_header_box() -> None:
    with pytest.raises(ItemError) as refused:
        inspect(READ["no header"], limits=ImageLimits(max_pixels=64 * 96 - 1))
    assert refused.value.code == ErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("dpi", [72, 96.5, 300, 1200, 5000, 20_000])
def test_the_resolution_of_an_enhanced_copy_is_stated(dpi: float) -> None:
    again = decode(encode(RGB, format="jpeg2000", dpi=dpi))
    assert (again.dpi_x, again.dpi_y) == pytest.approx((dpi, dpi), rel=1e-4)
    assert np.array_equal(again.rgb, RGB)
