"""``prune``: clears away old versions and results that nothing needs any more."""

import argparse
import datetime as dt
import sys
from collections import Counter

from tounum_tasks.errors import DamagedFile
from tounum_tasks.history.prune import prune
from tounum_tasks.pages.terminal import print_table
from tounum_tasks.pages.wording import count
from tounum_tasks.settings import load_settings
from tounum_tasks.store.open import open_storage


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "prune",
        help="remove old versions and results that nothing needs",
        description="Shows which versions of manifests were replaced, and which results of stages were last needed, "
        "before the last --keep-days days; with --yes it removes them. Originals, current manifests, photographs, "
        "non-photos, quarantine, models and reports stay, and so does what a version of the last days needs.",
    )
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--keep-days", type=int, metavar="N", help="default: the setting keep_days (90)")
    parser.add_argument("--yes", action="store_true", help="remove it; without this nothing is changed")
    parser.add_argument("--list", action="store_true", help="also print every file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show, and with ``--yes`` remove, what is not needed any more.

    Raises:
        ConfigurationError: the number of days is less than 1.
        DamagedFile: a version of some batch is damaged, or a file cannot be read: nothing of that batch is removed.
    """
    settings = load_settings(lake_root=arguments.lake, keep_days=arguments.keep_days)
    lake = open_storage(settings.lake_root)
    lake.check()
    files, sizes = Counter[str](), Counter[str]()
    now = dt.datetime.now(dt.UTC)
    damage = None
    try:
        for found in prune(lake, keep_days=settings.keep_days, now=now, remove=arguments.yes):
            files[found.kind] += 1
            sizes[found.kind] += found.bytes
            if arguments.list:
                print(found.path)
    except DamagedFile as fault:
        damage = fault
    _print_sums(files, sizes, count(settings.keep_days, "day"), is_removed=arguments.yes)
    if damage:
        raise damage
    return 0


def _print_sums(files: Counter[str], sizes: Counter[str], days: str, *, is_removed: bool) -> None:
    if not files:
        print(f"Nothing to remove: everything is needed, or younger than {days}.")
        return
    rows = [(kind, f"{files[kind]:,}", _megabytes(sizes[kind])) for kind in sorted(files)]
    rows.append(("total", f"{files.total():,}", _megabytes(sizes.total())))
    print_table(("What", "Files", "MB"), rows, sys.stdout, numeric=("Files", "MB"))
    if is_removed:
        print(f"Removed: nothing of the last {days} needed it.")
    else:
        print(f"Nothing was removed: --yes removes this. Nothing of the last {days} needs it.")


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f}"
