"""How reviews are written below ``reviews/`` of a lake: the names of their files, and the text in them."""

import contextlib
import json

from pydantic import ValidationError

from tounum_tasks.errors import DamagedFile
from tounum_tasks.reviews.review import Review
from tounum_tasks.store.base import Storage

FOLDER = "reviews"
COMPACTED = f"{FOLDER}/compacted"
LOCK_WAIT_SECONDS = 30


def review_lock(storage: Storage) -> contextlib.AbstractContextManager[None]:
    """Context in which reviews are added or compacted: one process at a time, where the storage has locks."""
    return storage.lock("registers/locks/reviews.lock", LOCK_WAIT_SECONDS)


def path_of(review_id: str) -> str:
    """Return where a single review lies below the lake."""
    return f"{FOLDER}/{review_id}.json"


def compacted_names(storage: Storage) -> str:
    """Return the names of the files of compacted reviews, one a line: whoever keeps reviews notes which it has read."""
    return "\n".join(entry.name for entry in storage.list_folder(COMPACTED))


def to_text(review: Review) -> str:
    """Return a review as it is stored: one line of JSON."""
    return json.dumps(review.to_json(), ensure_ascii=False, sort_keys=True)


def from_text(text: str | bytes, *, where: str) -> Review:
    """Return a review that was stored.

    Args:
        where: the file, for the message.

    Raises:
        DamagedFile: it is none.
    """
    try:
        return Review.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError) as error:
        raise DamagedFile(
            f"{where} is damaged (it holds no review): restore it from a backup, or remove it and review the image "
            "again."
        ) from error
