"""By how many degrees a page of print has to be turned to stand upright.

The direction of its lines says whether it lies on its side. Which end is up, its letters say: in Latin print more of
them rise above the others (b, d, f, h, k, l, t, capitals) than hang below (g, j, p, q, y), as D. Bloomberg, G. Kopec
and L. Dasari count them (Measuring document image skew and orientation, SPIE 2422, 1995), and nearly all stand on one
line, which is therefore sharper below than above.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tounum_tasks.page_flags.skew import Lines, lines_of

SMALLEST_PAGE = 700
"""Pixels of the longer side: on smaller pages letters are too small to tell which end is up."""

SURE_FROM = 0.37
"""Evidence from which it is told: half of the pages of Latin print have more than .58, most of other scripts none."""

_STEEPEST = 5.0  # degrees: strips of steeper lines would mix letters of two of them
_COLUMNS = 11  # groups of strips in which lines are looked at: a few words wide
_BLOCKS = 24  # parts of a column whose edges are compared
_PITCH = (8, 90)  # pixels from line to line
_FEWEST_LINES = 40  # pieces of lines
_NEAR, _FAR = 0.15, 0.55  # of the height of such letters: where ink above and below them is looked for
_LOWEST = 3  # pixels that letters without ascender are high
_SURE = 5.0  # standard errors of the balance
_MOST_BALANCE = 0.72  # of print; more comes from capitals whose one half is faint, as printers of receipts leave it
_CONTRADICTED = 2.0  # standard errors of edges that say the opposite
_EDGES_COUNT, _SHARPEST = 0.03, 5.0  # what a standard error of the edges adds to the evidence, and how many count


@dataclass(frozen=True)
class Turn:
    """How a page has to be turned.

    Attributes:
        degrees: clockwise, 90, 180 or 270.
        evidence: of its letters that it then stands upright, from :data:`SURE_FROM` to about 1.
    """

    degrees: int
    evidence: float


@dataclass(frozen=True)
class Letters:
    """Which end of letters is up.

    Attributes:
        balance: of what rises above letters (1: all of it) and what hangs below them (-1).
        certainty: standard errors that it is away from 0.
        edges: standard errors by which lines are sharper below (above 0) or above.
        count: pieces of lines that were looked at.
    """

    balance: float = 0.0
    certainty: float = 0.0
    edges: float = 0.0
    count: int = 0

    @property
    def evidence(self) -> float:
        """That they stand upright, about -1 to 1: below 0, they are upside down; 0 where nothing is sure."""
        is_contradicted = self.edges * np.sign(self.balance) < -_CONTRADICTED
        is_print = self.count >= _FEWEST_LINES and abs(self.balance) <= _MOST_BALANCE
        is_clear = is_print and abs(self.certainty) >= _SURE and not is_contradicted
        evidence = self.balance + _EDGES_COUNT * float(np.clip(self.edges, -_SHARPEST, _SHARPEST))
        return evidence if is_clear and abs(evidence) >= SURE_FROM else 0.0


def turn_of(ink: np.ndarray, along: Lines) -> Turn | None:
    """Return by how much a page has to be turned; None if it stands upright, or nothing is sure.

    Args:
        ink: of the page, float32 HxW (:func:`~tounum_tasks.page_flags.skew.ink_of`).
        along: the direction of its lines, were it upright.
    """
    if max(ink.shape) < SMALLEST_PAGE:
        return None
    evidence = letters_of(along).evidence
    if evidence:
        return Turn(180, -evidence) if evidence < 0 else None
    across = lines_of(np.ascontiguousarray(np.rot90(ink, -1)))
    evidence = letters_of(across).evidence
    return Turn(90 if evidence > 0 else 270, abs(evidence)) if evidence else None


def letters_of(lines: Lines) -> Letters:
    """Return which end of the letters of lines is up, as far as lines that are sure and nearly level tell."""
    if not lines.are_sure or abs(lines.degrees) > _STEEPEST:
        return Letters()
    columns = _levelled(lines)
    balance = _balance(columns)
    if len(balance) < _FEWEST_LINES:
        return Letters()
    return Letters(
        float(balance.mean()), _standard_errors(balance), -_standard_errors(_sharpness(columns)), len(balance)
    )


def _standard_errors(values: np.ndarray) -> float:
    """By how many standard errors the mean is away from 0."""
    spread = values.std(ddof=1) if len(values) > 1 else 0.0
    return float(values.mean() / spread * np.sqrt(len(values))) if spread else 0.0


def _levelled(lines: Lines) -> np.ndarray:
    """The mean ink in the rows of columns of the page, float32 NxH: strips, shifted to where lines lie level."""
    shifts = np.round(np.tan(np.radians(lines.degrees)) * lines.centres).astype(int)
    strips = np.stack([np.roll(strip, -shift) for strip, shift in zip(lines.strips, shifts, strict=True)])
    edges = np.unique(np.linspace(0, len(strips), _COLUMNS + 1).astype(int))
    return np.asarray(np.add.reduceat(strips, edges[:-1], axis=0) / np.diff(edges)[:, None], np.float32)


def _sharpness(columns: np.ndarray) -> np.ndarray:
    """How much sharper the upper edges of lines are than the lower ones (above 0), -1 to 1, for blocks of the page.

    Edges are cubed, so that those of letters count, not the many soft ones.
    """
    cubed = np.diff(columns, axis=1) ** 3
    places = np.linspace(0, cubed.shape[1], _BLOCKS + 1).astype(int)[:-1]
    sums = np.add.reduceat(cubed, places, axis=1).ravel()
    sizes = np.add.reduceat(np.abs(cubed), places, axis=1).ravel()
    has_lines = sizes > 0.02 * sizes.max()
    return np.asarray(sums[has_lines] / sizes[has_lines])


def _balance(columns: np.ndarray) -> np.ndarray:
    """Of what rises above letters and what hangs below, -1 to 1, for each piece of a line."""
    pitch = _pitch(columns)
    nothing = np.empty(0)
    if not pitch:
        return nothing
    window = np.ones((1, pitch | 1))
    dark, light = cv2.dilate(columns, window), cv2.erode(columns, window)
    is_body = (columns > (dark + light) / 2) & (dark > 0.3 * np.percentile(dark, 80))
    changes = np.diff(np.pad(is_body.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    (column, top), bottom = np.nonzero(changes == 1), np.nonzero(changes == -1)[1]
    height = bottom - top
    is_line = (height >= _LOWEST) & (height <= 0.7 * pitch)
    if not is_line.any():
        return nothing
    usual = float(np.median(height[is_line]))
    near, far = max(round(_NEAR * usual), 1), max(round(_FAR * usual), 2)
    is_line &= np.abs(height - usual) <= max(0.3 * usual, 1)
    is_line &= (top >= far) & (bottom + far <= columns.shape[1])
    column, top, bottom = column[is_line], top[is_line], bottom[is_line]
    sums = np.concatenate([np.zeros((len(columns), 1)), np.cumsum(columns, axis=1, dtype=np.float64)], axis=1)
    above = (sums[column, top - near] - sums[column, top - far]) / (far - near)
    below = (sums[column, bottom + far] - sums[column, bottom + near]) / (far - near)
    body = (sums[column, bottom] - sums[column, top]) / (bottom - top)
    return np.asarray((above - below) / (above + below + 0.02 * body))


def _pitch(columns: np.ndarray) -> int:
    """The distance from line to line in pixels, the first strong peak of the autocorrelation; 0: there is none."""
    waves = columns - columns.mean(axis=1, keepdims=True)
    length = cv2.getOptimalDFTSize(2 * waves.shape[1])
    alike = np.fft.irfft((np.abs(np.fft.rfft(waves, length)) ** 2).sum(axis=0))[: _PITCH[1] + 1]
    places = np.arange(_PITCH[0], min(_PITCH[1], len(alike) - 1))
    peaks = places[(alike[places] >= alike[places - 1]) & (alike[places] > alike[places + 1])]
    strong = peaks[alike[peaks] > 0.7 * alike[peaks].max()] if len(peaks) else peaks
    return int(strong[0]) if len(strong) else 0
