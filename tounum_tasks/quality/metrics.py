"""Quality metrics of one page.

Everything is computed tile by tile, so that the memory needed beside the page stays small: the grey page and the
wavelet coefficients of one channel, together three to five bytes per pixel; on pages up to 16 megapixels, where all
three channels are measured at once, four to nine.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.grey import is_grey
from tounum_tasks.threads import in_threads

_TILE_ROWS, _TILE_COLUMNS = 512, 16_384
_COEFFICIENT_ROWS, _COEFFICIENT_COLUMNS = 64, 512  # what is computed of a channel at once stays in the cache
_SAMPLE = 1_000

_SMALLEST_SHARED = 3 * 2**18
"""Samples of the smallest page that threads share: with less, they wait for each other longer than they work."""

_LARGEST_AT_ONCE = 3 * 2**24
"""Samples of the largest page whose channels are measured all at once."""

_DB2_HIGH = (-0.48296291314453416, 0.8365163037378079, -0.2241438680420134, -0.12940952255126037)
"""High-pass decomposition filter of the Daubechies wavelet db2."""

_DB2_HIGH_OF_LEVELS = tuple(weight * np.arange(256.0) for weight in _DB2_HIGH)
"""Its products with each of the 256 levels: to look them up is several times as fast as to compute them."""

_NORMAL_UPPER_QUARTILE = 0.6744897501960817


@dataclass(frozen=True)
class QualityThresholds:
    """Where a score becomes a flag.

    Attributes:
        blurry_below: ``blurry`` if the variance of the Laplacian is smaller. Sharp photographs have 300 to
            4,000 at their full size, the same ones after a Gaussian blur of one pixel 20 to 150.
        noisy_above: ``noisy`` if the wavelet estimate of the noise, in grey levels, is larger. The estimate takes
            fine texture for noise: a few sharp photographs in a hundred have more than 8.
        dark_below: ``dark`` if 99 of 100 pixels are darker than this grey.
        light_above: ``light`` if 99 of 100 pixels are lighter than this grey (a page with ink on it is not).
        low_information_below: ``low_information`` if the standard deviation of grey is smaller: an empty page.
            Such a page is not called blurry as well.
        odd_size_below: ``odd_size`` if a side has fewer pixels: thumbnails, icons, slivers of a scan.
        odd_aspect_above: ``odd_size`` if the longer side is more than so many times the shorter one.
    """

    blurry_below: float = 100.0
    noisy_above: float = 8.0
    dark_below: int = 80
    light_above: int = 180
    low_information_below: float = 3.0
    odd_size_below: int = 48
    odd_aspect_above: float = 6.0


DEFAULT_THRESHOLDS = QualityThresholds()


@dataclass(frozen=True)
class Quality:
    """What was measured on one page; equal pixels give equal figures.

    Attributes:
        blur_laplacian_var: see ``laplacian_variance``.
        noise_sigma: see ``noise_sigma``.
        brightness: mean grey, 0 to 255.
        contrast: standard deviation of grey, 0 to 127.5.
        flags: any of blurry, noisy, dark, light, low_information and odd_size, in this order.
    """

    blur_laplacian_var: float
    noise_sigma: float
    brightness: float
    contrast: float
    flags: tuple[str, ...]


def measure(rgb: NDArray[np.uint8], thresholds: QualityThresholds = DEFAULT_THRESHOLDS) -> Quality:
    """Measure a page: uint8 HxWx3 RGB of any size from 1x1.

    Raises:
        ValueError: the array is no page.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"expected uint8 pixels HxWx3, got {rgb.dtype} {rgb.shape}")
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    histogram = sum(in_threads(_histogram, [tile for tile, *_ in _tiles(grey)]), np.zeros(256, np.int64))
    levels = np.arange(256)
    brightness = float(histogram @ levels / grey.size)
    contrast = float(np.sqrt(histogram @ (levels - brightness) ** 2 / grey.size))
    blur, noise = laplacian_variance(grey), noise_sigma(rgb)

    darkest, lightest = np.searchsorted(np.cumsum(histogram) / grey.size, (0.01, 0.99))
    shorter, longer = sorted(grey.shape)
    empty = contrast < thresholds.low_information_below
    raised = {
        "blurry": blur < thresholds.blurry_below and not empty,
        "noisy": noise > thresholds.noisy_above,
        "dark": lightest < thresholds.dark_below,
        "light": darkest > thresholds.light_above,
        "low_information": empty,
        "odd_size": shorter < thresholds.odd_size_below or longer > thresholds.odd_aspect_above * shorter,
    }
    return Quality(blur, noise, brightness, contrast, tuple(flag for flag, is_raised in raised.items() if is_raised))


