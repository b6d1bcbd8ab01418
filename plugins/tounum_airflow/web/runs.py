"""Runs: the dialogs that start one. They speak to Airflow's own API with the person's own login."""

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Request
from fastapi.responses import Response

from tounum_airflow.web.places import Batch, Date
from tounum_airflow.web.render import lake_of, render

router = APIRouter()


@router.get("/runs")
def runs(request: Request, user: GetUserDep, date: Date = "", batch: Batch = "") -> Response:
    """What can be started, with what the page before has chosen filled in."""
    settings = lake_of(request).settings
    return render(
        request, "runs.html", title="Runs", user=user, date=date, batch=batch, settings=settings,
    )  # fmt: skip
