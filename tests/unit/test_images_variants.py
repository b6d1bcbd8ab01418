"""What is there is said rightly: rare variants are read as libtiff, Photoshop and vips read them, or named."""

import gzip
import struct
import time
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.image_files import deep_picture, picture, png16, png_chunk, saved, tiff
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.formats import camera_raw_name, detect_format
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import FileInfo, ImageFormat, inspect
from tounum_tasks.images.tiff import check_segments, read_header

RGB = picture()
DEEP = deep_picture()
EMPTY = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0mif1%s"
JPEG_LS = (
    b"\xff\xd8\xff\xe8\0\x20SPIFF\0" + bytes(24) + b"\xff\xf7\0\x0b\x08\0\x10\0\x10\1\1\x11\0"
    b"\xff\xda\0\x08\1\1\0\0\0\0" + bytes(30) + b"\xff\xd9"
)


def retagged(data: bytes, tag: int, *, to: int | None = None, value: int | None = None) -> bytes:
    """Return a TIFF with another tag in the place of ``tag``, or another value in it."""
    changed = bytearray(data)
    with tifffile.TiffFile(BytesIO(data)) as file:
        at = file.pages[0].tags[tag].offset
    if to is not None:
        struct.pack_into("<H", changed, at, to)
    if value is not None:
        struct.pack_into("<H", changed, at + 8, value)
    return bytes(changed)


