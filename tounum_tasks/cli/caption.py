"""``caption``: the class of images on disk, and a caption for each photograph."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.cli.classify import add_model_arguments, class_columns, shrunk
from tounum_tasks.cli.items import (
    FileItem,
    ItemWriter,
    add_arguments,
    find_files,
    limits_of,
    read_items,
    row,
)
from tounum_tasks.errors import ItemError
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.shard import in_batches

if TYPE_CHECKING:
    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.classify.classifier import Classifier
    from tounum_tasks.features.extractor import Extractor

AT_ONCE = 64


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "caption",
        help="class and caption of images",
        description="Classifies images and captions those that are photographs.",
    )
    add_arguments(parser)
    parser.add_argument("--beam", type=_beam, metavar="N", help="beam width, 1 is greedy search (TOUNUM_BEAM, 3)")
    parser.add_argument("--caption-all", action="store_true", help="caption what is no photograph, too")
    parser.add_argument("--captioner", metavar="VERSION", help="default: production")
    add_model_arguments(parser)
    parser.set_defaults(run=run)


def _beam(text: str) -> int:
    width = int(text)
    if not 1 <= width <= 20:
        raise argparse.ArgumentTypeError("a beam is 1 to 20 wide")
    return width


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
    models = Models.load(settings.lake_root, Path(settings.model_cache), settings.classifier, settings.captioner)
    with ItemWriter(arguments.json) as writer:
        inputs = (shrunk(item) for item in read_items(files, limits_of(settings), settings.max_file_bytes))
        for batch in in_batches(inputs, AT_ONCE):
            for found in models.describe(batch, beam=settings.beam, caption_all=arguments.caption_all):
                writer.write(found)
        writer.check(settings.max_failure_rate)
    return 0


class Models:
    """The models that a caption needs."""

    def __init__(self, classifier: Classifier, extractor: Extractor, captioner: Captioner) -> None:
        self._classifier = classifier
        self._extractor = extractor
        self._captioner = captioner

    @classmethod
    def load(cls, lake: str, cache: Path, classifier: str, captioner: str) -> Models:
        """Loads these versions and the extractor that the captioner was made for.

        Raises:
            ConfigurationError: one of them is missing or damaged.
        """
        from tounum_tasks.caption.captioner import Captioner
        from tounum_tasks.classify.classifier import Classifier
        from tounum_tasks.features.extractor import Extractor
        from tounum_tasks.models.registry import Registry

        registry = Registry(lake, cache=cache)
        chosen = registry.resolve("captioner", captioner)
        partner = registry.partner(chosen, "extractor")
        return cls(
            Classifier.load(registry.resolve("classifier", classifier).folder),
            Extractor.load(partner.folder),
            Captioner.load(chosen.folder, extractor_digest=partner.digest),
        )

    def describe(self, batch: list[FileItem], *, beam: int, caption_all: bool) -> Iterator[dict[str, Any]]:
        """Rows of a batch, in its order; pixels must be 299 x 299."""
        readable = [item.rgb for item in batch if item.rgb is not None]
        found: list[dict[str, Any]] = []
        if readable:
            inputs = np.stack(readable)
            found = [class_columns(distribution) for distribution in self._classifier.predict(inputs)]
            wanted = [i for i, columns in enumerate(found) if caption_all or columns["label"] == PHOTO]
            if wanted:
                captions = self._captioner.caption(self._extractor.extract(inputs[wanted]), beam=beam)
                for index, caption in zip(wanted, captions, strict=True):
                    found[index] |= {"caption": caption.text, "words": list(caption.words)}
        columns = iter(found)
        for item in batch:
            error: ItemError | None = item.error
            yield row(item.path, item.page, error, **({} if error else next(columns)))
