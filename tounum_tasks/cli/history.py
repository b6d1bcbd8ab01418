"""``history``: the versions of a batch's manifest."""

import argparse
import sys

from tounum_tasks.cli.batches import add_batch_arguments, given_batch
from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import DamagedFile
from tounum_tasks.history.versions import Version, list_versions
from tounum_tasks.pages.terminal import print_table


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "history",
        help="list the versions of a batch's manifest",
        description="One line per kept version, oldest first; a star marks the current one.",
    )
    add_batch_arguments(parser)
    parser.add_argument("--json", metavar="FILE", help="write JSON Lines to FILE instead, '-' for standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per version.

    Raises:
        DamagedFile: a version does not hold what was published; all of them are listed.
    """
    _, lake, batch = given_batch(arguments)
    found = list_versions(lake, batch.batch_date, batch.batch_id)
    if arguments.json:
        write_json((version.to_json() for version in found), arguments.json)
    else:
        headings = ("", "Version", "Published (UTC)", "Items", "Classifier", "Captioner", "Enhancement", "Run")
        print_table(headings, [_cells(version) for version in found], sys.stdout, numeric=("Version",))
    if damaged := [version.damage for version in found if version.damage]:
        raise DamagedFile(" ".join(damaged))
    return 0


def _cells(version: Version) -> tuple[str, ...]:
    return (
        "*" if version.is_current else "",
        str(version.number),
        f"{version.at:%Y-%m-%d %H:%M:%S}" if version.at else "-",
        ", ".join(f"{number:,} {status}" for status, number in version.statuses.items()) or "damaged",
        " and ".join(version.models["classifier"]) or "-",
        " and ".join(version.models["captioner"]) or "-",
        " and ".join(version.enhancement) or "-",
        version.run_id or "-",
    )
