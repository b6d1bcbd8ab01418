"""Mode classic: the kernels, the filter and the thresholds of the notebooks."""

import cv2
import numpy as np
import pytest
import skimage.data

from tests.unit.degraded import blurred, with_noise
from tounum_tasks.quality.metrics import Quality, measure
from tounum_tasks.restore import classic
from tounum_tasks.restore.classic import ClassicOptions, decide
from tounum_tasks.restore.enhance import enhance


@pytest.mark.parametrize(
    ("variance", "noise", "expected"),
    [
        (0, 0, ["sharpen light"]),
        (2999.9, 0.99, ["sharpen light"]),
        (2999.9, 1.0, ["sharpen light", "denoise light"]),
        (3000, 1.0, ["sharpen light"]),
        (3000, 1.01, ["denoise strong", "sharpen light"]),
        (48_000, 0.5, ["sharpen light"]),
        (48_000, 20, ["denoise strong", "sharpen light"]),
        (48_000.1, 20, ["denoise strong"]),
        (48_000.1, 1.0, []),
    ],
)
def test_decisions(variance, noise, expected):
    quality = Quality(variance, noise, 100.0, 50.0, ())
    assert [" ".join(step) for step in decide(quality, ClassicOptions())] == expected


def test_thresholds_and_strength_are_options():
    quality = Quality(500.0, 2.0, 100.0, 50.0, ())
    options = ClassicOptions(sharpening="strong", denoise_lightly_from=3)
    assert decide(quality, options) == [("sharpen", "strong")]
    assert decide(quality, ClassicOptions(sharpen_below=100, never_sharpen_above=200)) == [("denoise", "strong")]


def test_sharpening_kernels():
    dot = np.zeros((5, 5, 3), np.uint8)
    dot[2, 2] = 20
    assert classic.sharpen(dot, "light")[2, 2].tolist() == [100] * 3
    assert classic.sharpen(dot, "strong")[2, 2].tolist() == [180] * 3
    step = np.full((5, 6, 3), 100, np.uint8)
    step[:, 3:] = 120
    assert classic.sharpen(step, "light")[2, :, 0].tolist() == [100, 100, 80, 140, 120, 120]
    assert classic.sharpen(step, "strong")[2, :, 0].tolist() == [100, 100, 40, 180, 120, 120]


@pytest.mark.parametrize(("strength", "h", "h_colour"), [("light", 3, 3), ("medium", 5, 10), ("strong", 10, 10)])
def test_non_local_means_is_that_of_opencv_on_bgr(strength, h, h_colour):
    rgb = with_noise(skimage.data.coffee()[100:180, 200:300], 10)
    expected = cv2.fastNlMeansDenoisingColored(rgb[..., ::-1].copy(), None, h, h_colour, 7, 15)[..., ::-1]
    assert (classic.denoise(rgb, strength) == expected).all()


def test_pages_are_restored_and_accepted():
    crop = skimage.data.coffee()[100:260, 200:360]
    soft, noisy = blurred(crop, 1.0), with_noise(crop, 25)
    sharpened = enhance(soft, mode="classic", before=measure(soft))
    assert (sharpened.accepted, sharpened.method, sharpened.operations) == (True, "classic", ("sharpen light",))
    assert sharpened.after.blur_laplacian_var > measure(soft).blur_laplacian_var
    denoised = enhance(noisy, mode="classic", before=measure(noisy))
    assert denoised.operations == ("denoise strong", "sharpen light")
    assert denoised.after == measure(denoised.rgb)


def test_options_reach_the_decision():
    rgb = skimage.data.coffee()[:64, :64]
    options = ClassicOptions(sharpen_below=0, denoise_strongly_above=1e9, never_sharpen_above=-1)
    result = enhance(rgb, mode="classic", before=measure(rgb), classic_options=options)
    assert result.rgb is rgb
    assert (result.accepted, result.operations) == (False, ())


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (5, 5)])
def test_tiny_pages(shape):
    rgb = np.random.default_rng(2).integers(0, 256, (*shape, 3), np.uint8)
    even = np.full_like(rgb, 9)
    assert enhance(rgb, mode="classic", before=measure(rgb)).rgb.shape == rgb.shape
    assert enhance(even, mode="classic", before=measure(even)).rgb is even
