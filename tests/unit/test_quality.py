"""Quality metrics: exact values, known noise and blur, flags, and any array that is a page."""

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.restoration import estimate_sigma

from tounum_tasks.quality import metrics
from tounum_tasks.quality.metrics import QualityThresholds, laplacian_variance, measure, noise_sigma, sorted_part

FLAGS = ("blurry", "noisy", "dark", "light", "low_information", "odd_size")
pages = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)))


@pytest.fixture(scope="module")
def photo():
    return skimage.data.coffee()


def with_noise(rgb, sigma):
    noise = np.random.default_rng(7).normal(0, sigma, rgb.shape)
    return np.clip(np.rint(rgb + noise), 0, 255).astype(np.uint8)


@given(pages)
@settings(max_examples=100, deadline=None)
def test_any_page_has_figures_in_their_ranges(rgb):
    quality = measure(rgb)
    assert 0 <= quality.blur_laplacian_var <= 1020**2
    assert 0 <= quality.noise_sigma < 1000
    assert 0 <= quality.brightness <= 255
    assert 0 <= quality.contrast <= 127.5
    assert [flag for flag in FLAGS if flag in quality.flags] == list(quality.flags)
    assert measure(rgb.copy()) == quality


@given(pages)
@settings(max_examples=100, deadline=None)
def test_the_laplacian_variance_is_that_of_opencv(rgb):
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    assert laplacian_variance(grey) == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-9, abs=1e-6)


@given(pages)
@settings(max_examples=50, deadline=None)
def test_mirrored_pages_have_the_same_brightness_contrast_and_sharpness(rgb):
    quality, mirrored = measure(rgb), measure(np.ascontiguousarray(rgb[::-1, ::-1]))
    assert mirrored.brightness == pytest.approx(quality.brightness)
    assert mirrored.contrast == pytest.approx(quality.contrast)
    assert mirrored.blur_laplacian_var == pytest.approx(quality.blur_laplacian_var)


@pytest.mark.parametrize("size", [(700, 300), (3, 40_000), (5, 5), (5, 9), (513, 5)])
def test_tiles_leave_no_trace(size):
    rgb = np.random.default_rng(1).integers(1, 256, (*size, 3), np.uint8)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    quality = measure(rgb)
    assert quality.blur_laplacian_var == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-9, abs=1e-9)
    assert quality.noise_sigma == pytest.approx(estimate_sigma(rgb, channel_axis=-1, average_sigmas=True), rel=1e-5)
    assert quality.brightness == pytest.approx(grey.mean())
    assert quality.contrast == pytest.approx(grey.std())


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_the_noise_estimate_is_that_of_scikit_image(name):
    rgb = getattr(skimage.data, name)()
    assert noise_sigma(rgb) == pytest.approx(estimate_sigma(rgb, channel_axis=-1, average_sigmas=True), rel=0.02)


def test_a_page_without_colours_is_measured_like_its_channels_one_by_one():
    grey = cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2GRAY)
    page = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    assert noise_sigma(page) == pytest.approx(estimate_sigma(page, channel_axis=-1, average_sigmas=True), rel=0.02)
    almost = page.copy()
    almost[-1, -1, 2] ^= 1
    assert noise_sigma(page) == pytest.approx(noise_sigma(almost), rel=1e-3)


def test_pages_of_any_size_are_measured_alike(monkeypatch):
    page = np.random.default_rng(0).integers(0, 256, (513, 1025, 3)).astype(np.uint8)
    page[..., 1] //= 2
    page[..., 2] //= 4
    at_once = measure(page)
    monkeypatch.setattr(metrics, "_LARGEST_AT_ONCE", 0)
    monkeypatch.setattr(metrics, "_TILE_ROWS", 100)
    assert measure(page) == at_once
    assert noise_sigma(page) == pytest.approx(estimate_sigma(page, channel_axis=-1, average_sigmas=True), rel=1e-5)


@given(hnp.arrays(np.float32, st.integers(1, 3000), elements=st.floats(0, 9, width=32)), st.data())
@settings(max_examples=50, deadline=None)
def test_a_part_of_the_sorted_values(values, data):
    first = data.draw(st.integers(0, values.size - 1))
    last = min(first + 1, values.size - 1)
    assert (sorted_part(values, first, last) == np.sort(values)[first : last + 1]).all()


@pytest.mark.parametrize("kind", ["ordered", "two values", "random"])
def test_a_part_of_many_sorted_values(kind):
    values = np.random.default_rng(3).random(50_000, np.float32)
    values = {"ordered": np.sort(values), "two values": np.round(values), "random": values}[kind]
    for first in (0, 1, 20_000, 25_000, 49_999):
        assert (sorted_part(values, first, first) == np.sort(values)[first]).all()


@pytest.mark.parametrize("sigma", [5, 10, 25])
def test_added_noise_is_found(photo, sigma):
    soft = cv2.GaussianBlur(photo, (0, 0), 3)
    assert noise_sigma(with_noise(soft, sigma)) == pytest.approx(sigma, rel=0.1)


def test_blur_lowers_the_laplacian_variance(photo):
    variances = [laplacian_variance(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))]
    for sigma in (0.7, 1.0, 1.6, 3.0):
        blurred = cv2.GaussianBlur(photo, (0, 0), sigma)
        variances.append(laplacian_variance(cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY)))
    assert variances == sorted(variances, reverse=True)


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_empty_pages_are_neither_blurred_nor_noisy(value):
    quality = measure(np.full((200, 200, 3), value, np.uint8))
    assert quality.blur_laplacian_var == 0
    assert quality.noise_sigma == pytest.approx(0, abs=1e-6)
    assert (quality.brightness, quality.contrast) == (value, 0)
    assert "low_information" in quality.flags
    assert not {"blurry", "noisy", "odd_size"} & set(quality.flags)


def test_flags(photo):
    assert measure(photo).flags == ()
    assert measure(cv2.GaussianBlur(photo, (0, 0), 2)).flags == ("blurry",)
    assert measure(with_noise(photo, 20)).flags == ("noisy",)
    assert "dark" in measure(photo // 4).flags
    assert "light" in measure(200 + photo // 5).flags
    assert measure(photo[:40]).flags == ("odd_size",)
    page = np.full((400, 300, 3), 255, np.uint8)
    cv2.putText(page, "Archive 1907", (20, 200), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
    assert measure(page).flags == ()


def test_thresholds_decide_over_flags(photo):
    never = QualityThresholds(blurry_below=0, noisy_above=1e9, odd_aspect_above=1e9, odd_size_below=0)
    assert measure(photo, never).flags == ()
    assert "blurry" in measure(photo, QualityThresholds(blurry_below=1e9)).flags


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)],
)
def test_what_is_no_page_is_refused(wrong):
    with pytest.raises(ValueError, match="uint8 pixels HxWx3"):
        measure(wrong)
