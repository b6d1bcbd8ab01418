"""Corrections: what a person says of images is written to the lake and laid over the pages at once."""

import datetime as dt
import sqlite3
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tounum_airflow.web.access import may_write
from tounum_airflow.web.lake import Lake
from tounum_airflow.web.places import Place
from tounum_airflow.web.render import lake_of
from tounum_airflow.web.samples import keep_outcome
from tounum_airflow.web.tiles import seen
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import REVIEW_ID, Chain, Mark, Review, make_review, new_review_id, said
from tounum_tasks.reviews.sample import kept_one
from tounum_tasks.reviews.store import ReviewConflict
from tounum_tasks.reviews.text import compacted_names
from tounum_tasks.search import query
from tounum_tasks.search.index import transaction
from tounum_tasks.search.reviewed import reviews_about, take_reviews

router = APIRouter()


def _review_id(value: str) -> str:
    try:
        new_review_id(after=value)
    except (ValueError, OverflowError):
        raise ValueError(f"'{value}' is no review: look at the image again") from None
    return value


ReviewId = Annotated[str, Field(pattern=f"^{REVIEW_ID.pattern}$"), AfterValidator(_review_id)]


class ItemKey(BaseModel):
    """An item, and the review in force that its page showed for the mark; none if there was none."""

    model_config = ConfigDict(extra="forbid")

    date: Annotated[str, Field(max_length=10)]
    batch: Annotated[str, Field(max_length=80)]
    path: Annotated[str, Field(max_length=2000)]
    page: Annotated[int, Field(ge=1, lt=1 << 31)]
    saw: dict[Mark, ReviewId] = {}

    @property
    def place(self) -> Place:
        """Where the item lies."""
        return Place(self.date, self.batch, self.path, self.page)


class Said(BaseModel):
    """What a person says of some items.

    Attributes:
        value: the class, or the caption; the other marks have none.
        undo: take back what is in force instead.
        sample: the random sample that the images are looked at for.
    """

    model_config = ConfigDict(extra="forbid")

    mark: Mark
    value: Annotated[str | None, Field(max_length=2000)] = None
    undo: bool = False
    sample: Annotated[str | None, Field(max_length=100)] = None
    items: Annotated[list[ItemKey], Field(min_length=1, max_length=200)]


@router.post("/reviews", dependencies=[*may_write])
def review(request: Request, body: Said, user: GetUserDep) -> Response:
    """Write a review for each item; say what came of each.

    Answers 409 if others were faster with every one of them, 200 if at least one was written.
    """
    lake = lake_of(request)
    _know_what_was_compacted(lake)
    with lake.index_to_write() as index:
        try:
            if body.sample:
                kept_one(lake.storage, body.sample)
            made = [_made(body, key, _item(index, key), user.get_name()) for key in body.items]
        except ConfigurationError as error:
            raise HTTPException(422, str(error)) from None
        conflicts = _add(request, index, made)
        if body.sample:
            keep_outcome(lake, index, body.sample)
        outcomes = [
            {"item": key.model_dump(exclude={"saw"}), **conflicts.get(review.chain, {}), **_now(index, key)}
            for key, review in zip(body.items, made, strict=True)
        ]
    is_lost = all("conflict" in outcome for outcome in outcomes)
    detail = outcomes[0]["conflict"] if is_lost else ""
    return JSONResponse({"detail": detail, "items": outcomes}, 409 if is_lost else 200)


def _item(index: sqlite3.Connection, key: ItemKey) -> tuple[sqlite3.Row, dict[str, Any]]:
    item = key.place.item(index)
    return item, query.row_of(index, item["id"])


def _add(request: Request, index: sqlite3.Connection, made: list[Review]) -> dict[Chain, dict[str, str]]:
    """Write reviews to the lake and the index; return what others said first, by chain."""
    said: dict[Chain, Review] = {}  # of two copies in one selection, one says it
    conflicts: dict[Chain, dict[str, str]] = {}
    try:
        for review in made:
            if review.chain in said:
                continue
            try:
                lake_of(request).reviews.add(review)
                said[review.chain] = review
                request.state.is_saved = True  # also if the index fails from now on
            except ReviewConflict as conflict:
                said[review.chain] = conflict.other
                conflicts[review.chain] = {"conflict": str(conflict)}
    finally:  # what is written is shown, also when storage fails half way
        with transaction(index):
            take_reviews(index, said.values())
    return conflicts


def _made(body: Said, key: ItemKey, found: tuple[sqlite3.Row, dict[str, Any]], author: str) -> Review:
    item, stored = found
    saw = key.saw.get(body.mark)
    if body.undo and saw is None:
        raise ConfigurationError("There is nothing to take back: look at the image again.")
    old = {"label": item["label"], "caption": item["caption"]}.get(body.mark)
    if body.mark == "good" and not body.undo:
        if not item["label"]:
            raise ConfigurationError("An image without a class cannot be good as it is: look at the quarantine.")
        old = said(item["label"], item["caption"])
    return make_review(
        review_id=new_review_id(after=saw),
        mark=body.mark,
        value=None if body.undo else body.value,
        old=old,
        image_id=item["image_id"],
        batch_date=item["batch_date"],
        batch_id=item["batch_id"],
        source_path=item["source_path"],
        page=item["page"],
        manifest_version=stored.get("manifest_version", 0),
        author=author,
        at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        saw=saw,
        undoes=saw if body.undo else None,
        sample=body.sample,
    )


def _now(index: Any, key: ItemKey) -> dict[str, Any]:
    """What an item is after the review, and how many copies of it that holds for as well."""
    item = key.place.item(index)
    effective = Effective(reviews_about(index, [item]))
    return {
        "label": item["label"],
        "caption": item["caption"],
        "needs_review": bool(item["needs_review"]),
        "is_seen": bool(item["is_seen"]),
        "saw": seen(effective, item),
        "image": item["image_id"],
        "copies": len(query.of_image(index, item["image_id"])) - 1,
    }


def _know_what_was_compacted(lake: Lake) -> None:
    """Have the index read reviews that a run put together meanwhile: their single files are gone."""
    names = compacted_names(lake.storage)
    with lake.index() as index:
        known = index.execute("SELECT value FROM state WHERE key = 'compacted'").fetchone()
    if names != (known["value"] if known else ""):
        with lake.slow_work():
            lake.refresh_now()
