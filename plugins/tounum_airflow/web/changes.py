"""After a retrain: which nights have been worked on again, and what that changed, image by image."""

import json
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from tounum_airflow.web.access import may_write
from tounum_airflow.web.lake import last_line
from tounum_airflow.web.places import Batch, Date, Place, batch_at
from tounum_airflow.web.render import lake_of, link, render
from tounum_airflow.web.tiles import picture_link
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.search import query

router = APIRouter()

AT_ONCE = 100
MOST_NIGHTS = 1000
NONE = "none"


@router.get("/changes")
def changes(
    request: Request,
    user: GetUserDep,
    date: Date = "",
    batch: Batch = "",
    first: Annotated[int | None, Query(alias="from", ge=1)] = None,
    last: Annotated[int | None, Query(alias="to", ge=1)] = None,
    skip: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Dates done and left; of one batch, what changed between two of its versions."""
    if not batch:
        return _progress(request, user)
    with lake_of(request).index() as index:
        batch_at(index, date, batch)
        summary, items = _difference(request, date, batch, first, last)
        shown = items[skip : skip + AT_ONCE]
        for item in shown:
            place = Place(date, batch, item["path"], item["page"])
            found = query.find(index, place.date, place.batch, place.path, place.page)
            item["href"] = link(request, "image", place.key)
            item["thumbnail"] = picture_link(request, found) if found is not None else ""
    matrix = _matrix(items)
    return render(
        request, "changes.html", title="What changed", user=user, date=date, batch=batch, summary=summary,
        items=shown, number=len(items), skip=skip, at_once=AT_ONCE, versions=_versions(request, date, batch),
        matrix=matrix, moved=any(sum(counts) for _, counts in matrix), labels=(*CLASSES, NONE), first=first, last=last,
    )  # fmt: skip


def _progress(request: Request, user: Any) -> Response:
    """Which batches were made with the models in production, and which are left."""
    with lake_of(request).index() as index:
        batches = [dict(row) for row in query.nights(index, MOST_NIGHTS)]
        wanted = _wanted(index)
    for row in batches:
        row["outdated"] = outdated(row["models"], wanted)
    done = sum(not row["outdated"] for row in batches)
    return render(
        request, "retrained.html", title="After a retrain", user=user, batches=batches, wanted=wanted, done=done
    )


class Restore(BaseModel):
    """Which version of a batch is to be current again; a dry one only says what that would do."""

    model_config = ConfigDict(extra="forbid")

    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    batch: Annotated[str, Field(pattern="^[a-z0-9-]{1,80}$")]
    version: Annotated[int, Field(ge=1)]
    dry: bool = True


@router.post("/restores", dependencies=[*may_write])
def restore(request: Request, body: Restore) -> Response:
    """Go back to an earlier version of a batch; what people said is laid over it again."""
    lake = lake_of(request)
    dry = ["--dry-run"] if body.dry else []
    done = lake.run("restore", "--batch", body.batch, "--version", str(body.version), *dry)
    if done.returncode:
        raise HTTPException(409, last_line(done, "It could not be restored; the log of the api-server says why."))
    if not body.dry:
        lake.refresh_now()
    return JSONResponse({"detail": done.stdout.strip()})


def _wanted(index: Any) -> dict[str, str]:
    """The versions in production, by model, as far as rows name them."""
    rows = index.execute("SELECT name, version FROM models WHERE in_production")
    return {row["name"]: row["version"] for row in rows}


def outdated(models: str | None, wanted: dict[str, str]) -> list[str]:
    """Return what a batch was made with that is not in production: ``captioner starter-7``.

    Args:
        models: of the batch, as the index has them: JSON of the names that its manifest gives each model.
        wanted: the versions in production, by model.
    """
    used = json.loads(models or "{}")
    made_with = [(name, full.partition("@")[0]) for name, versions in used.items() for full in versions]
    return [f"{name} {version}" for name, version in made_with if name in wanted and version != wanted[name]]


def _difference(
    request: Request, date: str, batch: str, first: int | None, last: int | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary and the items that changed, as the command ``diff`` finds them."""
    between = [*(["--from", str(first)] if first else []), *(["--to", str(last)] if last else [])]
    done = lake_of(request).run("diff", "--batch", batch, *between, "--json", "-")
    if done.returncode:
        raise HTTPException(404, last_line(done, "The versions cannot be compared."))
    found = [json.loads(line) for line in done.stdout.splitlines() if line]
    return found[-1]["summary"], found[:-1]


def _versions(request: Request, date: str, batch: str) -> list[int]:
    names = [entry.name for entry in lake_of(request).storage.list_folder(f"manifests_history/{date}/{batch}")]
    return sorted((int(name.split(".")[0]) for name in names if name.split(".")[0].isdecimal()), reverse=True)


def _matrix(items: list[dict[str, Any]]) -> list[tuple[str, list[int]]]:
    """How many images went from which class to which."""
    labels = (*CLASSES, NONE)
    counts = dict.fromkeys(((before, after) for before in labels for after in labels), 0)
    for item in items:
        if "label" in item["before"] or "label" in item["after"]:
            counts[(item["before"].get("label") or NONE, item["after"].get("label") or NONE)] += 1
    return [(before, [counts[before, after] for after in labels]) for before in labels]
