"""``reviews``: what people corrected: listed, exported, and how large a sample has to be."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.corrections.export import export
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.pages.terminal import print_table
from tounum_tasks.pages.wording import count
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Review, time_of
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import load_settings
from tounum_tasks.store.open import open_storage


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reviews",
        help="list what people corrected, or export it as data sets",
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


def _parts(found: Counter[str]) -> str:
    return f" ({', '.join(f'{number:,} {name}' for name, number in sorted(found.items()))})" if found else ""
