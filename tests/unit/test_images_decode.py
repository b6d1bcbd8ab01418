"""decode: every format, upright, 8 bits, sRGB, on white."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tests.image_files import (
    deep_picture,
    every_kind,
    jp2,
    pdf,
    picture,
    png16,
    png_chunk,
    saved,
    tiff,
    tiff_pages,
)
from tests.profiles import grey_profile, rgb_profile
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.sample import cmyk

RGB = picture()
DEEP = deep_picture()
KINDS = every_kind()


def scaled(samples: np.ndarray) -> np.ndarray:
    """16 to 8 bits, rounded."""
    return np.round(samples / 257).astype(np.uint8)


def largest_difference(data: bytes, expected: np.ndarray) -> int:
    decoded = decode(data).rgb
    assert decoded.shape == expected.shape
    return int(np.abs(decoded.astype(int) - expected).max())


def refusal(data: bytes, **options) -> ItemError:
    with pytest.raises(ItemError) as refused:
        decode(data, **options)
    return refused.value


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_gives_upright_contiguous_pixels(name):
    decoded = decode(KINDS[name])
    assert decoded.rgb.dtype == np.uint8
    assert decoded.rgb.flags.c_contiguous
    assert decoded.rgb.shape == (decoded.height_px, decoded.width_px, 3)
    assert decoded.bit_depth in (1, 4, 8, 14, 16, 32)
    # The dark corner is at the top left, whatever the format (not drawn in two-pages.pdf and house.heic; no colours in
    # lab.tif).
    if name not in ("two-pages.pdf", "house.heic", "lab.tif", "lossless-alpha.webp", "alpha.png", "grey-alpha.png"):
        brightness = decoded.rgb.mean(axis=2)
        height, width = brightness.shape
        corner = brightness[: height // 5, : width // 5].mean()
        if name not in ("sixteen-alpha.png", "sixteen-grey-white-zero.tif", "sixteen-cmyk.tif", "palette.png"):
            assert corner < brightness.mean() - 20


@pytest.mark.parametrize(
    ("data", "expected", "tolerance"),
    [
        pytest.param(saved(RGB, "PNG"), RGB, 0, id="png"),
        pytest.param(saved(RGB, "BMP"), RGB, 0, id="bmp"),
        pytest.param(saved(RGB, "WEBP", lossless=True), RGB, 0, id="webp"),
        pytest.param(saved(RGB, "JPEG", quality=100, subsampling=0), RGB, 4, id="jpeg"),
        pytest.param(saved(RGB, "TIFF", compression="tiff_lzw"), RGB, 0, id="tiff lzw"),
        pytest.param(tiff(RGB, photometric="rgb", tile=(16, 16)), RGB, 0, id="tiff tiled"),
        pytest.param(tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB, 0, id="planes"),
        pytest.param(jp2(RGB), RGB, 0, id="jpeg 2000"),
        pytest.param(png16(DEEP), scaled(DEEP), 0, id="png 16 bit"),
        pytest.param(tiff(DEEP, photometric="rgb"), scaled(DEEP), 0, id="tiff 16 bit"),
        pytest.param(tiff(DEEP, photometric="rgb", byteorder=">"), scaled(DEEP), 0, id="tiff 16 bit big-endian"),
        pytest.param(
            tiff(np.moveaxis(DEEP, -1, 0), photometric="rgb", planarconfig="separate", compression="zlib"),
            scaled(DEEP), 0, id="tiff 16 bit planes",
        ),
        pytest.param(jp2(DEEP), scaled(DEEP), 0, id="jpeg 2000 16 bit"),
        pytest.param(tiff((DEEP / 65535).astype(np.float32), photometric="rgb"), scaled(DEEP), 1, id="tiff float"),
    ],
)  # fmt: skip
def test_pixels_are_exact(data, expected, tolerance):
    assert largest_difference(data, expected) <= tolerance


@pytest.mark.parametrize("samples", [np.uint16, np.int16, np.uint32, np.float64])
def test_samples_without_an_agreed_white_are_stretched(samples):
    ramp = np.arange(2000).reshape(40, 50).astype(samples)
    decoded = decode(tiff(ramp, photometric="minisblack")).rgb
    if samples is np.uint16:
        assert decoded.max() == round(1999 / 257)
    else:
        assert (decoded.min(), decoded.max()) == (0, 255)


def test_what_is_no_number_becomes_the_darkest_value():
    samples = np.full((10, 10), 5.0, np.float32)
    samples[0, 0], samples[0, 1], samples[1, 0] = np.nan, np.inf, 3.0
    decoded = decode(tiff(samples, photometric="minisblack")).rgb
    assert decoded[0, 0, 0] == decoded[0, 1, 0] == decoded[1, 0, 0] == 0
    assert decoded[5, 5, 0] == 255


def test_white_is_zero_is_inverted_at_every_depth():
    grey = RGB[..., 0]
    expected = 255 - np.dstack([grey] * 3)
    assert largest_difference(tiff(grey, photometric="miniswhite"), expected) == 0
    assert largest_difference(tiff(grey.astype(np.uint16) * 257, photometric="miniswhite"), expected) == 0


def test_fax_pages_are_black_on_white():
    page = np.full((64, 80), 255, np.uint8)
    page[10:20, 10:70] = 0
    bilevel = Image.fromarray(page).convert("1")
    for compression in ("group3", "group4", "tiff_ccitt"):
        decoded = decode(saved(bilevel, "TIFF", compression=compression, dpi=(200, 200)))
        assert np.array_equal(decoded.rgb[..., 0], page)
        assert (decoded.colour_mode, decoded.bit_depth, decoded.dpi) == ("bilevel", 1, 200)


# --- orientation ---------------------------------------------------------------------------------------------------

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def with_orientation(kind: str, orientation: int) -> bytes:
    if kind.startswith("tiff"):
        tag = [(274, "H", 1, orientation, True)]
        if kind == "tiff16":
            return tiff(RGB.astype(np.uint16) * 257, photometric="rgb", extratags=tag)
        if kind == "tiff16-planes":
            planes = np.moveaxis(RGB.astype(np.uint16) * 257, -1, 0)
            return tiff(planes, photometric="rgb", planarconfig="separate", extratags=tag)
        return tiff(RGB, photometric="rgb", extratags=tag, compression=None if kind == "tiff" else "zlib")
    exif = Image.Exif()
    exif[274] = orientation
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    if kind == "PNG" and orientation == 8:  # once also through the reader for 16 bits
        return png16(RGB.astype(np.uint16) * 257, png_chunk(b"eXIf", exif.tobytes()[6:]))
    return saved(RGB, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "tiff", "tiff-deflate", "tiff16", "tiff16-planes"])
def test_orientation_is_applied_exactly_once(kind, orientation):
    turn = TURNS[orientation]
    image = Image.fromarray(RGB)
    expected = np.asarray(image if turn is None else image.transpose(turn))
    decoded = decode(with_orientation(kind, orientation))
    assert decoded.exif_orientation == orientation
    assert decoded.rgb.shape == expected.shape
    assert np.abs(decoded.rgb.astype(int) - expected).max() <= (4 if kind == "JPEG" else 0)


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_outside_1_to_8_is_ignored(value):
    exif = Image.Exif()
    exif[274] = value
    decoded = decode(saved(RGB, "PNG", exif=exif))
    assert decoded.exif_orientation is None
    assert np.array_equal(decoded.rgb, RGB)


def test_a_damaged_exif_block_costs_nothing_but_its_tags():
    data = saved(RGB, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    assert largest_difference(data, RGB) <= 4


# --- transparency --------------------------------------------------------------------------------------------------


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / alpha.dtype.type(-1 if alpha.dtype.kind == "i" else np.iinfo(alpha.dtype).max)
    return np.round(rgb * share + 255 * (1 - share))


ALPHA = np.linspace(0, 255, RGB.shape[1]).astype(np.uint8)[None].repeat(len(RGB), 0)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(np.dstack([RGB, ALPHA]), "PNG"), id="png"),
        pytest.param(png16(np.dstack([RGB, ALPHA]).astype(np.uint16) * 257), id="png 16 bit"),
        pytest.param(saved(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exact=True), id="webp"),
        pytest.param(saved(np.dstack([RGB, ALPHA]), "TIFF"), id="tiff"),
        pytest.param(
            tiff(np.dstack([RGB, ALPHA]).astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]),
            id="tiff 16 bit",
        ),
    ],
)
def test_transparency_is_laid_on_white(data):
    assert largest_difference(data, on_white(RGB, ALPHA)) <= 1
    assert decode(data).colour_mode == "rgb_alpha"


def test_premultiplied_alpha_is_laid_on_white():
    premultiplied = np.round(RGB * (ALPHA[..., None] / 255)).astype(np.uint8)
    for depth in (1, 257):
        samples = np.dstack([premultiplied, ALPHA]).astype(np.uint8 if depth == 1 else np.uint16) * depth
        data = tiff(samples, photometric="rgb", extrasamples=["assocalpha"])
        visible = ALPHA > 8  # below, 8 bits of premultiplied colour say next to nothing
        difference = np.abs(decode(data).rgb.astype(int) - on_white(RGB, ALPHA))
        assert difference[visible].max() <= 2


def test_an_unspecified_extra_sample_is_not_transparency():
    for depth in (1, 257):
        samples = np.dstack([RGB, ALPHA]).astype(np.uint8 if depth == 1 else np.uint16) * depth
        assert largest_difference(tiff(samples, photometric="rgb", extrasamples=["unspecified"]), RGB) == 0


def test_grey_with_alpha():
    grey = RGB[..., 0]
    expected = on_white(np.dstack([grey] * 3), ALPHA)
    assert largest_difference(saved(Image.fromarray(np.dstack([grey, ALPHA]), "LA"), "PNG"), expected) <= 1
    deep = np.dstack([grey, ALPHA]).astype(np.uint16) * 257
    assert largest_difference(png16(deep), expected) <= 1
    options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    assert largest_difference(tiff(deep, **options), expected) <= 1


def test_one_transparent_colour_becomes_white():
    indices = np.zeros((8, 8), np.uint8)
    indices[2:6, 2:6] = 1
    palette = Image.fromarray(indices, "P")
    palette.putpalette([200, 0, 0, 0, 0, 200])
    expected = np.full((8, 8, 3), 255, np.uint8)
    expected[2:6, 2:6] = (0, 0, 200)
    for format in ("PNG", "GIF"):
        assert largest_difference(saved(palette, format, transparency=0), expected) == 0
    half = decode(saved(palette, "PNG", transparency=bytes([128, 255]))).rgb
    assert np.abs(half[0, 0].astype(int) - (227, 127, 127)).max() <= 1


@pytest.mark.parametrize("grey", [True, False])
def test_one_transparent_colour_of_16_bits_becomes_white(grey):
    samples = DEEP[..., 0] if grey else DEEP
    key = np.atleast_1d(samples[20, 30]).astype(">u2")
    decoded = decode(png16(samples, png_chunk(b"tRNS", key.tobytes()))).rgb
    expected = scaled(np.dstack([samples] * 3) if grey else samples)
    same = samples == samples[20, 30] if grey else (samples == samples[20, 30]).all(axis=-1)
    expected[same] = 255
    assert np.array_equal(decoded, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_one_transparent_grey_of_few_bits_becomes_white(depth):
    levels = np.tile(np.arange(2**depth, dtype=np.uint8)[: 2**depth], (4, 8))
    bits = np.unpackbits(levels[..., None], axis=-1)[..., 8 - depth :].reshape(len(levels), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", levels.shape[1], 4, depth, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    for key in (0, 1):
        decoded = decode(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"tRNS", struct.pack(">H", key)) + pixels).rgb
        expected = np.where(levels == key, 255, levels.astype(int) * 255 // (2**depth - 1))
        assert np.array_equal(decoded, np.dstack([expected] * 3))


@pytest.mark.parametrize("filled", [True, False])
def test_a_bitmap_with_an_alpha_channel_that_was_never_filled_is_opaque(filled):
    height, width = ALPHA.shape
    alpha = ALPHA if filled else np.zeros_like(ALPHA)
    rows = np.dstack([RGB[..., ::-1], alpha])[::-1].tobytes()
    masks = struct.pack(">4I", 0x0000FF00, 0x00FF0000, 0xFF000000, 0x000000FF)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0) + masks
    header = header.ljust(108, b"\0")
    data = b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows
    assert largest_difference(data, on_white(RGB, ALPHA) if filled else RGB) <= 1


# --- colour --------------------------------------------------------------------------------------------------------


def test_cmyk_goes_through_its_profile():
    inks = Image.fromarray(cmyk.separate(RGB), "CMYK")
    for format, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        data = saved(inks, format, icc_profile=cmyk.profile(), **options)
        decoded = decode(data)
        assert decoded.colour_mode == "cmyk"
        # Not every colour of the picture can be printed, so compare with what the profile says of these inks.
        expected = ImageCms.profileToProfile(
            inks, BytesIO(cmyk.profile()), ImageCms.createProfile("sRGB"), outputMode="RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        assert np.abs(decoded.rgb.astype(int) - np.asarray(expected)).max() <= (0 if format == "TIFF" else 12)
        assert np.abs(decoded.rgb.astype(int) - RGB).mean() < 12


def test_pure_inks_come_out_in_their_colours_with_and_without_profile():
    patches = np.zeros((8, 40, 4), np.uint8)
    for index in range(4):
        patches[:, 8 * index : 8 * index + 8, index] = 255
    image = Image.fromarray(patches, "CMYK")
    ideal = [(0, 255, 255), (255, 0, 255), (255, 255, 0), (0, 0, 0), (255, 255, 255)]
    printed = [(0, 158, 224), (230, 0, 126), (255, 237, 0), (63, 63, 63), (255, 255, 255)]
    for format in ("TIFF", "JPEG"):  # JPEG stores CMYK inverted, as Adobe's programs do
        options = {} if format == "TIFF" else {"quality": 100, "subsampling": 0}
        plain = decode(saved(image, format, **options)).rgb
        profiled = decode(saved(image, format, icc_profile=cmyk.profile(), **options)).rgb
        for index in range(5):
            assert np.abs(plain[4, 8 * index + 4].astype(int) - ideal[index]).max() <= 4
            assert np.abs(profiled[4, 8 * index + 4].astype(int) - printed[index]).max() <= 8


def wide_profile() -> bytes:
    """An RGB profile unlike sRGB: red and blue are swapped in the table of tags of an sRGB profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_other_profiles_than_srgb_are_converted(format):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(format, {})
    decoded = decode(saved(RGB, format, icc_profile=wide_profile(), **options)).rgb
    assert np.abs(decoded.astype(int) - RGB[..., ::-1]).max() <= 5


