"""The originals of a lake, compared with its registers: any day, without changing anything."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from tounum_tasks.batches import in_batches
from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.intake.journal import JOURNAL_FOLDER, Journal
from tounum_tasks.intake.take_in import claim_path
from tounum_tasks.items import register_path, registered_batches, registered_files
from tounum_tasks.manifest.published import BatchRef, committed_batches, may_be_batch, published_batches
from tounum_tasks.store.base import Storage

log = logging.getLogger(__name__)

READERS = 4  # files that are read at once
AT_ONCE = 256
_LOST = "restore it from a backup: without it nobody knows what the originals of this batch were"

Verdict = Literal["missing", "different", "unknown", "unreadable"]


@dataclass(frozen=True)
class Difference:
    """One file that is not what the register says.

    ``verdict`` is missing, different (other bytes), unknown (in no register) or unreadable; ``message`` says more.
    """

    batch_date: str
    batch_id: str
    path: str
    verdict: Verdict
    message: str


@dataclass
class Comparison:
    """How far a comparison has come."""

    batches: int = 0
    files: int = 0


def compare(lake: Storage, batch_id: str | None = None, progress: Comparison | None = None) -> Iterator[Difference]:
    """Yield what is not as it was taken in, batch by batch; every original is read once.

    Args:
        batch_id: of the batch to look at; all if None.
        progress: counts what was compared.

    Raises:
        EnvironmentFault: the lake cannot be used, or not any more.
    """
    progress = progress or Comparison()
    compared: set[BatchRef] = set()
    for day in lake.list_folder("registers"):
        # Beside the dates lie the journal and the claims of batches.
        if day.kind != "folder" or day.name in ("journal", "batches"):
            continue
        for registered in registered_batches(lake, day.name):
            compared.add(BatchRef(day.name, registered))
            if batch_id in (None, registered):
                progress.batches += 1
                yield from _compare_batch(lake, day.name, registered, progress)
    for lost in _lost(lake, compared):
        if batch_id in (None, lost.batch_id):
            progress.batches += 1
            yield Difference(
                lost.batch_date, lost.batch_id, f"registers/{lost.batch_date}/{lost.batch_id}", "missing", _LOST
            )
    for batch in sorted(compared)[:1]:  # an empty folder in place of the lake has no batch and no difference
        _require_still(lake, register_path(batch.batch_date, batch.batch_id))


def _lost(lake: Storage, compared: set[BatchRef]) -> Iterator[BatchRef]:
    """The batches that have originals, a manifest or versions in the history, and no register.

    Intakes go on meanwhile: of what was found, the journals are read next and the register is looked for last, as an
    intake removes the journal after it has registered a batch, or given it up and removed its originals.
    """
    published = {*published_batches(lake), *committed_batches(lake)}
    found = published | _with_originals(lake)
    begun = {_begun(lake, f"{JOURNAL_FOLDER}/{entry.name}") for entry in lake.list_folder(JOURNAL_FOLDER)}
    for batch in sorted(found - compared):
        if batch.batch_id in begun or lake.exists(register_path(batch.batch_date, batch.batch_id)):
            continue
        if batch in published or (_has_originals(lake, batch) and not _may_wait(lake, batch)):
            yield batch


def _with_originals(lake: Storage) -> set[BatchRef]:
    """The batches that have a folder for originals, which may be empty."""
    return {
        BatchRef(day.name, entry.name)
        for day in lake.list_folder("originals")
        if day.kind == "folder"
        for entry in lake.list_folder(f"originals/{day.name}")
        if entry.kind == "folder" and may_be_batch(day.name, entry.name)
    }


def _has_originals(lake: Storage, batch: BatchRef) -> bool:
    return any(True for _ in _files_below(lake, f"originals/{batch.batch_date}/{batch.batch_id}"))


def _may_wait(lake: Storage, batch: BatchRef) -> bool:
    """Whether an intake may have given up a batch that was not published: without locks, its originals stay."""
    if lake.has_locks or not lake.exists(claim_path(batch.batch_id)):
        return False
    log.warning(
        "Batch '%s' was never registered, and is not published: its intake gave it up, and what was delivered lies in "
        "ingest still or came in later as another batch. If it was taken in, restore registers/%s/%s from a backup.",
        batch.batch_id,
        batch.batch_date,
        batch.batch_id,
    )
    return True


def _begun(lake: Storage, path: str) -> str | None:
    """The batch of a journal; a damaged one names none, which the next intake says."""
    try:
        return Journal.from_json(lake.read_bytes(path)).batch_id
    except (FileNotFoundError, ValueError, DamagedFile):
        return None


def _compare_batch(lake: Storage, batch_date: str, batch_id: str, progress: Comparison) -> Iterator[Difference]:
    register = register_path(batch_date, batch_id)
    try:
        wanted = registered_files(lake, batch_date, batch_id)
    except FileNotFoundError as error:  # it was listed a moment ago
        raise _went_away(lake, register) from error
    except DamagedFile as fault:
        yield Difference(batch_date, batch_id, f"registers/{batch_date}/{batch_id}", "unreadable", str(fault))
        return

    looks = _Looks(lake, register)

    def look(entry: tuple[str, str]) -> Difference | None:
        path, sha256 = entry
        found = looks.at(path, sha256)
        return Difference(batch_date, batch_id, path, *found) if found else None

    with ThreadPoolExecutor(READERS) as pool:
        for entries in in_batches(wanted.items(), AT_ONCE):
            progress.files += len(entries)
            yield from filter(None, pool.map(look, entries))
    for path in _files_below(lake, f"originals/{batch_date}/{batch_id}"):
        if path not in wanted:
            yield Difference(batch_date, batch_id, path, "unknown", "the register does not have it")


@dataclass
class _Looks:
    """Looks at the files of a batch, until its register is gone or out of reach, too: then it is the lake.

    Of several readers whose files cannot be read one asks for the register, which may take as long as waiting for a
    store does; all others take what it found.
    """

    lake: Storage
    register: str
    fault: EnvironmentFault | None = None
    _asking: Lock = field(default_factory=Lock)

    def at(self, path: str, sha256: str) -> tuple[Verdict, str] | None:
        """Return what is wrong with a file, or None.

        Raises:
            EnvironmentFault: it is the lake, and not one file.
        """
        if self.fault:
            raise self.fault
        try:
            found = self.lake.sha256(path)
        except FileNotFoundError:
            self._require_lake()
            return "missing", "restore it from a backup"
        except EnvironmentFault as fault:
            if not isinstance(fault, DamagedFile):
                self._require_lake()
            return "unreadable", str(fault)
        if found == sha256:
            return None
        return "different", f"its sha256 is {found}, not {sha256}: restore it from a backup"

    def _require_lake(self) -> None:
        """Raise EnvironmentFault if the register is gone or out of reach."""
        with self._asking:
            if self.fault is None:
                try:
                    _require_still(self.lake, self.register)
                except EnvironmentFault as fault:
                    self.fault = fault
            if self.fault:
                raise self.fault


def _require_still(lake: Storage, path: str) -> None:
    """Raise EnvironmentFault if a file that was there is gone: then its folder is no measure of what is missing."""
    try:
        lake.entry(path)
    except FileNotFoundError as error:
        raise _went_away(lake, path) from error


def _went_away(lake: Storage, path: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"{lake.url(path)} is gone since the comparison began: see that {lake.root} is there (mounted), then run again."
    )


def _files_below(lake: Storage, folder: str) -> Iterator[str]:
    for entry in lake.list_folder(folder):
        path = f"{folder}/{entry.name}"
        if entry.kind == "folder":
            yield from _files_below(lake, path)
        else:
            yield path
