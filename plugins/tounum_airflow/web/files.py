"""Files behind the pages: thumbnails, larger views, originals, and the pages' own scripts and styles."""

import hashlib
import logging
import mimetypes
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from tounum_airflow.web.lake import Lake, command, last_line
from tounum_airflow.web.places import AskedPlace, Batch, Date, Place, batch_at
from tounum_airflow.web.render import lake_of
from tounum_tasks.errors import TounumError
from tounum_tasks.names import validate_relative_path
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.thumbnails import attention_path, read_thumbnail

log = logging.getLogger(__name__)
router = APIRouter()

STATIC = {path.name: path for path in (Path(__file__).parent / "static").iterdir()}
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
# What comes from outside may be anything: no script in it runs, and no browser takes it for what it is not.
UNTRUSTED = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
SHOWN_BY_BROWSERS = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
PLAIN_MODES = ("rgb", "grey")
LARGEST_AS_IT_IS = 20_000_000  # bytes
VIEW_PX = 4000
KEPT_VIEWS = 300
CHUNK = 1 << 20

_making: set[tuple[str, str]] = set()
_making_lock = threading.Lock()


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """A script, a style sheet or an icon of the pages."""
    path = STATIC.get(name)
    if path is None:
        raise HTTPException(404)
    content = path.read_bytes()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _cached(request, content, kind, {"Cache-Control": "private, max-age=300"})


@router.get("/thumbnail/{image_id}")
def thumbnail(request: Request, image_id: str, date: Date, batch: Batch) -> Response:
    """The thumbnail of an image; where the lake has none, 404 until a process of its own has made it."""
    lake = lake_of(request)
    content = read_thumbnail(lake.storage, image_id)
    if content is None:
        with lake.index() as index:
            batch_at(index, date, batch)
        _make_thumbnails(lake, date, batch)
        raise HTTPException(404, "The thumbnail is being made: ask again in some seconds.")
    return _cached(request, content, "image/webp", {**UNTRUSTED, **FOREVER})


@router.get("/attention/{image_id}")
def attention(request: Request, image_id: str, place: AskedPlace) -> Response:
    """Where each word of a caption looked: a PNG strip, a square of 8 x 8 grey levels a word."""
    lake = lake_of(request)
    with lake.index() as index:
        row = place.row(index)
    if "fingerprint_caption" not in row:
        raise HTTPException(404)
    strip = attention_path(image_id, row["fingerprint_caption"])
    try:
        content = lake.storage.read_bytes(strip)
    except FileNotFoundError:
        done = lake.run("thumbnail", *place.options, "--attention")
        if done.returncode:
            raise HTTPException(404, last_line(done, "It cannot be shown.")) from None
        content = lake.storage.read_bytes(strip)
    return _cached(request, content, "image/png", {**UNTRUSTED, **FOREVER})


@router.get("/view")
def view(
    request: Request,
    place: AskedPlace,
    which: Literal["before", "after"] = "before",
) -> Response:
    """A page as it came or as it was enhanced, in its own size where a browser can show that."""
    lake = lake_of(request)
    with lake.index() as index:
        row = place.row(index)
    if row["status"] != "ok":
        raise HTTPException(404, "This page could not be read, so there is nothing to show.")
    is_enhanced = which == "after" and bool(row.get("is_photo") and row.get("enhancement_accepted"))
    uri = row["destination_uri"] if is_enhanced else row["original_uri"]
    if _is_plain(row):
        found = _located(lake, uri)
        if found is not None:
            return _streamed(*found, {**UNTRUSTED, "Cache-Control": "private, max-age=300"}, _kind(uri, row))
    return _cached(request, _made_view(lake, place, row, is_enhanced), "image/webp", UNTRUSTED)


@router.get("/original")
def original(request: Request, place: AskedPlace) -> Response:
    """The file as it came, to be kept."""
    lake = lake_of(request)
    with lake.index() as index:
        row = place.row(index)
    found = _located(lake, row["original_uri"])
    if found is None:
        raise HTTPException(404, f"{place.path} is not in the lake any more: restore it from a backup.")
    name = quote(place.path.rpartition("/")[2])
    headers = {**UNTRUSTED, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return _streamed(*found, headers, "application/octet-stream")


def _is_plain(row: dict[str, Any]) -> bool:
    """Whether browsers show the file as the pipeline sees it."""
    return (
        row.get("format") in SHOWN_BY_BROWSERS
        and row.get("pages", 1) == 1
        and row.get("colour_mode") in PLAIN_MODES
        and row.get("bit_depth") == 8
        and row.get("bytes", 0) <= LARGEST_AS_IT_IS
    )


def _kind(uri: str, row: dict[str, Any]) -> str:
    return SHOWN_BY_BROWSERS[row["format"]] if uri == row["original_uri"] else mimetypes.guess_type(uri)[0] or ""


def _located(lake: Lake, uri: str) -> tuple[Storage, str, int] | None:
    """The storage, path and size of a file that a row names; None if it is gone or lies elsewhere."""
    for root in (lake.settings.lake_root, lake.settings.non_photos_root, lake.settings.quarantine_root):
        if not uri.startswith(f"{root}/"):
            continue
        storage = open_storage(root)
        try:
            path = validate_relative_path(storage.relative(uri))
            return storage, path, storage.entry(path).size
        except (FileNotFoundError, TounumError) as error:
            log.warning("%s cannot be shown: %s", uri, error)
    return None


def _streamed(storage: Storage, path: str, size: int, headers: dict[str, str], kind: str) -> Response:
    return StreamingResponse(
        _chunks(storage.open(path)), media_type=kind, headers={**headers, "Content-Length": str(size)}
    )


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _cached(request: Request, content: bytes, kind: str, headers: dict[str, str]) -> Response:
    """An answer with an ETag, or 304 if the browser has it."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**headers, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _made_view(lake: Lake, place: Place, row: dict[str, Any], is_enhanced: bool) -> bytes:
    """A view that a process of its own makes through the decoders and limits of a run; it is kept a while."""
    folder = Path(lake.settings.index_cache) / "views"
    about = f"{row['image_id']} {is_enhanced} {row.get('fingerprint_measure_and_enhance')}"
    path = folder / f"{hashlib.sha256(about.encode()).hexdigest()}.webp"
    try:
        os.utime(path)  # looked at just now: the last to go
        return path.read_bytes()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    enhanced = ["--enhanced"] if is_enhanced else []
    done = lake.run("thumbnail", *place.options, *enhanced, "--size", str(VIEW_PX), str(path))
    if done.returncode:
        raise HTTPException(404, last_line(done, "It cannot be shown."))
    _keep_newest(folder)
    return path.read_bytes()


def _keep_newest(folder: Path) -> None:
    kept = sorted(folder.glob("*.webp"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT_VIEWS:]:
        path.unlink(missing_ok=True)


def _make_thumbnails(lake: Lake, date: str, batch: str) -> None:
    """Have the missing thumbnails of a batch made, one batch at a time, without anybody waiting for it."""
    with _making_lock:
        if _making:
            return
        _making.add((date, batch))
    threading.Thread(target=_run_thumbnails, args=(date, batch), daemon=True).start()


def _run_thumbnails(date: str, batch: str) -> None:
    try:
        subprocess.run(
            command("thumbnail", "--batch-date", date, "--batch", batch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
    finally:
        with _making_lock:
            _making.discard((date, batch))
