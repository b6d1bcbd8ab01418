"""In which direction the lines of a page run, and by how many degrees they are turned."""

from dataclasses import dataclass

import cv2
import numpy as np

STEEPEST = 12.0
"""Degrees, to either side, within which lines are looked for."""

CLEAR = 6.0
"""Clearness from which there are lines at all."""

AGREEMENT = 0.6
"""Degrees by which the halves of a page may differ: paper is not flat, and hands are not steady."""

PAPER_FROM = 0.7
"""Share of a page that is about as light as its paper: 0.55 to 0.99 of written pages, 0.1 to 0.7 of pictures."""

_COARSE, _FINE = 0.25, 0.03
_STRIPS = 32
_INK_CAP = 40.0  # grey levels: a line counts by its length, not by how black it is
_PERIODS = (5.0, 90.0)  # pixels: what repeats faster is noise, what repeats slower is the shape of the page


@dataclass(frozen=True)
class Lines:
    """The direction that most lines of a page have.

    Attributes:
        degrees: how far they are turned clockwise, within ±:data:`STEEPEST`.
        clearness: how many times stronger they are in this direction than in a usual one; pictures have less than 3.
        disagreement: degrees between what the left and the right, the upper and the lower half of the page say.
        strips: float32 NxH, the mean ink in the rows of upright strips of the page, from its left to its right.
        centres: float32 N, how far the middle of each strip lies from the middle of the page, in pixels.
    """

    degrees: float
    clearness: float
    disagreement: float
    strips: np.ndarray
    centres: np.ndarray

    @property
    def are_sure(self) -> bool:
        """Whether there are lines that are clear, and the same in all halves of the page."""
        return self.clearness >= CLEAR and self.disagreement <= AGREEMENT


def is_paper(grey: np.ndarray) -> bool:
    """Whether a page, uint8 HxW, is mostly as light as its paper: pictures are not, whatever lines they have."""
    return bool((grey[::2, ::2] > 0.8 * np.percentile(grey[::4, ::4], 90)).mean() >= PAPER_FROM)


def lines_of(ink: np.ndarray) -> Lines:
    """Return the direction of the lines on a page, whose ink is float32 HxW (:func:`ink_of`).

    The projection profile of Postl (ICPR 1986): along the lines of text the rows of a page differ most from each other.
    The page is summed within upright strips; turning it is then shifting strips, and a shift is a phase of the strip's
    Fourier transform, so that fractions of a pixel count and an angle costs no second look at the page.
    """
    width = ink.shape[1]
    edges = np.unique(np.linspace(0, width, min(_STRIPS, width) + 1).astype(int))
    strips = np.add.reduceat(ink, edges[:-1], axis=1).T / np.diff(edges)[:, None].astype(np.float32)
    centres = ((edges[:-1] + edges[1:] - width) / 2).astype(np.float32)
    profile = _Profile(strips, centres)
    coarse, scores = profile.scores_everywhere()
    usual = float(np.median(scores))
    clearness = float(scores.max()) / usual if usual else 0.0
    angle = float(coarse[scores.argmax()])
    if clearness < CLEAR:
        return Lines(angle, clearness, STEEPEST, strips, centres)
    angle = profile.refined(angle, _COARSE / 4)
    angle = profile.refined(angle, _FINE)
    disagreement = max((abs(half.refined(angle, _COARSE) - angle) for half in profile.halves()), default=STEEPEST)
    return Lines(angle, clearness, disagreement, strips, centres)


def ink_of(grey: np.ndarray) -> np.ndarray:
    """Return what is darker than its surroundings on a page, uint8 HxW, as float32 in grey levels.

    The margins, where shadows of the scanner lie, are left out.
    """
    height, width = grey.shape
    inner = grey[height // 50 : height - height // 50, width // 50 : width - width // 50]
    side = max(min(height, width) // 20, 9) | 1
    darker = cv2.subtract(cv2.blur(inner, (side, side)), inner).astype(np.float32)
    return np.clip(darker - 6, 0, _INK_CAP)


class _Profile:
    """The Fourier transforms of the strips of a page, float32 NxH, whose middles lie at ``centres``."""

    def __init__(self, strips: np.ndarray, centres: np.ndarray) -> None:
        length = cv2.getOptimalDFTSize(strips.shape[1])
        first, last = max(int(length / _PERIODS[1]), 1), int(length / _PERIODS[0]) + 1
        self._strips, self._centres = strips, centres
        self._waves = np.fft.rfft(strips, length)[:, first:last].astype(np.complex64)
        self._frequency = (np.arange(first, first + self._waves.shape[1]) / length).astype(np.float32)

    def halves(self) -> list["_Profile"]:
        """Return the left and the right, the upper and the lower half of the page, those that have enough ink."""
        strips, centres = self._strips, self._centres
        middle, down = len(strips) // 2, strips.shape[1] // 2
        left, right = (strips[:middle], centres[:middle]), (strips[middle:], centres[middle:])
        upper, lower = (strips[:, :down], centres), (strips[:, down:], centres)
        enough = 0.15 * strips.sum()
        return [_Profile(half, places) for half, places in (left, right, upper, lower) if half.sum() > enough]

    def scores_everywhere(self) -> tuple[np.ndarray, np.ndarray]:
        """Return directions within ±:data:`STEEPEST`, in degrees, and how much rows differ from each other there."""
        return self._scores(0.0, _COARSE, round(STEEPEST / _COARSE))

    def refined(self, angle: float, step: float) -> float:
        """Return where within four steps of ``angle`` the rows differ most, between the angles that are tried."""
        around, scores = self._scores(angle, step, 4)
        place = int(scores.argmax())
        if place in (0, len(around) - 1):
            return float(around[place])
        before, here, after = scores[place - 1 : place + 2]
        between = (before - after) / (2 * (before - 2 * here + after))
        return float(around[place] + (around[place + 1] - around[place]) * between)

    def _scores(self, angle: float, step: float, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Directions at ``count`` steps to either side of an angle, and how much the rows differ from each other there.

        They are one step of the tangent apart, so that each is the one before it, shifted by the same phases.
        """
        tangent = float(np.tan(np.radians(step)))
        tangents = float(np.tan(np.radians(angle))) + tangent * np.arange(-count, count + 1)
        waves, phases = self._waves * self._phases(tangents[0]), self._phases(tangent)
        scores = []
        for _ in tangents:
            together = waves.sum(axis=0) * self._frequency
            scores.append(float(np.vdot(together, together).real))
            waves *= phases
        return np.degrees(np.arctan(tangents)), np.array(scores)

    def _phases(self, tangent: float) -> np.ndarray:
        """What shifts the strips, complex64 NxF, to where lines of this tangent lie level."""
        turns = np.float32(2 * np.pi * tangent) * np.outer(self._centres, self._frequency)
        phases = np.empty_like(self._waves)
        phases.real, phases.imag = np.cos(turns), np.sin(turns)
        return phases
