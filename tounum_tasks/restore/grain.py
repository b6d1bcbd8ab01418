"""How the noise of a page depends on brightness and direction: film that went through JPEG is told by both.

Grains are opaque, so they show most where half of the film is covered, and neither in black nor in white: their
variance goes with u (1 - u), u being the brightness. That of a sensor does not, unless by chance of the scene or of its
curve of tones. Noise that is weak beside the steps of JPEG loses its diagonal frequencies first; nothing is told by
what is left of it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.colours import OPPONENT
from tounum_tasks.restore.evidence import spread_squares
from tounum_tasks.restore.screens import FINE
from tounum_tasks.threads import in_threads

_SQUARES = 24
_BLOCK = 8  # of a page at half its size: JPEG halves the colours
_DARKEST, _LIGHTEST, _LEAST_MIDTONE = 16 / 255, 245 / 255, 0.01
_PARTS, _FEWEST = 8, 64
_EVENEST = 10  # per cent of blocks; the others hold detail
_FINE = (0.3, 0.5)  # cycles a pixel
_ANGLES = np.arctan2(np.abs(np.fft.fftfreq(FINE.side))[:, None], np.fft.rfftfreq(FINE.side)[None])
_ALONG_AXES = np.abs(_ANGLES - np.pi / 4) > np.pi / 8


def midtone_exponent(rgb: NDArray[np.uint8]) -> float:
    """Return with which power of u (1 - u) the noise of the colours of a page goes: 1 for film, about 0 for sensors.

    Args:
        rgb: uint8 HxWx3, at least 64 pixels high and wide.
    """
    noise, midtones = np.concatenate(in_threads(_noise_and_midtones, spread_squares(rgb, _SQUARES)), axis=1)
    if noise.size < _FEWEST:
        return 0.0
    parts = np.array_split(np.argsort(midtones, kind="stable"), _PARTS)
    means = np.log([midtones[part].mean() for part in parts])
    if np.ptp(means) < 1e-3:
        return 0.0
    evenest = np.log([np.percentile(noise[part], _EVENEST) + 1e-3 for part in parts])
    return float(np.polyfit(means, evenest, 1)[0])


def _noise_and_midtones(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the colours' finest detail, squared, and u (1 - u), of blocks that are not burnt out: 2 x blocks."""
    size = (square.shape[1] // 2 // _BLOCK * _BLOCK, square.shape[0] // 2 // _BLOCK * _BLOCK)
    half = cv2.resize(square[: 2 * size[1], : 2 * size[0]], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    colours = cv2.transform(half, OPPONENT[1:])
    detail = ((colours - cv2.GaussianBlur(colours, (0, 0), 1.0)) ** 2).sum(2)
    light = half / 255
    planes = np.dstack([detail, (light * (1 - light)).mean(2), light.mean(2)])
    blocks = cv2.resize(planes, (size[0] // _BLOCK, size[1] // _BLOCK), interpolation=cv2.INTER_AREA).reshape(-1, 3).T
    is_valid = (blocks[1] > _LEAST_MIDTONE) & (blocks[2] > _DARKEST) & (blocks[2] < _LIGHTEST)
    return np.asarray(blocks[:2, is_valid], np.float32)


def axes_over_diagonals(rgb: NDArray[np.uint8]) -> float:
    """Return how much stronger the fine noise of the brightness is along the axes than along the diagonals.

    Args:
        rgb: uint8 HxWx3, at least 64 pixels high and wide.
    """
    powers = np.concatenate(in_threads(FINE.powers, spread_squares(rgb, _SQUARES)))[:, 0]
    least, most = _FINE
    is_fine = (least < FINE.radius) & (most > FINE.radius)
    evenest = np.argsort(powers[:, is_fine].mean(1), kind="stable")[: max(4, len(powers) // 3)]
    mean = powers[evenest].mean(0)
    return float(mean[is_fine & _ALONG_AXES].mean() / max(float(mean[is_fine & ~_ALONG_AXES].mean()), 1e-9))
