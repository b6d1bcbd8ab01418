"""The HTML page of a run: what the template needs, prepared and bounded."""

import datetime as dt
from collections.abc import Sequence
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tounum_tasks.manifest.published import read_columns
from tounum_tasks.manifest.schema import STATUS_OK
from tounum_tasks.pages import plots, wording
from tounum_tasks.report.examples import Examples
from tounum_tasks.report.figures import METRICS, RunFigures, evenly, numbers
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

MAX_FLAGGED = 3  # images with each flag of the page
MAX_FAILURES = 100
MAX_BATCHES = 40
MAX_SENTENCES = 50
MAX_OPERATIONS = 8
MAX_POINTS = 400

METRIC_WORDS = {
    "blur_laplacian_var": ("Sharpness", "variance of the Laplacian, log scale", "more is sharper"),
    "noise_sigma": ("Noise", "estimated noise in grey levels", "less is cleaner"),
}


def render(figures: RunFigures, examples: Examples, settings: Settings, *, made_at: dt.datetime) -> str:
    """Return the page as one HTML document without external resources or scripts."""
    plan = figures.plan
    zone = ZoneInfo(settings.timezone)
    return _environment().get_template("report.html").render(
        figures=figures,
        plan=plan,
        verdict=figures.verdict,
        batches=figures.batches[:MAX_BATCHES],
        routes=figures.routes(settings),
        failures=_failures(figures, settings),
        failure_count=sum(batch.table.num_rows - batch.statuses[STATUS_OK] for batch in figures.batches),
        metrics=METRIC_WORDS,
        plots=[plot for metric in METRICS for plot in _plots(figures, metric)],
        flags=_flags(figures),
        page_flags=figures.page_flags,
        flagged=_flagged(figures, settings),
        described=figures.described,
        operations=figures.operations[:MAX_OPERATIONS],
        examples=examples,
        waiting=plan.waiting[:MAX_SENTENCES],
        left_behind=plan.left_behind[:MAX_SENTENCES],
        started_at=plan.started_at.astimezone(zone),
        made_at=made_at.astimezone(zone),
        elapsed=max((made_at - plan.started_at).total_seconds(), 0),
        roots=settings,
    )  # fmt: skip


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tounum_tasks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        visible=wording.visible,
        quantity=wording.quantity,
        percent=wording.percent,
        duration=wording.duration,
        place=wording.place,
        why=wording.review_reasons,
        name=_name,
    )
    environment.globals.update(count=wording.count, certainty=wording.certainty)
    return environment


def _name(text: object) -> Markup:
    """Mark up a name or text that came from outside: escaped, visible, and its direction kept to itself."""
    return Markup("<bdi>{}</bdi>").format(wording.visible(text))


def _failures(figures: RunFigures, settings: Settings) -> list[dict]:
    """Return the first items without a result, with what a person needs to act on them."""
    lake = open_storage(settings.lake_root)
    columns = (
        "batch_id", "source_path", "page", "pages", "status", "error_code", "error_message", "destination_uri",
        "original_uri",
    )  # fmt: skip
    found: list[dict] = []
    for batch in figures.batches:
        if len(found) == MAX_FAILURES or batch.table.num_rows == batch.statuses[STATUS_OK]:
            continue
        table = read_columns(lake, batch.plan.batch_date, batch.plan.batch_id, columns)
        if table is not None:
            bad = table.filter(pc.not_equal(table["status"], STATUS_OK))
            found.extend(bad.slice(0, MAX_FAILURES - len(found)).to_pylist())
    return found


def _flagged(figures: RunFigures, settings: Settings) -> list[tuple[dict, dict]]:
    """Return the first images with each flag of the page, and that flag with its score, threshold and reason."""
    lake = open_storage(settings.lake_root)
    columns = ("batch_id", "source_path", "page", "pages", "page_flags")
    found: dict[str, list[tuple[dict, dict]]] = {name: [] for name, _ in figures.page_flags}
    for batch in figures.batches:
        if all(len(images) == MAX_FLAGGED for images in found.values()):
            break
        table = read_columns(lake, batch.plan.batch_date, batch.plan.batch_id, columns)
        if table is None:
            continue
        for row in table.filter(pc.greater(pc.list_value_length(table["page_flags"]), 0)).to_pylist():
            for flag in row["page_flags"]:
                images = found.setdefault(flag["flag"], [])
                if len(images) < MAX_FLAGGED:
                    images.append((row, flag))
    return [one for images in found.values() for one in images]


def _flags(figures: RunFigures) -> list[tuple[str, int, int]]:
    """Return (flag, images before, images after), the most frequent first."""
    before, after = figures.flags("before"), figures.flags("after")
    names = sorted(before.keys() | after.keys(), key=lambda flag: (-before[flag], flag))
    return [(flag, before[flag], after[flag]) for flag in names]


def _plots(figures: RunFigures, metric: str) -> list[plots.Plot]:
    title, unit, _ = METRIC_WORDS[metric]
    log = metric == "blur_laplacian_var"
    table = figures.table
    before, after = (numbers(table[f"{metric}_{when}"]) for when in ("before", "after"))
    if not len(before) or not len(after):
        return []
    drawn = [plots.distribution(before, after, title=f"{title} of all images", unit=unit, log=log)]
    changed = _changed(table, metric)
    if changed.num_rows:
        drawn.append(
            plots.change(
                numbers(changed[f"{metric}_before"]),
                numbers(changed[f"{metric}_after"]),
                changed["label"].to_pylist(),
                title=f"{title} of the images that were changed",
                unit=unit,
                log=log,
                better="above" if log else "below",
            )
        )
    return drawn


def _changed(table: pa.Table, metric: str) -> pa.Table:
    """Return at most MAX_POINTS images that were changed and have the metric before and after."""
    columns = table.select([f"{metric}_before", f"{metric}_after", "label", "enhancement_accepted"])
    changed = columns.filter(columns["enhancement_accepted"])
    finite = pc.and_kleene(
        pc.is_finite(changed[f"{metric}_before"]), pc.is_finite(changed[f"{metric}_after"])
    ).fill_null(False)
    indices: Sequence[int] = np.flatnonzero(finite.to_numpy()).tolist()
    return changed.take(pa.array(evenly(indices, MAX_POINTS), pa.int64()))