def test_profiles_of_16_bit_pictures_are_converted():
    data = tiff(RGB.astype(np.uint16) * 257, photometric="rgb", iccprofile=wide_profile())
    assert largest_difference(data, RGB[..., ::-1]) <= 2


def test_a_grey_profile_is_converted():
    linear = grey_profile(gamma=1.0)
    grey = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    decoded = decode(saved(grey, "PNG", icc_profile=linear)).rgb
    assert decoded[0, 0, 0] == 0
    assert decoded[0, 255, 0] == 255
    assert 180 <= decoded[0, 128, 0] <= 192  # half of the light is 188 in sRGB


def test_an_srgb_profile_leaves_every_pixel_as_it_is():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert largest_difference(saved(RGB, "PNG", icc_profile=profile), RGB) == 0


@pytest.mark.parametrize("profile", [b"no profile", wide_profile()[:200], cmyk.profile()])
def test_a_profile_that_is_broken_or_for_other_colours_is_ignored(profile):
    assert largest_difference(saved(RGB, "PNG", icc_profile=profile), RGB) == 0


def test_a_profile_that_opens_but_turns_greys_into_stripes_is_ignored():
    damaged = b"".join(struct.pack(">i", value << 16) for value in (-32768, 0, 0))
    profile = rgb_profile(1.0)
    at = [struct.unpack_from(">I", profile, profile.index(tag) + 4)[0] + 8 for tag in (b"rXYZ", b"gXYZ", b"bXYZ")]
    for start in at:
        profile = profile[:start] + damaged + profile[start + 12 :]
    assert largest_difference(saved(RGB, "PNG", icc_profile=profile), RGB) == 0


