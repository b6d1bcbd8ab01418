"""From a template to an answer; templates escape everything, and no script or style stands in a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from tounum_airflow.web.access import is_approver, is_editor, is_trainer
from tounum_airflow.web.lake import Lake
from tounum_tasks.classify.labels import CLASSES

PREFIX = "/tounum"
FOLDER = Path(__file__).parent / "templates"


def lake_of(request: Request) -> Lake:
    """Return the lake that the application shows."""
    lake: Lake = request.app.state.lake
    return lake


def wants_html(request: Request) -> bool:
    """Whether a person's browser asks for a page, rather than a script or an image tag for something in it."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def base_of(request: Request) -> str:
    """Return the path of these pages, with whatever prefix Airflow lies behind."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def link(request: Request, page: str, values: Mapping[str, Any] | None = None, /, **more: Any) -> str:
    """Return the address of one of the pages; values that are empty are left out."""
    given = {name: value for name, value in {**(values or {}), **more}.items() if value not in (None, "", ())}
    query = f"?{urlencode(given, doseq=True)}" if given else ""
    return f"{base_of(request)}/{page}{query}"


def render(
    request: Request, template: str, *, title: str, user: Any = None, status: int = 200, **values: Any
) -> Response:
    """Return a page.

    Args:
        user: who looks; without one, nothing that only editors may do is shown.
    """
    base = base_of(request)
    content = ENVIRONMENT.get_template(template).render(
        base=base,
        airflow=base.removesuffix(PREFIX),
        title=title,
        user=user.get_name() if user else "",
        may_edit=bool(user) and is_editor(user),
        may_retrain=bool(user) and is_trainer(user),
        trouble=lake_of(request).trouble,
        may_promote=bool(user) and is_approver(user),
        classes=CLASSES,
        address=lambda page, values=None, /, **more: link(request, page, values, **more),
        **values,
    )
    return HTMLResponse(content, status)


def _quantity(number: int, unit: str, units: str | None = None) -> str:
    return f"{number:,} {unit if number == 1 else units or unit + 's'}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _duration(seconds: float | None) -> str:
    """Seconds as people say them: 40 s, 12 min, 3.5 h."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _bytes(number: float | None) -> str:
    if number is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {"quantity": _quantity, "percent": _percent, "duration": _duration, "bytes": _bytes}
