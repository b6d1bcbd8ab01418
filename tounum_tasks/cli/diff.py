"""``diff``: what changed between two versions of a batch's manifest."""

import argparse
import sys
from typing import TextIO

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.cli.batches import add_lake_argument, given_batch, settings_for
from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.history.changes import BatchChange, changes_between
from tounum_tasks.history.diff import ItemChange, Summary, compare
from tounum_tasks.history.versions import require_version, versions_to_current
from tounum_tasks.manifest.read import versions
from tounum_tasks.names import validate_batch_date
from tounum_tasks.pages.terminal import print_table
from tounum_tasks.pages.wording import count, percent, visible
from tounum_tasks.store.open import open_storage

MOST_ITEMS = 500
NO_CLASS = "none"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="show what changed between two versions of a batch's manifest, or in many batches after a retrain",
        description="Shows in sum and for every item what changed: class, review, route, caption, metrics, status. "
        "Without --from and --to: between the current version and the one before it. With --dates: in every batch of "
        "these dates, between the current version and the last one that other models made.",
    )
    add_lake_argument(parser)
    of = parser.add_mutually_exclusive_group(required=True)
    of.add_argument("--batch", metavar="B", help="id of a batch, as `show` lists it")
    of.add_argument(
        "--dates", metavar="D..D", type=_dates, help="first and last batch date, as in 2026-01-01..2026-01-31"
    )
    parser.add_argument("--model", metavar="NAME", help="with --dates: made by another version of this model, of all")
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
    if arguments.dates:
        return _of_dates(arguments)
    if arguments.model:
        raise ConfigurationError("--model goes with --dates: for one batch, say which versions with --from and --to.")
    _, lake, batch = given_batch(arguments)
    known = (versions if arguments.after else versions_to_current)(lake, batch.batch_date, batch.batch_id)
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


def _of_dates(arguments: argparse.Namespace) -> int:
    """Compare the batches of a range of dates, before and after a retrain."""
    if arguments.before or arguments.after:
        raise ConfigurationError("--from and --to are versions of one batch: give --batch, or leave them out.")
    first, last = arguments.dates
    lake = open_storage(settings_for(arguments.lake).lake_root)
    lake.check()
    total, lines, rows = Summary(items=0), [], []
    for change in changes_between(lake, first, last, arguments.model):
        total.add(change.summary)
        name = {"batch_date": change.batch.batch_date, "batch_id": change.batch.batch_id}
        lines += [name | item.to_json() for item in change.items]
        lines.append({"batch": change.to_json()})
        rows.append(_batch_cells(change))
    if not rows:
        raise ConfigurationError(f"No batch of {first} to {last} was published: `show` lists what there is.")
    if arguments.json:
        write_json([*lines, {"summary": {"from": first, "to": last, **total.to_json()}}], arguments.json)
        return 0
    print(f"{first} to {last}, {count(len(rows), 'batch', 'batches')}:")
    _print_summary(total, sys.stdout)
    print()
    headings = ("Date", "Batch", "Versions", "Items", "Changed", "Class", "Caption", "Review", "Status")
    print_table(headings, rows, sys.stdout, numeric=headings[3:])
    return 0


def _batch_cells(change: BatchChange) -> tuple[str, ...]:
    groups = change.summary.groups
    compared = f"{change.before} -> {change.after}" if change.before else f"{change.after} alone"
    return (
        change.batch.batch_date,
        change.batch.batch_id,
        compared,
        f"{change.summary.items:,}",
        f"{change.summary.changed:,}",
        *(f"{groups[group]:,}" for group in ("class", "caption", "review", "status")),
    )


def _dates(text: str) -> tuple[str, str]:
    first, dots, last = text.partition("..")
    try:
        return validate_batch_date(first), validate_batch_date(last if dots else first)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
    for title, (now, no_more) in (("To review", summary.review), ("Enhanced", summary.enhanced)):
        if now or no_more:
            print(f"  {title}: {now:,} that were not, {no_more:,} no more", file=file)
    for (old_status, new_status), number in sorted(summary.statuses.items()):
        print(f"  {old_status} -> {new_status}: {number:,}", file=file)
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
    if "needs_review" in values:
        told.append("to review" if values["needs_review"] else "not to review")
    if "status" in values:
        told.append(values["status"])
    if "enhancement_accepted" in values:
        told.append("enhanced" if values["enhancement_accepted"] else "not enhanced")
    return ", ".join(told)
