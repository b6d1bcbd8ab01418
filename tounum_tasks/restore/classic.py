"""Mode ``classic``: what the company's notebooks did, kept for comparison.

One decision by thresholds, then at most two passes over the page. Both measurements are those of the untouched page.

- variance of the Laplacian below 3000: sharpen; then, if the noise is at least 1, denoise lightly.
- otherwise: if the noise is above 1, denoise strongly; then, unless the variance is above 48000, sharpen lightly.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import Quality

Strength = Literal["light", "medium", "strong"]
SharpeningStrength = Literal["light", "strong"]

SHARPENING: dict[SharpeningStrength, np.ndarray] = {
    "light": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], np.float32),
    "strong": np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], np.float32),
}
"""Laplacian kernels that are added to the page."""

DENOISING: dict[Strength, tuple[int, int]] = {"light": (3, 3), "medium": (5, 10), "strong": (10, 10)}
"""``h`` and ``hColor`` of non-local means. The decision never chooses the medium strength."""

_TEMPLATE, _SEARCH = 7, 15


@dataclass(frozen=True)
class ClassicOptions:
    """Thresholds of the decision: variances of the Laplacian, and noise in grey levels.

    ``sharpening`` is the strength used below ``sharpen_below``. Light sharpening gains 4 dB on photographs blurred by
    one pixel, where strong sharpening loses 4 dB.
    """

    sharpen_below: float = 3_000.0
    sharpening: SharpeningStrength = "light"
    denoise_lightly_from: float = 1.0
    denoise_strongly_above: float = 1.0
    never_sharpen_above: float = 48_000.0


def decide(before: Quality, options: ClassicOptions) -> list[tuple[Literal["sharpen", "denoise"], Strength]]:
    """Return what is done to a page of this quality: at most two operations, in order."""
    variance, noise = before.blur_laplacian_var, before.noise_sigma
    decided: list[tuple[Literal["sharpen", "denoise"], Strength]] = []
    if variance < options.sharpen_below:
        decided.append(("sharpen", options.sharpening))
        if noise >= options.denoise_lightly_from:
            decided.append(("denoise", "light"))
    else:
        if noise > options.denoise_strongly_above:
            decided.append(("denoise", "strong"))
        if variance <= options.never_sharpen_above:
            decided.append(("sharpen", "light"))
    return decided


def sharpen(rgb: NDArray[np.uint8], strength: SharpeningStrength) -> np.ndarray:
    """Return a page (uint8 HxWx3) after one pass of a kernel of ``SHARPENING``."""
    return cv2.filter2D(rgb, -1, SHARPENING[strength])


def denoise(rgb: NDArray[np.uint8], strength: Strength) -> np.ndarray:
    """Return a page (uint8 HxWx3 RGB) after coloured non-local means with the strengths of ``DENOISING``."""
    h, h_colour = DENOISING[strength]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)  # the filter works in CIELAB and takes its input for BGR
    bgr = cv2.fastNlMeansDenoisingColored(bgr, None, h, h_colour, _TEMPLATE, _SEARCH)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def restore(
    rgb: NDArray[np.uint8], before: Quality, options: ClassicOptions | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a page (uint8 HxWx3) after the decided operations, and their names such as ``sharpen strong``."""
    decided = decide(before, options or ClassicOptions())
    for operation, strength in decided:
        if operation == "denoise":
            rgb = denoise(rgb, strength)
        elif strength != "medium":
            rgb = sharpen(rgb, strength)
    return rgb, tuple(f"{operation} {strength}" for operation, strength in decided)
