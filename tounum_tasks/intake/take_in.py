"""Taking ready batches in: originals are committed and verified before ingest is emptied of them.

The steps are journal, copy, verify, look again, register, empty, close the journal. A process that is killed at any
instant leaves an open journal; the next intake finishes what it finds there, with the same batch id and date, so that
nothing is lost and nothing comes in twice.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.pages import inspect
from tounum_tasks.intake.readiness import FileState, Listing, list_batch, scan
from tounum_tasks.items import Item, commit_items, read_items, register_path
from tounum_tasks.logs import about
from tounum_tasks.names import (
    READY_MARKER,
    make_batch_id,
    safe_key,
    validate_batch_date,
    validate_relative_path,
)
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import ChangedWhileRead, Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.visible import display_name

log = logging.getLogger(__name__)

JOURNAL_FOLDER = "registers/journal"
LOCK_PATH = "registers/intake.lock"
LOCK_WAIT_SECONDS = 60
# Room that a batch needs in the lake: the original and an enhanced copy, and per image what the models read and make.
SPACE_FACTOR = 3
SPACE_PER_FILE_BYTES = 800_000


@dataclass(frozen=True)
class Intake:
    """What an intake did: ``batches`` as (batch_date, batch_id), and sentences about what was not taken.

    ``faults`` are batches that a fault of the environment kept out: somebody must act.
    """

    batches: tuple[tuple[str, str], ...]
    waiting: tuple[str, ...]
    left_behind: tuple[str, ...]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Journal:
    """A batch that is being taken in: the promise to finish it under this id and date."""

    batch_id: str
    batch_date: str
    listing: Listing

    @property
    def path(self) -> str:
        return _journal_path(self.listing)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Journal":
        value = json.loads(data)
        listing = value["listing"]
        listing["files"] = tuple(FileState(**file) for file in listing["files"])
        for name in ("folders", "left_behind"):
            listing[name] = tuple(listing[name])
        return cls(value["batch_id"], value["batch_date"], Listing(**listing))


class _ChangedMeanwhile(Exception):
    """The batch is not what the journal says any more; the message is a sentence for people."""

    def __init__(self, journal: Journal, change: str) -> None:
        super().__init__(
            f"Batch '{journal.listing.name}' must wait: {change} while it was taken in; it stays in ingest untouched."
        )


def claim_path(batch_id: str) -> str:
    """Where it is written to which date a batch belongs."""
    return f"registers/batches/{batch_id}.json"


def batch_date_of(lake: Storage, batch_id: str) -> str | None:
    """Return the batch date of a batch that was taken in, or None if it is unknown."""
    if not lake.exists(claim_path(batch_id)):
        return None
    try:
        return validate_batch_date(json.loads(lake.read_bytes(claim_path(batch_id)))["batch_date"])
    except (ValueError, KeyError, TypeError, ConfigurationError) as error:
        raise EnvironmentFault(f"{lake.url(claim_path(batch_id))} is damaged: restore it, then run again.") from error


def take_in(ingest: Storage, lake: Storage, batch_date: str, settings: Settings) -> Intake:
    """Take every ready batch in under ``batch_date``; batches that an earlier intake began keep their date.

    One batch that cannot be taken in (unreadable file, too little space) stays in ingest and never holds up the others.

    Raises:
        EnvironmentFault: ingest or the lake cannot be used at all, or another intake is at work.
    """
    ingest.check()
    lake.require_exclusive_creation()
    with lake.lock(LOCK_PATH, LOCK_WAIT_SECONDS):
        _remove_stale_temporaries(lake, settings)
        batches: list[tuple[str, str]] = []
        waiting: list[str] = []
        faults: list[str] = []

        def attempt(begin: Callable[[], Journal]) -> None:
            try:
                journal = begin()
                with about(batch=journal.batch_id):
                    _finish(ingest, lake, journal, settings)
            except _ChangedMeanwhile as change:
                waiting.append(str(change))
            except EnvironmentFault as fault:
                faults.append(str(fault))
            else:
                batches.append((journal.batch_date, journal.batch_id))

        for path in _journal_paths(lake):
            attempt(lambda path=path: _read_journal(lake, path))  # type: ignore[misc]
        begun = set(_journal_paths(lake))
        found = scan(ingest, quiet_seconds=settings.quiet_seconds, now_ns=time.time_ns())
        for listing in found.ready:
            if _journal_path(listing) not in begun:
                attempt(lambda listing=listing: _begin(ingest, lake, listing, batch_date, settings))  # type: ignore[misc]
    faults.extend(found.faults)
    sentences = dict.fromkeys((*waiting, *found.waiting))
    for sentence in (*sentences, *found.left_behind, *faults):
        log.warning("%s", sentence)
    return Intake(tuple(dict.fromkeys(batches)), tuple(sentences), found.left_behind, tuple(faults))


def _remove_stale_temporaries(lake: Storage, settings: Settings) -> None:
    """Remove what killed writers left in the lake and in the buckets, as far as they can be reached."""
    lake.remove_stale_temporaries()
    for root in (settings.non_photos_root, settings.quarantine_root):
        try:
            open_storage(root).remove_stale_temporaries()
        except EnvironmentFault as fault:
            log.warning("Left-overs of killed processes stay: %s", fault)


def _journal_path(listing: Listing) -> str:
    return f"{JOURNAL_FOLDER}/{safe_key(listing.folder)}.json"


def _journal_paths(lake: Storage) -> list[str]:
    return [f"{JOURNAL_FOLDER}/{entry.name}" for entry in lake.list_folder(JOURNAL_FOLDER)]


def _read_journal(lake: Storage, path: str) -> Journal:
    try:
        return Journal.from_json(lake.read_bytes(path))
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentFault(
            f"{lake.url(path)} is damaged, and its batch was not taken in: remove the file, then run again."
        ) from error


def _check_space(lake: Storage, listing: Listing, settings: Settings) -> None:
    free = lake.free_bytes()
    needed = listing.bytes * SPACE_FACTOR + len(listing.files) * SPACE_PER_FILE_BYTES + settings.min_free_gib * 2**30
    if free is not None and free < needed:
        raise EnvironmentFault(
            f"Batch '{listing.name}' stays in ingest: it needs {needed / 2**30:.1f} GiB and {lake.root} has "
            f"{free / 2**30:.1f} GiB free; free some, then run again."
        )


def _begin(ingest: Storage, lake: Storage, listing: Listing, batch_date: str, settings: Settings) -> Journal:
    """Write the journal of a batch under an id that no other content has."""
    _check_space(lake, listing, settings)
    digest = listing.digest
    while True:
        batch_id = make_batch_id(listing.folder or "loose-files", digest)
        known_date = batch_date_of(lake, batch_id)
        if known_date is None or _is_same_delivery(ingest, lake, listing, known_date, batch_id):
            break
        digest = safe_key(digest)
    journal = Journal(batch_id, known_date or batch_date, listing)
    lake.write_bytes(journal.path, journal.to_json())
    return journal


def _is_same_delivery(ingest: Storage, lake: Storage, listing: Listing, batch_date: str, batch_id: str) -> bool:
    """Whether the batch of this id holds the very bytes that lie in ingest (or was begun and never registered)."""
    if not lake.exists(register_path(batch_date, batch_id)):
        return True
    known = {item.original: item.sha256 for item in read_items(lake, batch_date, batch_id)}
    return known == {
        _original_path(batch_date, batch_id, listing, file.path): ingest.sha256(listing.path_in_ingest(file.path))
        for file in listing.files
    }


def _finish(ingest: Storage, lake: Storage, journal: Journal, settings: Settings) -> None:
    if not lake.exists(register_path(journal.batch_date, journal.batch_id)):
        claim = {"batch_date": journal.batch_date, "batch_name": journal.listing.name}
        lake.create_exclusively(claim_path(journal.batch_id), json.dumps(claim).encode())
        try:
            digests = _copy_originals(ingest, lake, journal)
            _check_unchanged(ingest, journal, digests)
        except _ChangedMeanwhile:
            # Where there are no locks, another intake may have finished this batch and emptied ingest meanwhile.
            if not lake.exists(register_path(journal.batch_date, journal.batch_id)):
                _abandon(lake, journal)
                raise
        else:
            commit_items(lake, _items(lake, journal, digests, settings))
            log.info("Batch '%s' was taken in.", journal.listing.name)
    _empty_ingest(ingest, lake, journal)
    lake.remove(journal.path)


def _abandon(lake: Storage, journal: Journal) -> None:
    """Forget a batch that was not registered: it stays in ingest, and comes in later as what it is then.

    Without a lock, another intake that was held up may register it still: what that needs stays.
    """
    if lake.has_locks:
        for file in journal.listing.files:
            lake.remove(_original(journal, file))
        lake.remove(claim_path(journal.batch_id))
    lake.remove(journal.path)


def _original_path(batch_date: str, batch_id: str, listing: Listing, source_path: str) -> str:
    """Where the bytes of a file lie; a name that may not become a path is replaced by its hash.

    Names that begin with a dot are never taken in, so the folder ``.refused`` cannot meet a folder of the batch.
    """
    try:
        name = _validated(listing, source_path)
    except ItemError:
        name = f".refused/{safe_key(source_path)}"
    return f"originals/{batch_date}/{batch_id}/{name}"


def _validated(listing: Listing, source_path: str) -> str:
    """Return a path that can become one below any root.

    Raises:
        ItemError: NAME_REFUSED, with the reason.
    """
    if source_path in listing.folder_names:  # object stores can have both
        raise ItemError(
            ErrorCode.NAME_REFUSED, f"the name '{display_name(source_path)}' is also that of a folder; rename the file"
        )
    return validate_relative_path(source_path)


def _original(journal: Journal, file: FileState) -> str:
    return _original_path(journal.batch_date, journal.batch_id, journal.listing, file.path)


def _copy_originals(ingest: Storage, lake: Storage, journal: Journal) -> dict[str, str]:
    """Copy and verify every file of the journal; return sha256 by path."""
    digests = {}
    for file in journal.listing.files:
        source = journal.listing.path_in_ingest(file.path)
        target = _original(journal, file)
        try:
            digest, _ = lake.copy_from(ingest, source, target, size=file.size, version=file.version)
        except FileNotFoundError as error:
            raise _ChangedMeanwhile(journal, f"'{display_name(file.path)}' vanished") from error
        except ChangedWhileRead as error:
            raise _ChangedMeanwhile(journal, f"'{display_name(file.path)}' changed") from error
        if lake.sha256(target) != digest:
            raise EnvironmentFault(
                f"{lake.url(target)} does not hold the bytes that were written to it: check the storage. "
                "The batch stays in ingest."
            )
        digests[file.path] = digest
    return digests


def _check_unchanged(ingest: Storage, journal: Journal, digests: dict[str, str]) -> None:
    """See that ingest holds what was copied: names, sizes, times, and where a file was touched since, its bytes.

    Raises:
        _ChangedMeanwhile: it does not.
    """
    listed = {file.path: file.identity for file in journal.listing.files}
    try:
        now = list_batch(ingest, journal.listing.folder)
        if now.digest != journal.listing.digest:
            raise _ChangedMeanwhile(journal, "it changed")
        for file in now.files:
            touched = file.identity != listed[file.path]
            if touched and ingest.sha256(now.path_in_ingest(file.path)) != digests[file.path]:
                raise _ChangedMeanwhile(journal, f"'{display_name(file.path)}' changed")
    except FileNotFoundError as error:
        raise _ChangedMeanwhile(journal, "it vanished") from error


def _items(lake: Storage, journal: Journal, digests: dict[str, str], settings: Settings) -> list[Item]:
    """Make one item per page, in order of path, and mark what stands twice."""
    files = [(file, *_inspect(lake, journal, file, settings)) for file in journal.listing.files]
    # Airflow maps a limited number of shards: a very large batch gets larger ones.
    shard_size = max(settings.shard_size, -(-sum(pages for _, _, pages, _ in files) // settings.max_shards))
    items: list[Item] = []
    first_with: dict[str, str] = {}
    for file, image_format, pages, error in files:
        digest, source_path = digests[file.path], display_name(file.path)
        duplicate_of = first_with.get(digest)
        first_with.setdefault(digest, source_path)
        for page in range(1, pages + 1):
            items.append(
                Item(
                    batch_id=journal.batch_id,
                    batch_date=journal.batch_date,
                    batch_name=journal.listing.name,
                    source_path=source_path,
                    page=page,
                    pages=pages,
                    image_id=digest if pages == 1 else f"{digest}-p{page:04d}",
                    sha256=digest,
                    bytes=file.size,
                    format=image_format,
                    original=_original(journal, file),
                    shard=len(items) // shard_size,
                    duplicate_of=duplicate_of,
                    error_code=error.code if error else None,
                    error_message=str(error) if error else None,
                )
            )
    return items


def _inspect(
    lake: Storage, journal: Journal, file: FileState, settings: Settings
) -> tuple[str | None, int, ItemError | None]:
    """Return format, number of pages, and what is wrong with the file as a whole."""
    try:
        _validated(journal.listing, file.path)
        if file.size > settings.max_file_bytes:
            raise ItemError(
                ErrorCode.FILE_TOO_LARGE, f"the file has {file.size} bytes; the limit is {settings.max_file_bytes}"
            )
        info = inspect(lake.read_bytes(_original(journal, file)), file.path, limits=settings.image_limits())
    except ItemError as error:
        return None, 1, error
    return info.format, info.pages, None


def _empty_ingest(ingest: Storage, lake: Storage, journal: Journal) -> None:
    """Remove what was taken, as far as it is still what was taken; folders go when nothing is left in them.

    What a file holds decides, not its time: somebody may put another one in its place at any moment.
    """
    listing = journal.listing
    taken = {item.original: item.sha256 for item in read_items(lake, journal.batch_date, journal.batch_id)}
    for file in listing.files:
        path, sha256 = listing.path_in_ingest(file.path), taken[_original(journal, file)]
        if not ingest.remove_unchanged(path, sha256=sha256, version=file.version):
            with about(path=display_name(file.path)):
                log.warning("This file changed after it was taken in and stays in ingest.")
    if listing.has_marker:
        ingest.remove(listing.path_in_ingest(READY_MARKER))
    for folder in reversed(listing.folders):
        ingest.remove_empty_folder(listing.path_in_ingest(folder))
    if listing.folder:
        ingest.remove_empty_folder(listing.folder)