def test_lab_is_converted():
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[..., 0] = 255
    lab[:4, :, 0] = 0
    decoded = decode(tiff(lab, photometric="cielab"))
    assert decoded.colour_mode == "lab"
    assert decoded.rgb[0, 0].max() <= 2
    assert decoded.rgb[6, 6].min() >= 250


# --- resolution ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_resolution_is_read(format):
    assert decode(saved(RGB, format, dpi=(300, 300))).dpi == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "JPEG2000"])
def test_no_resolution_is_invented(format):
    assert decode(saved(RGB, format)).dpi is None


def test_resolution_in_centimetres():
    data = tiff(RGB, photometric="rgb", resolution=(100, 100), resolutionunit="CENTIMETER")
    assert decode(data).dpi == pytest.approx(254, abs=0.1)


# --- pages ---------------------------------------------------------------------------------------------------------


def test_each_page_of_a_tiff():
    pages = [picture(seed=seed) for seed in range(4)]
    data = tiff_pages(pages, photometric="rgb", compression="zlib")
    for number, expected in enumerate(pages, 1):
        assert np.array_equal(decode(data, page=number).rgb, expected)
    assert refusal(data, page=5).code == ErrorCode.CORRUPT
    assert refusal(data, page=0).code == ErrorCode.CORRUPT


