"""Mode auto: improves what is degraded, leaves the rest alone byte for byte, whatever the page."""

import os

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.unit.degraded import blurred, psnr, text_page, with_noise
from tounum_tasks import threads
from tounum_tasks.evaluation import restorer
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.enhance import enhance
from tounum_tasks.restore.evidence import gather
from tounum_tasks.restore.gate import compare
from tounum_tasks.training.prints import dithered, filmed, printed, stochastic, woven

PHOTOS = ["astronaut", "chelsea", "coffee", "rocket"]


def auto(rgb):
    return enhance(rgb, mode="auto", before=measure(rgb))


def photo(name):
    return getattr(skimage.data, name)()


def compressed(rgb, quality):
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


@pytest.mark.parametrize("name", PHOTOS)
def test_clean_photographs_are_left_alone(name):
    rgb = photo(name)
    result = auto(rgb)
    assert result.rgb is rgb
    assert (result.accepted, result.operations, result.after) == (False, (), measure(rgb))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("sigma", "gain"), [(10, 2.5), (25, 5)])
def test_noisy_photographs_gain(name, sigma, gain):
    clean = photo(name)
    noisy = with_noise(clean, sigma)
    result = auto(noisy)
    assert result.accepted
    assert [operation.split()[0] for operation in result.operations] == ["denoise"]
    assert psnr(clean, result.rgb) > psnr(clean, noisy) + gain
    assert result.after.noise_sigma < measure(noisy).noise_sigma / 2


@pytest.mark.parametrize("colour", [True, False], ids=["colour", "black and white"])
@pytest.mark.parametrize("spread", [0.5, 0.8])
def test_the_grain_of_film_is_left_alone(spread, colour):
    film = filmed(photo("chelsea")[:256, :320], spread=spread, colour=colour)
    assert measure(film).noise_sigma > 0.5  # there is something that could be taken for noise
    assert auto(film).rgb is film


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
@pytest.mark.parametrize("quality", [85, 90, 95])
def test_the_grain_of_colour_film_is_left_alone_after_jpeg(name, quality):
    film = compressed(filmed(photo(name)[:256, :320], radius=0.2), quality)
    assert auto(film).rgb is film


@pytest.mark.parametrize("name", PHOTOS)
def test_noise_of_cameras_is_no_grain_after_jpeg(name):
    clean = photo(name)
    noisy = restorer.degraded(clean, "camera", 0)
    result = auto(noisy)
    assert result.operations[0].startswith("denoise")
    assert psnr(clean, result.rgb) > psnr(clean, noisy) + 0.3


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize("sigma", [1.0, 1.6])
def test_blurred_photographs_gain(name, sigma):
    clean = photo(name)
    soft = blurred(clean, sigma)
    result = auto(soft)
    assert result.accepted
    assert [operation.split()[0] for operation in result.operations] == ["sharpen"]
    assert psnr(clean, result.rgb) > psnr(clean, soft) + 0.5


def test_noise_over_blur_is_removed_before_sharpening():
    clean = photo("coffee")
    degraded = with_noise(blurred(clean, 1.2), 5)
    result = auto(degraded)
    assert [operation.split()[0] for operation in result.operations] == ["denoise", "sharpen"]
    assert psnr(clean, result.rgb) > psnr(clean, degraded) + 1


def test_grey_photographs_gain_and_stay_grey():
    clean = np.repeat(skimage.data.camera()[..., None], 3, axis=2)
    noisy = with_noise(clean, 10, grey=True)
    result = auto(noisy)
    assert psnr(clean, result.rgb) > psnr(clean, noisy) + 3
    assert (result.rgb == result.rgb[..., :1]).all()


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("degrade", [lambda rgb: with_noise(rgb, 15), lambda rgb: blurred(rgb, 1.2)])
def test_colours_do_not_shift(name, degrade):
    degraded = degrade(photo(name))
    shift = auto(degraded).rgb.mean((0, 1)) - degraded.mean((0, 1))
    # Noise that was cut off at black made dark parts lighter: undoing that is no shift.
    assert np.abs(shift).max() < 1


def test_noise_that_a_camera_smeared_is_found_by_asking_the_network():
    clean = photo("chelsea")
    smeared = blurred(np.random.default_rng(3).normal(0, 24, clean.shape), 1.2)
    noisy = np.clip(np.rint(clean + smeared), 0, 255).astype(np.uint8)
    result = auto(noisy)
    assert result.operations[0].startswith("denoise")
    assert result.accepted
    assert psnr(clean, result.rgb) > psnr(clean, noisy) + 0.5


def test_blocks_of_jpeg_are_removed():
    clean = photo("chelsea")
    blocky = compressed(clean, 20)
    result = auto(blocky)
    assert result.operations == ("deblock",)
    assert result.accepted
    assert psnr(clean, result.rgb) > psnr(clean, blocky) + 0.2


