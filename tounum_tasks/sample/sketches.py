"""Sketches: pencil drawings after photographs, and line drawings by an unsteady hand."""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def pencil(photo: Pixels, seed: int) -> Pixels:
    """Return a pencil drawing on paper after uint8 HxWx3 ``photo``: its outlines, and its shadows in hatching.

    Outlines are an extended difference of Gaussians (Winnemoeller 2011, "XDoG").
    """
    rng = np.random.default_rng(seed)
    grey = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.float32) / 255
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8), np.float32)
    fine, coarse = cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.GaussianBlur(grey, (0, 0), 1.7)
    outlines = np.clip(1 + np.tanh(42 * ((fine - coarse) + 0.006)), 0, 1)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    wobble = cv2.GaussianBlur(rng.normal(0, 6, grey.shape).astype(np.float32), (0, 0), 6) * 4
    hatching = 0.5 + 0.5 * np.sin((rows + columns + wobble) * 1.15)
    shadow = np.clip((0.45 - coarse) * 1.6, 0, 0.5) * hatching
    grain = rng.normal(0, 0.045, grey.shape)
    ink = np.clip((1 - outlines) * 0.85 + shadow, 0, 0.9) * np.clip(1 + 4 * grain, 0.5, 1.3)
    paper = 0.955 + grain * 0.25
    return np.clip((paper - ink)[..., None] * np.array([255, 253, 247]), 0, 255).astype(np.uint8)


class _Hand:
    """Draws lines that waver, on slightly grey paper."""

    def __init__(self, height: int, width: int, seed: int, ink: int = 45) -> None:
        self._rng = np.random.default_rng(seed)
        self._ink = ink
        self.paper = np.full((height, width), 246, np.uint8)

    def line(self, *points: tuple[float, float], times: int = 2, thickness: int = 1) -> None:
        """Draw through ``points``, ``times`` over, never twice the same way."""
        for _ in range(times):
            path = []
            for (x0, y0), (x1, y1) in pairwise(points):
                steps = max(4, int(np.hypot(x1 - x0, y1 - y0) / 14))
                share = np.linspace(0, 1, steps)[:, None]
                path.append(np.array([x0, y0]) * (1 - share) + np.array([x1, y1]) * share)
            trace = np.concatenate(path)
            trace = trace + self._rng.normal(0, 1.3, 2) + self._rng.normal(0, 0.6, trace.shape)
            ink = int(self._ink + self._rng.integers(0, 35))
            cv2.polylines(self.paper, [np.round(trace * 8).astype(np.int32)], False, ink, thickness, cv2.LINE_AA, 3)

    def arc(self, centre: tuple[float, float], radii: tuple[float, float], start: float = 0, end: float = 360) -> None:
        """Draw a part of an ellipse, from ``start`` to ``end`` degrees (clockwise from the right)."""
        angles = np.radians(np.linspace(start, end, max(6, int((end - start) / 12))))
        self.line(*[(centre[0] + radii[0] * np.cos(a), centre[1] + radii[1] * np.sin(a)) for a in angles])

    def page(self) -> Pixels:
        """Return the drawing as uint8 HxWx3."""
        grain = self._rng.normal(0, 2.5, self.paper.shape)
        return np.dstack([np.clip(self.paper + grain, 0, 255).astype(np.uint8)] * 3)


def house() -> Pixels:
    """Return a line drawing of a house with a tree."""
    hand = _Hand(420, 560, 1)
    hand.line((120, 350), (120, 200), (330, 200), (330, 350), (120, 350))
    hand.line((100, 205), (225, 95), (350, 205))
    hand.line((200, 350), (200, 270), (250, 270), (250, 350))
    for x in (145, 275):
        hand.line((x, 225), (x + 35, 225), (x + 35, 260), (x, 260), (x, 225))
        hand.line((x + 17, 225), (x + 17, 260), times=1)
    hand.line((285, 150), (285, 105), (310, 105), (310, 172))
    hand.line((440, 350), (446, 260), times=3)
    hand.line((462, 350), (456, 260), times=3)
    for x, y, radius in ((450, 200, 62), (415, 225, 40), (488, 222, 42), (450, 160, 40)):
        hand.arc((x, y), (radius, radius * 0.8))
    hand.line((40, 352), (530, 356), times=3)
    for x in range(60, 530, 24):
        hand.line((x, 366), (x + 8, 358), times=1)
    return hand.page()


def sailing_boat() -> Pixels:
    """Return a line drawing of a boat on waves, with gulls and the sun."""
    hand = _Hand(420, 520, 2)
    hand.line((120, 290), (400, 290), (350, 345), (165, 345), (120, 290))
    hand.line((255, 290), (255, 60), times=3)
    hand.line((262, 70), (375, 272), (262, 272), (262, 70))
    hand.line((247, 90), (150, 272), (247, 272))
    for y in (356, 376, 398):
        hand.line(*[(x, y + 7 * np.sin(x / 17 + y)) for x in range(30, 500, 9)], times=1)
    hand.arc((430, 80), (34, 34))
    for angle in range(0, 360, 30):
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        hand.line((430 + 42 * cos, 80 + 42 * sin), (430 + 60 * cos, 80 + 60 * sin), times=1)
    for x, y in ((70, 90), (115, 65), (140, 115)):
        hand.arc((x - 11, y), (11, 8), 180, 350)
        hand.arc((x + 11, y), (11, 8), 190, 360)
    return hand.page()


def bicycle() -> Pixels:
    """Return a line drawing of a bicycle."""
    hand = _Hand(380, 560, 4)
    for x in (150, 410):
        hand.arc((x, 250), (88, 88))
        hand.arc((x, 250), (80, 80))
        for angle in range(10, 370, 40):
            reach = (80 * np.cos(np.radians(angle)), 80 * np.sin(np.radians(angle)))
            hand.line((x, 250), (x + reach[0], 250 + reach[1]), times=1)
    hand.line((150, 250), (225, 130), (370, 130), (262, 252), (150, 250))
    hand.line((225, 130), (262, 252))
    hand.line((410, 250), (362, 88), (392, 80), (404, 96))
    hand.line((225, 130), (216, 100))
    hand.line((190, 98), (246, 96), (232, 106), (190, 98), times=3)
    hand.arc((262, 252), (20, 20))
    hand.line((250, 268), (240, 290), (256, 290))
    return hand.page()
