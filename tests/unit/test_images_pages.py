"""inspect: format by content, number of pages, refusals; from the header alone."""

import hashlib
import struct
import time
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.image_files import every_kind, pdf, picture, saved, tiff, tiff_pages
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import FileInfo, ImageFormat, inspect

LIMITS = ImageLimits()
RGB = picture()
KINDS = every_kind()
FORMATS = {
    "jpg": "jpeg", "jpeg": "jpeg", "png": "png", "tif": "tiff", "webp": "webp", "bmp": "bmp", "gif": "gif",
    "jp2": "jpeg2000", "j2k": "jpeg2000", "pdf": "pdf", "dng": "raw", "heic": "heic", "ppm": "pnm", "pgm": "pnm",
    "pcx": "pcx", "avif": "avif",
}  # fmt: skip


def refusal(data: bytes, name: str = "", limits: ImageLimits = LIMITS) -> ItemError:
    with pytest.raises(ItemError) as refused:
        inspect(data, name, limits=limits)
    return refused.value


@pytest.mark.parametrize("name", KINDS)
def test_the_format_comes_from_the_content(name):
    info = inspect(KINDS[name], "anything.txt", limits=LIMITS)
    assert info.format == FORMATS[name.rpartition(".")[2]]
    assert info.pages == {"pages.tif": 3, "two-pages.pdf": 2}.get(name, 1)


def test_an_animation_is_one_page():
    frames = [picture(seed=seed) for seed in range(3)]
    for format in ("GIF", "WEBP", "PNG"):
        first, *rest = [Image.fromarray(frame) for frame in frames]
        data = saved(first, format, save_all=True, append_images=rest)
        assert inspect(data, limits=LIMITS).pages == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ErrorCode.EMPTY_FILE),
        (bytes(1000), ErrorCode.NOT_AN_IMAGE),
        (b"just a letter to the editor\n", ErrorCode.NOT_AN_IMAGE),
        (b"BMX racing, a history", ErrorCode.NOT_AN_IMAGE),
        (b"<html><body>404</body></html>", ErrorCode.NOT_AN_IMAGE),
        (b"PK\3\4" + bytes(100), ErrorCode.NOT_AN_IMAGE),
        (b"8BPS" + bytes(100), ErrorCode.UNSUPPORTED),
        (b"\0\0\0\x18ftypheic" + bytes(100), ErrorCode.CORRUPT),
        (b"\xff\xd8\xff", ErrorCode.TRUNCATED),
        (b"\x89PNG\r\n\x1a\n", ErrorCode.CORRUPT),
        (b"II*\0", ErrorCode.TRUNCATED),
        (b"II*\0" + bytes(4), ErrorCode.CORRUPT),
        (b"%PDF-1.4\nnothing", ErrorCode.TRUNCATED),
        (b"%PDF-1.4\nnothing\n%%EOF\n", ErrorCode.CORRUPT),
        (b"RIFF\x20\0\0\0WEBPVP9 " + bytes(20), ErrorCode.CORRUPT),
    ],
)
def test_refusals(data, code):
    assert refusal(data).code == code


def test_a_refusal_names_the_ending_but_no_hostile_one():
    assert ".jpg" in str(refusal(b"plain text", "letters/scan.JPG"))
    assert "<" not in str(refusal(b"plain text", "x.<script>"))


def test_a_password_is_asked_for():
    # Standard security handler, revision 2: neither the user's nor the owner's password is empty.
    data = pdf([(72, 72)])
    encryption = b"<< /Filter /Standard /V 1 /R 2 /O <" + b"11" * 32 + b"> /U <" + b"22" * 32 + b"> /P -4 >>"
    data = data.replace(b"/Root 1 0 R", b"/Root 1 0 R /ID [<00> <00>] /Encrypt " + encryption)
    assert refusal(data).code == ErrorCode.ENCRYPTED


def test_a_password_of_the_owner_alone_keeps_nobody_from_reading():
    assert decode(locked_by_its_owner()).rgb[-4, 4].tolist() == [255, 0, 0]


def locked_by_its_owner() -> bytes:
    """A PDF of a red square whose user's password is empty (ISO 32000, 7.6.3, revision 2)."""
    drawn = "1 0 0 rg 0 0 20 20 re f"
    data = pdf([(72, 36)], drawn=drawn)
    padding = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
    owner, identity = b"\x11" * 32, b"\0"
    key = hashlib.md5(padding + owner + struct.pack("<i", -4) + identity).digest()[:5]
    of_stream = hashlib.md5(key + (4).to_bytes(3, "little") + bytes(2)).digest()[:10]
    data = data.replace(drawn.encode(), rc4(of_stream, drawn.encode()))
    words = b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>"
    encryption = words % (owner.hex().encode(), rc4(key, padding).hex().encode())
    return data.replace(b"/Root 1 0 R", b"/Root 1 0 R /ID [<00> <00>] /Encrypt " + encryption)


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


