"""``reviews``: what people corrected: listed and exported; and random samples of a batch."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tounum_tasks.cli.batches import add_batch_arguments, given_batch
from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.corrections.export import export
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.manifest.published import manifest_gone, read_columns
from tounum_tasks.pages.terminal import print_table
from tounum_tasks.pages.wording import count
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Review, time_of
from tounum_tasks.reviews.sample import SampledItem, draw, keep, size_for, told
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import load_settings
from tounum_tasks.store.open import open_storage


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reviews",
        help="list what people corrected, export it as data sets, draw random samples",
        description="What people said of images.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="one line per review, oldest first")
    _add_lake(listing)
    listing.add_argument("--batch", metavar="B", help="reviews of items of this batch alone")
    listing.add_argument("--json", metavar="FILE", help="write JSON Lines to FILE instead, '-' for standard output")
    listing.set_defaults(run=run_list)
    exporting = actions.add_parser(
        "export",
        help="write corrected and confirmed images as data sets",
        description="Writes OUT/captions (MS-COCO) and OUT/classes (a folder per class). Each image is for training or "
        "for tests for good, by its hash; hard cases and random samples lie in folders of their own.",
    )
    _add_lake(exporting)
    exporting.add_argument("out", type=Path, metavar="OUT", help="folder; an earlier export there is replaced")
    exporting.set_defaults(run=run_export)
    sampling = actions.add_parser(
        "sample",
        help="draw a random sample of a batch, and say what it came to",
        description="Draws images of a batch by lot, keeps the list, and says how many of the batch have a wrong class "
        "or caption, as far as the sample was looked at. The same batch, manifest and size give the same images.",
    )
    add_batch_arguments(sampling)
    size = sampling.add_mutually_exclusive_group()
    size.add_argument("--within", type=float, default=5.0, metavar="POINTS", help="interval either way (default: 5)")
    size.add_argument("--size", type=int, metavar="N", help="number of images instead")
    sampling.set_defaults(run=run_sample)


def _add_lake(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")


def run_list(arguments: argparse.Namespace) -> int:
    """Print the reviews; a star marks those that are in force.

    Raises:
        DamagedFile: a review does not hold what was written.
    """
    lake = open_storage(load_settings(lake_root=arguments.lake).lake_root)
    lake.check()
    reviews = ReviewStore(lake).all()
    in_force = {review.review_id for review in Effective(reviews).in_force()}
    shown = [review for review in reviews if arguments.batch in (None, review.batch_id)]
    if arguments.json:
        write_json(({**review.to_json(), "in_force": review.review_id in in_force} for review in shown), arguments.json)
        return 0
    if not shown:
        print("Nobody has reviewed anything there yet.")
        return 0
    headings = ("", "When (UTC)", "Who", "What", "Said", "Before", "Image")
    print_table(headings, [_cells(review, review.review_id in in_force) for review in shown], sys.stdout)
    return 0


def _cells(review: Review, is_in_force: bool) -> tuple[str, ...]:
    page = f" page {review.page}" if review.page > 1 else ""
    what = f"{'undo of ' if review.undoes else ''}{review.mark.replace('_', ' ')}"
    return (
        "*" if is_in_force else "",
        f"{time_of(review.review_id):%Y-%m-%d %H:%M:%S}",
        review.author,
        what,
        review.value or "",
        review.old or "",
        f"{review.batch_id}: {review.source_path}{page}",
    )


def run_export(arguments: argparse.Namespace) -> int:
    """Write the data sets and say what is in them.

    Raises:
        ConfigurationError: something else lies there, or there is nothing to export.
    """
    settings = load_settings(lake_root=arguments.lake)
    open_storage(settings.lake_root).check()
    try:
        done = export(settings, arguments.out)
    except OSError as error:
        raise ConfigurationError(f"{arguments.out} cannot be written: {error.strerror or error}.") from error
    for what, found in (("class", done.classes), ("caption", done.captions)):
        print(f"{count(found.total(), f'image with a {what}', f'images with a {what}')}{_parts(found)}.")
    for sentence in done.left_out:
        print(sentence)
    return 0


def run_sample(arguments: argparse.Namespace) -> int:
    """Draw or find a sample, and say what is left to look at and what it shows.

    Raises:
        ConfigurationError: there is no such batch, nothing to draw, or no such size.
        DamagedFile: its manifest is gone, or does not hold what was published.
    """
    _, lake, batch = given_batch(arguments)
    table = read_columns(lake, batch.batch_date, batch.batch_id, [*SampledItem.model_fields, "manifest_version"])
    if table is None:
        raise manifest_gone(lake, batch)
    version = max(table["manifest_version"].to_pylist())
    rows = [row for row in table.drop_columns(["manifest_version"]).to_pylist() if row["label"]]
    images = arguments.size
    if images is None:
        size = size_for(len(rows), arguments.within / 100)
        images = size.images
        print(size.sentence)
    reviews = ReviewStore(lake).effective()
    items = (SampledItem(**row) for row in rows)
    drawn = draw((batch.batch_date, batch.batch_id), version, images, items)
    sample = keep(lake, drawn, reviews)
    left = sample.left(reviews)
    if left:
        print(f"{count(len(left), 'image')} of {len(sample.items):,} left to look at:")
        print_table(("Image", "Class", "Caption"), [_sampled(item) for item in left], sys.stdout)
    if sample.outcome:
        print(told(sample.outcome.classes, "class"))
        print(told(sample.outcome.captions, "caption"))
    return 0


def _sampled(item: SampledItem) -> tuple[str, str, str]:
    page = f" page {item.page}" if item.page > 1 else ""
    return f"{item.source_path}{page}", item.label, item.caption or ""


def _parts(found: Counter[str]) -> str:
    return f" ({', '.join(f'{number:,} {name}' for name, number in sorted(found.items()))})" if found else ""