def directories(*tables: list[tuple[int, int, int]], order: str = "<") -> bytes:
    """Return a TIFF with one directory per list of (tag, type, value), without pixels."""
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    for number, table in enumerate(tables, 1):
        out += struct.pack(order + "H", len(table))
        for tag, kind, value in table:
            value_bytes = struct.pack(order + ("H" if kind == 3 else "I"), value).ljust(4, b"\0")
            out += struct.pack(order + "HHI", tag, kind, 1) + value_bytes
        out += struct.pack(order + "I", len(out) + 4 if number < len(tables) else 0)
    return out


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<!DOCTYPE svg [<!ENTITY a "b">]>\n<svg/>', "SVG"),
        ('<?xml version="1.0"?><svg:svg xmlns:svg="x"/>'.encode("utf-16"), "SVG"),
        (FTYP % (b"jxl ", b"jxl "), "JPEG XL"),
        (b"\xff\x0a" + bytes(9), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(9), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjpm \0\0\0\0jpm ", "JPM"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2\0\0\0\0mjp2", "Motion JPEG 2000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "DOS EPS"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM"),
        (b"8BPS\0\2" + bytes(30), "PSB"),
        (b"AT&TFORM" + bytes(9), "DjVu"),
        (saved(RGB, "TGA"), "Targa"),
        (saved(RGB, "TGA", compression="tga_rle")[:200], "Targa"),
        (saved(RGB, "SGI"), "SGI"),
        (saved(RGB, "DDS"), "DDS"),
        (saved(Image.new("RGB", (32, 32)), "ICNS"), "ICNS"),
        (b"\0\0\2\0\1\0" + bytes(30), "cursor"),
        (b"\x8bJNG\r\n\x1a\n" + bytes(9), "JNG"),
        (b"id=ImageMagick  version=1.0\n", "MIFF"),
        (b"/* XPM */\nstatic char *a[] = {", "XPM"),
        (b"\x80\x2a\x5f\xd7" + bytes(30), "Cineon"),
        (bytes(522) + b"\0\x11\2\xff\x0c\0" + bytes(9), "PICT"),
        (b"\6\6\xed\xf5\xd8\x1d\x46\xe5" + bytes(9), "InDesign"),
        ('<?xml version="1.0"?><svg xmlns="x"/>'.encode("utf-16-le"), "SVG"),
        (gzip.compress(b'<?xml version="1.0"?><svg xmlns="x"/>'), "SVG in gzip"),
        (gzip.compress(struct.pack("<II32x", 1, 88) + b" EMF" + bytes(60)), "(EMF) in gzip"),
        (gzip.compress(saved(RGB, "TIFF")), "tiff in gzip"),
        (b"\x1b%-12345X@PJL JOB\n@PJL ENTER LANGUAGE=POSTSCRIPT\n%!PS-Adobe-3.0\n", "PostScript"),
        (b"\n%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (saved(Image.new("1", (32, 32)), "XBM"), "XBM"),
        (b"FORM\0\0\0\x64ILBMBMHD" + bytes(92), "ILBM"),
        (b"RIFF\x64\0\0\0CDRCvrsn" + bytes(92), "CorelDRAW"),
        (b"\1\0\x09\0\0\3" + bytes(30), "WMF"),
        (b"\xb1\x68\xde\x3a\x0c\0\0\0" + bytes(4) + saved(RGB, "PCX"), "DCX"),
        (bytes(2048) + b"PCD_IPI" + bytes(2048), "Photo CD"),
        (bytes(65) + b"PNTGMPNT" + bytes(512), "MacPaint"),
        (b"srcdocid: NONE\r\ndstdocid: NONE\r\n" + bytes(2048), "CALS"),
        (b"II\xbc\0" + bytes(30), "JPEG XR"),
        (b"\xff\x10\xff\x50" + bytes(30), "JPEG XS"),
        (b"\0\0\0\x14ftypavci\0\0\0\0avci" + bytes(30), "HEIF without HEVC"),
        (b"#?RGBE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n", "Radiance"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"CgBI", b"\x50\0\x20\2") + saved(RGB, "PNG")[8:], "CgBI"),
        (JPEG_LS, "JPEG-LS"),
    ],
)
def test_a_known_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    for question in (lambda: inspect(data, limits=ImageLimits()), lambda: decode(data)):
        with pytest.raises(ItemError) as refused:
            question()
        assert refused.value.code == ErrorCode.UNSUPPORTED and name in str(refused.value)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (FTYP % (b"crx ", b"crx "), "Canon CR3"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(9), "Fujifilm RAF"),
        (b"IIU\0\x18\0\0\0" + bytes(30), "Panasonic RW2"),
        (b"IIRO\x08\0\0\0" + bytes(30), "Olympus ORF"),
        (b"II\x1a\0\0\0HEAPCCDR" + bytes(30), "Canon CRW"),
        (b"FOVb" + bytes(30), "Sigma X3F"),
        (b"\0MRM" + bytes(30), "Minolta MRW"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(30), "Canon CR2"),
        (b"MM\0*\0\0\0\x10MMMMRaw" + bytes(30), "Phase One IIQ"),
        (directories([(254, 4, 1), (50706, 4, 0x0401)]), "DNG"),
        (directories([(256, 4, 9), (262, 3, 32803)], order=">"), "TIFF/EP"),
        (directories([(256, 4, 9), (259, 3, 34713), (262, 3, 1)]), "TIFF/EP"),
    ],
)
def test_camera_raw_is_told_by_its_content(data: bytes, name: str) -> None:
    assert detect_format(data) == ImageFormat.RAW and camera_raw_name(data) == name


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"heim", b"msf1", b"mif1"])
def test_heic_is_told_by_its_brands(brand: bytes) -> None:
    assert detect_format(FTYP % (brand, brand)) == ImageFormat.HEIC


@pytest.mark.parametrize(
    "page", [b"<html><body><svg/></body></html>", b"<!-- svg --><p>", b"<?xml version='1.0'?><mets/>"]
)
def test_a_page_that_only_mentions_a_drawing_is_no_svg(page: bytes) -> None:
    with pytest.raises(ItemError) as refused:
        inspect(page, limits=ImageLimits())
    assert refused.value.code == ErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA, 0xCB])
def test_rare_kinds_of_jpeg_are_unsupported(marker: int) -> None:
    data = bytearray(saved(RGB, "JPEG"))
    data[data.index(b"\xff\xc0") + 1] = marker
    with pytest.raises(ItemError) as refused:
        decode(bytes(data))
    assert refused.value.code == ErrorCode.UNSUPPORTED


