"""16 bits go through their profile before they become 8."""

import zlib

import numpy as np
import pytest

from tests.image_files import jp2, png16, png_chunk, tiff
from tests.profiles import grey_profile, rgb_profile
from tounum_tasks.images.colour import DeepToSrgb
from tounum_tasks.images.decode import decode
from tounum_tasks.sample import cmyk

RAMP = np.arange(0, 65536, 16, dtype=np.uint16)


def in_srgb(light: np.ndarray) -> np.ndarray:
    """Return linear light 0..1 as sRGB levels 0..255 (IEC 61966-2-1)."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("kind", ["rgb", "grey", "white-is-zero", "png", "float"])
def test_every_level_is_within_one_of_what_the_profile_says(kind: str, gamma: float) -> None:
    rows = np.tile(RAMP, (4, 1))
    rgb, grey = np.dstack([rows] * 3), {"iccprofile": grey_profile(gamma)}
    data = {
        "rgb": lambda: tiff(rgb, photometric="rgb", iccprofile=rgb_profile(gamma)),
        "grey": lambda: tiff(rows, photometric="minisblack", **grey),
        "white-is-zero": lambda: tiff(65535 - rows, photometric="miniswhite", **grey),
        "png": lambda: png16(rgb, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile(gamma)))),
        "float": lambda: tiff((rgb / 65535).astype(np.float32), photometric="rgb", iccprofile=rgb_profile(gamma)),
    }[kind]()
    shown = decode(data).rgb[0].astype(float)
    assert np.abs(shown - in_srgb((RAMP / 65535) ** gamma)[:, None]).max() <= 1.5
    assert len(np.unique(shown)) >= 254


def test_the_shadows_of_a_dark_linear_photograph_are_kept() -> None:
    light = np.linspace(0, 0.1, 4000).reshape(40, 100)
    data = tiff((light * 65535).astype(np.uint16), photometric="minisblack", iccprofile=grey_profile(1.0))
    assert len(np.unique(decode(data).rgb)) == len(np.unique(np.round(in_srgb(light))))


def test_colours_are_mixed_as_the_profile_mixes_them() -> None:
    """Whatever lies at whole levels comes out as from 8 bits, and what lies between them between those."""
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    for mode, profile in (("RGB", rgb_profile(1.0)), ("CMYK", cmyk.profile())):
        low = levels[..., : len(mode)]
        high = np.minimum(low, 254) + 1
        converted = {
            name: DeepToSrgb(samples, mode, profile)(samples).astype(int)
            for name, samples in (("low", low), ("high", high), ("between", low * np.uint16(257) + 128))
        }
        deep = low * np.uint16(257)
        assert np.array_equal(DeepToSrgb(deep, mode, profile)(deep), converted["low"])
        least, most = (np.sort([converted["low"], converted["high"]], axis=0)[end] for end in (0, 1))
        unclipped = (low < 255).all(axis=-1)
        assert (converted["between"] >= least - 1)[unclipped].all()
        assert (converted["between"] <= most + 1)[unclipped].all()


def test_transparency_is_no_colour() -> None:
    rgba = np.dstack([np.full((8, 8), value, np.uint16) for value in (1000, 2000, 3000, 0)])
    rgba[:4, :, 3] = 65535
    shown = decode(png16(rgba, png_chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile(1.0))))).rgb
    assert np.abs(shown[0, 0] - in_srgb(rgba[0, 0, :3] / 65535)).max() <= 1
    assert (shown[5] == 255).all()


def test_a_file_without_a_profile_is_scaled_as_before() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (40, 60, 3), dtype=np.uint16)
    expected = np.round(samples / 257).astype(np.uint8)
    assert np.array_equal(decode(jp2(samples)).rgb, expected)
    assert np.array_equal(decode(tiff(samples, photometric="rgb")).rgb, expected)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_greys_of_8_bits_are_exact_too(gamma: float) -> None:
    greys = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    shown = decode(tiff(greys, photometric="minisblack", iccprofile=grey_profile(gamma))).rgb[0]
    assert np.abs(shown - in_srgb((greys[0] / 255) ** gamma)[:, None]).max() <= 0.6
