"""The originals of a lake, compared with its registers: any day, without changing anything."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Literal

from tounum_tasks.batches import in_batches
from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.intake.journal import JOURNAL_FOLDER, Journal
from tounum_tasks.items import registered_batches, registered_files
from tounum_tasks.manifest.published import BatchRef, published_batches
from tounum_tasks.store.base import Storage

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
    for lost in sorted(_known_elsewhere(lake) - compared, key=astuple):
        if batch_id in (None, lost.batch_id):
            progress.batches += 1
            yield Difference(
                lost.batch_date, lost.batch_id, f"registers/{lost.batch_date}/{lost.batch_id}", "missing", _LOST
            )


def _known_elsewhere(lake: Storage) -> set[BatchRef]:
    """The batches that have originals or a manifest, but for those that an intake has begun and will finish."""
    begun = {_begun(lake, f"{JOURNAL_FOLDER}/{entry.name}") for entry in lake.list_folder(JOURNAL_FOLDER)}
    days = [day.name for day in lake.list_folder("originals") if day.kind == "folder"]
    found = {BatchRef(day, entry.name) for day in days for entry in lake.list_folder(f"originals/{day}")}
    return {batch for batch in (*found, *published_batches(lake)) if batch.batch_id not in begun}


def _begun(lake: Storage, path: str) -> str | None:
    """The batch of a journal; a damaged one names none, which the next intake says."""
    try:
        return Journal.from_json(lake.read_bytes(path)).batch_id
    except (FileNotFoundError, ValueError, DamagedFile):
        return None


def _compare_batch(lake: Storage, batch_date: str, batch_id: str, progress: Comparison) -> Iterator[Difference]:
    try:
        wanted = registered_files(lake, batch_date, batch_id)
    except DamagedFile as fault:
        yield Difference(batch_date, batch_id, f"registers/{batch_date}/{batch_id}", "unreadable", str(fault))
        return

    def look(entry: tuple[str, str]) -> Difference | None:
        path, sha256 = entry
        found = _compare_file(lake, path, sha256)
        return Difference(batch_date, batch_id, path, *found) if found else None

    with ThreadPoolExecutor(READERS) as pool:
        for entries in in_batches(wanted.items(), AT_ONCE):
            progress.files += len(entries)
            yield from filter(None, pool.map(look, entries))
    for path in _files_below(lake, f"originals/{batch_date}/{batch_id}"):
        if path not in wanted:
            yield Difference(batch_date, batch_id, path, "unknown", "the register does not have it")


def _compare_file(lake: Storage, path: str, sha256: str) -> tuple[Verdict, str] | None:
    try:
        found = lake.sha256(path)
    except FileNotFoundError:
        return "missing", "restore it from a backup"
    except EnvironmentFault as fault:
        return "unreadable", str(fault)
    if found == sha256:
        return None
    return "different", f"its sha256 is {found}, not {sha256}: restore it from a backup"


def _files_below(lake: Storage, folder: str) -> Iterator[str]:
    for entry in lake.list_folder(folder):
        path = f"{folder}/{entry.name}"
        if entry.kind == "folder":
            yield from _files_below(lake, path)
        else:
            yield path
