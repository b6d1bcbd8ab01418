"""Taking ready batches in: originals are committed and verified before ingest is emptied of them.

The steps are journal, copy, verify, look again, register, empty, close the journal. A process that is killed at any
instant leaves an open journal; the next intake finishes what it finds there, with the same batch id and date, so that
nothing is lost and nothing comes in twice.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tounum_tasks.errors import ConfigurationError, DamagedFile, EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.fixity.statements import Statement, Statements, read_statements
from tounum_tasks.intake.contents import Copy, items_of, sidecars_of
from tounum_tasks.intake.journal import JOURNAL_FOLDER, Journal, journal_path, original_path
from tounum_tasks.intake.readiness import FileState, Listing, list_batch, scan
from tounum_tasks.intake.side_by_side import side_by_side
from tounum_tasks.intake.sidecars import is_sidecar
from tounum_tasks.items import (
    commit_items,
    register_path,
    registered_files,
    sidecars_path,
    write_sidecars,
)
from tounum_tasks.logs import about
from tounum_tasks.names import make_batch_id, safe_key, validate_batch_date
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import ChangedWhileRead, Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.visible import display_name

log = logging.getLogger(__name__)

LOCK_PATH = "registers/intake.lock"
LOCK_WAIT_SECONDS = 60
MOST_FAULTS = 5  # of one batch that its sentence tells; the log has all
# Room that a batch needs in the lake: the original and an enhanced copy, and per image what the models read and make.
SPACE_FACTOR = 3
SPACE_PER_FILE_BYTES = 400_000  # a model input of 268 kB, features, a thumbnail; 215 kB were measured


@dataclass(frozen=True)
class Intake:
    """What an intake did: ``batches`` as (batch_date, batch_id), and sentences about what was not taken.

    ``faults`` are batches that a fault of the environment kept out: somebody must act.
    """

    batches: tuple[tuple[str, str], ...]
    waiting: tuple[str, ...]
    left_behind: tuple[str, ...]
    faults: tuple[str, ...] = ()


class _MustWait(Exception):
    """The batch stays in ingest, untouched; the message is a sentence for people."""


def _changed(journal: Journal, change: str) -> _MustWait:
    """The batch is not what the journal says any more."""
    return _MustWait(
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
    except (ValueError, KeyError, TypeError, RecursionError, ConfigurationError) as error:
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
            except _MustWait as change:
                waiting.append(str(change))
            except EnvironmentFault as fault:
                faults.append(str(fault))
            else:
                batches.append((journal.batch_date, journal.batch_id))

        for path in _journal_paths(lake):
            attempt(lambda path=path: _read_journal(lake, path))  # type: ignore[misc]
        begun = set(_journal_paths(lake))
        found = scan(
            ingest,
            quiet_seconds=settings.quiet_seconds,
            now_ns=time.time_ns(),
            ignore=settings.ignored_patterns,
        )
        for listing in found.ready:
            if journal_path(listing) not in begun:
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


def _journal_paths(lake: Storage) -> list[str]:
    return [f"{JOURNAL_FOLDER}/{entry.name}" for entry in lake.list_folder(JOURNAL_FOLDER)]


def _read_journal(lake: Storage, path: str) -> Journal:
    try:
        return Journal.from_json(lake.read_bytes(path))
    except ValueError as error:
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
    return registered_files(lake, batch_date, batch_id) == {
        original_path(batch_date, batch_id, listing, file.path): ingest.sha256(listing.path_in_ingest(file.path))
        for file in listing.files
    }


def _finish(ingest: Storage, lake: Storage, journal: Journal, settings: Settings) -> None:
    if lake.exists(register_path(journal.batch_date, journal.batch_id)):
        _put_lost_originals(ingest, lake, journal, settings)
    else:
        claim = {"batch_date": journal.batch_date, "batch_name": journal.listing.name}
        lake.create_exclusively(claim_path(journal.batch_id), json.dumps(claim).encode())
        try:
            _register(ingest, lake, journal, settings)
        except _MustWait:
            # Where there are no locks, another intake may have finished this batch and emptied ingest meanwhile.
            if not lake.exists(register_path(journal.batch_date, journal.batch_id)):
                _abandon(lake, journal)
                raise
        else:
            log.info("Batch '%s' was taken in.", journal.listing.name)
    _empty_ingest(ingest, lake, journal, settings)
    lake.remove(journal.path)


def _register(ingest: Storage, lake: Storage, journal: Journal, settings: Settings) -> None:
    """Copy a batch, compare it with what it says of itself and with what lies in ingest, and write its register.

    Raises:
        _MustWait: it changed meanwhile, has no image, or is not what its checksums say, and such a batch is to wait.
    """
    stated = _read_statements(ingest, journal, settings)
    _require(journal, stated.refused, settings, always=True)
    missing = [_missing(path, said) for path, said in stated.missing.items()]
    silent = [_silent(path) for path in stated.silent if is_sidecar(path, ingest, journal.listing.path_in_ingest(path))]
    _require(journal, [*stated.broken, *silent, *missing, *map(_extra, stated.extra)], settings)
    if stated.unlisted:
        log.warning("Batch '%s': %d files are in none of its checksum lists: %s.", journal.listing.name,
                    len(stated.unlisted), ", ".join(map(display_name, stated.unlisted[:MOST_FAULTS])))  # fmt: skip
    copies = _copy_originals(ingest, lake, journal, stated, settings)
    _require(journal, [str(copy.differs) for copy in copies.values() if copy.differs], settings)
    digests = {path: copy.sha256 for path, copy in copies.items()}
    _check_unchanged(ingest, journal, digests, settings)
    sidecars = sidecars_of(lake, journal, copies, settings, lists=stated.read)
    items = items_of(lake, journal, copies, sidecars, stated, settings)
    if not items:
        raise _MustWait(f"Batch '{journal.listing.name}' must wait: there is no image in it; deliver its images, too.")
    write_sidecars(lake, journal.batch_date, journal.batch_id, sidecars)
    commit_items(lake, items, sidecars=len(sidecars))


def _put_lost_originals(ingest: Storage, lake: Storage, journal: Journal, settings: Settings) -> None:
    """Copy again what the lake lost of a batch that it registered before: what is delivered again may be all there is.

    A file that is not what was registered is no such thing; it stays in ingest.
    """
    registered = registered_files(lake, journal.batch_date, journal.batch_id)

    def put(file: FileState) -> None:
        source, target = journal.listing.path_in_ingest(file.path), journal.original(file.path)
        sha256 = registered[target]
        if not _holds(lake, target, sha256) and _holds(ingest, source, sha256):
            lake.copy_from(ingest, source, target, sha256=sha256)
            log.warning("%s was lost or damaged; it was put again from ingest.", lake.url(target))

    side_by_side(put, journal.listing.files, settings.files_at_once)


def _holds(storage: Storage, path: str, sha256: str) -> bool:
    try:
        return storage.sha256(path) == sha256
    except (FileNotFoundError, DamagedFile):
        return False


def _read_statements(ingest: Storage, journal: Journal, settings: Settings) -> Statements:
    files = {file.path: file.size for file in journal.listing.files}
    try:
        return read_statements(ingest, journal.listing.folder, files, settings.ignored_patterns)
    except FileNotFoundError as error:
        raise _changed(journal, "a file vanished") from error


def _missing(path: str, said: Statement) -> str:
    return f"'{display_name(path)}' is missing, which '{display_name(said.source)}' lists"


def _silent(path: str) -> str:
    return f"'{display_name(path)}' is called a checksum list, and no checksums can be read in it"


def _extra(path: str) -> str:
    return f"'{display_name(path)}' is in the payload of a bag and in none of its manifests"


def _require(journal: Journal, faults: Sequence[str], settings: Settings, *, always: bool = False) -> None:
    """Log every fault that a batch has by its own account.

    Raises:
        _MustWait: there are any, and such a batch waits by the settings, or ``always``.
    """
    for fault in faults:
        log.warning("Batch '%s': %s.", journal.listing.name, fault)
    if faults and (always or settings.incomplete == "wait"):
        more = len(faults) - MOST_FAULTS
        told = "; ".join([*faults[:MOST_FAULTS], *([f"and {more} more: see the log"] if more > 0 else [])])
        remedy = "" if always else "; mend it there, or have such batches taken with TOUNUM_INCOMPLETE=take"
        raise _MustWait(f"Batch '{journal.listing.name}' must wait: {told}. It stays in ingest untouched{remedy}.")


def _abandon(lake: Storage, journal: Journal) -> None:
    """Forget a batch that was not registered: it stays in ingest, and comes in later as what it is then.

    Without a lock, another intake that was held up may register it still: what that needs stays.
    """
    if lake.has_locks:
        copied = [journal.original(file.path) for file in journal.listing.files]
        made = [*copied, sidecars_path(journal.batch_date, journal.batch_id)]
        for path in made:
            lake.remove(path)
        below_root = {str(folder) for path in made for folder in PurePosixPath(path).parents[:-2]}
        for folder in sorted(below_root, reverse=True):  # the innermost first
            lake.remove_empty_folder(folder)
        lake.remove(claim_path(journal.batch_id))
    lake.remove(journal.path)


def _copy_originals(
    ingest: Storage, lake: Storage, journal: Journal, stated: Statements, settings: Settings
) -> dict[str, Copy]:
    """Copy and verify every file of the journal, several at once; return what was copied, by path.

    The order does not matter: nothing is registered, and ingest not touched, before all of them lie in the lake.
    """

    def copied(file: FileState) -> Copy:
        source, target = journal.listing.path_in_ingest(file.path), journal.original(file.path)
        hashers = stated.hashers(file.path)
        try:
            digest, _ = lake.copy_from(
                ingest, source, target, size=file.size, version=file.version, hashers=hashers.values()
            )
        except FileNotFoundError as error:
            raise _changed(journal, f"'{display_name(file.path)}' vanished") from error
        except ChangedWhileRead as error:
            raise _changed(journal, f"'{display_name(file.path)}' changed") from error
        if lake.sha256(target) != digest:
            raise EnvironmentFault(
                f"{lake.url(target)} does not hold the bytes that were written to it: check the storage. "
                "The batch stays in ingest."
            )
        if stated.read.get(file.path, digest) != digest:
            raise _changed(journal, f"'{display_name(file.path)}' changed")
        found = {algorithm: hasher.hexdigest() for algorithm, hasher in hashers.items()}
        return Copy(digest, stated.strongest(file.path, found), _difference(file.path, stated, found))

    files = journal.listing.files
    copies = side_by_side(copied, files, settings.files_at_once)
    return {file.path: copy for file, copy in zip(files, copies, strict=True)}


def _difference(path: str, stated: Statements, found: Mapping[str, str]) -> ItemError | None:
    said = stated.differing(path, found)
    if said is None:
        return None
    return ItemError(
        ErrorCode.CHECKSUM_DIFFERS,
        f"'{display_name(path)}' is not what '{display_name(said.source)}' says: its {said.algorithm} is "
        f"{found[said.algorithm]}, not {said.digest}; deliver it again",
    )


def _check_unchanged(ingest: Storage, journal: Journal, digests: dict[str, str], settings: Settings) -> None:
    """See that ingest holds what was copied: names, sizes, times, and where a file was touched since, its bytes.

    Raises:
        _MustWait: it does not.
    """
    listed = {file.path: file.identity for file in journal.listing.files}
    try:
        now = list_batch(ingest, journal.listing.folder, settings.ignored_patterns)
        if now.digest != journal.listing.digest:
            raise _changed(journal, "it changed")
        for file in now.files:
            touched = file.identity != listed[file.path]
            if touched and ingest.sha256(now.path_in_ingest(file.path)) != digests[file.path]:
                raise _changed(journal, f"'{display_name(file.path)}' changed")
    except FileNotFoundError as error:
        raise _changed(journal, "it vanished") from error


def _empty_ingest(ingest: Storage, lake: Storage, journal: Journal, settings: Settings) -> None:
    """Remove what was taken, as far as it is still what was taken; folders go when nothing is left in them.

    What a file holds decides, not its time: somebody may put another one in its place at any moment.
    """
    listing = journal.listing
    taken = registered_files(lake, journal.batch_date, journal.batch_id)

    def remove(file: FileState) -> None:
        path, sha256 = listing.path_in_ingest(file.path), taken[journal.original(file.path)]
        if not ingest.remove_unchanged(path, sha256=sha256, version=file.version):
            with about(path=display_name(file.path)):
                log.warning("This file changed after it was taken in and stays in ingest.")

    side_by_side(remove, listing.files, settings.files_at_once)
    for marker in listing.markers:
        ingest.remove(listing.path_in_ingest(marker))
    for folder in reversed(listing.folders):
        ingest.remove_empty_folder(listing.path_in_ingest(folder))
    if listing.folder:
        ingest.remove_empty_folder(listing.folder)
