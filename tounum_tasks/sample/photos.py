"""Photographs: the pictures that scikit-image installs with its code, and parts of them.

All are free of restrictions: https://scikit-image.org/docs/stable/api/skimage.data.html
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Pixels = NDArray[np.uint8]


def _colour(pixels: NDArray[np.generic]) -> Pixels:
    """Return packaged pixels as uint8 HxWx3."""
    return np.ascontiguousarray(np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels[..., :3]).astype(np.uint8)


def _part(pixels: NDArray[np.generic], top: int, left: int, height: int, width: int, scale: float = 1) -> Pixels:
    crop = _colour(pixels)[top : top + height, left : left + width]
    size = (round(crop.shape[1] * scale), round(crop.shape[0] * scale))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def photographs() -> dict[str, Pixels]:
    """Return photographs as uint8 HxWx3, by what they show."""
    motorcycle, workshop, _ = data.stereo_motorcycle()
    return {
        "astronaut": _colour(data.astronaut()),
        "portrait": _part(data.astronaut(), 0, 100, 220, 220, 1.8),
        "shuttle": _part(data.astronaut(), 0, 340, 260, 172, 1.8),
        "cat": _colour(data.chelsea()),
        "whiskers": _part(data.chelsea(), 60, 120, 220, 280, 1.6),
        "coffee": _colour(data.coffee()),
        "spoon": _part(data.coffee(), 120, 180, 260, 380, 1.4),
        "motorcycle": _colour(motorcycle),
        "engine": _part(motorcycle, 180, 180, 300, 420, 1.3),
        "workshop": _part(workshop, 0, 330, 260, 411, 1.4),
        "rocket": _colour(data.rocket()),
        "launch pad": _part(data.rocket(), 180, 60, 247, 520, 1.3),
        "cameraman": _colour(data.camera()),
        "bricks": _colour(data.brick())[:384, :],
        "lawn": _colour(data.grass())[:360, :],
        "gravel": _colour(data.gravel())[100:460, :],
        "coins": _colour(data.coins()),
        "galaxies": _colour(data.hubble_deep_field())[:600, :800],
    }


def noisy(pixels: Pixels, sigma: float, seed: int) -> Pixels:
    """Return ``pixels`` with the noise of a sensor in poor light: normal, with a standard deviation of ``sigma``."""
    noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def out_of_focus(pixels: Pixels, radius: int) -> Pixels:
    """Return ``pixels`` as a lens that is out of focus by a disc of ``radius`` pixels shows them."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.float32)
    return np.asarray(cv2.filter2D(pixels, -1, disc / disc.sum()), np.uint8)


def underexposed(pixels: Pixels) -> Pixels:
    """Return ``pixels`` as a camera with a third of the light needed shows them."""
    return np.round(255 * (pixels / 255) ** 1.4 * 0.4).astype(np.uint8)
