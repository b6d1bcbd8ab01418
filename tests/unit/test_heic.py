"""HEIC is decoded upright, within the limits, and refused where it is damaged."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image_files import picture
from tests.metadata_files import with_metadata
from tests.profiles import rgb_profile
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode, open_image
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.sample.delivery import HEIC

HOUSE = HEIC.read_bytes()  # 480 x 360, stored lying on its side, with a box that says so
SUN, ROOF, WALL, SKY, MEADOW = (365, 95), (182, 210), (160, 250), (10, 10), (300, 340)  # columns and rows

needs_encoder = pytest.mark.skipif(
    not shutil.which("heif-enc"), reason="heif-enc (apt-get install libheif-examples) is not installed"
)


def refusal(data: bytes, **limits: int) -> ItemError:
    with pytest.raises(ItemError) as refused:
        decode(data, limits=ImageLimits(**limits))
    return refused.value


def with_size(width: int, height: int) -> bytes:
    """The file with another size in its header; it holds 360 x 480 coded pixels."""
    return HOUSE.replace(struct.pack(">II", 360, 480), struct.pack(">II", width, height))


def encoded(folder: Path, source: Path, *options: str) -> bytes:
    """What heif-enc makes of a picture, without loss."""
    target = folder / "out.heic"
    lossless = ["-L", "-p", "chroma=444", "--matrix_coefficients=0"]
    subprocess.run(["heif-enc", *lossless, *options, str(source), "-o", str(target)], check=True, capture_output=True)
    return target.read_bytes()


def test_a_picture_is_turned_upright_once() -> None:
    assert inspect(HOUSE, limits=ImageLimits()).format == ImageFormat.HEIC
    decoded = decode(HOUSE)
    assert (decoded.width_px, decoded.height_px, decoded.colour_mode, decoded.bit_depth) == (480, 360, "rgb", 8)
    assert decoded.exif_orientation is decoded.dpi is decoded.suspect_end is None
    colours = {place: decoded.rgb[place[1], place[0]].astype(int) for place in (SUN, ROOF, WALL, SKY, MEADOW)}
    expected = {SUN: (255, 236, 170), ROOF: (110, 48, 40), WALL: (198, 92, 64), SKY: (94, 142, 200)}
    assert all(np.abs(colours[place] - colour).max() <= 6 for place, colour in expected.items())
    assert colours[MEADOW].argmax() == 1


def test_limits_hold_by_the_header() -> None:
    assert decode(HOUSE, limits=ImageLimits(max_pixels=480 * 360)).width_px == 480
    for question in (inspect, decode):
        with pytest.raises(ItemError) as refused:
            question(HOUSE, limits=ImageLimits(max_pixels=480 * 360 - 1))
        assert refused.value.code == ErrorCode.TOO_MANY_PIXELS


def test_headers_that_lie_are_refused_at_little_cost() -> None:
    assert refusal(with_size(30_000, 30_000)).code == ErrorCode.TOO_MANY_PIXELS
    little = {"decode_memory": 192 << 20, "max_pixels": 1_000_000, "page_seconds": 20}
    for size in ((16, 16), (900, 900)):
        assert refusal(with_size(*size), **little).code == ErrorCode.CORRUPT


@pytest.mark.parametrize("kept", [0.98, 0.6, 0.2, 0.05])
def test_a_file_that_ends_early_is_refused(kept: float) -> None:
    assert refusal(HOUSE[: int(kept * len(HOUSE))]).code == ErrorCode.TRUNCATED


@pytest.mark.parametrize("kept", [0.9, 0.6, 0.2])
def test_an_end_of_zeros_is_noticed(kept: float) -> None:
    whole = int(kept * len(HOUSE))
    try:
        assert decode(HOUSE[:whole] + bytes(len(HOUSE) - whole)).suspect_end == pytest.approx(1 - kept, abs=0.1)
    except ItemError as error:
        assert error.code in (ErrorCode.TRUNCATED, ErrorCode.CORRUPT)


def test_a_heif_file_that_holds_no_hevc_is_unsupported() -> None:
    error = refusal(HOUSE.replace(b"hvc1", b"avc1"))
    assert error.code == ErrorCode.UNSUPPORTED and "HEVC" in str(error)


@needs_encoder
def test_colours_go_through_the_profile_and_the_note_in_exif_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274], exif[282], exif[283], exif[296] = 6, 300.0, 150.0, 2
    light = np.repeat(np.arange(256, dtype=np.uint8)[None], 64, axis=0)
    Image.fromarray(np.dstack([light] * 3)).save(
        tmp_path / "in.jpg", exif=exif, quality=100, subsampling=0, icc_profile=rgb_profile(1.0)
    )
    decoded = decode(encoded(tmp_path, tmp_path / "in.jpg"))
    assert (decoded.width_px, decoded.height_px) == (256, 128)  # the resolution of the note makes pixels square
    assert (decoded.dpi, decoded.dpi_x, decoded.dpi_y) == (300, 300, 150)
    assert np.abs(decoded.rgb[:, 128].astype(int) - 188).max() <= 3  # half of the light is 188 in sRGB


@needs_encoder
def test_what_it_says_of_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(with_metadata(picture(64, 96), "jpg"))
    with open_image(encoded(tmp_path, tmp_path / "in.jpg")) as file:
        metadata = file.metadata(file.decode(1))
    fields = metadata.fields
    assert (fields.title, fields.device, fields.captured_at) == ("Market", "Canon EOS 5D", "1987-05-04T12:00:00")
    assert metadata.has_profile


@needs_encoder
def test_damaged_notes_cost_no_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 300.0, 300.0, 2
    Image.fromarray(picture(64, 64)).save(tmp_path / "in.jpg", exif=exif, quality=100)
    data = encoded(tmp_path, tmp_path / "in.jpg")
    assert decode(data).dpi == 300
    at = data.rindex(b"MM\0*")
    assert decode(data[:at] + b"\xff" * 8 + data[at + 8 :]).dpi is None


@needs_encoder
def test_ten_bits_are_kept_until_the_end(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 128 * 64).astype(np.uint16).reshape(64, 128)
    Image.fromarray(grey).save(tmp_path / "in.png")
    decoded = decode(encoded(tmp_path, tmp_path / "in.png", "-b", "10"))
    assert (decoded.colour_mode, decoded.bit_depth) == ("grey", 10)
    assert np.abs(decoded.rgb[..., 0].astype(int) - np.round(grey / 257)).max() <= 1


@needs_encoder
def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.dstack([picture(64, 64), np.full((64, 64), 255, np.uint8)])
    rgba[32:, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "in.png")
    decoded = decode(encoded(tmp_path, tmp_path / "in.png"))
    assert decoded.colour_mode == "rgb_alpha"
    assert np.abs(decoded.rgb[:32].astype(int) - rgba[:32, :, :3]).max() <= 1 and (decoded.rgb[33:] == 255).all()
