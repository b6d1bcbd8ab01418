"""The no-harm gate: refuses a restored page that lost something, or gained what was not there.

It knows nothing of the engine that restored the page. What it cannot know is the page as it should be; it looks
for the ways in which restoration goes wrong: lost edges and detail, halos, noise, burnt-out pixels, shifted colours.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import sorted_part
from tounum_tasks.restore.screens import is_screened
from tounum_tasks.restore.tiles import tiles
from tounum_tasks.threads import in_threads

_TILE = 512
_CELL = 32
_AROUND = np.ones((5, 5), np.uint8)
_HALO = 32
_NO_EDGES = 0.95
"""Share of a tile that is less steep than its edges."""


@dataclass(frozen=True)
class GateLimits:
    """What is still no harm. The defaults let pass what improves degraded photographs (see docs/enhancement.md).

    Attributes:
        colour_shift: largest change of a channel's mean over the page, in grey levels, beside what noise explains that
            was cut off at black or white: it made the dark lighter and the light darker.
        cell_shift: largest root mean square change of the means of 32x32 cells, in grey levels, beside the same and
            what white noise of the strength that was removed explains.
        clipped_growth: largest growth of the share of burnt-out samples (0 or 255).
        edge_loss: smallest steepness of edges, as a share of what it was, at a scale that weak noise does not reach.
        edge_loss_by_noise: how much smaller it may be for each grey level of noise that the page had.
        edge_gain: largest steepness of edges, as a share of what it was.
        detail_loss: how much stronger the change may be at edges than elsewhere if these lost more steepness than
            ``steepness_kept`` allows: noise lies everywhere, detail at edges (and so do the ripples of JPEG).
        steepness_kept: smallest steepness of edges, as a share of what it was, that counts as no loss.
        noise: noise in the even parts of the page, in grey levels, that is no harm in any case.
        noise_growth: how many times as strong noise may become by sharpening, that is by a change that follows
            the detail of the page; it may not grow at all by other changes.
        sharpening_correlation: from this correlation with the detail of the page a change is sharpening.
        halos: largest share of samples more than 32 grey levels beyond their old 5x5 neighbourhood.
    """

    colour_shift: float = 0.5
    cell_shift: float = 0.5
    clipped_growth: float = 0.08
    edge_loss: float = 0.9
    edge_loss_by_noise: float = 0.004
    edge_gain: float = 1.5
    detail_loss: float = 1.3
    steepness_kept: float = 0.97
    noise: float = 2.0
    noise_growth: float = 4.0
    sharpening_correlation: float = 0.5
    halos: float = 0.02


@dataclass(frozen=True)
class Comparison:
    """What changed from one version of a page to another; ``GateLimits`` explains the figures.

    Attributes:
        colour_shift: grey levels.
        cell_shift: grey levels.
        cell_noise: the change of cells that white noise of the strength that was removed explains, in grey levels.
        cut_off: the change of the page and of cells that noise of this strength, cut off at 0 and 255, explains.
        clipped_growth: share of samples; negative if fewer are burnt out.
        edge_ratio: steepness of edges, new over old.
        detail_ratio: strength of the change, at edges over elsewhere.
        noise_before: grey levels.
        noise_after: grey levels.
        sharpening: correlation of the change with the detail of the old page; negative for smoothing.
        halos: share of samples.
    """

    colour_shift: float
    cell_shift: float
    cell_noise: float
    cut_off: tuple[float, float]
    clipped_growth: float
    edge_ratio: float
    detail_ratio: float
    noise_before: float
    noise_after: float
    sharpening: float
    halos: float


def compare(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Comparison:
    """Compare two versions of a page, both uint8 HxWx3 of one size."""
    looks = (_compare_samples, _compare_shades)
    parts = itertools.product(tiles(before, _TILE), looks)
    seen = in_threads(lambda part: part[1](part[0].of(before), part[0].of(after)), parts)
    channels, cells, burnt_cells, counts = _totals(seen[0::2])
    burnt, burnt_after, halos = (int(count) for count in counts)
    edges, at_edges, everywhere, products = _totals([sums for sums, _ in seen[1::2]])
    levels = np.concatenate([noise for _, noise in seen[1::2]], axis=1)

    elsewhere = float(np.sqrt((everywhere[0] - at_edges[0]) / max(everywhere[1] - at_edges[1], 1)))
    noise_before, noise_after = np.percentile(levels, 10, axis=1) if levels.size else (0.0, 0.0)
    # A page without noise has none that was cut off, however much of it changed. Three times, because it may all have
    # been in one channel, and because less noise is left where it was cut off.
    cut_off = 3 * min(elsewhere, 3 * float(np.median(levels[0]))) if levels.size else 0.0
    return Comparison(
        colour_shift=float(np.abs(channels).max() / (before.size / 3)),
        cell_shift=float(np.sqrt(cells[0] / cells[1])),
        cell_noise=elsewhere / _CELL,
        cut_off=(cut_off * burnt / before.size, cut_off * float(np.sqrt(burnt_cells / cells[1]))),
        clipped_growth=(burnt_after - burnt) / before.size,
        edge_ratio=float(edges[1] / edges[0]) if edges[0] else 1.0,
        detail_ratio=float(np.sqrt(at_edges[0] / at_edges[1])) / max(elsewhere, 0.5),
        noise_before=float(noise_before),
        noise_after=float(noise_after),
        sharpening=float(products[0] / max(np.sqrt(products[1] * products[2]), 1e-9)),
        halos=halos / before.size,
    )


def _totals(figures: Iterable[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    """Add up the figures of tiles, in their order, each kind by itself."""
    return [reduce(np.add, kind) for kind in zip(*figures, strict=True)]


def _compare_samples(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, ...]:
    """Compare tiles by channel: sums of the change; of squares of the change of cells, and their number; of squares of
    the burnt-out shares of cells; numbers of samples that are burnt out before, after, and that are halos."""
    change = cv2.subtract(new, old, dtype=cv2.CV_16S)
    rows, columns = (-(-side // _CELL) for side in old.shape[:2])
    means = cv2.resize(change.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    is_burnt = _burnt_out(old)
    shares = cv2.resize(is_burnt.reshape(old.shape), (columns, rows), interpolation=cv2.INTER_AREA)
    too_light, too_dark = cv2.subtract(new, cv2.dilate(old, _AROUND)), cv2.subtract(cv2.erode(old, _AROUND), new)
    halos = np.count_nonzero(cv2.max(too_light, too_dark) > _HALO)
    return (
        np.array(cv2.sumElems(change)[:3]),
        np.array([cv2.norm(means, cv2.NORM_L2SQR), means.size]),
        np.array(cv2.norm(shares, cv2.NORM_L2SQR) / 255**2),
        np.array([cv2.countNonZero(is_burnt), cv2.countNonZero(_burnt_out(new)), halos]),
    )


def _compare_shades(old: np.ndarray, new: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Compare tiles by brightness: steepness at edges, before and after; squares of the change at edges and everywhere,
    each with the number of pixels; products of change and detail; and the noise of cells, before and after."""
    grey_old, grey_new = (cv2.cvtColor(page, cv2.COLOR_RGB2GRAY).astype(np.float32) for page in (old, new))
    steepness = _steepness(grey_old)
    edge_rank = int(_NO_EDGES * steepness.size)
    is_edge = steepness >= sorted_part(steepness.ravel(), edge_rank, edge_rank)
    change = grey_new - grey_old
    details = [-cv2.Laplacian(grey, cv2.CV_32F) for grey in (grey_old, grey_new)]
    pairs = ((change, details[0]), (change, change), (details[0], details[0]))
    sums = (
        np.array([steepness[is_edge].sum(), _steepness(grey_new)[is_edge].sum()], np.float64),
        np.array([cv2.norm(change[is_edge], cv2.NORM_L2SQR), np.count_nonzero(is_edge)]),
        np.array([cv2.norm(change, cv2.NORM_L2SQR), change.size]),
        np.array([float(np.vdot(a, b)) for a, b in pairs]),
    )
    return sums, np.stack([_cell_noise(detail) for detail in details])