def test_a_page_that_cannot_be_read_leaves_the_others_readable():
    data = bytearray(tiff_pages([picture(seed=seed) for seed in range(3)], photometric="rgb", compression="zlib"))
    with tifffile.TiffFile(BytesIO(bytes(data))) as file:
        start, size = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    data[start : start + size] = b"\x55" * size
    assert refusal(bytes(data), page=2).code == ErrorCode.CORRUPT
    data[start : start + size] = bytes(size)
    assert refusal(bytes(data), page=2).code == ErrorCode.TRUNCATED
    assert np.array_equal(decode(bytes(data), page=3).rgb, picture(seed=2))


def test_a_pdf_page_is_rendered_on_white_at_the_resolution_asked_for():
    data = pdf([(72, 36), (50, 60)])
    first, second = decode(data), decode(data, page=2, limits=ImageLimits(pdf_dpi=144))
    assert (first.width_px, first.height_px, first.dpi) == (300, 150, 300)
    assert (second.width_px, second.height_px, second.dpi) == (100, 120, 144)
    assert tuple(second.rgb[-5, 5]) == (255, 0, 0)
    assert tuple(second.rgb[5, -5]) == (255, 255, 255)
    assert refusal(data, page=3).code == ErrorCode.CORRUPT


def test_a_scan_in_a_pdf_keeps_its_pixels():
    scan = picture(300, 200)
    data = saved(scan, "PDF", resolution=300)
    decoded = decode(data).rgb
    assert decoded.shape == scan.shape
    assert np.abs(decoded.astype(int) - scan).mean() < 6


