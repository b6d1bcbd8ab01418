"""Evaluation of a captioner on captioned images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import IMAGES_AT_ONCE, Caption, Captioner
from tounum_tasks.caption.metrics import bleu, cider, repeats_a_bigram, rouge_l
from tounum_tasks.caption.vocabulary import normalise
from tounum_tasks.datasets.captions import CaptionedImage, read_input
from tounum_tasks.evaluation.java_metrics import meteor
from tounum_tasks.features.extractor import Extractor

Tokenizer = Callable[[Sequence[str]], list[list[str]]]


def plain_words(texts: Sequence[str]) -> list[list[str]]:
    """Words of every text: lower case, everything but letters and digits is a space."""
    return [normalise(text) for text in texts]


def score(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenizer: Tokenizer = plain_words,
    with_meteor: bool = False,
) -> dict[str, float]:
    """Figures of captions against references.

    Args:
        tokenizer: makes words of texts.
        with_meteor: METEOR, too (see ``java_metrics``).
    """
    said, known = _in_words(captions, references, tokenizer)
    scores = bleu(said, known)
    figures = {f"bleu_{n}": value for n, value in enumerate(scores, start=1)}
    figures["rouge_l"] = rouge_l(said, known)
    if with_meteor:
        figures["meteor"] = meteor(said, known)
    figures["cider"] = sum(cider(said, known)) / len(said)
    figures["distinct_captions"] = len({tuple(words) for words in said})
    figures["vocabulary_used"] = len({word for words in said for word in words})
    figures["words_per_caption"] = sum(map(len, said)) / len(said)
    figures["share_with_repeated_bigram"] = sum(map(repeats_a_bigram, said)) / len(said)
    return {name: round(value, 4) for name, value in figures.items()}


def score_by_source(captions: Sequence[str], images: Sequence[CaptionedImage]) -> dict[str, float]:
    """BLEU-4 and CIDEr, the mean over the data sets that the images are of, and the number of words used in all.

    A small data set counts as much as a large one: each is a world of its own.
    """
    found = [
        score([captions[row] for row in rows], [images[row].captions for row in rows])
        for rows in rows_by_source(images)
    ]
    figures = {name: round(sum(one[name] for one in found) / len(found), 4) for name in ("bleu_4", "cider")}
    return figures | {"vocabulary_used": len({word for words in plain_words(captions) for word in words})}


def rows_by_source(images: Sequence[CaptionedImage]) -> list[list[int]]:
    """The positions of the images of each data set."""
    return [
        [row for row, image in enumerate(images) if image.source == source]
        for source in sorted({image.source for image in images})
    ]


def cider_of_each(
    captions: Sequence[str], references: Sequence[Sequence[str]], *, tokenizer: Tokenizer = plain_words
) -> list[float]:
    """CIDEr, 0 to 10, of every caption; their mean is the figure of :func:`score`."""
    return cider(*_in_words(captions, references, tokenizer))


def _in_words(
    captions: Sequence[str], references: Sequence[Sequence[str]], tokenizer: Tokenizer
) -> tuple[list[list[str]], list[list[list[str]]]]:
    flat = iter(tokenizer([text for texts in references for text in texts]))
    return tokenizer(captions), [[next(flat) for _ in texts] for texts in references]


def evaluate(
    captioner: Captioner,
    images: Sequence[CaptionedImage],
    features: Iterable[NDArray[np.floating]],
    *,
    beams: Sequence[int] = (1, 3),
    tokenizer: Tokenizer = plain_words,
    with_meteor: bool = False,
) -> tuple[dict[str, Any], dict[int, list[Caption]]]:
    """Captions images with every beam width and scores the captions.

    Args:
        images: with their reference captions.
        features: of the same images in order, in batches of any size.
        beams: 1 is greedy search.
        tokenizer: see :func:`score`, as ``with_meteor``.

    Returns:
        figures by ``greedy`` or ``beam_N`` (with captions per second, features given), and the captions by beam width.
    """
    beams = list(dict.fromkeys(beams))
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
        texts, references = [caption.text for caption in captions[beam]], [image.captions for image in images]
        found = score(texts, references, tokenizer=tokenizer, with_meteor=with_meteor)
        found["captions_per_second"] = round(len(images) / seconds[beam], 1)
        figures[search_name(beam)] = found
    return figures, captions


def search_name(beam: int) -> str:
    """What the figures call a search: ``greedy`` or ``beam_3``."""
    return "greedy" if beam == 1 else f"beam_{beam}"


def extract_features(extractor: Extractor, paths: Sequence[Path]) -> Iterable[NDArray[np.float16]]:
    """Features of images on disk, as many at a time as are captioned at once."""
    for start in range(0, len(paths), IMAGES_AT_ONCE):
        yield extractor.extract(np.stack([read_input(path) for path in paths[start : start + IMAGES_AT_ONCE]]))
