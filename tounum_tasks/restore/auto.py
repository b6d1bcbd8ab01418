"""The engine behind mode ``auto``: looks whether a page needs anything, and lets the network restore what does.

The thresholds were chosen on clean and degraded photographs of BSDS500 train and on clean pages; docs/enhancement.md
has the figures, benchmarks/enhancement.py measures them again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import Quality
from tounum_tasks.restore.colours import OPPONENT
from tounum_tasks.restore.engine import Proposal
from tounum_tasks.restore.evidence import Evidence, blur_of, gather, spread_squares
from tounum_tasks.restore.grain import axes_over_diagonals, midtone_exponent
from tounum_tasks.restore.restorer import Restorer, starter
from tounum_tasks.restore.screens import is_screened

_LOADING = Lock()


@dataclass(frozen=True)
class AutoOptions:
    """When the engine acts. The figures of pages are explained at ``Evidence``.

    Attributes:
        smallest_side: pages with a shorter side are left alone: too little to judge by.
        most_palette_colours: pages with at most so many colours are bitonal, palette or drawn pages and left
            alone; grey pages only up to an eighth of it, because no grey page has more than 256.
        colour_noise_from: a page is noisy from this strength of noise in the finest detail of the colours. Clean
            photographs stay below 0.95, clean pages and drawings below 1.9; noise of strength 3 gives 2.7 or more.
        smeared_from: from these strengths and evennesses of noise at either of the coarser scales, what looks like blur
            is left: noise that a camera smeared came after the blur, and would be sharpened.
        confirmed_from: a page that is noisy by the evidence of its colours, and needs nothing else, is left alone if
            the network would change its colours by less than so many times that noise. Of 25 photographs with noise of
            3 to 50 it took .55 or more, of coarse printing screens, which pass for noise, .28 or less.
        grey_noise_from: likewise from this strength of noise in the brightness plane (the square root of three times
            as large as in grey levels), if it is as white as noise is and the page is not mostly even.
        doubtful_from: a page that shows less may still be noisy, as cameras leave it, if both coarser scales have
            these strengths and evennesses, and the share of even pixels is less than the first ``even_below``: then
            the network is asked.
        asked_squares: so many squares of a doubtful page are shown to the network.
        noisy_from: a doubtful page is noisy if the network would change its colours by so many grey levels (root
            mean square). Of 200 clean photographs none comes beyond 1.57; 100 with noise like that of cameras begin at
            2.12. It goes with the starter: another restorer may change clean pages more, which its measures tell.
        coarse_screen_from: what looks like noise is a coarse screen if the noise in the colours at a quarter of the
            scale has this strength and is so many times as strong as in the finest detail: 100 photographs of BSDS500
            train with noise of cameras or JPEG stay below 8 grey levels wherever it is 7 times as strong.
        grain_from: a page is grainy from this strength and evenness of noise in the colours at half the scale, if
            that is so many times as strong as in the finest detail.
        grain_coarser: it is noise of a camera if it grows by more than the second figure towards the next scale, and
            noise that was enlarged if by less than the first: grain of film has 0.94 to 1.84 in nine of ten drawn
            pages, noise on a Bayer pattern 1.91 or more.
        grain_whiteness: JPEG smears noise in the colours alone; grain is as smooth in the brightness, and has less
            whiteness than this.
        jpeg_grain: a page shows grain through JPEG if its noise in the colours at half the scale has a strength between
            these: weaker noise tells nothing, stronger noise is taken away in any case.
        jpeg_grain_evenness: so even is it.
        jpeg_grain_exponent: so much does it follow the midtones, see ``midtone_exponent``.
        jpeg_grain_axes: and JPEG has left its diagonals, see ``axes_over_diagonals``.
        white_from: whiteness from which fine detail counts as noise; sharp photographs stay below 0.8.
        blocky_from: from this figure the blocks of JPEG are removed. Quality 30 gives 1.5 or more, quality 50 1.26;
            clean photographs stay below 1.28, shaded drawings below 1.38.
        blurred_below: undo blur where the product of ``crispness`` and ``crispest`` is smaller. Sharp photographs of
            BSDS500 have 0.57 or more, 94 in 100 of those blurred by 1 pixel less than 0.42.
        even_below: grey noise is only believed, and blur only undone, where the share of even pixels is less than
            the first and the second figure.
        most_noise_over_blur: where the noise is stronger, what looks like blur is left.
    """

    smallest_side: int = 64
    most_palette_colours: int = 256
    colour_noise_from: float = 2.0
    smeared_from: tuple[tuple[float, float], tuple[float, float]] = ((1.5, 0.6), (4.0, 0.4))
    doubtful_from: tuple[tuple[float, float], tuple[float, float]] = ((0.7, 0.28), (1.5, 0.22))
    asked_squares: int = 9
    noisy_from: float = 1.83
    confirmed_from: float = 0.4
    grey_noise_from: float = 4.0
    coarse_screen_from: tuple[float, float] = (15.0, 9.0)
    grain_from: tuple[float, float, float] = (2.0, 0.5, 1.7)
    grain_coarser: tuple[float, float] = (0.9, 1.9)
    grain_whiteness: float = 0.65
    jpeg_grain: tuple[float, float] = (0.8, 5.2)
    jpeg_grain_evenness: float = 0.4
    jpeg_grain_exponent: float = 0.8
    jpeg_grain_axes: float = 1.4
    white_from: float = 0.9
    blocky_from: float = 1.4
    blurred_below: float = 0.42
    even_below: tuple[float, float] = (0.1, 0.5)
    most_noise_over_blur: float = 12.0


@dataclass(frozen=True)
class Needs:
    """What a page needs.

    Attributes:
        noise: strength of the noise to remove, in grey levels; 0 if there is none.
        has_blocks: JPEG blocks are to be removed.
        blur: standard deviation of the blur to undo, in pixels; 0 if there is none.
    """

    noise: float
    has_blocks: bool
    blur: float

    @property
    def operations(self) -> tuple[str, ...]:
        """What is to be done, in words."""
        return (
            *((f"denoise {self.noise:.1f}",) if self.noise else ()),
            *(("deblock",) if self.has_blocks else ()),
            *((f"sharpen {self.blur:.1f}",) if self.blur else ()),
        )


@dataclass(frozen=True)
class AutoEngine:
    """An ``Engine`` (see there).

    Attributes:
        load: gives the restorer, the same every time; called when a page needs it, for most pages need nothing.
    """

    load: Callable[[], Restorer] = starter
    options: AutoOptions = AutoOptions()

    def __call__(self, rgb: NDArray[np.uint8], before: Quality) -> Proposal | None:
        """Return a restored page, or None if it needs nothing."""
        if min(rgb.shape[:2]) < self.options.smallest_side or "low_information" in before.flags:
            return None
        evidence = gather(rgb)
        needs = needs_of(evidence, self.options)
        if not needs.operations and not is_doubtful(evidence, self.options):
            return None
        if is_grainy(evidence, self.options) or is_coarsely_screened(evidence, self.options):
            return None
        if is_screened(rgb) or is_grainy_jpeg(rgb, evidence, self.options):
            return None
        if not needs.operations:
            return self._ask(rgb)
        restored = self._restorer().restore(rgb, blur=needs.blur)
        may_be_a_screen = (
            evidence.colour_noise >= self.options.colour_noise_from and not needs.has_blocks and not needs.blur
        )
        if may_be_a_screen and _colour_change([rgb], [restored]) < self.options.confirmed_from * needs.noise:
            return None
        return Proposal(restored, needs.operations)

    def _ask(self, rgb: NDArray[np.uint8]) -> Proposal | None:
        """Let the network say whether there is noise, on a part of the page if it is large."""
        restorer = self._restorer()
        shown = spread_squares(rgb, self.options.asked_squares)
        restored = [restorer.restore(square, blur=0.0) for square in shown]
        noise = _colour_change(shown, restored)
        if noise < self.options.noisy_from:
            return None
        whole = restored[0] if shown[0] is rgb else restorer.restore(rgb, blur=0.0)
        return Proposal(whole, Needs(noise, False, 0.0).operations)

    def _restorer(self) -> Restorer:
        with _LOADING:  # pages are judged by several threads
            return self.load()


def is_doubtful(evidence: Evidence, options: AutoOptions) -> bool:
    """Whether a page that needs nothing by its evidence may need something all the same."""
    found = zip(evidence.smeared, options.doubtful_from, strict=True)
    is_even = all(strength >= least and even >= least_even for (strength, even), (least, least_even) in found)
    return is_even and evidence.even_share < options.even_below[0]


def is_grainy(evidence: Evidence, options: AutoOptions) -> bool:
    """Whether what looks like noise is the grain of a colour film, which belongs to the photograph.

    Grains are smaller than pixels, and the optics of the scanner spread each over some of them (Newson et al., A
    Stochastic Film Grain Model for Resolution-Independent Rendering, Computer Graphics Forum 36, 2017): the noise is
    smooth, alike in brightness and colours, and of one width. The noise of a sensor is white, or smeared over several
    widths by demosaicking and JPEG, in the colours most.
    """
    (strength, evenness), (coarser, _) = evidence.smeared
    least, least_even, times = options.grain_from
    fewest, most = options.grain_coarser
    return (
        strength >= max(least, times * evidence.colour_noise)
        and evenness >= least_even
        and fewest * strength <= coarser <= most * strength
        and evidence.whiteness <= options.grain_whiteness
    )


def is_coarsely_screened(evidence: Evidence, options: AutoOptions) -> bool:
    """Whether what looks like noise are the coloured dots of a print, some ten pixels wide."""
    least, times = options.coarse_screen_from
    coarser, _ = evidence.smeared[1]
    return coarser >= max(least, times * evidence.colour_noise)


def is_grainy_jpeg(rgb: NDArray[np.uint8], evidence: Evidence, options: AutoOptions) -> bool:
    """Whether what looks like noise is the grain of a colour film after JPEG, which smears it as cameras do theirs."""
    strength, evenness = evidence.smeared[0]
    least, most = options.jpeg_grain
    return (
        evidence.whiteness <= options.grain_whiteness
        and least <= strength <= most
        and evenness >= options.jpeg_grain_evenness
        and midtone_exponent(rgb) >= options.jpeg_grain_exponent
        and axes_over_diagonals(rgb) <= options.jpeg_grain_axes
    )


def _colour_change(before: list[NDArray[np.uint8]], after: list[NDArray[np.uint8]]) -> float:
    """Return how much two versions differ in the colour planes: root mean square in grey levels."""
    squares = samples = 0.0
    for old, new in zip(before, after, strict=True):
        colours = cv2.transform(cv2.subtract(new, old, dtype=cv2.CV_32F), OPPONENT[1:])
        squares, samples = squares + cv2.norm(colours, cv2.NORM_L2SQR), samples + colours.size
    return float(np.sqrt(squares / samples))


def needs_of(evidence: Evidence, options: AutoOptions) -> Needs:
    """Return what a page with this evidence needs."""
    most = options.most_palette_colours
    if evidence.colours <= (most // 8 if evidence.is_grey else most):
        return Needs(0.0, False, 0.0)
    noise, is_white = _noise(evidence, options)
    has_blocks = evidence.blocks >= options.blocky_from
    is_blurred = (
        evidence.crispness * evidence.crispest < options.blurred_below
        and evidence.even_share < options.even_below[1]
        and noise <= options.most_noise_over_blur
        and not has_blocks  # they would be sharpened as well
        and (is_white if noise else not _is_smeared(evidence, options))
    )
    return Needs(noise, has_blocks, blur_of(evidence.crispness, evidence.crispest) if is_blurred else 0.0)


def _noise(evidence: Evidence, options: AutoOptions) -> tuple[float, bool]:
    """Return the strength of the noise in grey levels, 0 if the page is clean, and whether it is white."""
    # White noise of strength 1 is estimated as 0.93 and 0.95, because the estimates are of the more even blocks.
    brightness, colour = evidence.brightness_noise / 0.93, evidence.colour_noise / 0.95
    looks_white = evidence.whiteness >= options.white_from
    if evidence.colour_noise >= options.colour_noise_from:
        smeared, _ = evidence.smeared[0]
        return colour, smeared < 1.3 * evidence.colour_noise
    is_uneven = evidence.even_share < options.even_below[0]
    if evidence.brightness_noise >= options.grey_noise_from and looks_white and is_uneven:
        return brightness, True
    return 0.0, False


def _is_smeared(evidence: Evidence, options: AutoOptions) -> bool:
    found = zip(evidence.smeared, options.smeared_from, strict=True)
    return any(strength >= least and even >= least_even for (strength, even), (least, least_even) in found)
