"""Evaluation of a captioner on captioned images."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import Caption, Captioner
from tounum_tasks.caption.vocabulary import normalise
from tounum_tasks.evaluation.caption_metrics import bleu, cider, repeats_a_bigram, rouge_l
from tounum_tasks.features.extractor import BATCH_SIZE, Extractor
from tounum_tasks.training.data import CaptionedImage, read_input


def score(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Figures of captions against references; texts are lower-cased, all but letters and digits becomes a space."""
    said = [normalise(caption) for caption in captions]
    known = [[normalise(text) for text in texts] for texts in references]
    scores = bleu(said, known)
    figures = {f"bleu_{n}": value for n, value in enumerate(scores, start=1)}
    figures["rouge_l"] = rouge_l(said, known)
    figures["cider"] = sum(cider(said, known)) / len(said)
    figures["distinct_captions"] = len({tuple(words) for words in said})
    figures["vocabulary_used"] = len({word for words in said for word in words})
    figures["words_per_caption"] = sum(map(len, said)) / len(said)
    figures["share_with_repeated_bigram"] = sum(map(repeats_a_bigram, said)) / len(said)
    return {name: round(value, 4) for name, value in figures.items()}


def evaluate(
    captioner: Captioner,
    images: Sequence[CaptionedImage],
    features: Iterable[NDArray[np.floating]],
    *,
    beams: Sequence[int] = (1, 3),
) -> tuple[dict[str, Any], dict[int, list[Caption]]]:
    """Captions images with every beam width and scores the captions.

    Args:
        images: with their reference captions.
        features: of the same images in order, in batches of any size.
        beams: 1 is greedy search.

    Returns:
        figures by ``greedy`` or ``beam_N`` (with captions per second, features given), and the captions by beam width.
    """
    captions: dict[int, list[Caption]] = {beam: [] for beam in beams}
    seconds = dict.fromkeys(beams, 0.0)
    for batch in features:
        for beam in beams:
            if not captions[beam]:
                captioner.caption(batch[:1], beam=beam)  # compiles the graph
            started = time.perf_counter()
            captions[beam] += captioner.caption(batch, beam=beam)
            seconds[beam] += time.perf_counter() - started
    figures: dict[str, Any] = {"images": len(images)}
    for beam in beams:
        found = score([caption.text for caption in captions[beam]], [image.captions for image in images])
        found["captions_per_second"] = round(len(images) / seconds[beam], 1)
        figures["greedy" if beam == 1 else f"beam_{beam}"] = found
    return figures, captions


def extract_features(extractor: Extractor, paths: Sequence[Path]) -> Iterable[NDArray[np.float16]]:
    """Features of images on disk, 64 images at a time."""
    at_once = 4 * BATCH_SIZE
    for start in range(0, len(paths), at_once):
        yield extractor.extract(np.stack([read_input(path) for path in paths[start : start + at_once]]))
