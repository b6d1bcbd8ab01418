"""The application behind ``/tounum``: login on every address, one sentence for every error, and strict headers."""

import logging
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from tounum_airflow.web import changes, files, gallery, image, models, nights, quarantine, reviews, runs, samples
from tounum_airflow.web.access import may_read
from tounum_airflow.web.lake import Busy, Lake, NotReady
from tounum_airflow.web.render import lake_of, render, wants_html
from tounum_tasks.errors import ConfigurationError, TounumError
from tounum_tasks.search.index import is_damage
from tounum_tasks.settings import load_settings
from tounum_tasks.visible import one_line

log = logging.getLogger(__name__)

ROOMS = (nights, gallery, image, quarantine, reviews, samples, models, changes, runs, files)
POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_ROOM = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
)  # fmt: skip
SENTENCES = {
    401: "Your login has ended: reload this page (F5) and log in again.",
    403: "You may not do this: ask whoever runs Airflow for permission, as docs/pages.md says.",
    404: "There is no such page.",
    405: "This address does not take such a request.",
}


def create_app() -> FastAPI:
    """Return the application; the settings are read now."""
    app = FastAPI(title="TouNum", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[may_read])
    app.state.lake = Lake(load_settings())
    for room in ROOMS:
        app.include_router(room.router)
    app.middleware("http")(_with_headers)
    app.exception_handler(AnyHTTPException)(_refused)
    app.exception_handler(RequestValidationError)(_malformed)
    app.exception_handler(TounumError)(_wrong)
    app.exception_handler(Busy)(_busy)
    app.exception_handler(NotReady)(_not_ready)
    app.exception_handler(FileNotFoundError)(_not_ready)  # somebody deleted the index meanwhile
    app.exception_handler(sqlite3.DatabaseError)(_index_failed)
    app.exception_handler(subprocess.TimeoutExpired)(_too_long)
    app.exception_handler(Exception)(_failed)
    return app


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _refused(request: Request, error: HTTPException) -> Response:
    is_ours = error.detail and error.detail != HTTPStatus(error.status_code).phrase and error.status_code != 401
    is_airflows = error.status_code == 403 and error.detail == "Forbidden"
    sentence = error.detail if is_ours and not is_airflows else SENTENCES.get(error.status_code, error.detail)
    return _said(request, error.status_code, sentence)


def _malformed(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"][1:])
    return _said(request, 422, f"Wrong request: {where}: {first['msg'].removeprefix('Value error, ')}.")


def _wrong(request: Request, error: TounumError) -> Response:
    log.warning("%s", error)
    return _said(request, 422 if isinstance(error, ConfigurationError) else 500, str(error))


def _too_long(request: Request, error: subprocess.TimeoutExpired) -> Response:
    return _said(request, 504, "That took too long and was given up: try again when the machine has less to do.")


def _failed(request: Request, error: Exception) -> Response:
    response = _said(request, 500, "A fault of the program: please report it, with the log of the api-server.")
    response.headers.update(HEADERS)  # this answer does not pass the others' way
    return response


def _busy(request: Request, error: Exception) -> Response:
    saved = _saved(request)
    response = _said(request, 503, f"{saved}Others are waiting for slow work as well: {_again(saved)} in some seconds.")
    response.headers["Retry-After"] = "3"
    return response


def _index_failed(request: Request, error: sqlite3.DatabaseError) -> Response:
    if is_damage(error):
        lake_of(request).make_anew()
        return _not_ready(request, error)
    code, path = getattr(error, "sqlite_errorcode", 0) & 0xFF, lake_of(request).index_path
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _busy(request, error)
    if not path.exists():
        return _not_ready(request, error)
    log.error("The index of the pages, %s, cannot be used.", path, exc_info=error)
    if code not in NO_ROOM:
        return _failed(request, error)
    saved = _saved(request)
    wrong = f"{saved}The index of the pages, {path}, cannot be read or written ({error})"
    look = "see whether its disk is full or fails, and its permissions"
    return _said(request, 507, f"{wrong}: {look}, then {_again(saved)}.")


def _not_ready(request: Request, error: Exception) -> Response:
    if wants_html(request):
        return render(request, "waiting.html", title="One moment", status=503)
    saved = _saved(request)
    response = _said(request, 503, f"{saved}The index of the pages is being made: {_again(saved)} in some seconds.")
    response.headers["Retry-After"] = "3"
    return response


def _saved(request: Request) -> str:
    """What is said first if a correction is in the lake, and only the index, which follows the lake, has failed."""
    return "What you said is saved. " if getattr(request.state, "is_saved", False) else ""


def _again(saved: str) -> str:
    return "look at the image again" if saved else "try again"


def _said(request: Request, status: int, sentence: str) -> Response:
    sentence = one_line(sentence)  # it may name what somebody typed
    if wants_html(request):
        return render(request, "error.html", title="Sorry", sentence=sentence, status=status)
    return JSONResponse({"detail": sentence}, status)