@pytest.mark.parametrize("samples", [RGB[..., 0], RGB[..., 0].astype(np.uint16)])
@pytest.mark.parametrize("compression", [34887, 34712, 34661])
def test_compressions_that_no_library_here_knows_are_named(samples: np.ndarray, compression: int) -> None:
    data = retagged(tiff(samples.copy(), photometric="minisblack", metadata=None), 259, value=compression)
    with pytest.raises(ItemError) as refused:
        decode(data)
    assert refused.value.code == ErrorCode.UNSUPPORTED


def test_complex_numbers_are_unsupported() -> None:
    with pytest.raises(ItemError) as refused:
        decode(tiff(RGB[..., 0].astype(np.complex64), photometric="minisblack"))
    assert refused.value.code == ErrorCode.UNSUPPORTED and "complex" in str(refused.value)


PALETTE = np.random.default_rng(0).integers(0, 65_536, (3, 65_536), dtype=np.uint16)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (tiff(DEEP, photometric="cielab"), "16 bits and photometric interpretation 8"),
        (tiff(RGB, photometric="icclab"), "8 bits, photometric interpretation 9"),
        (tiff(DEEP, photometric="icclab"), "16 bits and photometric interpretation 9"),
        (tiff(DEEP[..., 0], photometric="palette", colormap=PALETTE), "16 bits and photometric interpretation 3"),
        (retagged(tiff(RGB, photometric="rgb", metadata=None), 259, value=34676), "SGI LogLuv"),
    ],
    ids=["CIELAB 16", "ICCLab 8", "ICCLab 16", "palette 16", "LogLuv"],
)
def test_colours_that_no_library_here_knows_are_named(data: bytes, named: str) -> None:
    with pytest.raises(ItemError) as refused:
        decode(data)
    assert refused.value.code == ErrorCode.UNSUPPORTED and named in str(refused.value)


def test_a_png_without_what_it_needs_is_corrupt() -> None:
    png, palette = saved(RGB, "PNG"), saved(Image.fromarray(RGB).quantize(16), "PNG")
    at = palette.index(b"PLTE") - 4
    length = int.from_bytes(palette[at : at + 4], "big")
    for data, said in (
        (png[:8] + png_chunk(b"gAMA", b"\0\0\xb1\x8f") + png[8:], "does not begin with its header"),
        (palette[:at] + palette[at + 12 + length :], "palette"),
    ):
        with pytest.raises(ItemError, match=said) as refused:
            decode(data)
        assert refused.value.code == ErrorCode.CORRUPT


