"""``restore``: an earlier version of a batch's manifest becomes the current one again."""

import argparse

from tounum_tasks.cli.batches import add_batch_arguments, given_batch
from tounum_tasks.history.restore import preview, restore
from tounum_tasks.manifest.read import read_version
from tounum_tasks.pages.wording import count
from tounum_tasks.reprocess.outdated import differences, wanted_models


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "restore",
        help="go back to an earlier version of a batch's manifest",
        description="Commits the rows of an earlier version as a new one, and puts photographs and non-photos where "
        "that version says. Nothing is lost: the version that is replaced stays in the history.",
    )
    add_batch_arguments(parser)
    parser.add_argument("--version", dest="number", type=int, required=True, metavar="N", help="as `history` lists it")
    parser.add_argument("--dry-run", action="store_true", help="say what would differ, and change nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Restore a version and say what will happen to it next.

    Raises:
        ConfigurationError: there is no such version.
        EnvironmentFault: it cannot be restored as it was; the manifest was not changed.
    """
    settings, lake, batch = given_batch(arguments)
    if arguments.dry_run:
        corrected = preview(settings, batch.batch_date, batch.batch_id, arguments.number).corrected
        print(
            f"Version {arguments.number} of {batch.batch_id} would become current again. "
            f"By what people have said since, {count(corrected, 'row')} would differ from it."
        )
        return 0
    done = restore(settings, batch.batch_date, batch.batch_id, arguments.number)
    how = "is current again, as version" if done.is_new else "is what the current version says already:"
    print(f"Version {arguments.number} of {batch.batch_id} {how} {done.version}.")
    if done.corrected:
        print(f"What people have said since makes {count(done.corrected, 'row')} differ from that version.")
    files = done.files
    print(
        f"{count(files.put, 'file')} put back, {files.replaced:,} replaced, {files.removed:,} removed in the buckets."
    )
    table = read_version(lake, batch.batch_date, batch.batch_id, done.version)
    for name, (found, wanted) in differences(table, wanted_models(settings)).items():
        print(
            f"It was made with the {name} {found}, while runs use {wanted}: the next run for {batch.batch_date}, also "
            f"one that tounum_reprocess starts, publishes that one's results. To keep what you restored, go back to "
            f"that {name} with `models rollback` or `models promote`."
        )
    return 0