def test_drawn_and_typeset_pages_are_left_alone():
    page = text_page()
    bitonal = np.where(page > 127, 255, 0).astype(np.uint8)
    grey = cv2.cvtColor(photo("coffee"), cv2.COLOR_RGB2GRAY)
    dithered = np.where(with_noise(grey[..., None], 60) > 127, 255, 0).astype(np.uint8)
    palette = photo("coffee") // 64 * 64
    noisy_palette = with_noise(photo("coffee"), 30) // 64 * 64
    for rgb in (page, bitonal, np.repeat(dithered, 3, axis=2), palette, noisy_palette, blurred(bitonal, 0.6)):
        result = auto(rgb)
        assert result.rgb is rgb, result


@pytest.mark.parametrize(("lpi", "dpi"), [(65, 300), (85, 300), (133, 300), (150, 300), (133, 600), (65, 600)])
@pytest.mark.parametrize("angles", [(15, 75, 0), (45, 15, 75)])
def test_printing_screens_are_left_alone(lpi, dpi, angles):
    scan = printed(photo("coffee"), dpi / lpi, angles)
    result = auto(scan)
    assert result.rgb is scan, result.operations


@pytest.mark.parametrize("quality", [90, 75, 60])
@pytest.mark.parametrize(("lpi", "dpi"), [(133, 300), (75, 600), (65, 600), (50, 600), (30, 600)])
@pytest.mark.parametrize("angles", [(15, 75, 0), (45, 15, 75), (45, 45, 45)])
def test_printing_screens_are_left_alone_after_jpeg(lpi, dpi, angles, quality):
    scan = compressed(printed(photo("coffee"), dpi / lpi, angles), quality)
    result = auto(scan)
    assert result.rgb is scan, result.operations


@pytest.mark.parametrize("angles", [(15, 75, 0), (45, 15, 75)])
def test_coarse_screens_are_no_noise(angles):
    for lpi in (30, 40, 50):
        scan = printed(photo("coffee"), 600 / lpi, angles)
        assert not auto(scan).operations


@pytest.mark.parametrize("draw", [stochastic, dithered, woven])
def test_dots_without_angles_and_threads_are_left_alone(draw):
    page = draw(photo("coffee")[:256, :256])
    result = auto(page)
    assert result.rgb is page, result.operations


def test_noise_on_paper_is_removed_and_text_kept():
    clean, noisy = text_page(noise=1e-6), text_page(noise=8)
    result = auto(noisy)
    assert result.accepted
    assert psnr(clean, result.rgb) > psnr(clean, noisy) + 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (63, 400), (64, 64), (65, 70), (64, 30_000)])
@pytest.mark.parametrize("kind", ["noise", "even"])
def test_tiny_and_narrow_pages(shape, kind):
    rgb = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    if kind == "even":
        rgb[:] = 77
    result = auto(rgb)
    assert result.rgb.shape == rgb.shape
    assert result.rgb.dtype == np.uint8


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3))))
@settings(max_examples=40, deadline=None)
def test_any_page_comes_out_as_a_page(rgb):
    given_page = rgb.copy()
    result = auto(rgb)
    assert result.rgb.shape == rgb.shape
    assert result.rgb.dtype == np.uint8
    assert (rgb == given_page).all()
    assert result.accepted == (result.rgb is not rgb)
    assert result.reason


def test_the_same_page_gives_the_same_result():
    degraded = with_noise(blurred(photo("coffee"), 1.2), 5)
    first, second = auto(degraded), auto(degraded.copy())
    assert (first.rgb == second.rgb).all()
    assert (first.operations, first.after) == (second.operations, second.after)


def test_one_processor_gives_the_bytes_of_many():
    page = with_noise(np.tile(photo("coffee"), (3, 3, 1)), 20)  # of two tiles and many squares

    def results():
        before = measure(page)
        restored = enhance(page, mode="auto", before=before)
        return restored.rgb.tobytes(), before, restored.operations, restored.after, compare(page, restored.rgb)

    allowed = os.sched_getaffinity(0)
    many = results()
    try:
        os.sched_setaffinity(0, {min(allowed)})
        threads._pool.cache_clear()
        assert results() == many
    finally:
        os.sched_setaffinity(0, allowed)
        threads._pool.cache_clear()


def test_large_pages_are_judged_by_squares_spread_over_them():
    clean = np.tile(photo("coffee"), (3, 4, 1))
    assert auto(clean).rgb is clean
    small, large = gather(with_noise(photo("coffee"), 10)), gather(with_noise(clean, 10))
    assert large.colour_noise == pytest.approx(small.colour_noise, rel=0.05)
    assert large.crispness == pytest.approx(small.crispness, rel=0.25)
    clean[:1000, :1000] = 0
    assert gather(clean).even_share > 0.2


@pytest.mark.shared
def test_photographs_of_the_validation_split(shared_dir):
    folder = shared_dir / "data" / "restoration"
    names = (folder / "val.txt").read_text().split()[50:53]
    for name in names:
        clean = cv2.imread(str(folder / "bsds500" / f"{name}.webp"))[..., ::-1].copy()
        assert auto(clean).rgb is clean
        for degraded in (with_noise(clean, 10), with_noise(clean, 25), blurred(clean, 1), blurred(clean, 1.6)):
            assert psnr(clean, auto(degraded).rgb) >= psnr(clean, degraded)