def test_of_a_jpeg_with_several_pictures_the_first_is_read() -> None:
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    data = saved(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert inspect(data, limits=ImageLimits()) == FileInfo(ImageFormat.JPEG, 1)
    assert np.abs(decode(data).rgb.astype(int) - RGB).mean() < 8


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_half_floats_are_read(compression: str | None) -> None:
    decoded = decode(tiff((RGB / 255).astype(np.float16), photometric="rgb", compression=compression))
    assert np.abs(decoded.rgb.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        (saved(RGB, "PPM"), 0),
        (saved(RGB, "PCX"), 0),
        (saved(RGB, "AVIF", quality=100, subsampling="4:4:4"), 3),
        (b"P6 60 40 65535\n" + (RGB.astype(">u2") * 257).tobytes(), 0),
        (b"P3\n# plain\n60 40\n255\n" + b" ".join(b"%d" % value for value in RGB.ravel()), 0),
        (b"P7\nWIDTH 60\nHEIGHT 40\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + RGB.tobytes(), 0),
        (b"PF\n60 40\n-1.0\n" + (RGB[::-1] / 255).astype("<f4").tobytes(), 1),
    ],
    ids=["ppm", "pcx", "avif", "ppm 16", "plain", "pam", "pfm"],
)
def test_formats_that_scanners_write_are_read(data: bytes, tolerance: int) -> None:
    assert inspect(data, limits=ImageLimits()).pages == 1
    assert np.abs(decode(data).rgb.astype(int) - RGB).max() <= tolerance
    for share in (0.3, 0.6, 0.95):
        with pytest.raises(ItemError) as refused:
            decode(data[: int(share * len(data))])
        assert refused.value.code == ErrorCode.TRUNCATED


@pytest.mark.parametrize(("magic", "at"), [(b" EMF", 40), (b"PNTG", 65), (b"DICM", 128), (b"n+1\0", 344)])
def test_pixels_and_comments_that_read_like_another_format_are_no_such_format(magic: bytes, at: int) -> None:
    for data in (
        saved(RGB, "BMP"),
        b"P6\n#" + bytes(b"x" * 400) + b"\n60 40\n255\n" + RGB.tobytes(),
        saved(RGB, "PPM"),
    ):
        changed = data[:at] + magic + data[at + len(magic) :]
        found = decode(changed).rgb
        assert np.count_nonzero((found != RGB).any(axis=2)) <= 2


INDEXED = Image.fromarray(RGB).quantize(200)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(RGB, "AVIF"), id="avif"),
        pytest.param(saved(RGB, "JPEG2000", no_jp2=True), id="code stream"),
        pytest.param(saved(RGB, "JPEG2000", no_jp2=True, tile_size=(32, 32)), id="code stream in tiles"),
        pytest.param(saved(RGB, "JPEG2000"), id="jp2"),
        pytest.param(saved(INDEXED, "PCX"), id="pcx of 256 colours"),
        pytest.param(saved(RGB, "PCX"), id="pcx"),
        *(pytest.param(saved(RGB, name), id=name) for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")),
    ],
)
@pytest.mark.parametrize(
    "rest",
    [b"\0", bytes(300), b"\x1a" * 90, b"\r\n-- \r\nSent from my desk", bytes(range(1, 200)), b"\0\0\0\1abcdefgh"],
)
def test_what_somebody_put_behind_the_end_of_a_file_changes_nothing(data: bytes, rest: bytes) -> None:
    found = decode(data + rest)
    assert np.array_equal(found.rgb, decode(data).rgb) and found.suspect_end is None
    if not data.startswith((b"GIF", b"BM", b"II")):
        with pytest.raises(ItemError) as refused:
            decode(data[: len(data) * 2 // 3] + rest[:1])
        assert refused.value.code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT)


def test_bitmaps_of_netpbm_are_black_where_they_are_one() -> None:
    for data in (b"P1\n3 2\n101 010", b"P4 3 2\n\xa0\x40"):
        assert decode(data).rgb[..., 0].tolist() == [[0, 255, 0], [255, 0, 255]]


@pytest.mark.parametrize(
    "data",
    [
        saved(EMPTY, "PNG"),
        png16(EMPTY.astype(np.uint16) * 257),
        saved(EMPTY, "WEBP", lossless=True, exact=True),
        tiff(EMPTY, photometric="rgb", extrasamples=["unassalpha"]),
        tiff(EMPTY, photometric="rgb", extrasamples=["assocalpha"]),
        tiff(EMPTY.astype(np.uint16) * 257, photometric="rgb", extrasamples=["assocalpha"]),
    ],
    ids=["png", "png 16", "webp", "tiff", "premultiplied", "premultiplied 16"],
)
def test_an_alpha_channel_that_nobody_filled_hides_nothing(data: bytes) -> None:
    assert np.array_equal(decode(data).rgb, RGB)


def test_a_picture_that_is_empty_on_purpose_is_white() -> None:
    assert decode(saved(np.zeros((8, 8, 4), np.uint8), "PNG")).rgb.min() == 255


def test_infrared_that_is_not_declared_is_no_transparency() -> None:
    infrared = np.random.default_rng(0).integers(100, 250, RGB.shape[:2], dtype=np.uint8)
    for depth, kind in ((1, np.uint8), (257, np.uint16)):
        data = tiff(
            np.dstack([RGB, infrared]).astype(kind) * kind(depth), photometric="rgb", extrasamples=["unassalpha"]
        )
        assert np.array_equal(decode(retagged(data, 338, to=333)).rgb, RGB)


@pytest.mark.parametrize("depth", [1, 257])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_missing_photometric_tag_is_answered_as_libtiff_does(depth: int, colours: int) -> None:
    samples = (RGB if colours == 3 else RGB[..., 0]).astype(np.uint8 if depth == 1 else np.uint16) * depth
    data = tiff(samples, photometric="rgb" if colours == 3 else "minisblack", metadata=None)
    expected = RGB if colours == 3 else np.dstack([RGB[..., 0]] * 3)
    assert np.array_equal(decode(retagged(data, 262, to=263)).rgb, expected)


@pytest.mark.parametrize("thumbnail_first", [True, False])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_thumbnails_do_not_count_where_pages_are_decoded(thumbnail_first: bool, byteorder: str) -> None:
    out = BytesIO()
    pages = [(RGB[::4, ::4], 1), (RGB, 0)]
    with tifffile.TiffWriter(out, byteorder=byteorder) as writer:
        for pixels, kind in pages if thumbnail_first else pages[::-1]:
            writer.write(np.ascontiguousarray(pixels), photometric="rgb", subfiletype=kind, metadata=None)
    data = out.getvalue()
    if byteorder == ">":  # some programs write the tag as a SHORT
        with tifffile.TiffFile(BytesIO(data)) as file:
            places = [(page.tags[254].offset, page.tags[254].value) for page in file.pages if 254 in page.tags]
        changed = bytearray(data)
        for at, value in places:
            struct.pack_into(">HIHH", changed, at + 2, 3, 1, value, 0)
        data = bytes(changed)
    assert inspect(data, limits=ImageLimits(max_pages=1)) == FileInfo(ImageFormat.TIFF, 1)
    assert np.array_equal(decode(data, limits=ImageLimits(max_pages=1)).rgb, RGB)


def test_smaller_levels_of_a_pyramid_are_no_pages() -> None:
    large, out = picture(256, 192), BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for step in (1, 2, 4):
            writer.write(np.ascontiguousarray(large[::step, ::step]), photometric="rgb", tile=(32, 32), metadata=None)
    assert inspect(out.getvalue(), limits=ImageLimits()).pages == 1
    assert np.array_equal(decode(out.getvalue(), limits=ImageLimits(max_pages=1)).rgb, large)


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_16_bits_in_rare_compressions_are_read(compression: str) -> None:
    grey = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    assert np.array_equal(decode(saved(grey, "TIFF", compression=compression)).rgb[..., 0], RGB[..., 0])


def test_a_16_bit_png_that_is_too_wide_for_its_library_is_unsupported() -> None:
    with pytest.raises(ItemError) as refused:
        decode(png16(np.full((1, 1_000_001), 9, np.uint16)))
    assert refused.value.code == ErrorCode.UNSUPPORTED


def test_a_bmp_of_a_kind_that_is_not_read_is_not_called_damaged() -> None:
    data = bytearray(saved(RGB, "BMP"))
    data[28] = 2  # bits per pixel
    with pytest.raises(ItemError) as refused:
        decode(bytes(data))
    assert refused.value.code is ErrorCode.UNSUPPORTED
    assert str(refused.value).endswith("convert it to TIFF or PNG")


def test_a_bmp_with_the_short_header_of_os2_is_named() -> None:
    data = saved(RGB, "BMP")
    short = data[:14] + struct.pack("<I", 16) + data[18:30] + data[54:]
    with pytest.raises(ItemError) as refused:
        decode(short)
    assert refused.value.code is ErrorCode.UNSUPPORTED and "header" in str(refused.value)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint32, np.int32, np.float64, np.uint64])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_any_kind_of_number_are_read(kind: type, alpha: bool, compression: str | None) -> None:
    low, high = (0, 1) if kind is np.float64 else (np.iinfo(kind).min, np.iinfo(kind).max)
    samples = np.full((20, 30, 4 if alpha else 3), low, kind)
    samples[:10, :, 0] = samples[:, 15:, 1] = high
    expected = np.where(samples[..., :3] == high, 255, 0)
    if alpha:
        samples[..., 3], samples[:5, :5, 3] = high, low
        expected[:5, :5] = 255
    data = tiff(samples, photometric="rgb", compression=compression, extrasamples=["unassalpha"] if alpha else None)
    assert np.array_equal(decode(data).rgb, expected)