def objection(before: NDArray[np.uint8], after: np.ndarray, limits: GateLimits) -> str | None:
    """Return why a restored page is refused, in one short sentence, or None if it did no harm.

    Args:
        before: the page, uint8 HxWx3.
        after: what an engine made of it.
        limits: what is still no harm.
    """
    if after.shape != before.shape or after.dtype != before.dtype:
        return f"the engine returned {after.dtype} {after.shape} for a page of {before.shape}"
    if is_screened(before):
        return "the page is made of dots, threads or lines, which would lose their colours"
    seen = compare(before, after)
    growth = limits.noise_growth if seen.sharpening >= limits.sharpening_correlation else 1.0
    if seen.colour_shift > limits.colour_shift + seen.cut_off[0]:
        return f"colours would shift by {seen.colour_shift:.1f} grey levels"
    if seen.cell_shift > limits.cell_shift + seen.cell_noise + seen.cut_off[1]:
        return f"brightness would change by {seen.cell_shift:.1f} grey levels in places"
    if seen.clipped_growth > limits.clipped_growth:
        return f"{seen.clipped_growth:.1%} more of the page would be burnt out"
    if seen.edge_ratio < limits.edge_loss - limits.edge_loss_by_noise * seen.noise_before:
        return f"edges would lose {1 - seen.edge_ratio:.0%} of their steepness"
    if seen.edge_ratio > limits.edge_gain:
        return f"edges would become {seen.edge_ratio:.1f} times as steep"
    if seen.edge_ratio < limits.steepness_kept and seen.detail_ratio > limits.detail_loss:
        return "detail would be lost along edges"
    if seen.noise_after > max(limits.noise, growth * seen.noise_before):
        return f"noise would grow from {seen.noise_before:.1f} to {seen.noise_after:.1f} grey levels"
    if seen.halos > limits.halos:
        return f"{seen.halos:.1%} of the page would get halos"
    return None


def _burnt_out(page: np.ndarray) -> np.ndarray:
    """Return 255 for each sample that is 0 or 255, as a flat picture of one channel."""
    samples = np.ascontiguousarray(page).reshape(page.shape[0], -1)
    return cv2.bitwise_or(cv2.inRange(samples, 0, 0), cv2.inRange(samples, 255, 255))


def _steepness(grey: np.ndarray) -> np.ndarray:
    """Return the gradient of a grey tile after smoothing by 1.5 pixels."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    return cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))


def _cell_noise(laplacian: np.ndarray) -> np.ndarray:
    """Return the noise in each 16x16 cell, in grey levels; a Laplacian makes white noise the root of 20 as strong."""
    rows, columns = laplacian.shape[0] // 16, laplacian.shape[1] // 16
    cells = laplacian[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16)
    return np.sqrt((cells**2).mean((1, 3))).ravel() / 20**0.5
