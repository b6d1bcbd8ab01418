"""Cheap measurements that tell whether a page needs restoration at all.

They look at up to 24 squares spread over the page, so a large page costs no more than a small one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.denoise import OPPONENT

_SQUARE = 256
_SQUARES = 24
_BLOCK = 16
"""Side in pixels of the blocks of which the most even ones show the noise."""

_CRISP_BLOCK, _DETAIL, _FEWEST_DETAILED = 32, 4.0, 6
"""Side of the blocks that may be crisp, least energy of their detail, and how many of them tell anything."""

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
        blockiness: how much steeper the page is across the borders of 8x8 blocks; 1 without JPEG blocks.
    """

    colours: int
    is_grey: bool
    even_share: float
    brightness_noise: float
    whiteness: float
    colour_noise: float
    crispness: float
    crispest: float
    blockiness: float


def gather(rgb: NDArray[np.uint8]) -> Evidence:
    """Look at a page: uint8 HxWx3, at least 64 pixels high and wide."""
    squares = _spread_squares(rgb)
    pixels = np.concatenate([square[::5, ::3].reshape(-1, 3) for square in squares])
    codes = pixels @ np.array([1, 256, 65536], np.int32)
    greys = [cv2.cvtColor(square, cv2.COLOR_RGB2GRAY) for square in squares]
    even = [(g[:-1, :-1] == g[1:, :-1]) & (g[:-1, :-1] == g[:-1, 1:]) for g in greys]
    fine, coarse, colour = (np.concatenate(part) for part in zip(*map(_block_energies, squares), strict=True))
    brightness_noise = whiteness = colour_noise = 0.0
    if fine.size >= 8:
        evenest = np.argsort(fine + coarse, kind="stable")[: max(4, fine.size // 20)]
        brightness_noise = float(np.sqrt(fine[evenest].mean()))
        whiteness = brightness_noise / max(float(np.sqrt(coarse[evenest].mean())), 1e-6)
        colour_noise = float(np.sqrt(np.percentile(colour, 25)))
    crispness, crispest = _crispness(greys)
    return Evidence(
        colours=np.unique(codes).size,
        is_grey=bool((pixels == pixels[:, :1]).all()),
        even_share=float(np.mean(np.concatenate([e.ravel() for e in even]))),
        brightness_noise=brightness_noise,
        whiteness=whiteness,
        colour_noise=colour_noise,
        crispness=crispness,
        crispest=crispest,
        blockiness=max(_blockiness(greys, 0), _blockiness(greys, 1)),
    )


def _spread_squares(rgb: np.ndarray) -> list[np.ndarray]:
    """Return at most 24 squares of the page, evenly spread, with corners at multiples of 8; all of a small page."""
    height, width = rgb.shape[:2]
    if height * width <= _SQUARES * _SQUARE**2:
        return [rgb]
    rows = max(1, min(height // _SQUARE, round((_SQUARES * height / width) ** 0.5), _SQUARES))
    columns = max(1, min(width // _SQUARE, _SQUARES // rows))
    tops = np.linspace(0, max(height - _SQUARE, 0), rows).astype(int) // 8 * 8
    lefts = np.linspace(0, max(width - _SQUARE, 0), columns).astype(int) // 8 * 8
    return [rgb[top : top + _SQUARE, left : left + _SQUARE] for top in tops for left in lefts]


def _block_energies(square: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean squared wavelet coefficients of blocks that are not burnt out: fine, coarse, fine colour."""
    planes = cv2.split(cv2.transform(square.astype(np.float32), OPPONENT))
    blurred = _half(_half(planes[0]))
    fine = _block_means(_diagonal(planes[0]) ** 2, _BLOCK // 2)
    rows, columns = fine.shape
    coarse = _block_means(_diagonal(_half(planes[0])) ** 2, _BLOCK // 4)[:rows, :columns]
    colour = sum(_block_means(_diagonal(plane) ** 2, _BLOCK // 2) for plane in planes[1:]) / 2
    # Two low-pass steps double the scale of the orthonormal brightness twice: 4 * sqrt(3) a grey level.
    level = _block_means(blurred, _BLOCK // 4)[:rows, :columns] / (4 * 3**0.5)
    valid = (level > 16) & (level < 245)
    return fine[valid], coarse[valid], np.asarray(colour)[valid]


def _diagonal(plane: np.ndarray) -> np.ndarray:
    return cv2.sepFilter2D(plane, cv2.CV_32F, _HIGH, _HIGH)[1::2, 1::2]


def _half(plane: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cv2.sepFilter2D(plane, cv2.CV_32F, _LOW, _LOW)[1::2, 1::2])


def _block_means(values: np.ndarray, side: int) -> np.ndarray:
    rows, columns = values.shape[0] // side, values.shape[1] // side
    return values[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))


def _crispness(greys: list[np.ndarray]) -> tuple[float, float]:
    """Return the crispness of the page and of its crispest blocks."""
    energies = []
    for grey in greys:
        plane = grey.astype(np.float32)
        smooth = cv2.GaussianBlur(plane, (0, 0), 1.0)
        half = np.ascontiguousarray(smooth[::2, ::2])
        fine = _block_means((plane - smooth) ** 2, _CRISP_BLOCK)
        coarse = _block_means((half - cv2.GaussianBlur(half, (0, 0), 1.0)) ** 2, _CRISP_BLOCK // 2)
        rows, columns = fine.shape
        energies.append(np.stack([fine.ravel(), coarse[:rows, :columns].ravel()]))
    fine, coarse = np.concatenate(energies, axis=1)
    detailed = coarse > _DETAIL
    if np.count_nonzero(detailed) < _FEWEST_DETAILED:
        return float(fine.sum() / max(coarse.sum(), 1e-9)), float("inf")
    return float(fine.sum() / coarse.sum()), float(np.percentile(fine[detailed] / coarse[detailed], 95))


def _blockiness(greys: list[np.ndarray], axis: int) -> float:
    """Return the steepness at the steepest of the eight positions over the middle one."""
    steepness = np.zeros(8)
    for grey in greys:
        steps = np.abs(np.diff(grey.astype(np.int16), axis=axis)).mean(1 - axis)
        whole = len(steps) // 8 * 8
        steepness += steps[:whole].reshape(-1, 8).sum(0) if whole else 0
    return float(steepness.max() / max(float(np.median(steepness)), 1e-9)) if steepness.any() else 1.0