# What TIFF files say in rare ways


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_tiff_page_of_which_a_part_was_never_written_is_truncated(depth: type, tile: tuple[int, int] | None) -> None:
    whole = tiff(picture(40, 60).astype(depth), photometric="rgb", rowsperstrip=None if tile else 10, tile=tile)
    assert decode(whole)
    for lacking in (1, 3):
        with pytest.raises(ItemError, match=rf"{lacking} of \d+ \w+ of the TIFF page were never written") as refused:
            decode(without_offsets(whole, lacking))
        assert refused.value.code is ErrorCode.TRUNCATED
    with pytest.raises(ItemError, match=r"1 of \d+ \w+ of the TIFF page were never written"):
        decode(with_one_offset_less(whole))


def without_offsets(data: bytes, count: int) -> bytes:
    """Return a TIFF whose last strips or tiles have neither place nor length, as writers leave them that break off."""
    changed = bytearray(data)
    with tifffile.TiffFile(BytesIO(data)) as file:
        for code in (273, 279, 324, 325):
            tag = file.pages.first.tags.get(code)
            if tag:
                size = tag.valuebytecount // tag.count
                changed[tag.valueoffset + (tag.count - count) * size : tag.valueoffset + tag.count * size] = bytes(
                    count * size
                )
    return bytes(changed)


