"""How noise depends on brightness and direction: what tells film that went through JPEG."""

import cv2
import numpy as np
import pytest

from tounum_tasks.restore.grain import axes_over_diagonals, midtone_exponent

RAMP = np.repeat(np.linspace(20, 235, 512)[None, :, None], 256, axis=0)


def noise(sigma: float = 1.5, shape: tuple[int, ...] = (256, 512, 3)) -> np.ndarray:
    """Smooth noise of a standard deviation of 1, alike in all directions."""
    drawn = cv2.GaussianBlur(np.random.default_rng(4).normal(size=shape), (0, 0), sigma)
    return drawn / drawn.std()


def page(strength: np.ndarray | float) -> np.ndarray:
    return np.clip(np.rint(RAMP + strength * noise()), 0, 255).astype(np.uint8)


def test_the_exponent_says_how_noise_follows_the_midtones() -> None:
    light = RAMP / 255
    as_of_film = page(24 * np.sqrt(light * (1 - light)))
    assert midtone_exponent(as_of_film) == pytest.approx(1, abs=0.25)
    assert midtone_exponent(page(12)) == pytest.approx(0, abs=0.25)


def test_an_even_page_has_no_exponent() -> None:
    assert midtone_exponent(np.full((200, 300, 3), 90, np.uint8)) == 0
    assert midtone_exponent(np.full((64, 64, 3), 255, np.uint8)) == 0


def test_jpeg_takes_the_diagonals_of_weak_noise_first() -> None:
    axes = {}
    for strength in (3, 24):
        _, data = cv2.imencode(".jpg", page(strength), [cv2.IMWRITE_JPEG_QUALITY, 80])
        axes[strength] = axes_over_diagonals(cv2.imdecode(data, cv2.IMREAD_COLOR))
    assert axes_over_diagonals(page(24)) == pytest.approx(1, abs=0.2)
    assert axes[24] < axes[3]
    assert axes[3] > 1.4


@pytest.mark.parametrize("shape", [(64, 64), (65, 70), (64, 3000), (1500, 2001)])
def test_pages_of_any_size(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (*shape, 3), np.uint8)
    assert np.isfinite([midtone_exponent(rgb), axes_over_diagonals(rgb)]).all()
