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
        request, "runs.html", title="Runs", user=user, date=date, batch=batch,
        schedule=said_schedule(settings.schedule, settings.timezone),
    )  # fmt: skip


def said_schedule(cron: str, timezone: str) -> str:
    """Return when a schedule runs as people say it, where it is once a day; otherwise as it is written."""
    minute, hour, *rest = [*cron.split(), "", ""][:5]
    if minute.isdecimal() and hour.isdecimal() and rest == ["*", "*", "*"]:
        return f"every day at {int(hour):02}:{int(minute):02}, {timezone}"
    return f"{cron}, {timezone}"
