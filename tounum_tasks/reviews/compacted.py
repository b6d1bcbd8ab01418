"""Reviews in a Parquet file: what many small files held is read in one step."""

from collections.abc import Sequence

import pyarrow as pa

from tounum_tasks.errors import DamagedFile
from tounum_tasks.reviews.review import Review
from tounum_tasks.reviews.text import from_text, to_text
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import parquet_bytes, read_table

SCHEMA = pa.schema(
    [
        pa.field("review_id", pa.string(), nullable=False),
        pa.field("mark", pa.string(), nullable=False, metadata={"description": "for whoever looks into the file"}),
        pa.field("review", pa.string(), nullable=False, metadata={"description": "all of the review, as JSON"}),
    ]
)


def read_compacted(storage: Storage, path: str) -> list[Review]:
    """Return the reviews of one file, in order.

    Raises:
        DamagedFile: it does not hold what was written.
    """
    table = read_table(storage, path)
    if not table.schema.equals(SCHEMA):
        raise DamagedFile(f"{storage.url(path)} is damaged (it has other columns): restore it from a backup.")
    return [from_text(text, where=storage.url(path)) for text in table["review"].to_pylist()]


def compacted_bytes(reviews: Sequence[Review]) -> bytes:
    """Return the file that holds ``reviews``."""
    rows = [{"review_id": one.review_id, "mark": one.mark, "review": to_text(one)} for one in reviews]
    return parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA))
