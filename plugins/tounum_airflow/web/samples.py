"""Samples: a few images of a batch, drawn by lot and looked at one by one, tell how many of all are wrong."""

import sqlite3
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from tounum_airflow.web.access import may_write
from tounum_airflow.web.lake import Lake
from tounum_airflow.web.places import Batch, Date, batch_at
from tounum_airflow.web.render import lake_of, link, render
from tounum_airflow.web.tiles import tiles
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.sample import Sample, SampledItem, draw, keep, kept, kept_one, size_for, told
from tounum_tasks.search import query
from tounum_tasks.search.index import Reader
from tounum_tasks.search.query import Filter
from tounum_tasks.search.reviewed import reviews_about

router = APIRouter()

AT_ONCE = 60
WIDTHS = (0.03, 0.05, 0.1)
ROWS_AT_ONCE = 10_000


class Wish(BaseModel):
    """How sure the rate is to be: to within so many points either way, if so many are wrong."""

    model_config = ConfigDict(extra="forbid")

    date: Annotated[str, Field(max_length=10)]
    batch: Annotated[str, Field(max_length=80)]
    within: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


@router.get("/sample")
def sample(
    request: Request, user: GetUserDep, date: Date, batch: Batch, sample_id: Annotated[str, Query(alias="id")] = ""
) -> Response:
    """The samples of a batch; one of them, to be looked at."""
    lake = lake_of(request)
    with lake.index() as index:
        described = batch_at(index, date, batch)
        population = sum(query.facets(index, Filter(date, date, batch)).get(f"class:{label}", 0) for label in CLASSES)
        drawn = [one for one in kept(lake.storage) if (one.batch_date, one.batch_id) == (date, batch)]
        chosen = next((one for one in drawn if one.sample_id == sample_id), None)
        if sample_id and chosen is None:
            raise HTTPException(404, f"There is no sample {sample_id} of this batch.")
        shown, said, left = _looked_through(request, index, chosen)
    sizes = [(width, size_for(population, width).images) for width in WIDTHS] if population else []
    return render(
        request, "sample.html", title="Sample", user=user, batch=dict(described), drawn=drawn, chosen=chosen,
        population=population, tiles=shown, said=said, left=left, sizes=sizes, where={"date": date, "batch": batch},
    )  # fmt: skip


@router.post("/samples", dependencies=[*may_write])
def draw_sample(request: Request, body: Wish) -> Response:
    """Draw a sample and keep it; answers where it is looked at."""
    lake = lake_of(request)
    with lake.index() as index:
        described = batch_at(index, body.date, body.batch)
        images = list(_images(index, Filter(body.date, body.date, body.batch)))
    try:
        size = size_for(len(images), body.within)
        drawn = draw((body.date, body.batch), described["manifest_version"], size.images, images)
    except ConfigurationError as error:
        raise HTTPException(422, str(error)) from None
    if all(one.sample_id != drawn.sample_id for one in kept(lake.storage)):
        keep(lake.storage, drawn, Effective())
    address = link(request, "sample", {"date": body.date, "batch": body.batch, "id": drawn.sample_id})
    return JSONResponse({"detail": size.sentence, "address": address})


def keep_outcome(lake: Lake, index: sqlite3.Connection, sample_id: str) -> None:
    """Keep with a sample what its reviews say now.

    Raises:
        ConfigurationError: there is no such sample.
    """
    found = kept_one(lake.storage, sample_id)
    keep(lake.storage, found, Effective(reviews_about(index, _rows(index, found))))


def _images(index: Reader, wanted: Filter) -> list[SampledItem]:
    found: list[SampledItem] = []
    after = None
    while rows := query.page(index, wanted, ROWS_AT_ONCE, after=after):
        after = rows[-1]["id"]
        found += [
            SampledItem(
                source_path=row["source_path"], page=row["page"], image_id=row["image_id"], label=row["label"],
                caption=row["caption"],
            )
            for row in rows
            if row["label"]
        ]  # fmt: skip
    return found


def _rows(index: sqlite3.Connection, sample: Sample) -> list[sqlite3.Row]:
    found = (
        query.find(index, sample.batch_date, sample.batch_id, item.source_path, item.page) for item in sample.items
    )
    return [row for row in found if row is not None]


def _looked_through(
    request: Request, index: sqlite3.Connection, chosen: Sample | None
) -> tuple[list[dict[str, Any]], list[str], int]:
    """The tiles at which nobody has looked yet, what the others say, and how many are left."""
    if chosen is None:
        return [], [], 0
    rows = _rows(index, chosen)
    reviews = Effective(reviews_about(index, rows))
    outcome = chosen.judged(reviews)
    left = {(item.source_path, item.page) for item in chosen.left(reviews)}
    open_rows = [row for row in rows if (row["source_path"], row["page"]) in left]
    said = [told(outcome.classes, "class"), told(outcome.captions, "caption")]
    return tiles(request, index, open_rows[:AT_ONCE], {}), said, len(left)
