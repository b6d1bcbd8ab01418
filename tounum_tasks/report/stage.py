"""Step report: one self-contained HTML page per run, in ``lake/reports``."""

import datetime as dt
import logging
import time

from tounum_tasks.plan import RunPlan
from tounum_tasks.report.examples import choose
from tounum_tasks.report.figures import read_figures
from tounum_tasks.report.page import render
from tounum_tasks.report.paths import report_path
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

log = logging.getLogger(__name__)


def run(plan: RunPlan, settings: Settings) -> dict:
    """Write the page of a run from the manifests of its batches; return its URL, size and the verdict."""
    started = time.monotonic()
    figures = read_figures(plan, settings)
    page = render(figures, choose(figures, settings), settings, made_at=dt.datetime.now(dt.UTC)).encode()
    lake = open_storage(settings.lake_root)
    path = report_path(plan.batch_date, plan.run_id)
    lake.write_bytes(path, page)
    log.info("%s Report: %s", figures.verdict.headline, lake.url(path))
    return {
        "uri": lake.url(path),
        "bytes": len(page),
        "verdict": figures.verdict.level,
        "headline": figures.verdict.headline,
        "seconds": round(time.monotonic() - started, 2),
    }
