"""Nights: a row for each batch, newest first, and whether somebody has to look."""

from itertools import groupby
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from tounum_airflow.web.access import NIGHTLY
from tounum_airflow.web.asked import PAGE_SIZES
from tounum_airflow.web.places import Date
from tounum_airflow.web.render import lake_of, link, render
from tounum_tasks.search import query

router = APIRouter()

NIGHTS_AT_ONCE = 30
MAP_DIGITS = 9
OTHER_RUNS = ("cli__", "restore__")  # run ids of what was not a run of Airflow


@router.get("/")
def begin(request: Request) -> Response:
    """The first page."""
    return RedirectResponse(link(request, "nights"))


@router.get("/nights")
def nights(request: Request, user: GetUserDep, before: Date = "", run: str = "", dag: str = "") -> Response:
    """A row a batch; of one run only, in that run's tab."""
    lake = lake_of(request)
    with lake.index() as index:
        found = query.nights(index, NIGHTS_AT_ONCE, before)
        if run:
            found = query.batches_of_run(index, run) if dag in ("", NIGHTLY) else []
    batches = [describe(row, lake.settings.max_failure_rate) for row in found]
    days = [
        {"date": date, "batches": list(of_day)} for date, of_day in groupby(batches, lambda batch: batch["batch_date"])
    ]
    older = days[-1]["date"] if not run and len(days) == NIGHTS_AT_ONCE else ""
    return render(
        request, "nights.html", title="Nights", user=user, days=days, older=older, before=before, run=run, dag=dag,
        chart=sparkline([sum(batch["to_review"] for batch in day["batches"]) for day in reversed(days)]),
        times=sparkline([sum(batch["seconds"] for batch in day["batches"]) for day in reversed(days)]),
    )  # fmt: skip


def describe(row: Any, max_failure_rate: float) -> dict[str, Any]:
    """Return a batch with its verdict: whether it is red, and the sentence why."""
    batch = dict(row)
    lost = batch["quarantined"] + batch["failed"]
    sentence, is_red = "All images are there.", False
    if batch["fault"]:
        sentence, is_red = batch["fault"], True
    elif batch["items"] and lost / batch["items"] > max_failure_rate:
        sentence, is_red = (
            f"{lost:,} of {batch['items']:,} images have no result, more than {max_failure_rate:.0%}.",
            True,
        )
    elif lost:
        sentence = f"{lost:,} of {batch['items']:,} images have no result."
    is_airflows = bool(batch["run_id"]) and not batch["run_id"].startswith(OTHER_RUNS)
    return {**batch, "sentence": sentence, "is_red": is_red, "has_run": is_airflows}


def sparkline(values: list[float]) -> str:
    """Return the points of a line in a box of 100 x 24, oldest first; nothing for fewer than two values."""
    if len(values) < 2:
        return ""
    most = max(values) or 1
    step = 100 / (len(values) - 1)
    return " ".join(f"{number * step:.1f},{23 - 22 * value / most:.1f}" for number, value in enumerate(values))


@router.get("/task")
def task(request: Request, user: GetUserDep, run: str, dag: str = "", map: str = "") -> Response:
    """The images of a mapped task: those of its shard; of any other task, what its run published."""
    lake = lake_of(request)
    # Airflow leaves the place of an unmapped task's number as it is.
    if dag not in ("", NIGHTLY) or not map.isdecimal() or len(map) > MAP_DIGITS:
        return RedirectResponse(link(request, "nights", run=run, dag=dag))
    left = int(map)
    with lake.index() as index:
        for batch in query.batches_of_run(index, run):
            where = {"date": batch["batch_date"], "batch": batch["batch_id"]}
            shards = query.shards(index, batch["batch_date"], batch["batch_id"])
            if left < shards:
                return RedirectResponse(link(request, "gallery", where, shard=left, n=PAGE_SIZES[-1]))
            if not shards:  # its register is lost: nobody can tell whose number this is
                break
            left -= shards
    return RedirectResponse(link(request, "nights", run=run, dag=dag))
