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

_SQUARES = 24
_LOW, _HIGH = (0.03, 0.08), (0.15, 0.45)
"""Cycles a pixel of what blue noise lacks, and of where its power lies."""

_LEAST = 0.3
"""Share of the mean fine power that counts as the least of a ring."""

_PEAKS_FROM = (45.0, 60.0)
"""Peaks of prints in the brightness and the colour planes; 24 training photographs of BSDS500 stay below 24 and 34 with
noise of 25, blur of 1 and 1.6, both, and JPEG of quality 30."""

_COARSE_PEAKS_FROM = (50.0, 45.0)
"""Likewise of coarse screens. Of 200 training photographs, clean, blurred by 1.6, and with noise after JPEG, those that
lie beyond have peaks beyond the others, too; drawn screens of 5 to 9.2 pixels have more in one of both."""

_BLUE_FROM = 1.6
"""Blueness of dithering; the same photographs stay below 1.2, and pure white noise below 1.4."""


class Blocks:
    """Square blocks of a page and their spectra.

    Attributes:
        radius: of the frequencies that ``powers`` returns, in cycles a pixel.
    """

    def __init__(self, side: int, *, step: int, band: tuple[float, float], of_jpeg: int) -> None:
        """Lay blocks.

        Args:
            side: in pixels.
            step: from one block to the next, in pixels.
            band: cycles a pixel between which a screen is looked for.
            of_jpeg: side of the blocks of JPEG, in pixels, a divisor of ``side``.
        """
        self.side, self._step = side, step
        self._window = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
        self.radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        # In the corners a ring is so short that a peak fills it: they are compared with the last whole ring.
        self._rings = np.minimum(np.rint(self.radius * side).astype(int), side // 2)
        self._is_looked_at = (self.radius > band[0]) & (self.radius < band[1])
        columns, period = self.radius.shape[1], side // of_jpeg
        of_blocks = np.abs((np.arange(side) + period // 2) % period - period // 2) <= 1
        axis = np.abs((np.arange(side) + side // 2) % side - side // 2) <= 1
        # The borders of JPEG's blocks, down and across.
        self._is_of_jpeg = np.outer(of_blocks, axis[:columns]) | np.outer(axis, of_blocks[:columns])

    def powers(self, square: NDArray[np.uint8]) -> np.ndarray:
        """Return the power spectra of the blocks of a square in the three planes: blocks x 3 x frequencies."""
        import scipy.fft  # a third of a second, which only pages that look noisy are worth

        opponent = np.moveaxis(cv2.transform(square.astype(np.float32), OPPONENT), 2, 0)
        windows = np.lib.stride_tricks.sliding_window_view(opponent, (self.side, self.side), axis=(1, 2))
        blocks = windows[:, :: self._step, :: self._step].transpose(1, 2, 0, 3, 4).reshape(-1, 3, self.side, self.side)
        blocks = blocks - blocks.mean((2, 3), keepdims=True)
        return np.asarray(np.abs(scipy.fft.rfft2(blocks * self._window)) ** 2, np.float32)

    def peak(self, powers: np.ndarray) -> float:
        """Return how far the mean spectrum of N blocks rises above its rings; each block counts alike."""
        strengths = powers[:, self._is_looked_at].mean(1)
        mean = (powers / np.maximum(strengths, 1e-3)[:, None, None]).mean(0)
        rings = np.array([np.median(mean[ring == self._rings]) for ring in range(self._rings.max() + 1)])
        # JPEG leaves next to nothing at some frequencies: there, little is no peak.
        heights = mean / np.maximum(rings[self._rings], _LEAST)
        return float(heights[self._is_looked_at & ~self._is_of_jpeg].max())


FINE = Blocks(64, step=64, band=(0.06, 1.0), of_jpeg=8)
"""What is coarser than these look at is the picture; a screen of 65 lines an inch has 0.108 cycles a pixel at
600 dpi."""

COARSE = Blocks(64, step=32, band=(0.08, 0.4), of_jpeg=4)
"""Of the page at half its size: these part the frequencies of coarse screens, which lie close together."""


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
    planes = _planes(FINE, spread_squares(rgb, _SQUARES))
    return Spectrum(
        peak=(FINE.peak(planes[0]), FINE.peak(planes[1])), blueness=(_blueness(planes[0]), _blueness(planes[1]))
    )


def is_screened(rgb: NDArray[np.uint8]) -> bool:
    """Whether a page is made of dots, threads or lines: a printing screen, dithering, weave or engraving.

    Args:
        rgb: uint8 HxWx3; pages with a side below 64 pixels show nothing, below 128 no coarse screens.
    """
    if min(rgb.shape[:2]) < FINE.side:
        return False
    seen = spectrum(rgb)
    return (
        _has_peaks(seen.peak, _PEAKS_FROM)
        or max(seen.blueness) >= _BLUE_FROM
        or (min(rgb.shape[:2]) >= 2 * COARSE.side and _has_peaks(_coarse_peaks(rgb), _COARSE_PEAKS_FROM))
    )


def _planes(blocks: Blocks, squares: list[NDArray[np.uint8]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the power spectra of the blocks of squares in the brightness plane and in the colour planes."""
    powers = np.concatenate(in_threads(blocks.powers, squares))
    return powers[:, 0], powers[:, 1:].reshape(-1, *powers.shape[2:])


def _coarse_peaks(rgb: NDArray[np.uint8]) -> tuple[float, float]:
    brightness, colour = _planes(COARSE, [_half(square) for square in spread_squares(rgb, _SQUARES)])
    return COARSE.peak(brightness), COARSE.peak(colour)


def _half(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (square.shape[1] // 2, square.shape[0] // 2)
    return np.asarray(cv2.resize(square, size, interpolation=cv2.INTER_AREA), np.uint8)


def _has_peaks(peaks: tuple[float, float], least: tuple[float, float]) -> bool:
    return any(peak >= enough for peak, enough in zip(peaks, least, strict=True))


def _blueness(powers: np.ndarray) -> float:
    low, high = (powers[:, (least < FINE.radius) & (most > FINE.radius)].mean(1) for least, most in (_LOW, _HIGH))
    return float(np.percentile(high / np.maximum(low, 1e-3), 75))