@pytest.mark.parametrize("box", [(14000, 14000), (14000, 1), (2, 9000)])
def test_a_large_pdf_page_is_rendered_at_the_resolution_that_fits(box):
    limits = ImageLimits(max_pixels=1_000_000)
    decoded = decode(pdf([box]), limits=limits)
    assert decoded.width_px * decoded.height_px <= limits.max_pixels
    assert decoded.dpi is None or decoded.dpi <= 300
    if box == (14000, 14000):
        assert decoded.width_px * decoded.height_px > 0.9 * limits.max_pixels
        assert decoded.dpi == pytest.approx(72 * 1000 / 14000, rel=0.01)


# --- what cannot be read -------------------------------------------------------------------------------------------


# The first page of these is complete before the file is.
@pytest.mark.parametrize("name", sorted(set(KINDS) - {"pages.tif", "moving.gif"}))
def test_a_file_that_ends_early_is_an_error_never_half_a_picture(name):
    data = KINDS[name]
    for share in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95):
        code = refusal(data[: int(len(data) * share)]).code
        if share > 0.2:
            assert code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT), (share, code)
            if name.endswith((".jpg", ".jpeg", ".png", ".webp", ".jp2", ".j2k", ".pdf", ".gif")):
                assert code == ErrorCode.TRUNCATED, share


