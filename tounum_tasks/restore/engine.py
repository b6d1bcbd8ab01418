"""The seam between mode ``auto`` and whatever restores pages behind it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import Quality


@dataclass(frozen=True)
class Proposal:
    """A restored page that the no-harm gate has yet to judge.

    Attributes:
        rgb: uint8, the shape of the page.
        operations: what was done, in order, with strengths, such as ``denoise 8.2``; at least one.
    """

    rgb: NDArray[np.uint8]
    operations: tuple[str, ...]


class Engine(Protocol):
    """Restores pages. Equal pages give equal proposals, and the page itself is never written to."""

    def __call__(self, rgb: NDArray[np.uint8], before: Quality) -> Proposal | None:
        """Return a restored page, or None if the page (uint8 HxWx3, any size) needs nothing.

        ``before`` is the quality of the page.
        """
        ...
