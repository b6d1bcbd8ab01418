"""``python -m tounum_tasks show``: the manifest as a person reads it."""

import argparse
import difflib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.manifest.schema import CLASS_COLUMNS
from tounum_tasks.names import validate_batch_id
from tounum_tasks.report.figures import STATUSES, counts
from tounum_tasks.report.published import BatchRef, published_batches, read_columns
from tounum_tasks.report.terminal import ITEM_COLUMNS, print_items, print_table
from tounum_tasks.settings import load_settings
from tounum_tasks.storage import Storage, open_storage

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
    """
    lake = open_storage(load_settings(lake_root=arguments.lake).lake_root)
    batches = _batches(lake)
    if arguments.batch is None:
        _show_batches(lake, batches, arguments.json)
    else:
        _show_items(lake, _find(batches, arguments.batch), arguments.json)
    return 0


def _batches(lake: Storage) -> list[BatchRef]:
    lake.check()
    batches = published_batches(lake)
    if not batches:
        raise ConfigurationError(f"No manifest lies in {lake.root} yet: nothing was published there.")
    return batches


def _find(batches: list[BatchRef], wanted: str) -> BatchRef:
    validate_batch_id(wanted)
    for batch in batches:
        if batch.batch_id == wanted:
            return batch
    names = [batch.batch_id for batch in reversed(batches)]
    near = difflib.get_close_matches(wanted, names, n=5, cutoff=0.4) or names[:5]
    rest = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
    raise ConfigurationError(f"No batch '{wanted}' was published; there are {', '.join(near)}{rest}.")


def _show_batches(lake: Storage, batches: list[BatchRef], json_target: str | None) -> None:
    described = [_describe(lake, batch) for batch in batches]
    if json_target:
        _write_json(described, json_target)
        return
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
    table = read_columns(lake, batch.batch_date, batch.batch_id, columns)
    assert table is not None, "the batch was listed because it has a manifest"
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
    table = read_columns(lake, batch.batch_date, batch.batch_id, columns)
    assert table is not None, "the batch was listed because it has a manifest"
    if json_target:
        _write_json((_item(row) for block in table.to_batches(1000) for row in block.to_pylist()), json_target)
    else:
        print_items(table.to_pylist(), sys.stdout)


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


def _write_json(values: Iterable[dict], target: str) -> None:
    lines = (json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    if target == "-":
        sys.stdout.writelines(lines)
        return
    try:
        with Path(target).open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from error
