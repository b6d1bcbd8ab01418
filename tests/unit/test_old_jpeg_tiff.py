"""TIFF pages in old-style JPEG (TIFF 6.0, section 22), which no library writes any more: tags around a JPEG stream."""

import struct
from io import BytesIO

import numpy as np
import pytest
import skimage.data
from PIL import Image

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode

SHORT, LONG = 3, 4
AT = 8  # where the stream begins


def in_tiff(stream: bytes, image: Image.Image, *, subsampling: int, strip_is_stream: bool, order: str = "<") -> bytes:
    """A TIFF file of one page around the JPEG stream of an image."""
    grey = image.mode == "L"
    end = AT + len(stream) + len(stream) % 2
    scan = stream.index(b"\xff\xda") + 2
    pixels = AT if strip_is_stream else AT + scan + struct.unpack_from(">H", stream, scan)[0]
    factor = 1 if subsampling == 0 else 2
    entries: list[tuple[int, int, tuple[int, ...]]] = [
        (256, SHORT, (image.width,)),
        (257, SHORT, (image.height,)),
        (258, SHORT, (8,) if grey else (8, 8, 8)),
        (259, SHORT, (6,)),
        (262, SHORT, (1 if grey else 6,)),
        (273, LONG, (pixels,)),
        (277, SHORT, (1 if grey else 3,)),
        (278, SHORT, (image.height,)),
        (279, LONG, (AT + len(stream) - pixels,)),
        (513, LONG, (AT,)),
        (514, LONG, (len(stream),)),
        (530, SHORT, (factor, factor)),
    ]
    beyond = end + 2 + 12 * len(entries) + 4
    directory, rest = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, values in entries:
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(packed) > 4:
            packed, rest = struct.pack(f"{order}I", beyond + len(rest)), rest + packed
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, end)
    return head + stream.ljust(end - AT, b"\0") + directory + bytes(4) + rest


def jpeg(image: Image.Image, subsampling: int) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=90, subsampling=subsampling)
    return file.getvalue()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("strip_is_stream", [True, False])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("colours", ["grey", "colour"])
def test_it_is_read(colours: str, subsampling: int, strip_is_stream: bool, order: str) -> None:
    image = Image.fromarray(skimage.data.camera() if colours == "grey" else skimage.data.coffee())
    stream = jpeg(image, subsampling)
    decoded = decode(in_tiff(stream, image, subsampling=subsampling, strip_is_stream=strip_is_stream, order=order))
    expected = np.asarray(Image.open(BytesIO(stream)).convert("RGB"), int)
    # libtiff brings colours of fewer pixels to size in its own way.
    assert np.abs(decoded.rgb - expected).mean() < (1 if colours == "colour" and subsampling else 0.01)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_stream_of_greys_that_is_cut_short_is_damaged(kept: float) -> None:
    image = Image.fromarray(skimage.data.camera())
    stream = jpeg(image, 0)
    cut = stream[: int(len(stream) * kept)]
    with pytest.raises(ItemError) as raised:
        decode(in_tiff(cut, image, subsampling=0, strip_is_stream=True))
    assert raised.value.code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT)


def test_a_stream_of_another_picture_is_refused() -> None:
    image = Image.fromarray(skimage.data.camera())
    other = jpeg(image.crop((0, 0, 256, 256)), 0)
    with pytest.raises(ItemError, match="is of another picture"):
        decode(in_tiff(other, image, subsampling=0, strip_is_stream=True))
