"""Tells the dots of a print, of a dithered picture or of a weave from noise, by the spectrum of the page.

Noise has power at all frequencies alike, or less and less towards the finest. A screen puts its power into a few
frequencies (Amidror, The Theory of the Moire Phenomenon, 2009); a stochastic screen and dithering leave out the
low ones (blue noise: Ulichney, Dithering with blue noise, Proceedings of the IEEE 76, 1988).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.colours import OPPONENT
from tounum_tasks.restore.evidence import spread_squares
from tounum_tasks.threads import in_threads

_BLOCK = 64
_SQUARES = 24
_COARSEST = 0.06
"""Cycles a pixel. What is coarser is the picture; a screen of 65 lines an inch has 0.108 at 600 dpi."""

_LOW, _HIGH = (0.03, 0.08), (0.15, 0.45)
"""Cycles a pixel of what blue noise lacks, and of where its power lies."""

_JPEG = np.abs((np.arange(_BLOCK) + 4) % 8 - 4) <= 1
_AXIS = np.abs((np.arange(_BLOCK) + _BLOCK // 2) % _BLOCK - _BLOCK // 2) <= 1
_COLUMNS = _BLOCK // 2 + 1
_OF_JPEG = np.outer(_JPEG, _AXIS[:_COLUMNS]) | np.outer(_AXIS, _JPEG[:_COLUMNS])
"""The frequencies of the borders of 8x8 blocks, down and across."""

_LEAST = 0.3
"""Share of the mean fine power that counts as the least of a ring."""

_WINDOW = np.outer(np.hanning(_BLOCK), np.hanning(_BLOCK)).astype(np.float32)
RADIUS = np.hypot(np.fft.fftfreq(_BLOCK)[:, None], np.fft.rfftfreq(_BLOCK)[None])
"""Of the frequencies that ``block_powers`` returns, in cycles a pixel."""

_RINGS = np.rint(RADIUS * _BLOCK).astype(int)

_PEAKS_FROM = (45.0, 60.0)
"""Peaks of prints in the brightness and the colour planes; 24 training photographs of BSDS500 stay below 24 and 34 with
noise of 25, blur of 1 and 1.6, both, and JPEG of quality 30."""

_BLUE_FROM = 1.6
"""Blueness of dithering; the same photographs stay below 1.2, and pure white noise below 1.4."""


@dataclass(frozen=True)
class Spectrum:
    """How the power of a page lies in its spectrum, in the brightness plane and in the colour planes.

    Attributes:
        peak: power of the strongest frequency over the median of equally fine ones.
        blueness: power of the fine frequencies over the coarse ones, in the more even blocks: about 1 for white noise,
            less for noise that was smeared and for pictures, more for dithering.
    """

    peak: tuple[float, float]
    blueness: tuple[float, float]


def spectrum(rgb: NDArray[np.uint8]) -> Spectrum:
    """Return what the spectrum of a page shows: uint8 HxWx3, at least 64 pixels high and wide."""
    powers = np.concatenate(in_threads(block_powers, spread_squares(rgb, _SQUARES)))
    colour = powers[:, 1:].reshape(-1, *powers.shape[2:])
    planes = [powers[:, 0], colour]
    return Spectrum(peak=(_peak(planes[0]), _peak(planes[1])), blueness=(_blueness(planes[0]), _blueness(planes[1])))


def is_screened(rgb: NDArray[np.uint8]) -> bool:
    """Whether a page is made of dots, threads or lines: a printing screen, dithering, weave or engraving.

    Args:
        rgb: uint8 HxWx3; pages with a side below 64 pixels show nothing.
    """
    if min(rgb.shape[:2]) < _BLOCK:
        return False
    seen = spectrum(rgb)
    has_peaks = any(peak >= least for peak, least in zip(seen.peak, _PEAKS_FROM, strict=True))
    return has_peaks or max(seen.blueness) >= _BLUE_FROM


def block_powers(square: NDArray[np.uint8]) -> np.ndarray:
    """Return the power spectra of the blocks of a square in the three planes: blocks x 3 x frequencies."""
    import scipy.fft  # a third of a second, which only pages that look noisy are worth

    opponent = np.moveaxis(cv2.transform(square.astype(np.float32), OPPONENT), 2, 0)
    rows, columns = opponent.shape[1] // _BLOCK, opponent.shape[2] // _BLOCK
    blocks = opponent[:, : rows * _BLOCK, : columns * _BLOCK].reshape(3, rows, _BLOCK, columns, _BLOCK)
    blocks = blocks.transpose(1, 3, 0, 2, 4).reshape(-1, 3, _BLOCK, _BLOCK)
    blocks = blocks - blocks.mean((2, 3), keepdims=True)
    return np.asarray(np.abs(scipy.fft.rfft2(blocks * _WINDOW)) ** 2, np.float32)


def _peak(powers: np.ndarray) -> float:
    """Return how far the mean spectrum of blocks rises above its rings. Each block counts alike."""
    is_fine = RADIUS > _COARSEST
    strengths = powers[:, is_fine].mean(1)
    mean = (powers / np.maximum(strengths, 1e-3)[:, None, None]).mean(0)
    rings = np.array([np.median(mean[ring == _RINGS]) for ring in range(_RINGS.max() + 1)])
    # JPEG leaves next to nothing at some frequencies: there, little is no peak.
    return float((mean / np.maximum(rings[_RINGS], _LEAST))[is_fine & ~_OF_JPEG].max())


def _blueness(powers: np.ndarray) -> float:
    low, high = (powers[:, (least < RADIUS) & (most > RADIUS)].mean(1) for least, most in (_LOW, _HIGH))
    return float(np.percentile(high / np.maximum(low, 1e-3), 75))
