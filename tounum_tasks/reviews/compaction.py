"""Putting single reviews together, so that a lake of many years is read in few steps."""

from concurrent.futures import ThreadPoolExecutor

from tounum_tasks.reviews.compacted import compacted_bytes
from tounum_tasks.reviews.store import AT_ONCE, ReviewStore
from tounum_tasks.reviews.text import COMPACTED, path_of
from tounum_tasks.store.base import Storage


def compact(storage: Storage, *, up_to: str) -> int:
    """Put the single files of all reviews up to one id into one Parquet file, and remove them; return their number.

    It holds nobody up: reviews are read and added meanwhile. Interrupted anywhere, or done by two processes at once, it
    loses and doubles nothing: a review that lies in both is read once, and the next call removes its file.

    Raises:
        DamagedFile: a file does not hold what was written; nothing was changed.
    """
    store = ReviewStore(storage)
    old = [review for review in store.single() if review.review_id <= up_to]
    held = store.compacted_ids()
    new = [review for review in old if review.review_id not in held]
    if new:
        path = f"{COMPACTED}/{new[0].review_id}-{new[-1].review_id}.parquet"
        if not storage.create_exclusively(path, compacted_bytes(new)):
            return 0  # another process has just begun and ended with the same reviews: the next call sees what it did
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(storage.remove, [path_of(review.review_id) for review in old]))
    return len(old)
