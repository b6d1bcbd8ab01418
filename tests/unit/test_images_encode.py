"""encode, model_input and phash; and what must hold for any pixels and any bytes."""

import subprocess
import sys
from math import isclose

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.image_files import every_kind, picture, saved
from tounum_tasks.errors import ItemError
from tounum_tasks.images.colour import To8Bit
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode, extension, stored_as
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.images.phash import perceptual_hash
from tounum_tasks.images.tiff import upright

RGB = picture()
AS_PNG = tuple(map(ImageFormat, ("gif", "pdf", "avif", "pnm", "pcx", "raw", "heic")))
WRITABLE = [format for format in ImageFormat if format not in AS_PNG]
LOSSLESS = [format for format in WRITABLE if format is not ImageFormat.JPEG]

pixels = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40).map(lambda s: (*s, 3)))


@pytest.mark.parametrize("format", WRITABLE)
def test_the_format_of_the_source_is_kept(format):
    data = encode(RGB, format=format, dpi=300)
    assert inspect(data, limits=ImageLimits()).format == format == stored_as(format)
    decoded = decode(data)
    assert np.abs(decoded.rgb.astype(int) - RGB).max() <= (16 if format is ImageFormat.JPEG else 0)
    assert (decoded.colour_mode, decoded.bit_depth) == ("rgb", 8)
    assert isclose(decoded.dpi, 300, abs_tol=0.1) and decoded.dpi_x == decoded.dpi_y


@pytest.mark.parametrize("format", ["gif", "pdf", "raw", "heic"])
def test_what_a_format_cannot_hold_becomes_png(format):
    assert stored_as(format) is ImageFormat.PNG
    assert extension(format) == ".png"
    assert np.array_equal(decode(encode(RGB, format=format)).rgb, RGB)


def test_extensions_fit():
    assert [extension(format) for format in WRITABLE] == [".jpg", ".png", ".tif", ".webp", ".bmp", ".jp2"]


@pytest.mark.parametrize("format", WRITABLE)
def test_the_same_pixels_give_the_same_bytes(format):
    assert encode(RGB, format=format, dpi=200) == encode(RGB.copy(), format=format, dpi=200)


@pytest.mark.parametrize("wrong", [RGB[..., 0], RGB.astype(np.uint16), RGB[:0], np.dstack([RGB, RGB[..., :1]])])
def test_other_pixels_are_a_mistake_of_the_caller(wrong):
    with pytest.raises(ValueError, match="expected uint8 pixels"):
        encode(wrong, format="png")


def test_webp_has_a_largest_side():
    with pytest.raises(ValueError, match="cannot hold"):
        encode(np.zeros((1, 20_000, 3), np.uint8), format="webp")


@settings(max_examples=60, deadline=None)
@given(pixels, st.sampled_from(LOSSLESS))
def test_any_pixels_survive_a_format_without_loss(rgb, format):
    assert np.array_equal(decode(encode(rgb, format=format)).rgb, rgb)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", *sorted({data[:12] for data in every_kind().values()})]))
def test_any_bytes_are_an_image_or_an_item_error(tail, head):
    data = head + tail
    try:
        info = inspect(data, limits=ImageLimits(max_pixels=1_000_000))
        rgb = decode(data, page=info.pages, limits=ImageLimits(max_pixels=1_000_000)).rgb
    except ItemError as error:
        assert str(error)
    else:
        assert rgb.dtype == np.uint8
        assert rgb.shape[2] == 3


@settings(max_examples=50, deadline=None)
@given(pixels, st.integers(1, 8), st.integers(1, 8))
def test_turning_twice_is_turning_once_more(rgb, first, second):
    turned = upright(upright(rgb, first), second)
    assert any(np.array_equal(turned, upright(rgb, single)) for single in range(1, 9))


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint16, (3, 4, 3)))
def test_16_bits_are_scaled_and_rounded(samples):
    assert np.array_equal(To8Bit(samples)(samples), np.round(samples / 257).astype(np.uint8))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_any_floats_become_8_bits(samples):
    scaled = To8Bit(samples)(samples)
    assert scaled.dtype == np.uint8
    finite = np.isfinite(samples)
    order = np.argsort(samples[finite], kind="stable")
    assert np.all(np.diff(scaled[finite][order].astype(int)) >= 0)


# --- model input ---------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 255))
def test_model_input_has_one_shape_and_keeps_flat_colours(height, width, value):
    rgb = np.full((height, width, 3), value, np.uint8)
    result = to_model_input(rgb)
    assert result.shape == (299, 299, 3)
    assert result.dtype == np.uint8
    assert (result == value).all()


def test_model_input_squashes_by_areas_and_grows_linearly():
    large, small = picture(900, 600), picture(100, 200)
    assert np.array_equal(to_model_input(large), cv2.resize(large, (299, 299), interpolation=cv2.INTER_AREA))
    assert np.array_equal(to_model_input(small), cv2.resize(small, (299, 299), interpolation=cv2.INTER_LINEAR))
    assert np.array_equal(to_model_input(to_model_input(large)), to_model_input(large))


def test_model_input_is_a_copy():
    rgb = picture(299, 299)
    result = to_model_input(rgb)
    assert np.array_equal(result, rgb)
    assert not np.shares_memory(result, rgb)


# --- perceptual hash -----------------------------------------------------------------------------------------------


def bits_that_differ(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def test_the_hash_survives_resizing_and_saving_again_but_tells_pictures_apart():
    large = picture(1200, 1600, seed=3)
    known = perceptual_hash(large)
    assert len(known) == 16
    assert bits_that_differ(known, perceptual_hash(cv2.resize(large, (400, 300)))) <= 4
    assert bits_that_differ(known, perceptual_hash(decode(saved(large, "JPEG", quality=60)).rgb)) <= 4
    assert bits_that_differ(known, perceptual_hash(picture(1200, 1600, seed=4))) > 15


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (8, 8, 3)])
def test_the_hash_takes_any_size(shape):
    assert int(perceptual_hash(np.full(shape, 99, np.uint8)), 16) < 1 << 64


# --- imports -------------------------------------------------------------------------------------------------------


def test_decoding_needs_no_model_library():
    code = (
        "import sys, tounum_tasks.images.decode, tounum_tasks.images.encode;"
        "assert not {'tensorflow', 'keras', 'airflow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_limits_are_checked_on_both_sides():
    limits = ImageLimits(max_pixels=100)
    limits.check_size(10, 10)
    for width, height in ((0, 5), (5, 0), (-1, 5), (101, 1), (11, 10)):
        with pytest.raises(ItemError):
            limits.check_size(width, height)
