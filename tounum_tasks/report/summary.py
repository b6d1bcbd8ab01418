"""What a person reads at the end of a run in a terminal: every item's fate, totals, and where the results lie."""

import sys
from typing import TextIO

import pyarrow as pa
import pyarrow.compute as pc

from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.manifest.read import manifest_path
from tounum_tasks.manifest.schema import STATUS_OK, STATUS_QUARANTINED
from tounum_tasks.pages.terminal import ITEM_COLUMNS, print_items
from tounum_tasks.pages.wording import count, visible
from tounum_tasks.plan import RunPlan
from tounum_tasks.report.figures import BatchFigures, RunFigures, read_figures
from tounum_tasks.report.paths import report_path
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

MAX_LINES = 500


def print_run(plan: RunPlan, settings: Settings, file: TextIO | None = None) -> None:
    """Print the outcome of a run to ``file`` (standard output if None).

    Of batches with more than MAX_LINES items, those without a result come first, and the rest is counted.
    """
    file = file or sys.stdout
    figures = read_figures(plan, settings)
    for batch in figures.batches:
        _print_batch(batch, settings, file)
    for sentence in (*plan.waiting, *plan.left_behind):
        print(visible(sentence), file=file)
    print(f"{figures.verdict.word}. {figures.verdict.headline}", file=file)
    for sentence in figures.verdict.sentences:
        print(f"  {visible(sentence)}", file=file)
    if figures.batches:
        _print_totals(figures, file)
    _print_places(figures, settings, file)


def _print_batch(batch: BatchFigures, settings: Settings, file: TextIO) -> None:
    ref = batch.plan
    print(f"Batch {visible(batch.name)} ({ref.batch_id}) of {ref.batch_date}", file=file)
    lake, is_missing = open_storage(settings.lake_root), batch.outcome == "missing"
    table = None if is_missing else read_columns(lake, ref.batch_date, ref.batch_id, ITEM_COLUMNS)
    if table is None:
        print("  no manifest was published, or it cannot be read", file=file)
    else:
        print_items(_most_important(table).to_pylist(), file)
        if table.num_rows > MAX_LINES:
            rest = count(table.num_rows - MAX_LINES, "more image")
            print(f"… and {rest}: python -m tounum_tasks show --batch {ref.batch_id}", file=file)
    print(file=file)


def _most_important(table: pa.Table) -> pa.Table:
    if table.num_rows <= MAX_LINES:
        return table
    good = pc.equal(table["status"], STATUS_OK)
    return pa.concat_tables([table.filter(pc.invert(good)), table.filter(good)]).slice(0, MAX_LINES)


def _print_totals(figures: RunFigures, file: TextIO) -> None:
    classes = ", ".join(f"{label} {number:,}" for label, number in figures.classes.items() if number)
    print(f"  Classes: {classes or 'none'}", file=file)
    print(
        f"  Enhanced: {figures.enhanced:,}; captioned: {figures.captioned:,}; "
        f"to be reviewed: {figures.needing_review:,}",
        file=file,
    )


def _print_places(figures: RunFigures, settings: Settings, file: TextIO) -> None:
    lake = open_storage(settings.lake_root)
    path = report_path(figures.plan.batch_date, figures.plan.run_id)
    has_report = lake.exists(path)
    if figures.batches or has_report:
        print("Where the results lie:", file=file)
    for batch in figures.batches:
        ref = batch.plan
        if batch.outcome != "missing":
            _print_place("manifest", lake.url(manifest_path(ref.batch_date, ref.batch_id)), file)
    for batch in figures.batches:
        if pc.any(pc.equal(batch.table["label"], PHOTO)).as_py():
            _print_place("photos", lake.url(f"photos/{batch.plan.batch_date}/{batch.plan.batch_id}"), file)
    if any(number for label, number in figures.classes.items() if label != PHOTO):
        _print_place("non-photos", settings.non_photos_root, file)
    if figures.statuses[STATUS_QUARANTINED]:
        _print_place("quarantine", settings.quarantine_root, file)
    if has_report:
        _print_place("report", lake.url(path), file)


def _print_place(what: str, url: str, file: TextIO) -> None:
    print(f"  {what:<11} {url.removeprefix('file://')}", file=file)
