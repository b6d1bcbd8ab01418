"""Cheap measurements that tell whether a page needs restoration at all.

They look at up to 24 squares spread over the page, so a large page costs no more than a small one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.colours import OPPONENT
from tounum_tasks.threads import in_threads

_SQUARE = 256
_SQUARES = 24
_BLOCK = 16
"""Side in pixels of the blocks of which the most even ones show the noise."""

_CRISP_BLOCK, _DETAIL, _FEWEST_DETAILED = 32, 4.0, 6
"""Side of the blocks that may be crisp, least energy of their detail, and how many of them tell anything."""

_NOISE_GAINS = (0.762, 0.0423)
"""What white noise of variance 1 adds to the energies of fine and coarse detail."""

_GREY_NOISE = 0.447 / 0.93**2
"""Variance of the grey page for white noise of variance 1 as estimated in the brightness plane."""

_STEEP = 40
"""Grey levels."""

_BLUR_FIT = np.array([-0.3584, -0.1206, -0.3198, 0.039, 0.0297])
_BLURS = (0.4, 2.2)

# db2 wavelet, reversed because OpenCV correlates.
_LOW = np.array([0.48296291314453416, 0.8365163037378079, 0.2241438680420134, -0.12940952255126037], np.float32)
_HIGH = np.array([-0.12940952255126037, -0.2241438680420134, 0.8365163037378079, -0.48296291314453416], np.float32)


@dataclass(frozen=True)
class Evidence:
    """What a page looks like.

    Attributes:
        colours: distinct colours among the pixels looked at.
        is_grey: the pixels looked at are shades of grey.
        even_share: share of pixels that equal both their right and their lower neighbour, 0 to 1: high for
            drawn and typeset pages, low for photographs, next to nothing where there is noise.
        brightness_noise: standard deviation in grey levels of the most even blocks in the finest wavelet level.
        whiteness: that deviation over the one in the next coarser level: about 1 for white noise, 0.7 or less for
            fine texture, which has more energy at coarser levels.
        colour_noise: standard deviation in the colour planes. Nature has little fine detail in colour alone, so this
            tells noise from texture.
        crispness: energy of the finest details over that of details twice as coarse; low when blurred, but also
            on pages without fine detail.
        crispest: the same in the crispest of the 32x32 blocks that have detail (only one in twenty is crisper).
            Blur leaves nothing crisp; a sharp page has something crisp somewhere. Infinite if few blocks have detail.
        blocks: how much steeper the page is across the borders of the 8x8 blocks of JPEG than anywhere else, the
            product of both directions; 1 or less without them. Pages that were cropped after compression show none.
        smeared: noise in the colour planes at two coarser scales (deviation of the more even blocks, in grey levels)
            and how even it is over the page, 0 to 1: cameras and JPEG leave noise there that they removed from the
            finest scale. Noise lies everywhere alike, detail in places.
    """

    colours: int
    is_grey: bool
    even_share: float
    brightness_noise: float
    whiteness: float
    colour_noise: float
    crispness: float
    crispest: float
    blocks: float
    smeared: tuple[tuple[float, float], tuple[float, float]]


def gather(rgb: NDArray[np.uint8]) -> Evidence:
    """Look at a page: uint8 HxWx3, at least 64 pixels high and wide."""
    squares = spread_squares(rgb, _SQUARES)
    energies, details, steepness, even = zip(*in_threads(_look, squares), strict=True)
    pixels = np.concatenate([square[::5, ::3].reshape(-1, 3) for square in squares])
    codes = np.sort(pixels @ np.array([1, 256, 65536], np.int32))
    fine, coarse, colour, *coarser = np.concatenate(energies, axis=1)
    brightness_noise = whiteness = colour_noise = 0.0
    smeared = ((0.0, 0.0), (0.0, 0.0))
    if fine.size >= 8:
        evenest = np.argsort(fine + coarse, kind="stable")[: max(4, fine.size // 20)]
        brightness_noise = float(np.sqrt(fine[evenest].mean()))
        whiteness = brightness_noise / max(float(np.sqrt(coarse[evenest].mean())), 1e-6)
        colour_noise = float(np.sqrt(np.percentile(colour, 25)))
        smeared = (_level(coarser[0], 10), _level(coarser[1], 5))
    crispness, crispest = _crispness(details, _GREY_NOISE * min(brightness_noise, colour_noise) ** 2)
    return Evidence(
        colours=1 + int(np.count_nonzero(codes[1:] != codes[:-1])),
        is_grey=bool((pixels == pixels[:, :1]).all()),
        even_share=sum(int(np.count_nonzero(e)) for e in even) / sum(e.size for e in even),
        brightness_noise=brightness_noise,
        whiteness=whiteness,
        colour_noise=colour_noise,
        crispness=crispness,
        crispest=crispest,
        blocks=_blocks(steepness),
        smeared=smeared,
    )


def _look(square: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return block energies, detail energies, steepness and evenness of a square."""
    grey = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY)
    return _block_energies(square), _detail_energies(grey), _steepness(grey), _evenness(grey)