def test_a_jpeg_whose_copy_was_filled_up_with_zeros_is_truncated():
    data = saved(picture(400, 600), "JPEG", quality=95)
    error = refusal(data[: len(data) // 2].ljust(len(data), b"\0"))
    assert error.code == ErrorCode.TRUNCATED


def test_a_thumbnail_does_not_hide_that_a_jpeg_ends_early():
    thumbnail = saved(picture(20, 30), "JPEG")
    data = saved(picture(400, 600), "JPEG", quality=95)
    with_thumbnail = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail + data[2:]
    assert decode(with_thumbnail).rgb.shape == (400, 600, 3)
    assert refusal(with_thumbnail[: len(with_thumbnail) // 2]).code == ErrorCode.TRUNCATED


def test_a_changed_byte_in_a_png_is_noticed():
    data = bytearray(KINDS["rgb.png"])
    data[len(data) // 2] ^= 1
    assert refusal(bytes(data)).code == ErrorCode.CORRUPT


@pytest.mark.parametrize(
    "name", ["rgb.png", "baseline.jpg", "raw.tif", "rgb.bmp", "palette.gif", "rgb.jp2", "lossy.webp"]
)
def test_too_many_pixels_are_refused(name):
    error = refusal(KINDS[name], limits=ImageLimits(max_pixels=60 * 40 - 1))
    assert error.code == ErrorCode.TOO_MANY_PIXELS
    decode(KINDS[name], limits=ImageLimits(max_pixels=60 * 40))


def without_scans(data: bytes, kept: int) -> bytes:
    """Return the beginning of a progressive JPEG file with an end marker behind so many scans."""
    at = -1
    for _ in range(kept + 1):
        at = data.index(b"\xff\xda", at + 1)
    return data[:at] + b"\xff\xd9"


@pytest.mark.parametrize("kept", [1, 4, 9])
def test_a_progressive_jpeg_that_lacks_scans_is_truncated_whatever_its_end_says(kept):
    data = saved(RGB, "JPEG", progressive=True)
    assert data.count(b"\xff\xda") == 10
    with pytest.raises(ItemError, match="lacks scans") as refused:
        decode(without_scans(data, kept))
    assert refused.value.code is ErrorCode.TRUNCATED


@pytest.mark.parametrize("cut", range(14))
def test_a_progressive_jpeg_that_ends_in_the_header_of_its_first_scan_is_truncated(cut):
    data = saved(RGB, "JPEG", progressive=True)
    assert refusal(data[: data.index(b"\xff\xda") + cut]).code is ErrorCode.TRUNCATED


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_whole_progressive_jpeg_is_read(mode):
    assert decode(saved(Image.fromarray(RGB).convert(mode), "JPEG", progressive=True))


def test_a_jpeg_with_a_thousand_scans_is_refused():
    data = KINDS["baseline.jpg"]
    scan = data[data.index(b"\xff\xda") : -2]
    assert refusal(data[:-2] + scan * 1000 + data[-2:]).code == ErrorCode.CORRUPT


def test_twelve_bit_jpeg_is_unsupported():
    data = bytearray(KINDS["baseline.jpg"])
    data[data.index(b"\xff\xc0") + 4] = 12
    assert refusal(bytes(data)).code == ErrorCode.UNSUPPORTED


def test_16_bits_stored_plane_by_plane_with_lzw_are_refused_not_guessed():
    data = bytearray(KINDS["sixteen-planar.tif"])
    entry = data.index(struct.pack("<HHI", 259, 3, 1))
    struct.pack_into("<H", data, entry + 8, 5)
    assert refusal(bytes(data)).code == ErrorCode.UNSUPPORTED


def test_a_sample_format_that_is_left_open_is_refused_not_guessed():
    data = bytearray(tiff(RGB[..., 0].astype(np.int8), photometric="miniswhite"))
    entry = data.index(struct.pack("<HHI", 339, 3, 1))
    struct.pack_into("<H", data, entry + 8, 4)
    assert refusal(bytes(data)).code == ErrorCode.UNSUPPORTED


def test_messages_are_short_printable_and_the_same_every_time():
    rng = np.random.default_rng(5)
    for name, data in KINDS.items():
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 30):
            damaged[at] = rng.integers(256)
        messages = []
        for _ in range(2):
            try:
                decode(bytes(damaged))
            except ItemError as error:
                messages.append(str(error))
        for message in messages:
            assert message.isascii() and message.isprintable() and len(message) < 300, name
            assert "0x" not in message and "<" not in message
        assert len(set(messages)) <= 1


def test_threads_do_not_disturb_each_other():
    names = [name for name in KINDS for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(lambda name: decode(KINDS[name]).rgb, names))
    for name, rgb in zip(names, decoded, strict=True):
        assert np.array_equal(rgb, decode(KINDS[name]).rgb), name
