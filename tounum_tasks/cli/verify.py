"""``verify``: compares the originals of a lake with what was taken in."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.history.verify import Comparison, compare
from tounum_tasks.names import validate_batch_id
from tounum_tasks.pages.wording import count, visible
from tounum_tasks.settings import load_settings
from tounum_tasks.store.open import open_storage


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "verify",
        help="compare the originals with what was taken in",
        description="Reads every original of the lake, sidecars included, and compares its sha256 with the register: "
        "one line for each that is missing, different, unreadable or in no register. Nothing is changed. Exit code 1 "
        "if there is any.",
    )
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--batch", metavar="B", help="id of a batch (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write JSON Lines to FILE instead, '-' for standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare, print one line for each difference and a sum; return 1 if there are differences, else 0.

    Raises:
        ConfigurationError: there is no such batch, or no batch at all.
        EnvironmentFault: the lake cannot be used.
    """
    lake = open_storage(load_settings(lake_root=arguments.lake).lake_root)
    lake.check()
    batch_id = validate_batch_id(arguments.batch) if arguments.batch else None
    progress, differences = Comparison(), 0

    def told() -> Iterator[dict]:
        nonlocal differences
        for difference in compare(lake, batch_id, progress):
            differences += 1
            yield asdict(difference)

    if arguments.json:
        write_json(told(), arguments.json)
    else:
        for one in told():
            print(visible(f"{one['verdict']}: {one['path']}: {one['message']}"), flush=True)
    if not progress.batches:
        which = f"no batch '{batch_id}'" if batch_id else "no batch"
        raise ConfigurationError(f"There is {which} in {lake.root}: `python -m tounum_tasks show` lists the batches.")
    if arguments.json != "-":
        files, batches = count(progress.files, "file"), count(progress.batches, "batch", "batches")
        print(f"{files} of {batches} compared, {count(differences, 'difference')}.")
    return 1 if differences else 0