def with_one_offset_less(data: bytes) -> bytes:
    """Return a TIFF whose tables are an entry shorter than its picture."""
    changed = bytearray(data)
    with tifffile.TiffFile(BytesIO(data)) as file:
        for code in (273, 279, 324, 325):
            tag = file.pages.first.tags.get(code)
            if tag:
                struct.pack_into("<I", changed, tag.offset + 4, tag.count - 1)
    return bytes(changed)


NOISE = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(NOISE, "TIFF", compression="tiff_adobe_deflate"), id="8 bits"),
        pytest.param(tiff(NOISE.astype(np.uint16), photometric="rgb", compression="zlib"), id="16 bits"),
    ],
)
def test_a_changed_byte_in_a_deflated_tiff_page_is_noticed(data: bytes) -> None:
    assert decode(data)
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages.first
        end = page.dataoffsets[0] + page.databytecounts[0]
    changed = bytearray(data)
    changed[end - 1] ^= 1  # of its checksum, which says as much as one in its pixels
    with pytest.raises(ItemError, match="a checksum in the TIFF page is wrong") as refused:
        decode(bytes(changed))
    assert refused.value.code is ErrorCode.CORRUPT


def test_the_checksum_of_a_long_strip_costs_what_its_bytes_cost() -> None:
    page = np.zeros((10_000, 10_000), np.uint8)
    data = BytesIO(tiff(page, compression="zlib", compressionargs={"level": 0}, rowsperstrip=len(page)))
    header = read_header(data, len(data.getvalue()))
    started = time.process_time()
    check_segments(data, header)
    assert time.process_time() - started < 1.5


