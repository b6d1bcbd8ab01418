"""``diff``: what changed between two versions of a batch's manifest."""

import argparse
import sys
from typing import TextIO

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.cli.batches import add_batch_arguments, given_batch
from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.history.diff import ItemChange, Summary, compare
from tounum_tasks.history.versions import require_version
from tounum_tasks.manifest.read import versions
from tounum_tasks.pages.terminal import print_table
from tounum_tasks.pages.wording import count, percent, visible

MOST_ITEMS = 500
NO_CLASS = "none"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="show what changed between two versions of a batch's manifest",
        description="Shows in sum and for every item what changed: class, route, caption, metrics, status. "
        "Without --from and --to: between the current version and the one before it.",
    )
    add_batch_arguments(parser)
    parser.add_argument("--from", dest="before", type=int, metavar="N", help="earlier version")
    parser.add_argument("--to", dest="after", type=int, metavar="M", help="later version")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write JSON Lines to FILE instead, '-' for standard output: an object per item that changed, and in the "
        "last line the summary",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare two versions.

    Raises:
        ConfigurationError: there is no such version, or no earlier one.
    """
    _, lake, batch = given_batch(arguments)
    known = versions(lake, batch.batch_date, batch.batch_id)
    after = arguments.after or known[-1]
    before = arguments.before or max((number for number in known if number < after), default=0)
    if not before:
        raise ConfigurationError(f"{batch.batch_id} has no version before {after}: there is nothing to compare.")
    tables = [require_version(lake, batch.batch_date, batch.batch_id, number) for number in (before, after)]
    changes, summary = compare(*tables)
    if arguments.json:
        lines = [change.to_json() for change in changes]
        write_json([*lines, {"summary": {"from": before, "to": after, **summary.to_json()}}], arguments.json)
        return 0
    print(f"{batch.batch_id} of {batch.batch_date}, version {before} to version {after}:")
    _print_summary(summary, sys.stdout)
    _print_items(changes, sys.stdout)
    return 0


def _print_summary(summary: Summary, file: TextIO) -> None:
    kinds = ", ".join(f"{group} {number:,}" for group, number in summary.groups.items() if number)
    print(f"  {summary.changed:,} of {count(summary.items, 'image')} differ{': ' if kinds else ''}{kinds}", file=file)
    for name, (old, new) in summary.models.items():
        print(f"  {name}: {' and '.join(old) or 'none'} -> {' and '.join(new) or 'none'}", file=file)
    if any(summary.groups[group] for group in ("caption",)):
        print(
            f"  Captions: {summary.captions_changed:,} changed, {summary.captions_new:,} new, "
            f"{summary.captions_gone:,} gone; {summary.words_removed:,} of {count(summary.words, 'word')} "
            f"({percent(summary.words_removed / max(summary.words, 1))}) left, {summary.words_added:,} came",
            file=file,
        )
        for title, words in (("more often", summary.gained), ("less often", summary.lost)):
            if words:
                print(f"    {title}: " + ", ".join(f"{visible(word)} {number:+,}" for word, number in words), file=file)
    if summary.classes:
        print("  Classes (rows: before, columns: after):", file=file)
        _print_matrix(summary, file)


def _print_matrix(summary: Summary, file: TextIO) -> None:
    names = [name for name in (*CLASSES, None) if any(name in move for move in summary.classes)]
    headings = ["", *(name or NO_CLASS for name in names)]
    rows = [
        [old or NO_CLASS, *(f"{summary.classes[old, new]:,}" if summary.classes[old, new] else "" for new in names)]
        for old in names
    ]
    print_table(headings, rows, file, numeric=headings[1:])


def _print_items(changes: list[ItemChange], file: TextIO) -> None:
    if not changes:
        return
    print(file=file)
    rows = [_cells(change) for change in changes[:MOST_ITEMS]]
    print_table(("Image", "Changed", "Before", "After"), rows, file)
    if len(changes) > MOST_ITEMS:
        print(f"... and {len(changes) - MOST_ITEMS:,} more: --json FILE writes all of them.", file=file)


def _cells(change: ItemChange) -> tuple[str, str, str, str]:
    path, page = change.key
    name = path if page == 1 else f"{path} (page {page})"
    return name, ", ".join(change.groups), _told(change.before, change), _told(change.after, change)


def _told(values: dict, change: ItemChange) -> str:
    """The most telling of the columns that differ: class, then caption, then status; numbers are left to JSON."""
    told = []
    if "label" in values:
        told.append(values["label"] or "no class")
    if "caption" in values:
        told.append(f"'{values['caption']}'" if values["caption"] is not None else "no caption")
    if "status" in values:
        told.append(values["status"])
    if "enhancement_accepted" in values:
        told.append("enhanced" if values["enhancement_accepted"] else "not enhanced")
    return ", ".join(told)
