"""``caption``: the class of images on disk, and a caption for each photograph."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.batches import in_batches
from tounum_tasks.caption.confidence import review_reasons
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.cli.classify import add_model_arguments, class_columns
from tounum_tasks.cli.items import (
    FileItem,
    ItemWriter,
    add_arguments,
    beam_width,
    find_files,
    limits_of,
    read_items,
    row,
)
from tounum_tasks.errors import ItemError
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.plan import RunRequest
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.enhance import enhance
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps.pins import auto_engine, forget_models, load_model, pin_models

if TYPE_CHECKING:
    from tounum_tasks.caption.captioner import Caption

AT_ONCE = 64


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "caption",
        help="class and caption of images",
        description="Classifies images and captions those that are photographs.",
    )
    add_arguments(parser)
    parser.add_argument("--beam", type=beam_width, metavar="N", help="beam width, 1 is greedy search (TOUNUM_BEAM, 3)")
    parser.add_argument("--caption-all", action="store_true", help="caption what is no photograph, too")
    parser.add_argument("--captioner", metavar="VERSION", help="default: production")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes one row per page.

    Raises:
        ConfigurationError: a path or a model is missing.
        FailureRateExceeded: too many files could not be read; the rows were all written.
    """
    settings = load_settings(
        lake_root=arguments.lake,
        beam=arguments.beam,
        captioner=arguments.captioner,
        classifier=arguments.classifier,
    )
    files = find_files(arguments.paths)
    models = Models(settings)
    with ItemWriter(arguments.json) as writer:
        pages = map(models.prepare, read_items(files, limits_of(settings), settings.max_file_bytes))
        for batch in in_batches(pages, AT_ONCE):
            for found in models.describe(batch, caption_all=arguments.caption_all):
                writer.write(found)
        writer.check(settings.max_failure_rate)
    return 0


@dataclass(frozen=True)
class Prepared:
    """A page as the models see it, uint8 2 x 299 x 299 x 3: as it came, and after enhancement; None if unreadable."""

    item: FileItem
    inputs: NDArray[np.uint8] | None = None


class Models:
    """The models that a caption needs, each fed as the nightly run feeds it, so that an image gets the same words.

    Each is loaded when it is first needed: without a photograph neither extractor nor captioner is.
    """

    def __init__(self, settings: Settings) -> None:
        """Find the versions that the settings name.

        Raises:
            ConfigurationError: one of them is missing or damaged, or they do not belong together.
        """
        self.settings = settings
        self.engine = auto_engine(settings)[1]
        self._pins = pin_models(RunRequest(run_id="caption"), settings)

    def _model(self, name: str) -> Any:
        return load_model(name, self._pins, self.settings)

    def prepare(self, item: FileItem) -> Prepared:
        """Return what the models see of a page."""
        if item.rgb is None:
            return Prepared(item)
        enhanced = enhance(item.rgb, mode=self.settings.enhancement, before=measure(item.rgb), engine=self.engine)
        inputs = np.stack([to_model_input(item.rgb), to_model_input(enhanced.rgb)])
        return Prepared(FileItem(item.path, item.page, None), inputs)

    def describe(self, batch: list[Prepared], *, caption_all: bool) -> Iterator[dict[str, Any]]:
        """Yield the rows of a batch, in its order.

        A batch that is not full is the last one: then each model makes room for the next, so that a single picture
        needs little more memory than one of them.
        """
        is_last = len(batch) < AT_ONCE
        readable = [page.inputs for page in batch if page.inputs is not None]
        found: list[dict[str, Any]] = []
        if readable:
            distributions = self._model("classifier").predict(np.stack([original for original, _ in readable]))
            if is_last:
                forget_models()
            found = [class_columns(one, self.settings.review_confidence) for one in distributions]
        wanted = [number for number, columns in enumerate(found) if caption_all or columns["label"] == PHOTO]
        if wanted:
            features = self._model("extractor").extract(np.stack([readable[number][1] for number in wanted]))
            if is_last:
                forget_models()
            for number, caption in zip(wanted, self._captions(features), strict=True):
                found[number] |= self._caption_columns(caption, found[number]["review_reasons"])
        columns = iter(found)
        for page in batch:
            error: ItemError | None = page.item.error
            yield row(page.item.path, page.item.page, error, **({} if error else next(columns)))

    def _caption_columns(self, caption: Caption, reasons: list[str]) -> dict[str, Any]:
        reasons = [*reasons, *review_reasons(caption.confidence, self.settings.caption_review_confidence)]
        return {
            "caption": caption.text or None,
            "caption_confidence": caption.confidence,
            "words": list(caption.words),
            "needs_review": bool(reasons),
            "review_reasons": reasons,
        }

    def _captions(self, features: NDArray) -> list[Caption]:
        # A run keeps features in 16 bits: its captions are of these.
        from tounum_tasks.caption.doubt import Doubt, captions_of

        settings = self.settings
        doubt = Doubt(settings.doubtful_captions, settings.caption_review_confidence)
        return captions_of(self._model("captioner"), features.astype(np.float16), beam=settings.beam, doubt=doubt)
