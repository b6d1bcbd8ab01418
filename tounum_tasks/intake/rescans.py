"""Striking "scan again" off when the new scan arrives: another file of the same name, in a later batch."""

import datetime as dt
import logging
from collections import defaultdict

from tounum_tasks.items import Item, read_items, register_path
from tounum_tasks.logs import about
from tounum_tasks.plan import BatchPlan
from tounum_tasks.reviews.review import ItemRef, Review, make_review, new_review_id, time_of
from tounum_tasks.reviews.store import ReviewConflict, ReviewStore
from tounum_tasks.store.base import Storage

log = logging.getLogger(__name__)

AUTHOR = "TouNum"


def place_of(item: Item) -> ItemRef:
    """Return what reviews know an item by."""
    return ItemRef(item.batch_date, item.batch_id, item.source_path, item.page)


def strike_off_rescans(lake: Storage, store: ReviewStore, batches: list[BatchPlan]) -> None:
    """Take back "scan again" of every page whose file came anew, with other bytes, in a batch that was just taken in.

    Only batches without a manifest are looked at, and only marks that are older than their intake count.
    """
    wanted: dict[str, list[Review]] = defaultdict(list)
    for review in store.effective().in_force():
        if review.mark == "scan_again":
            wanted[_file_name(review.source_path)].append(review)
    if not wanted:
        return
    for batch in batches:
        if batch.base_version == 0:
            _strike_off(lake, store, batch, wanted)


def _strike_off(lake: Storage, store: ReviewStore, batch: BatchPlan, wanted: dict[str, list[Review]]) -> None:
    taken_in = lake.entry(register_path(batch.batch_date, batch.batch_id)).mtime_ns / 1e9
    at = dt.datetime.fromtimestamp(taken_in, dt.UTC)
    for item in read_items(lake, batch.batch_date, batch.batch_id):
        for review in list(wanted.get(_file_name(item.source_path), ())):
            is_new = item.batch_id != review.batch_id and not review.image_id.startswith(item.sha256)
            if not is_new or time_of(review.review_id) > at:
                continue
            wanted[_file_name(item.source_path)].remove(review)
            try:
                store.add(_undo(review, item))
            except ReviewConflict as conflict:
                log.info("%s", conflict)
                continue
            with about(batch=review.batch_id):
                log.info("%s was scanned again: it is in %s.", review.source_path, item.batch_id)


def _undo(review: Review, item: Item) -> Review:
    now = dt.datetime.now(dt.UTC)
    return make_review(
        **{
            **review.to_json(),
            "review_id": new_review_id(after=review.review_id, now=now),
            "value": f"{item.batch_id}: {item.source_path}",
            "old": "scan_again",
            "author": AUTHOR,
            "at": now.isoformat(timespec="seconds"),
            "saw": review.review_id,
            "undoes": review.review_id,
            "sample": None,
        }
    )


def _file_name(source_path: str) -> str:
    return source_path.rpartition("/")[2]
