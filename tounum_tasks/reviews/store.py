"""Where reviews are kept: one JSON file each below ``reviews/`` of the lake, older ones together in Parquet files.

A review is created exclusively and never changed. Publishing puts those that its run saw into one file below
``reviews/compacted/`` and then removes theirs; whoever reads looks for single files first and for compacted ones after
that, so that none is missed, and one that is in both is read once.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from tounum_tasks.errors import ConfigurationError, DamagedFile, TounumError
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import REVIEW_ID, Chain, Review
from tounum_tasks.reviews.text import COMPACTED, FOLDER, from_text, path_of, review_lock, to_text
from tounum_tasks.store.base import Storage

AT_ONCE = 16  # files that are read or removed at once


class ReviewConflict(TounumError):
    """Somebody else said something since the person looked: nothing was written.

    Attributes:
        other: what is in force now, or the undo that took back what was.
    """

    def __init__(self, other: Review) -> None:
        what = f"'{other.value}'" if other.value else "took it back" if other.undoes else f"'{other.mark}'"
        super().__init__(f"{other.author} was faster ({what}, {other.at}): look at it again, then decide.")
        self.other = other


class ReviewStore:
    """The reviews of a lake. What it has read once it keeps: reviews do not change.

    Args:
        compacted: gives the compacted reviews of a chain, where somebody has them at hand (the index of the web pages);
            default: they are read from their Parquet files.
    """

    def __init__(self, storage: Storage, compacted: Callable[[Chain], Iterable[Review]] | None = None) -> None:
        self.storage = storage
        self._compacted_of = compacted
        self._single: dict[str, Review] = {}
        self._compacted: dict[str, list[Review]] = {}

    def add(self, review: Review) -> None:
        """Write a review.

        Folders have a lock for the look at the chain and the creation; in object stores, a review that another one
        overlapped with is withdrawn: of two people at the same instant, both may be told to look again.

        Raises:
            ReviewConflict: what is in force in its chain is not what the person saw.
            ConfigurationError: it takes back a review that is not there, or that belongs to something else.
            EnvironmentFault: it could not be written.
        """
        path = path_of(review.review_id)
        with review_lock(self.storage):
            before = self._of_chain(review.chain)
            self._require_seen(review, before)
            if not self.storage.create_exclusively(path, to_text(review).encode()):
                raise ConfigurationError(f"There is a review {review.review_id} already: give it an id of its own.")
            if not self.storage.has_locks:
                known = {one.review_id for one in before} | {review.review_id}
                others = [one for one in self._of_chain(review.chain) if one.review_id not in known]
                if others:
                    self.storage.remove(path)
                    self._single.pop(review.review_id, None)
                    raise ReviewConflict(others[-1])

    def all(self) -> list[Review]:
        """Return every review, in order.

        Raises:
            DamagedFile: a file does not hold what was written.
        """
        found = self._singles()
        # Looked for after the single files: one that vanished in between is among these.
        found |= self._all_compacted()
        return [found[review_id] for review_id in sorted(found)]

    def since(self, review_id: str | None) -> list[Review]:
        """Return the reviews behind one, in order; all of them if it is None.

        Raises:
            DamagedFile: a file does not hold what was written.
        """
        return [review for review in self.all() if review_id is None or review.review_id > review_id]

    def effective(self) -> Effective:
        """Return what is in force now."""
        return Effective(self.all())

    def single(self) -> list[Review]:
        """Return the reviews that have a file of their own, in order."""
        found = self._singles()
        return [found[review_id] for review_id in sorted(found)]

    def compacted_ids(self) -> set[str]:
        """Return the ids of the reviews in compacted files."""
        return set(self._all_compacted())

    def _of_chain(self, chain: Chain) -> list[Review]:
        if self._compacted_of is None:
            return [review for review in self.all() if review.chain == chain]
        found = self._singles()
        found |= {review.review_id: review for review in self._compacted_of(chain)}
        return [found[review_id] for review_id in sorted(found) if found[review_id].chain == chain]

    def _require_seen(self, review: Review, before: list[Review]) -> None:
        if review.undoes is not None and review.undoes not in {one.review_id for one in before}:
            raise ConfigurationError(
                f"There is no review {review.undoes} of this image and mark that could be undone: look at it again."
            )
        in_force = Effective(before).review_in_force(review.chain)
        if (in_force.review_id if in_force else None) == review.saw:
            return
        if not before:
            raise ConfigurationError(
                f"The review {review.saw}, which this one follows, is not there: look at the image again."
            )
        raise ReviewConflict(in_force or before[-1])

    def _singles(self) -> dict[str, Review]:
        # What is not ours, and the folder of compacted ones, has no such name.
        names = [entry.name.removesuffix(".json") for entry in self.storage.list_folder(FOLDER)]
        listed = [name for name in names if REVIEW_ID.fullmatch(name)]
        unknown = [review_id for review_id in listed if review_id not in self._single]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = pool.map(lambda review_id: _read(self.storage, review_id), unknown)
            self._single |= {review.review_id: review for review in read if review}
        return {review_id: self._single[review_id] for review_id in listed if review_id in self._single}

    def _all_compacted(self) -> dict[str, Review]:
        found: dict[str, Review] = {}
        for entry in self.storage.list_folder(COMPACTED):
            path = f"{COMPACTED}/{entry.name}"
            if not entry.name.endswith(".parquet"):
                continue
            if path not in self._compacted:
                self._compacted[path] = _read_compacted(self.storage, path)
            found |= {review.review_id: review for review in self._compacted[path]}
        return found


def _read(storage: Storage, review_id: str) -> Review | None:
    """A single review, or None if its file is gone: compacted since it was listed."""
    path = path_of(review_id)
    try:
        content = storage.read_bytes(path)
    except FileNotFoundError:
        return None
    review = from_text(content, where=storage.url(path))
    if review.review_id != review_id:
        raise DamagedFile(f"{storage.url(path)} is damaged (it holds the review {review.review_id}): give it its name.")
    return review


def _read_compacted(storage: Storage, path: str) -> list[Review]:
    from tounum_tasks.reviews.compacted import read_compacted  # brings pyarrow

    return read_compacted(storage, path)