@pytest.mark.parametrize(
    ("place", "entry", "shape", "red"),
    [
        (b"/MediaBox", b"/Rotate 90 /MediaBox", (300, 150), (4, 4)),
        (b"/MediaBox", b"/CropBox [0 0 36 36] /MediaBox", (150, 150), (-4, 4)),
        (b"[0 0 72 36]", b"[72 36 0 0]", (150, 300), (-4, 4)),
        (b"%PDF", b"\xef\xbb\xbf%PDF", (150, 300), (-4, 4)),
    ],
    ids=["turned", "cropped", "box from the wrong corner", "byte order mark"],
)
def test_odd_pages_of_a_pdf_are_drawn_as_viewers_draw_them(place, entry, shape, red):
    rgb = decode(pdf([(72, 36)]).replace(place, entry, 1)).rgb
    assert rgb.shape[:2] == shape and rgb[red].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "data",
    [tiff_pages([RGB[:4, :4]] * 5, photometric="rgb"), pdf([(10, 10)] * 5)],
    ids=["tiff", "pdf"],
)
def test_too_many_pages(data):
    assert inspect(data, limits=ImageLimits(max_pages=5)).pages == 5
    assert refusal(data, limits=ImageLimits(max_pages=4)).code == ErrorCode.TOO_MANY_PAGES


def test_thumbnails_and_masks_in_a_tiff_are_no_pages():
    pages = [(RGB, 0), (RGB[::4, ::4], 1), (RGB, 2), (RGB[..., 0] > 99, 4)]
    out = BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for pixels, subfile in pages:
            writer.write(np.ascontiguousarray(pixels), subfiletype=subfile, metadata=None)
    assert inspect(out.getvalue(), limits=LIMITS) == FileInfo(ImageFormat.TIFF, 2)


def test_a_chain_of_pages_that_bites_its_tail_ends():
    data = bytearray(tiff(RGB, photometric="rgb", metadata=None))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert inspect(bytes(data), limits=LIMITS).pages == 1


def test_a_chain_of_pages_that_leaves_the_file_is_truncated():
    data = bytearray(tiff(RGB, photometric="rgb", metadata=None))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, len(data) + 10)
    assert refusal(bytes(data)).code == ErrorCode.TRUNCATED


def bombs() -> dict[str, bytes]:
    """Files of a few hundred bytes whose headers promise billions of pixels."""
    png = bytearray(KINDS["rgb.png"])
    struct.pack_into(">II", png, 16, 60_000, 60_000)
    jpeg = bytearray(KINDS["baseline.jpg"])
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 65_000, 65_000)
    gif = bytearray(KINDS["palette.gif"])
    struct.pack_into("<HH", gif, 6, 65_535, 65_535)
    bmp = bytearray(KINDS["rgb.bmp"])
    struct.pack_into("<ii", bmp, 18, 100_000, 100_000)
    j2k = bytearray(KINDS["grey.j2k"])
    struct.pack_into(">II", j2k, 8, 100_000, 100_000)
    webp = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (16_382).to_bytes(3, "little") * 2 + bytes(40)
    return {
        "png": bytes(png),
        "jpeg": bytes(jpeg),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "j2k": bytes(j2k),
        "webp": webp,
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_refused_by_their_header(name):
    assert refusal(bombs()[name]).code == ErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("name", KINDS)
def test_any_beginning_of_a_file_is_answered(name):
    for length in range(0, min(len(KINDS[name]), 400), 3):
        try:
            inspect(KINDS[name][:length], limits=LIMITS)
        except ItemError as error:
            assert str(error)


@pytest.mark.parametrize("head", [b"", b"<!DOCTYPE svg ", b"P5 ", b"P2 1", b"#define a_width 1", b"\x1b%-12345X"])
@pytest.mark.parametrize("unit", [b" ", b"\n", b"\t ", b"[]", b"] ", b"<!---->", b"<?x?>", b"#\n", b"/**/", b"@PJL\n"])
def test_a_text_is_answered_at_once_whatever_it_repeats(head: bytes, unit: bytes) -> None:
    for times in (28, 10_000):
        started = time.process_time()
        with pytest.raises(ItemError):
            inspect(head + unit * times + b"~", limits=ImageLimits())
        assert time.process_time() - started < 1