def test_a_palette_of_8_bits_is_read_as_libtiff_reads_it() -> None:
    indexed = Image.fromarray(RGB).quantize(64)
    data = bytearray(saved(indexed, "TIFF"))
    with tifffile.TiffFile(BytesIO(data)) as file:
        palette = file.pages.first.tags[320]
        colours = (palette.value // 256).ravel().astype("<u2").tobytes()
        data[palette.valueoffset : palette.valueoffset + len(colours)] = colours
    assert np.array_equal(decode(bytes(data)).rgb, np.asarray(indexed.convert("RGB")))


def raw_tiff(pixels: bytes, bits: tuple[int, ...], photometric: int, *more: tuple[int, int, int, int]) -> bytes:
    """Return a page of 60 x 40 pixels in one strip, with tags of our own: (tag, type, count, value)."""
    tags = [
        (256, 3, 1, 60), (257, 3, 1, 40), (258, 3, len(bits), 8), (259, 3, 1, 1), (262, 3, 1, photometric),
        (273, 4, 1, 8 + 2 * len(bits)), (277, 3, 1, len(bits)), (278, 3, 1, 40), (279, 4, 1, len(pixels)), *more,
    ]  # fmt: skip
    if len(bits) < 3:
        tags[2] = (258, 3, len(bits), sum(value << 16 * place for place, value in enumerate(bits)))
    head = struct.pack(f"<{len(bits)}H", *bits) + pixels
    table = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(head)) + head + struct.pack("<H", len(tags)) + table + bytes(4)


@pytest.mark.parametrize("told", [True, False])
def test_raw_colours_that_are_coarser_than_brightness_are_read(told: bool) -> None:
    colour = (200, 120, 40)
    y, cb, cr = (int(value) for value in np.asarray(Image.new("RGB", (1, 1), colour).convert("YCbCr"))[0, 0])
    blocks = bytes([y, y, y, y, cb, cr]) * (30 * 20)
    data = raw_tiff(blocks, (8, 8, 8), 6, *([(530, 3, 2, 2 | 2 << 16)] if told else []))
    page = decode(data)
    assert page.rgb.shape == (40, 60, 3) and page.colour_mode == "rgb"
    assert np.abs(page.rgb.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(raw_tiff(bytes(60 * 40 * 2), (5, 6, 5), 2), id="5, 6 and 5 bits"),
        pytest.param(raw_tiff(bytes(60 * 40 * 5), (8, 8, 8, 16), 2), id="8 bits and alpha of 16"),
        pytest.param(raw_tiff(bytes(60 * 40 * 3), (24,), 1), id="24 bits"),
        pytest.param(raw_tiff(bytes(-(-60 * 11 // 8) * 40), (11,), 1), id="11 bits"),
        pytest.param(raw_tiff(bytes(60 * 40 * 6), (12,) * 4, 5), id="inks of 12 bits"),
        pytest.param(raw_tiff(bytes(60 * 40 * 6), (16,) * 3, 2, (339, 3, 1, 3), (317, 3, 1, 3)), id="half, predicted"),
    ],
)
def test_samples_that_no_library_here_unpacks_are_unsupported_not_damaged(data: bytes) -> None:
    with pytest.raises(ItemError) as refused:
        decode(data)
    assert refused.value.code is ErrorCode.UNSUPPORTED


@pytest.mark.parametrize("before, after", [(b"\r\n", b"\n"), (b"\n", b"\r\n")])
def test_a_png_that_was_transferred_as_text_is_to_be_copied_again(before: bytes, after: bytes) -> None:
    with pytest.raises(ItemError, match=r"transferred as text.*copy it again") as refused:
        decode(saved(RGB, "PNG").replace(before, after))
    assert refused.value.code is ErrorCode.CORRUPT


def test_texts_that_mention_a_drawing_are_no_images() -> None:
    for text in (b"#define WIDTH 10\nint main(void) {}\n", b"  %!not\n", gzip.compress(b"a log\n" * 99), b"ILBM"):
        with pytest.raises(ItemError) as refused:
            detect_format(text)
        assert refused.value.code is ErrorCode.NOT_AN_IMAGE
