"""The reviews that a run saw at its start, kept beside the results of its steps: what is said later waits for the next
run."""

from collections.abc import Iterable

import pyarrow as pa

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import OF_IMAGES, ItemRef, Review
from tounum_tasks.reviews.text import from_text, to_text
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_table

# The column by which results are known, so that prune clears old pins as it clears old results.
SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("review", pa.string(), nullable=False, metadata={"description": "as JSON"}),
    ]
)


def about_batch(effective: Effective, items: Iterable[tuple[str, ItemRef]]) -> list[Review]:
    """Return the reviews in force that say something of a batch.

    Args:
        items: the image and the place of each of its items.
    """
    images: set[str] = set()
    places: set[ItemRef] = set()
    for image_id, place in items:
        images.add(image_id)
        places.add(place)
    return [
        review
        for review in effective.in_force()
        if (review.image_id in images if review.mark in OF_IMAGES else review.item in places)
    ]


def pin(lake: Storage, batch_date: str, batch_id: str, reviews: list[Review]) -> str:
    """Keep reviews for a run; return what they are known by: an empty text for none."""
    if not reviews:
        return ""
    texts = [to_text(review) for review in reviews]
    digest = fingerprint(reviews=texts)
    rows = [{"fingerprint": digest, "review": text} for text in texts]
    lake.write_bytes(_path(batch_date, batch_id, digest), parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
    return digest


def read_pinned(lake: Storage, batch_date: str, batch_id: str, digest: str) -> Effective:
    """Return what was in force when a run began.

    Raises:
        DamagedFile: it is not what was kept.
        EnvironmentFault: it is gone.
    """
    if not digest:
        return Effective()
    path = _path(batch_date, batch_id, digest)
    try:
        texts = read_table(lake, path, ["review"])["review"].to_pylist()
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"{lake.url(path)} is gone: the stage cache was deleted during the run. Run it again."
        ) from error
    return Effective(from_text(text, where=lake.url(path)) for text in texts)


def _path(batch_date: str, batch_id: str, digest: str) -> str:
    return f"stages/reviews/{batch_date}/{batch_id}/pinned/{digest}.parquet"
