"""By how many degrees the lines of a page are turned."""

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
_PERIODS = (5.0, 90.0)  # pixels: what repeats faster is noise, what repeats slower is the shape of the page
_INK_CAP = 40.0  # grey levels: a line counts by its length, not by how black it is


@dataclass(frozen=True)
class Lines:
    """The direction that most lines of a page have.

    Attributes:
        degrees: how far they are turned clockwise, within ±:data:`STEEPEST`.
        clearness: how many times stronger they are in this direction than in a usual one; pictures have less than 3.
        disagreement: degrees between what the left and the right, the upper and the lower half of the page say.
    """

    degrees: float
    clearness: float
    disagreement: float


def skew_of(grey: np.ndarray) -> float | None:
    """Return by how many degrees the lines of a page, uint8 HxW, are turned clockwise; None if that is not sure.

    It is sure of pages of paper whose lines are clear, and the same in all halves of the page: pictures have neither.
    """
    if _paper_share(grey) < PAPER_FROM:
        return None
    lines = lines_of(grey)
    return round(lines.degrees, 3) if lines.clearness >= CLEAR and lines.disagreement <= AGREEMENT else None


def lines_of(grey: np.ndarray) -> Lines:
    """Return the direction of the lines on a page, uint8 HxW.

    The projection profile of Postl (ICPR 1986): along the lines of text the rows of a page differ most from each other.
    The page is summed within upright strips; turning it is then shifting strips, and a shift is a phase of the strip's
    Fourier transform, so that fractions of a pixel count and an angle costs no second look at the page.
    """
    ink = _ink(grey)
    profile = _Profile(ink)
    coarse = np.arange(-STEEPEST, STEEPEST + _COARSE, _COARSE)
    scores = profile.scores(coarse)
    usual = float(np.median(scores))
    clearness = float(scores.max()) / usual if usual else 0.0
    if clearness < CLEAR:
        return Lines(float(coarse[scores.argmax()]), clearness, STEEPEST)
    angle = profile.refined(float(coarse[scores.argmax()]), _COARSE / 4)
    angle = profile.refined(angle, _FINE)
    height, width = ink.shape
    halves = (ink[:, : width // 2], ink[:, width // 2 :], ink[: height // 2], ink[height // 2 :])
    told = [_Profile(half).refined(angle, _COARSE) for half in halves if half.sum() > 0.15 * ink.sum()]
    return Lines(angle, clearness, max((abs(other - angle) for other in told), default=STEEPEST))


def _paper_share(grey: np.ndarray) -> float:
    return float((grey[::2, ::2] > 0.8 * np.percentile(grey[::4, ::4], 90)).mean())


def _ink(grey: np.ndarray) -> np.ndarray:
    """What is darker than its surroundings, without the margins, where shadows of the scanner lie."""
    height, width = grey.shape
    inner = grey[height // 50 : height - height // 50, width // 50 : width - width // 50]
    side = max(min(height, width) // 20, 9) | 1
    darker = cv2.subtract(cv2.blur(inner, (side, side)), inner).astype(np.float32)
    return np.clip(darker - 6, 0, _INK_CAP)


class _Profile:
    """The Fourier transforms of the strips of a page."""

    def __init__(self, ink: np.ndarray) -> None:
        height, width = ink.shape
        edges = np.unique(np.linspace(0, width, min(_STRIPS, width) + 1).astype(int))
        strips = np.add.reduceat(ink, edges[:-1], axis=1).T
        length = cv2.getOptimalDFTSize(height)
        first, last = max(int(length / _PERIODS[1]), 1), int(length / _PERIODS[0]) + 1
        self._waves = np.fft.rfft(strips, length)[:, first:last].astype(np.complex64)
        self._frequency = (np.arange(first, first + self._waves.shape[1]) / length).astype(np.float32)
        self._centre = ((edges[:-1] + edges[1:] - width) / 2).astype(np.float32)

    def scores(self, angles: np.ndarray) -> np.ndarray:
        """Return how much the rows differ from each other, for each direction in degrees."""
        found = []
        turns = np.float32(2 * np.pi) * np.outer(self._centre, self._frequency)
        phases = np.empty_like(self._waves)
        for shift in np.tan(np.radians(angles)).astype(np.float32):
            phases.real, phases.imag = np.cos(shift * turns), np.sin(shift * turns)
            together = (self._waves * phases).sum(axis=0) * self._frequency
            found.append(float(np.vdot(together, together).real))
        return np.array(found)

    def refined(self, angle: float, step: float) -> float:
        """Return where within four steps of ``angle`` the rows differ most, between the angles that are tried."""
        around = angle + step * np.arange(-4, 5)
        scores = self.scores(around)
        place = int(scores.argmax())
        if place in (0, len(around) - 1):
            return float(around[place])
        before, here, after = scores[place - 1 : place + 2]
        return float(around[place] + step * (before - after) / (2 * (before - 2 * here + after)))