def spread_squares(rgb: NDArray[np.uint8], most: int) -> list[NDArray[np.uint8]]:
    """Return at most so many squares of a page, evenly spread, corners at multiples of 8; all of a small page."""
    height, width = rgb.shape[:2]
    if height * width <= most * _SQUARE**2:
        return [rgb]
    rows = max(1, min(height // _SQUARE, round((most * height / width) ** 0.5), most))
    columns = max(1, min(width // _SQUARE, most // rows))
    tops = np.linspace(0, max(height - _SQUARE, 0), rows).astype(int) // 8 * 8
    lefts = np.linspace(0, max(width - _SQUARE, 0), columns).astype(int) // 8 * 8
    return [rgb[top : top + _SQUARE, left : left + _SQUARE] for top in tops for left in lefts]


def _block_energies(square: np.ndarray) -> np.ndarray:
    """Return the mean squared wavelet coefficients of blocks that are not burnt out, 5 x blocks.

    Brightness in the finest level and in the next, then colour in the three finest levels.
    """
    opponent = cv2.transform(square.astype(np.float32), OPPONENT)
    planes = [cv2.extractChannel(opponent, channel) for channel in range(3)]  # a third of the time of cv2.split
    halves = [_half(plane) for plane in planes]
    quarters = [_half(half) for half in halves]
    levels = [
        _block_means(_diagonal(planes[0]) ** 2, _BLOCK // 2),
        _block_means(_diagonal(halves[0]) ** 2, _BLOCK // 4),
    ]
    for side, level in zip((2, 4, 8), (planes, halves, quarters), strict=True):
        first, second = (_block_means(_diagonal(plane) ** 2, _BLOCK // side) for plane in level[1:])
        levels.append((first + second) / 2)
    # Two low-pass steps double the scale of the orthonormal brightness twice: 4 * sqrt(3) a grey level.
    levels.append(_block_means(quarters[0], _BLOCK // 4) / (4 * 3**0.5))
    rows, columns = (min(level.shape[axis] for level in levels) for axis in (0, 1))
    energies = np.stack([level[:rows, :columns] for level in levels])
    valid = (energies[-1] > 16) & (energies[-1] < 245)
    return np.asarray(energies[:-1, valid])


def _level(energies: np.ndarray, percentile: int) -> tuple[float, float]:
    """Return the deviation of the more even blocks, and over that of the middle one."""
    even, middle = np.sqrt(np.percentile(energies, [percentile, 50]))
    return float(even), float(even / max(middle, 1e-6))


def _diagonal(plane: np.ndarray) -> np.ndarray:
    return cv2.sepFilter2D(plane, cv2.CV_32F, _HIGH, _HIGH)[1::2, 1::2]


def _half(plane: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cv2.sepFilter2D(plane, cv2.CV_32F, _LOW, _LOW)[1::2, 1::2])


def _block_means(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return values[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))


def _evenness(grey: np.ndarray) -> np.ndarray:
    """Return which pixels equal both their right and their lower neighbour."""
    here = grey[:-1, :-1]
    return (here == grey[1:, :-1]) & (here == grey[:-1, 1:])


def _detail_energies(grey: np.ndarray) -> np.ndarray:
    """Return the energies of fine and of coarse detail in 32x32 blocks, 2 x blocks."""
    plane = grey.astype(np.float32)
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.0)
    half = np.ascontiguousarray(smooth[::2, ::2])
    fine = _block_means((plane - smooth) ** 2, _CRISP_BLOCK)
    coarse = _block_means((half - cv2.GaussianBlur(half, (0, 0), 1.0)) ** 2, _CRISP_BLOCK // 2)
    rows, columns = fine.shape
    return np.stack([fine.ravel(), coarse[:rows, :columns].ravel()])


def _crispness(energies: Sequence[np.ndarray], noise: float) -> tuple[float, float]:
    """Return the crispness of the page and of its crispest blocks, without what white noise adds to both.

    ``noise`` is the variance of the noise in the grey page.
    """
    fine, coarse = np.concatenate(energies, axis=1)
    fine, coarse = (np.maximum(e - g * noise, 1e-3) for e, g in zip((fine, coarse), _NOISE_GAINS, strict=True))
    detailed = coarse > _DETAIL
    if np.count_nonzero(detailed) < _FEWEST_DETAILED:
        return float(fine.sum() / coarse.sum()), float("inf")
    return float(fine.sum() / coarse.sum()), float(np.percentile(fine[detailed] / coarse[detailed], 95))


def _steepness(grey: np.ndarray) -> np.ndarray:
    """Return how steep a square is at each of the eight positions relative to blocks, down and across: 2 x 8."""
    levels = grey.astype(np.int16)
    steepness = np.zeros((2, 8))
    for axis in (0, 1):
        # Strong edges are limited: a few of them must not hide the blocks.
        steps = np.minimum(np.abs(np.diff(levels, axis=axis)), _STEEP).mean(1 - axis)
        whole = len(steps) // 8 * 8
        steepness[axis] = steps[:whole].reshape(-1, 8).sum(0) if whole else 0
    return steepness


def _blocks(steepness: Sequence[np.ndarray]) -> float:
    """Return how steep the page is at the borders of 8x8 blocks, over the steepest other position."""
    product = 1.0
    for positions in np.sum(steepness, axis=0):
        ratio = float(positions[7] / max(positions[:7].max(), 1e-9))
        if ratio <= 1:
            return ratio
        product *= ratio
    return product


def blur_of(crispness: float, crispest: float) -> float:
    """Return the standard deviation in pixels of the Gaussian blur that a page with these figures probably has.

    Fitted to photographs of BSDS500 train that were blurred by 0.5 to 2 pixels, with noise of strength 0 or 5.
    """
    logs = np.log([max(crispness, 1e-4), max(crispest, 1e-4)])
    return float(np.clip(np.exp(_BLUR_FIT @ np.concatenate([[1], logs, logs**2])), *_BLURS))
