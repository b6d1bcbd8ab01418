"""The whole way from captioned images to version folders, as the command line and the retraining DAG go it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tounum_tasks.datasets.captions import CaptionData
from tounum_tasks.features.inception import Weights
from tounum_tasks.training.captioner import CaptionerTraining, TrainedCaptioner
from tounum_tasks.training.captioner_settings import TrainingSettings
from tounum_tasks.training.captioner_version import draw_curves, write_versions


def train_captioner(
    data: CaptionData,
    out: Path,
    settings: TrainingSettings,
    initial: Weights,
    captioner: TrainedCaptioner | None = None,
    *,
    version: str,
    **described: Any,
) -> dict[str, Any]:
    """Train and write ``OUT/captioner/VERSION``, ``OUT/extractor/VERSION`` if that is new, and ``OUT/curves.png``.

    Checkpoints, caches and the table of the passes lie in ``OUT/work``; with the same arguments the training goes on
    there after an interruption.

    Args:
        initial: weights of the extractor to begin with.
        captioner: to go on with, in place of a new one.
        described: further arguments of :func:`~tounum_tasks.training.captioner_version.write_versions`.

    Returns:
        the figures on the dev split.

    Raises:
        ConfigurationError: data or options cannot be used, or ``OUT/work`` belongs to another training.
    """
    training = CaptionerTraining(data, out / "work", settings, initial, captioner)
    training.run()
    figures = write_versions(training, out, version=version, **described)
    draw_curves(out / "work", out / "curves.png")
    return figures
