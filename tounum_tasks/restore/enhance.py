"""One function for all modes: measure, restore, judge, measure again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.quality.metrics import Quality, measure
from tounum_tasks.restore import classic
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.restore.classic import ClassicOptions
from tounum_tasks.restore.engine import Engine
from tounum_tasks.restore.gate import GateLimits, objection
from tounum_tasks.settings import EnhancementMode

RESTORE_VERSION = 9
"""Part of fingerprints: raised whenever the same page could come out differently."""

AUTO_ENGINE: Engine = AutoEngine()
"""The engine of mode ``auto`` with the restorer that comes with the package."""


@dataclass(frozen=True)
class Enhancement:
    """What became of a page.

    Attributes:
        rgb: uint8 HxWx3; the very array that was given if nothing was accepted.
        method: the mode.
        operations: what was done, in order, or was done and reverted.
        accepted: ``rgb`` differs from the page.
        reason: one short sentence.
        after: quality of ``rgb``.
    """

    rgb: NDArray[np.uint8]
    method: EnhancementMode
    operations: tuple[str, ...]
    accepted: bool
    reason: str
    after: Quality


def enhance(
    rgb: NDArray[np.uint8],
    *,
    mode: EnhancementMode,
    before: Quality,
    classic_options: ClassicOptions | None = None,
    engine: Engine = AUTO_ENGINE,
    limits: GateLimits | None = None,
) -> Enhancement:
    """Improve a page, or leave it as it is.

    Args:
        rgb: uint8 HxWx3 RGB of any size.
        mode: ``auto`` takes what ``engine`` proposes if the no-harm gate lets it pass; ``classic`` does what
            the notebooks did and accepts it; ``off`` does nothing.
        before: quality of the page.
        classic_options: thresholds of mode ``classic``.
        engine: what restores pages in mode ``auto``.
        limits: what the gate of mode ``auto`` lets pass.
    """
    if mode == "off":
        return Enhancement(rgb, mode, (), False, "enhancement is off", before)
    if mode == "classic":
        restored, operations = classic.restore(rgb, before, classic_options)
        if not operations:
            return Enhancement(rgb, mode, (), False, "nothing to do", before)
        if np.array_equal(restored, rgb):
            return Enhancement(rgb, mode, operations, False, "nothing changed", before)
        return Enhancement(restored, mode, operations, True, "decided by thresholds", measure(restored))
    proposal = engine(rgb, before)
    if proposal is None:
        return Enhancement(rgb, mode, (), False, "nothing to do", before)
    if proposal.rgb.dtype == rgb.dtype and np.array_equal(proposal.rgb, rgb):
        return Enhancement(rgb, mode, proposal.operations, False, "nothing changed", before)
    harm = objection(rgb, proposal.rgb, limits or GateLimits())
    if harm:
        return Enhancement(rgb, mode, proposal.operations, False, f"reverted: {harm}", before)
    return Enhancement(proposal.rgb, mode, proposal.operations, True, "improved", measure(proposal.rgb))
