"""Tables for people at a terminal: fitted to its width there, plain and complete lines anywhere else."""

from collections.abc import Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tounum_tasks.manifest.schema import STATUS_FAILED, STATUS_OK, STATUS_QUARANTINED
from tounum_tasks.manifest.sources import BY_PERSON
from tounum_tasks.page_flags.flags import names_of
from tounum_tasks.pages.wording import visible

# What print_items needs of a manifest.
ITEM_COLUMNS = (
    "source_path",
    "page",
    "pages",
    "status",
    "label",
    "label_source",
    "confidence",
    "needs_review",
    "review_reasons",
    "quality_flags_before",
    "page_flags",
    "enhancement_accepted",
    "enhancement_operations",
    "caption",
    "error_code",
    "error_message",
    "sidecars",
    "duplicate_of",
    "duplicate_of_batch",
    "near_duplicate_of",
    "near_duplicate_of_batch",
)
_STYLES = {STATUS_OK: "green", STATUS_QUARANTINED: "yellow", STATUS_FAILED: "red"}
# Never broken, so that what is searched for and counted stays in one piece.
_UNBROKEN = ("Date", "Status", "Class")
# Longer cells push their own line out, not all the others.
_WIDEST_PADDING = 60


def print_items(rows: Sequence[dict], file: TextIO) -> None:
    """Print one entry per item; ``rows`` have :data:`ITEM_COLUMNS`.

    A terminal is too narrow for six columns of text: there, flags and enhancement stand below the caption.
    """
    cells = [_item_cells(row) for row in rows]
    if not file.isatty():
        headings = ("Image", "Status", "Class", "Flags", "Enhancement", "Caption or error")
        print_table(headings, cells, file)
        return
    stacked = []
    for path, status, label, flags, operations, words in cells:
        notes = " → ".join(part for part in (flags, operations) if part)
        stacked.append((path, status, label, words, notes))
    print_table(("Image", "Status", "Class", "Caption or error"), stacked, file)


def _item_cells(row: dict) -> tuple[str, ...]:
    page = f" (page {row['page']} of {row['pages']})" if row["pages"] > 1 else ""
    label = row["label"] or ""
    if label:
        label += " by a person" if row["label_source"] == BY_PERSON else f" {row['confidence']:.0%}"
    reasons = ["review " + "+".join(row["review_reasons"] or ["class"])] if row["needs_review"] else []
    beside = [f"with {sidecar}" for sidecar in row["sidecars"] or ()]
    flags = [*reasons, *(row["quality_flags_before"] or ()), *names_of(row["page_flags"]), *beside, *_repeats(row)]
    operations = (row["enhancement_operations"] or ()) if row["enhancement_accepted"] else ()
    if row["status"] == STATUS_OK:
        words = row["caption"] or ""
    else:
        words = f"{row['error_code'] or 'unknown'}: {row['error_message'] or 'no reason was given'}"
    return row["source_path"] + page, row["status"], label, ", ".join(flags), ", ".join(operations), words


def _repeats(row: dict) -> list[str]:
    """What an image repeats, in words."""
    told = []
    for column, words in (("duplicate_of", "same file as"), ("near_duplicate_of", "looks like")):
        if row[column]:
            where = f" of {row[f'{column}_batch']}" if row[f"{column}_batch"] else ""
            told.append(f"{words} {row[column]}{where}")
    return told


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], file: TextIO, numeric: Sequence[str] = ()
) -> None:
    """Print a table; the columns named in ``numeric`` are aligned to the right.

    On a terminal a row may have cells beyond the headings: they go below its last column.
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    right = [heading in numeric for heading in headings]
    if file.isatty():
        _print_fitted(headings, cells, right, file)
    else:
        _print_plain(headings, cells, right, file)


def _print_fitted(headings: Sequence[str], rows: list[list[str]], right: list[bool], file: TextIO) -> None:
    """Fold cells into the width of the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, to_the_right in zip(headings, right, strict=True):
        fixed = to_the_right or heading in _UNBROKEN
        table.add_column(Text(heading), justify="right" if to_the_right else "left", no_wrap=fixed, overflow="fold")
    for row in rows:
        texts = [Text(cell, style=_STYLES.get(cell, "")) for cell in row]
        for note in texts[len(headings) :]:
            if note:
                last = texts[len(headings) - 1]
                last.append("\n" if last else "").append(note.plain, style="dim")
        table.add_row(*texts[: len(headings)])
    Console(file=file, highlight=False, emoji=False).print(table)


def _print_plain(headings: Sequence[str], rows: list[list[str]], right: list[bool], file: TextIO) -> None:
    lines = [list(headings), *rows]
    widths = [min(max(map(cell_len, column)), _WIDEST_PADDING) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = []
        for cell, width, to_the_right in zip(line, widths, right, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if to_the_right else cell + space)
        print("  ".join(padded).rstrip(), file=file)