def _histogram(tile: np.ndarray) -> NDArray[np.int64]:
    return cv2.calcHist([tile], [0], None, [256], [0, 256]).ravel().astype(np.int64)


def laplacian_variance(grey: np.ndarray) -> float:
    """Return the variance of the Laplacian of a grey page (uint8 HxW): large for sharp pages, and for noisy ones.

    Exactly ``cv2.Laplacian(grey, cv2.CV_64F).var()``: the responses are whole numbers, so their sums have no
    rounding. (Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.)
    """

    def sums(part: tuple[np.ndarray, int, int, int, int]) -> tuple[int, int]:
        tile, top, left, height, width = part
        response = cv2.Laplacian(tile, cv2.CV_16S)[top : top + height, left : left + width]
        # The norm is a whole number, too, but for its own rounding.
        return round(cv2.sumElems(response)[0]), round(cv2.norm(response, cv2.NORM_L2SQR))

    total, squares = (sum(figures) for figures in zip(*in_threads(sums, _tiles(grey, margin=1)), strict=True))
    mean = total / grey.size
    return max(squares / grey.size - mean * mean, 0.0)


def noise_sigma(rgb: np.ndarray) -> float:
    """Return the estimated standard deviation of Gaussian noise in grey levels, the mean over the channels.

    The median absolute diagonal coefficient of the finest db2 wavelet level over the upper quartile of the normal
    distribution (Donoho and Johnstone, Biometrika 81, 1994, section 4.2), as
    ``skimage.restoration.estimate_sigma(rgb, channel_axis=-1, average_sigmas=True)``, without its temporary arrays
    of many times the page. As there, coefficients that are exactly zero (black areas) are left out; a channel
    with nothing else counts as 0.
    """
    if is_grey(rgb):
        return float(np.mean(3 * _channel_sigmas(rgb, (0,))))
    groups = [(0, 1, 2)] if rgb.size <= _LARGEST_AT_ONCE else [(0,), (1,), (2,)]
    return float(np.mean([sigma for group in groups for sigma in _channel_sigmas(rgb, group)]))


def _channel_sigmas(rgb: np.ndarray, channels: tuple[int, ...]) -> list[float]:
    height, width = rgb.shape[:2]
    rows, columns = (height + 3) // 2, (width + 3) // 2
    magnitudes = np.empty((len(channels), rows, columns), np.float32)

    def fill(corner: tuple[int, int]) -> None:
        top, left = corner
        bottom, right = min(top + _COEFFICIENT_ROWS, rows), min(left + _COEFFICIENT_COLUMNS, columns)
        # Coefficient i is the response to pixels 2i-2 to 2i+1.
        surroundings = _mirrored(rgb, 2 * top - 2, 2 * bottom, 2 * left - 2, 2 * right)
        for index, channel in enumerate(channels):
            response = _high_pass_of_levels(cv2.extractChannel(surroundings, channel))
            even, odd = np.ascontiguousarray(response[:, 0::2]), np.ascontiguousarray(response[:, 1::2])
            response = _high_pass(even.T, odd.T).T
            np.abs(response, out=magnitudes[index, top:bottom, left:right], casting="same_kind")

    corners = itertools.product(range(0, rows, _COEFFICIENT_ROWS), range(0, columns, _COEFFICIENT_COLUMNS))
    is_shared = rgb.size >= _SMALLEST_SHARED
    in_threads(fill, corners, is_shared=is_shared)
    return in_threads(_sigma, magnitudes, is_shared=is_shared)


