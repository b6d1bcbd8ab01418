"""Removes white noise: undecimated Haar wavelets, each coefficient weighted by its neighbourhood.

The spatially adaptive Wiener weights of Mihcak et al. (Low-complexity image denoising based on statistical modeling
of wavelet coefficients, IEEE Signal Processing Letters 6, 1999) on an undecimated transform (Coifman and Donoho,
Translation-invariant de-noising, 1995). A weight depends on 36 pixels around it and on nothing else, so a page is
worked through in tiles that leave no seams.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.tiles import tiles

LEVELS = 4
_WINDOW = 7
_THRESHOLD = 1.4
"""How many times the expected noise energy is subtracted; best on BSDS500 train for sigma 10 and 25."""

_TILE = 240
_MARGIN = 2**LEVELS + _WINDOW // 2
"""What the transform (2^LEVELS - 1) and the window of the weights reach beyond a pixel."""

OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]], np.float32)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)
"""Orthonormal: one brightness and two colour planes in which white noise keeps its strength."""


def denoise(rgb: NDArray[np.uint8], *, brightness_sigma: float, colour_sigma: float) -> NDArray[np.uint8]:
    """Return a page with less noise.

    Args:
        rgb: uint8 HxWx3; pages without colours stay without colours.
        brightness_sigma: standard deviation of the noise in the brightness plane of ``OPPONENT``, in grey levels.
        colour_sigma: the same for its colour planes. White noise of equal strength in all channels has
            this strength in all planes.
    """
    sigmas = (brightness_sigma, colour_sigma, colour_sigma)
    result = np.empty_like(rgb)
    for tile in tiles(rgb, _TILE):
        planes = cv2.split(cv2.transform(tile.with_margin(rgb, _MARGIN).astype(np.float32), OPPONENT))
        restored = cv2.merge([_shrink(plane, sigma**2) for plane, sigma in zip(planes, sigmas, strict=True)])
        tile.of(result)[:] = np.clip(np.rint(cv2.transform(restored, OPPONENT.T.copy())), 0, 255)
    return result


def _shrink(plane: np.ndarray, variance: float) -> np.ndarray:
    """Return a float32 plane without its outer ``_MARGIN`` pixels and without noise of the given variance."""
    reach = 2**LEVELS - 1
    inner = _shrink_level(plane, np.float32(variance), 0) if variance > 0 else plane[reach:-reach, reach:-reach]
    cut = _MARGIN - reach
    return inner[cut:-cut, cut:-cut]


def _shrink_level(plane: np.ndarray, variance: np.float32, level: int) -> np.ndarray:
    """Take a plane apart into one coarse and three detail planes, weaken the details, and put it together again.

    ``variance`` is that of the noise in ``plane``. The result lacks 2^LEVELS - 2^level pixels on each side.
    """
    step = 2**level
    sums, differences = plane[:, step:] + plane[:, :-step], plane[:, step:] - plane[:, :-step]
    coarse = sums[step:] + sums[:-step]
    details = [
        sums[step:] - sums[:-step],
        differences[step:] + differences[:-step],
        differences[step:] - differences[:-step],
    ]
    cut = 0
    if level + 1 < LEVELS:
        # The mean of four pixels has a quarter of their noise. (Of neighbouring means only every second one is
        # independent, but those are the ones that the next level combines.)
        coarse *= np.float32(0.25)
        coarse = _shrink_level(coarse, variance / np.float32(4), level + 1)
        coarse *= np.float32(4)
        cut = 2**LEVELS - 2 * step
    for detail in details:
        energy = cv2.blur(cv2.multiply(detail, detail), (_WINDOW, _WINDOW))
        np.maximum(energy, np.float32(1e-6), out=energy)
        weight = np.float32(-4 * _THRESHOLD) * variance / energy
        weight += 1
        np.maximum(weight, 0, out=weight)
        detail *= weight
    vertical, horizontal, diagonal = (d[cut:-cut, cut:-cut] if cut else d for d in details)
    sums = coarse[step:] + coarse[:-step] + vertical[:-step] - vertical[step:]
    differences = horizontal[step:] + horizontal[:-step] + diagonal[:-step] - diagonal[step:]
    restored = sums[:, step:] + sums[:, :-step] + differences[:, :-step] - differences[:, step:]
    restored *= np.float32(1 / 16)
    return restored
