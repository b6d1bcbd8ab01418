"""The engine behind mode ``auto``: denoises what is noisy, sharpens what is blurred, leaves the rest alone.

The thresholds and strengths were chosen on degraded photographs of BSDS500; docs/enhancement.md has the figures,
benchmarks/enhancement.py measures them again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import Quality
from tounum_tasks.restore.deblur import deblur
from tounum_tasks.restore.denoise import denoise
from tounum_tasks.restore.engine import Proposal
from tounum_tasks.restore.evidence import Evidence, gather


@dataclass(frozen=True)
class AutoOptions:
    """When the engine acts, and how much. The figures of pages are explained at ``Evidence``.

    Attributes:
        smallest_side: pages with a shorter side are left alone: too little to judge by.
        most_palette_colours: pages with at most so many colours are bitonal, palette or drawn pages and left
            alone; grey pages only up to an eighth of it, because no grey page has more than 256.
        colour_noise_from: denoise from this strength of noise in the colour planes. Clean photographs stay
            below 0.7, clean pages and drawings below 1.9; noise of strength 3 gives 2.7 or more.
        grey_noise_from: denoise from this strength of noise in the brightness plane (the square root of three times
            as large as in grey levels), if it is as white as noise is and the page is not mostly even.
        white_from: whiteness from which fine detail counts as noise; sharp photographs stay below 0.8.
        blurred_below: sharpen where the product of ``crispness`` and ``crispest`` is smaller. Sharp photographs of
            BSDS500 have 0.57 or more, 94 in 100 of those blurred by 1 pixel less than 0.42.
        even_below: grey noise is only believed, and blur only undone, where the share of even pixels is less than
            the first and the second figure.
        blocky_above: pages that are blockier are not sharpened: it would sharpen the blocks of JPEG.
        residual_noise_below: pages whose brightness noise is stronger are not sharpened.
        sharpening: the amount of sharpening times the crispness of the page.
        most_sharpening: largest amount on a page without noise, and on one that was denoised.
    """

    smallest_side: int = 64
    most_palette_colours: int = 256
    colour_noise_from: float = 2.0
    grey_noise_from: float = 4.0
    white_from: float = 0.9
    blurred_below: float = 0.42
    even_below: tuple[float, float] = (0.1, 0.5)
    blocky_above: float = 1.2
    residual_noise_below: float = 1.5
    sharpening: float = 1.2
    most_sharpening: tuple[float, float] = (8.0, 3.0)


@dataclass(frozen=True)
class AutoEngine:
    """An ``Engine`` (see there) of classical filters."""

    options: AutoOptions = AutoOptions()

    def __call__(self, rgb: NDArray[np.uint8], before: Quality) -> Proposal | None:
        """Return a restored page, or None if it needs nothing."""
        if min(rgb.shape[:2]) < self.options.smallest_side or "low_information" in before.flags:
            return None
        evidence = gather(rgb)
        if self._is_palette(evidence):
            return None
        operations = []
        brightness_sigma, colour_sigma = self._noise(evidence)
        if brightness_sigma > 0:
            rgb = denoise(rgb, brightness_sigma=brightness_sigma, colour_sigma=colour_sigma)
            operations.append(f"denoise {max(brightness_sigma, colour_sigma):.1f}")
            evidence = gather(rgb)
        amount = self._sharpening(evidence, most=self.options.most_sharpening[bool(operations)])
        if amount > 0:
            rgb = deblur(rgb, amount=amount)
            operations.append(f"sharpen {amount:.1f}")
        return Proposal(rgb, tuple(operations)) if operations else None

    def _is_palette(self, evidence: Evidence) -> bool:
        most = self.options.most_palette_colours
        return evidence.colours <= (most // 8 if evidence.is_grey else most)

    def _noise(self, evidence: Evidence) -> tuple[float, float]:
        """Return the standard deviation of the noise in the brightness and in the colour planes; 0 if clean."""
        options = self.options
        # What the estimates give for white noise of strength 1, because they look at the more even blocks.
        brightness, colour = evidence.brightness_noise / 0.93, evidence.colour_noise / 0.95
        if evidence.colour_noise >= options.colour_noise_from:
            return min(brightness, colour), colour
        is_white = evidence.whiteness >= options.white_from and evidence.even_share < options.even_below[0]
        if evidence.brightness_noise >= options.grey_noise_from and is_white:
            return brightness, colour
        return 0.0, 0.0

    def _sharpening(self, evidence: Evidence, most: float) -> float:
        """Return the amount for ``deblur``; 0 if the page is sharp or sharpening could do harm."""
        options = self.options
        if (
            evidence.crispness * evidence.crispest >= options.blurred_below
            or evidence.blockiness > options.blocky_above
            or evidence.even_share >= options.even_below[1]
            or max(evidence.brightness_noise, evidence.colour_noise) > options.residual_noise_below
        ):
            return 0.0
        return min(options.sharpening / max(evidence.crispness, 1e-3), most)
