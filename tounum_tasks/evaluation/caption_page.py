"""The HTML page of an evaluation of captions: one file that needs nothing else, for the screen and for print."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tounum_tasks.caption.captioner import Caption
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.caption_examples import examples
from tounum_tasks.evaluation.caption_plots import cider_histogram
from tounum_tasks.pages import wording

PAGE_NAME = "captions.html"
# A caption below it shares next to nothing but small words with what people wrote.
MISSED = 0.1

# name of the figure, how people call it, how it is written, what it means
MEASURES = (
    ("cider", "CIDEr", "{:.3f}", "agreement with the five people on the words that matter, 0 to 10"),
    ("bleu_1", "BLEU-1", "{:.3f}", "share of our words that some person used, too"),
    ("bleu_2", "BLEU-2", "{:.3f}", "the same for pairs of words"),
    ("bleu_3", "BLEU-3", "{:.3f}", "the same for three words in a row"),
    ("bleu_4", "BLEU-4", "{:.3f}", "the same for four words in a row"),
    ("rouge_l", "ROUGE-L", "{:.3f}", "longest sequence of words shared with a person"),
    ("meteor", "METEOR", "{:.3f}", "words that match, as synonyms and stems, too"),
    ("words_per_caption", "Words per caption", "{:.1f}", ""),
    ("vocabulary_used", "Different words used", "{:,.0f}", "in all captions together"),
    ("distinct_captions", "Different captions", "{:,.0f}", "the fewer, the more alike they are"),
    ("share_with_repeated_bigram", "Repeat a pair of words", "{:.1%}", "of the captions"),
    ("captions_per_second", "Captions a second", "{:,.0f}", "on this machine, features given"),
)


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated, in words: the captioner's version and digest, and the data."""

    version: str
    digest: str
    extractor_digest: str
    data: str
    data_fingerprint: str
    split: str
    tokenizer: str


def render(
    about: Evaluated,
    figures: Mapping[str, Any],
    images: Sequence[CaptionedImage],
    captions: Mapping[str, Sequence[Caption]],
    scores: Sequence[float],
    *,
    search: str,
    made_at: dt.datetime,
) -> str:
    """The page.

    Args:
        figures: as ``evaluate`` returns them, by search.
        captions: of all images, by search.
        scores: CIDEr of every caption of ``search``, which is the one whose captions are shown.

    Raises:
        ConfigurationError: an image cannot be read any more.
    """
    best, ordinary, worst = examples(images, captions, scores, search=search)
    searches = list(captions)
    known = [measure for measure in MEASURES if measure[0] in figures[search]]
    return (
        _environment()
        .get_template("caption_page.html")
        .render(
            about=about,
            images=len(images),
            searches=searches,
            search=search,
            main=figures[search],
            measures=[
                (title, meaning, [shape.format(figures[name][measure]) for name in searches])
                for measure, title, shape, meaning in known
            ],
            plot=cider_histogram(scores),
            median=statistics.median(scores),
            missed=sum(score < MISSED for score in scores) / len(scores),
            missed_below=MISSED,
            groups=[
                ("best", "The best", f"The {len(best)} captions with the highest CIDEr, the best first.", best),
                ("ordinary", "The ordinary", f"{len(ordinary)} captions from the middle of the ranking.", ordinary),
                ("worst", "The worst", f"The {len(worst)} captions with the lowest CIDEr, the worst first.", worst),
            ],
            made_at=made_at,
        )
    )


def write_page(destination: Path, page: str) -> Path:
    """Writes a page to a file, or into a folder that exists as ``captions.html``; returns the file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    path = destination / PAGE_NAME if destination.is_dir() else destination
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("tounum_tasks.evaluation"), PackageLoader("tounum_tasks.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(name=_name, visible=wording.visible, percent=wording.percent, search=_search_in_words)
    environment.globals.update(count=wording.count)
    return environment


def _name(text: object) -> Markup:
    """Text that came from outside: escaped, visible, and its direction kept to itself."""
    return Markup("<bdi>{}</bdi>").format(wording.visible(text))


def _search_in_words(search: str) -> str:
    return search.replace("_", " ")