def _sigma(magnitudes: NDArray[np.float32]) -> float:
    found = int(np.count_nonzero(magnitudes))
    if not found:
        return 0.0
    zeros = magnitudes.size - found  # they are the smallest: the median of the others lies behind them
    middle = sorted_part(magnitudes.ravel(), zeros + (found - 1) // 2, zeros + found // 2)
    return float(middle.mean()) / _NORMAL_UPPER_QUARTILE


def sorted_part(values: NDArray[np.float32], first: int, last: int) -> NDArray[np.float32]:
    """Return ``np.sort(values)[first : last + 1]``, for a few elements of many: several times as fast as partitioning.

    A sample tells between which limits the elements lie, and only what is between them is sorted.
    """
    sample = np.sort(values[:: max(values.size // _SAMPLE, 1)])
    margin = 2 * sample.size**0.5
    low = sample[max(int(first / values.size * sample.size - margin), 0)]
    high = sample[min(int(last / values.size * sample.size + margin), sample.size - 1)]
    below = int(np.count_nonzero(values < low))
    between = values[(values >= low) & (values <= high)]
    if not below <= first <= last < below + between.size:  # the sample was not like the whole
        below, between = 0, values
    return np.sort(between)[first - below : last - below + 1]


def _high_pass_of_levels(window: np.ndarray) -> np.ndarray:
    """Return what ``_high_pass`` does for the rows of a window of a page, uint8, to the bit."""
    even, odd = window[0::2], window[1::2]
    samples = (odd[1:], even[1:], odd[:-1], even[:-1])
    response, *terms = (np.asarray(term) for term in map(cv2.LUT, samples, _DB2_HIGH_OF_LEVELS))
    for term in terms:
        np.add(response, term, out=response)
    return response


def _high_pass(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Return the db2 high-pass responses along the first axis, from its even and its odd samples.

    The terms are added in the order of PyWavelets: on even areas the sum is zero but for rounding, and which of
    them are exactly zero decides over what is left out.
    """
    response = _DB2_HIGH[0] * odd[1:]
    term = _DB2_HIGH[1] * even[1:]
    response += term
    response += np.multiply(_DB2_HIGH[2], odd[:-1], out=term)
    response += np.multiply(_DB2_HIGH[3], even[:-1], out=term)
    return response


def _mirrored(page: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Return rows top:bottom and columns left:right of a page that goes on mirrored up to 3 pixels outside."""
    height, width = page.shape[:2]
    # Whatever lies outside mirrors the outermost three pixels, so these are always taken along.
    first_row, first_column = max(min(top, height - 3), 0), max(min(left, width - 3), 0)
    above, before = first_row - top, first_column - left
    mirrored = cv2.copyMakeBorder(
        page[first_row:bottom, first_column:right],
        max(above, 0),
        max(bottom - height, 0),
        max(before, 0),
        max(right - width, 0),
        cv2.BORDER_REFLECT,
    )
    return mirrored[max(-above, 0) :, max(-before, 0) :]


def _tiles(grey: np.ndarray, margin: int = 0) -> Iterator[tuple[np.ndarray, int, int, int, int]]:
    """Yield tiles with up to ``margin`` pixels of their surroundings, and top, left, height, width of each inside."""
    rows, columns = grey.shape
    for top in range(0, rows, _TILE_ROWS):
        for left in range(0, columns, _TILE_COLUMNS):
            bottom, right = min(top + _TILE_ROWS, rows), min(left + _TILE_COLUMNS, columns)
            first_row, first_column = max(top - margin, 0), max(left - margin, 0)
            tile = grey[first_row : bottom + margin, first_column : right + margin]
            yield tile, top - first_row, left - first_column, bottom - top, right - left
