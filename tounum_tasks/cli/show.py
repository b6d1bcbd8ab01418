"""``python -m tounum_tasks show``: the manifest as a person reads it."""

import argparse
import sys
from collections.abc import Sequence

import pyarrow as pa

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.cli.batches import all_batches, find_batch
from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import DamagedFile
from tounum_tasks.items import read_sidecars
from tounum_tasks.manifest.published import BatchRef, manifest_gone, read_columns
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.manifest.schema import CLASS_COLUMNS
from tounum_tasks.pages.terminal import ITEM_COLUMNS, print_items, print_table
from tounum_tasks.pages.wording import visible
from tounum_tasks.report.figures import STATUSES, counts
from tounum_tasks.settings import load_settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

# Columns of the manifest that JSON has under the names that all commands use.
_RENAMED = ("source_path", "caption_words", *CLASS_COLUMNS.values())


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``show``."""
    parser = subparsers.add_parser(
        "show",
        help="show the manifests of a lake",
        description="Without --batch: one line per batch of the lake. With --batch: one line per image.",
    )
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--batch", metavar="B", help="id of a batch, as the list of batches shows it")
    parser.add_argument("--json", metavar="FILE", help="write JSON Lines to FILE instead, '-' for standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the batches of a lake, or the items of one batch; return the exit code.

    Raises:
        ConfigurationError: the lake has no manifest, or no such batch; the sentence says what there is.
        EnvironmentFault: the lake cannot be read.
        DamagedFile: a manifest does not hold what was published; all others are shown.
    """
    lake = open_storage(load_settings(lake_root=arguments.lake).lake_root)
    batches = all_batches(lake)
    if arguments.batch is None:
        _show_batches(lake, batches, arguments.json)
    else:
        _show_items(lake, find_batch(batches, arguments.batch), arguments.json)
    return 0


def _show_batches(lake: Storage, batches: list[BatchRef], json_target: str | None) -> None:
    described, damaged = [], []
    for batch in batches:
        try:
            described.append(_describe(lake, batch))
        except DamagedFile as fault:
            damaged.append(str(fault))
    if json_target:
        write_json(described, json_target)
    else:
        _print_batches(described)
    if damaged:
        raise DamagedFile(" ".join(damaged))


def _print_batches(described: list[dict]) -> None:
    headings = ("Date", "Batch", "Images", "OK", "Quarantined", "Failed", "Version", "Name", "Classes")
    rows = [
        (
            batch["batch_date"],
            batch["batch_id"],
            *(f"{batch[key]:,}" for key in ("items", *STATUSES, "manifest_version")),
            batch["batch_name"],
            ", ".join(f"{label} {number:,}" for label, number in batch["classes"].items() if number),
        )
        for batch in described
    ]
    # A terminal is too narrow for all columns: there, the classes stand below the name.
    shown = headings[:-1] if sys.stdout.isatty() else headings
    print_table(shown, rows, sys.stdout, numeric=("Images", "OK", "Quarantined", "Failed", "Version"))


def _describe(lake: Storage, batch: BatchRef) -> dict:
    columns = ("batch_name", "status", "label", "needs_review", "manifest_version")
    table = _rows(lake, batch, columns)
    statuses, classes = counts(table["status"]), counts(table["label"])
    return {
        "batch_date": batch.batch_date,
        "batch_id": batch.batch_id,
        "batch_name": table["batch_name"][0].as_py(),
        "items": table.num_rows,
        **{status: statuses[status] for status in STATUSES},
        "needs_review": sum(table["needs_review"].fill_null(False).to_pylist()),
        "classes": {label: classes[label] for label in CLASSES},
        "manifest_version": table["manifest_version"][0].as_py(),
        "manifest_uri": lake.url(manifest_path(batch.batch_date, batch.batch_id)),
    }


def _show_items(lake: Storage, batch: BatchRef, json_target: str | None) -> None:
    columns = None if json_target else ITEM_COLUMNS
    table = _rows(lake, batch, columns)
    if json_target:
        write_json((_item(row) for block in table.to_batches(1000) for row in block.to_pylist()), json_target)
    else:
        print_items(table.to_pylist(), sys.stdout)
        sidecars = read_sidecars(lake, batch.batch_date, batch.batch_id)
        others = [visible(sidecar.source_path) for sidecar in sidecars if not sidecar.describes]
        if others:
            print(f"\nBeside the images: {', '.join(others)}")


def _rows(lake: Storage, batch: BatchRef, columns: Sequence[str] | None) -> pa.Table:
    table = read_columns(lake, batch.batch_date, batch.batch_id, columns)
    if table is None:
        raise manifest_gone(lake, batch)
    return table


def _item(row: dict) -> dict:
    """Return a row under the names that all commands use, followed by the other columns of the manifest."""
    probabilities = {label: row[column] for label, column in CLASS_COLUMNS.items()}
    first = {
        "path": row["source_path"],
        "page": row["page"],
        "label": row["label"],
        "confidence": row["confidence"],
        "probabilities": None if row["label"] is None else probabilities,
        "caption": row["caption"],
        "words": row["caption_words"],
        "error_code": row["error_code"],
        "error_message": row["error_message"],
    }
    return first | {name: value for name, value in row.items() if name not in _RENAMED}
