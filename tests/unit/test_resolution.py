"""Pixels that are not square: both resolutions are kept, and what is shown is square."""

import struct
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from tests.image_files import picture, png_chunk, saved, tiff
from tests.unit.degraded import with_noise
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import DecodedImage, decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.limits import ImageLimits

SQUASHED = picture(40, 120)  # of a page that is 84 high
FAX = (204, 98)


def exif(x: float, y: float, orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[274], tags[282], tags[283], tags[296] = orientation, x, y, 2
    return tags


def with_resolution_box(jp2: bytes, x: float, y: float) -> bytes:
    """A JP2 file with a capture resolution (ITU-T T.800, I.5.3.7)."""
    per_metre = [round(dots / 0.0254) for dots in (y, x)]
    box = struct.pack(">I4sI4sHHHHbb", 26, b"res ", 18, b"resc", per_metre[0], 1, per_metre[1], 1, 0, 0)
    at = jp2.index(b"jp2h") - 4
    end = at + struct.unpack_from(">I", jp2, at)[0]
    return jp2[:at] + struct.pack(">I", end - at + 26) + jp2[at + 4 : end] + box + jp2[end:]


FAXES = {
    "jpeg": lambda: saved(SQUASHED, "JPEG", dpi=FAX),
    "jpeg-exif": lambda: saved(SQUASHED, "JPEG", exif=exif(*FAX)),
    "png": lambda: saved(SQUASHED, "PNG", dpi=FAX),
    "tiff": lambda: saved(SQUASHED, "TIFF", dpi=FAX),
    "tiff-g4": lambda: saved(Image.fromarray(SQUASHED).convert("1"), "TIFF", compression="group4", dpi=FAX),
    "tiff-centimetres": lambda: tiff(SQUASHED, photometric="rgb", resolution=(80.315, 38.583), resolutionunit=3),
    "tiff-16": lambda: tiff(SQUASHED.astype(np.uint16) * 257, photometric="rgb", resolution=FAX, resolutionunit=2),
    "bmp": lambda: saved(SQUASHED, "BMP", dpi=FAX),
    "webp": lambda: saved(SQUASHED, "WEBP", lossless=True, exif=exif(*FAX)),
    "avif": lambda: saved(SQUASHED, "AVIF", exif=exif(*FAX)),
    "jpeg2000": lambda: with_resolution_box(saved(SQUASHED, "JPEG2000"), *FAX),
}


def size(image: DecodedImage) -> tuple[int, int]:
    return image.width_px, image.height_px


@pytest.mark.parametrize("kind", FAXES)
def test_both_resolutions_are_kept_and_the_page_is_square(kind: str) -> None:
    decoded = decode(FAXES[kind]())
    assert (decoded.dpi_x, decoded.dpi_y) == pytest.approx(FAX, abs=0.1)
    assert decoded.dpi == decoded.dpi_x
    assert decoded.width_px == 120 and decoded.height_px == pytest.approx(40 * 204 / 98, abs=1)
    assert decoded.rgb.flags.c_contiguous and decoded.rgb[:19, :28].mean() < 60 < decoded.rgb[24:].mean()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_the_resolution_is_that_of_the_stored_rows_whatever_way_the_page_is_turned(
    format: str, orientation: int
) -> None:
    data = saved(SQUASHED, format, exif=exif(200, 100, orientation), dpi=(200, 100))
    decoded = decode(data)
    assert size(decoded) == ((120, 80) if orientation < 5 else (80, 120))
    assert (decoded.dpi, decoded.dpi_x, decoded.dpi_y) == (200, 200, 100)


RATIOS = {
    "jfif": lambda: saved(SQUASHED, "JPEG").replace(b"JFIF\0\1\1\0\0\1\0\1", b"JFIF\0\1\1\0\0\2\0\1"),
    "png": lambda: (
        saved(SQUASHED, "PNG")[:33] + png_chunk(b"pHYs", struct.pack(">IIB", 2, 1, 0)) + saved(SQUASHED, "PNG")[33:]
    ),
    "tiff": lambda: tiff(SQUASHED, photometric="rgb", resolution=(2, 1), resolutionunit=1),
}


@pytest.mark.parametrize("kind", RATIOS)
def test_a_shape_without_a_size_makes_pixels_square_and_invents_no_resolution(kind: str) -> None:
    decoded = decode(RATIOS[kind]())
    assert size(decoded) == (120, 80)
    assert decoded.dpi is decoded.dpi_x is decoded.dpi_y is None


@pytest.mark.parametrize("dpi", [(300, 300), (300, 299), (1200, 100)])
def test_what_is_rounding_or_a_mistake_changes_no_pixel(dpi: tuple[int, int]) -> None:
    decoded = decode(saved(SQUASHED, "PNG", dpi=dpi))
    assert np.array_equal(decoded.rgb, SQUASHED)
    assert (decoded.dpi, decoded.dpi_x, decoded.dpi_y) == pytest.approx((dpi[0], *dpi), abs=0.1)


def test_the_size_of_a_screen_in_a_pcx_file_is_no_resolution() -> None:
    data = bytearray(saved(SQUASHED, "PCX"))
    data[12:16] = struct.pack("<HH", 640, 350)
    decoded = decode(bytes(data))
    assert size(decoded) == (120, 40) and decoded.dpi is decoded.dpi_x is None


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_the_limit_holds_for_the_square_pixels(kind: str) -> None:
    data = FAXES[kind]()
    assert size(decode(data, limits=ImageLimits(max_pixels=120 * 83))) == (120, 83)
    with pytest.raises(ItemError) as refused:
        decode(data, limits=ImageLimits(max_pixels=120 * 82))
    assert refused.value.code == ErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("ending", ["tif", "jpg", "png"])
def test_an_enhanced_copy_is_as_large_as_the_page(tmp_path: Path, ending: str) -> None:
    squashed = cv2.resize(skimage.data.coffee(), (600, 200), interpolation=cv2.INTER_AREA)
    noisy = with_noise(squashed, 12)
    source, target = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    Image.fromarray(noisy).save(source, quality=97, dpi=(300, 150))
    assert main(["enhance", str(source), str(target)]) == 0
    with Image.open(target) as after:
        assert after.size == (600, 400)
        assert [round(float(dots)) for dots in after.info["dpi"]] == [300, 300]


def test_what_is_stored_is_read_as_it_was() -> None:
    decoded = decode(FAXES["tiff"]())
    again = decode(encode(decoded.rgb, format="tiff", dpi=decoded.dpi))
    assert np.array_equal(again.rgb, decoded.rgb)
    with Image.open(BytesIO(encode(decoded.rgb, format="png", dpi=decoded.dpi))) as png:
        assert png.info["dpi"] == pytest.approx((204, 204), abs=0.1)
