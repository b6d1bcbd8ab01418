"""Measures a version folder on labelled images: what ``evaluate`` and a retraining both report."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tounum_tasks.caption.captioner import Caption, Captioner
from tounum_tasks.classify.classifier import Classifier
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.datasets.classes import Example, load
from tounum_tasks.evaluation import captioner as captions
from tounum_tasks.evaluation import classifier as classes
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.images.model_input import to_model_input

AT_ONCE = 256
log = logging.getLogger(__name__)


def measure_captioner(
    folder: Path, extractor: Path, images: Sequence[CaptionedImage], beams: Sequence[int]
) -> tuple[dict[str, Any], dict[int, list[Caption]]]:
    """Caption images with a captioner and its extractor, 128 in memory at a time.

    Args:
        folder: version folder of the captioner.
        extractor: version folder of the extractor that it was made for.

    Returns:
        See :func:`tounum_tasks.evaluation.captioner.evaluate`.

    Raises:
        ConfigurationError: a folder is damaged, the two do not belong together, or an image cannot be read.
    """
    eyes = Extractor.load(extractor)
    captioner = Captioner.load(folder, extractor_digest=eyes.digest)
    features = captions.extract_features(eyes, [image.path for image in images])
    return captions.evaluate(captioner, images, features, beams=beams)


def measure_classifier(folder: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Classify images with a version folder, 256 in memory at a time.

    Returns:
        See :func:`tounum_tasks.evaluation.classifier.evaluate`, and ``images_per_second``, decoding included.

    Raises:
        ConfigurationError: the folder is damaged, or an image cannot be read.
    """
    classifier = Classifier.load(folder)
    probabilities = []
    began = time.monotonic()
    for start in range(0, len(examples), AT_ONCE):
        inputs = np.stack([to_model_input(load(example)) for example in examples[start : start + AT_ONCE]])
        probabilities.append(classifier.predict(inputs))
        log.info("%d of %d images", min(start + AT_ONCE, len(examples)), len(examples))
    seconds = time.monotonic() - began
    measures = classes.evaluate(
        np.concatenate(probabilities),
        np.array([example.label for example in examples]),
        [example.source for example in examples],
    )
    return measures | {"images_per_second": round(len(examples) / seconds, 1)}
