"""Clearing away what no manifest needs any more: versions that were replaced long ago, results of earlier settings.

Kept is every version that was current at some moment of the last ``keep_days`` days, and every result that the rows of
a kept version came from, found by its fingerprint. So the current manifests lose nothing, a captioner backfill still
finds everything before the caption, and going back within the window finds the pixels as they were.

Safe while runs are going on: a file that was written within the window is never touched, so results that a run has made
and not yet published stay; each batch is looked at and cleared under the lock under which it is published. What may go
is an old result that nothing refers to and that a run which goes back to old models is about to take: such a run then
says that the stage cache was deleted, and computes the result when it is started again.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tounum_tasks import thumbnails
from tounum_tasks.errors import ConfigurationError, DamagedFile, UnreadableFile
from tounum_tasks.history.versions import versions_to_current
from tounum_tasks.manifest.commit import batch_lock
from tounum_tasks.manifest.read import history_path, read_publication, read_version
from tounum_tasks.names import validate_batch_date, validate_batch_id
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.base import Entry, Storage
from tounum_tasks.tables import read_table

log = logging.getLogger(__name__)

FINGERPRINTS = tuple(f"fingerprint_{step.name}" for step in STEPS)
ENHANCED = "enhanced"
# Results that people use, in folders of their own; those below stages/ may be of steps that there are no more.
PRODUCTS = tuple(
    folder for step in STEPS for folder in (step.folder, *step.products) if not folder.startswith("stages/")
)


@dataclass(frozen=True)
class Superfluous:
    """One file that nothing needs: ``kind`` is ``history``, or the folder of its results."""

    kind: str
    path: str
    bytes: int


def prune(lake: Storage, *, keep_days: int, now: dt.datetime, remove: bool) -> Iterator[Superfluous]:
    """Yield what is not needed any more, batch by batch, and remove it if ``remove``.

    Args:
        keep_days: how long a replaced version can be restored.
        now: the end of the window.

    Raises:
        DamagedFile: at the end, if what some batches need is not known any more because a kept version of theirs is
            damaged or gone, or one of their files cannot be read: nothing of them was removed.
    """
    damaged = []
    since = now - dt.timedelta(days=keep_days)
    kinds = ["manifests_history", *(f"stages/{entry.name}" for entry in _folders(lake, "stages")), *PRODUCTS]
    for batch_date, batch_id in sorted({batch for kind in kinds for batch in _batches(lake, kind)}):
        with batch_lock(lake, batch_id):
            try:
                superfluous = list(_of_batch(lake, batch_date, batch_id, kinds[1:], since))
            except DamagedFile as fault:
                damaged.append(f"Nothing of {batch_id} is removed: {fault}")
                continue
            for found in superfluous:
                if remove:
                    lake.remove(found.path)
                yield found
    for found in _old_attention(lake, since):
        if remove:
            lake.remove(found.path)
        yield found
    if damaged:
        raise DamagedFile(" ".join(damaged))


def _of_batch(
    lake: Storage, batch_date: str, batch_id: str, kinds: list[str], since: dt.datetime
) -> Iterator[Superfluous]:
    kept, replaced = _divide(lake, batch_date, batch_id, since)
    needed = _fingerprints(lake, batch_date, batch_id, kept)
    # Results first: were the versions gone already and this interrupted, nothing else would change.
    for kind in kinds:
        base = f"{kind}/{batch_date}/{batch_id}"
        for shard in _folders(lake, base):
            yield from _results(lake, kind, f"{base}/{shard.name}", needed, since)
    for number in replaced:
        path = history_path(batch_date, batch_id, number)
        yield Superfluous("history", path, lake.entry(path).size)


def _old_attention(lake: Storage, since: dt.datetime) -> Iterator[Superfluous]:
    """Yield the pictures of attention maps that were made before the window, most of them of captions that are no more.

    One is made when somebody looks at it. Thumbnails stay: there is one per image, and the next run would not make it.
    """
    for folder in _folders(lake, thumbnails.FOLDER):
        path = f"{thumbnails.FOLDER}/{folder.name}"
        for entry in lake.list_folder(path):
            if entry.name.endswith(thumbnails.ATTENTION_SUFFIX) and _is_old(entry, since):
                yield Superfluous(thumbnails.FOLDER, f"{path}/{entry.name}", entry.size)


def _divide(lake: Storage, batch_date: str, batch_id: str, since: dt.datetime) -> tuple[list[int], list[int]]:
    """Return the versions that were current at some time after ``since``, and the others."""
    numbers = versions_to_current(lake, batch_date, batch_id)
    kept = numbers[-1:]
    for number, successor in reversed(list(pairwise(numbers))):
        if read_publication(lake, batch_date, batch_id, successor).at < since:
            break
        kept.append(number)
    return kept, [number for number in numbers if number not in kept]


def _fingerprints(lake: Storage, batch_date: str, batch_id: str, numbers: list[int]) -> set[str]:
    needed: set[str] = set()
    for number in numbers:
        table = read_version(lake, batch_date, batch_id, number)
        for column in FINGERPRINTS:
            needed.update(table[column].drop_null().to_pylist())
    return needed


def _results(lake: Storage, kind: str, folder: str, needed: set[str], since: dt.datetime) -> Iterator[Superfluous]:
    """Yield the files of one shard that are older than the window and hold nothing that is needed."""
    for entry in lake.list_folder(folder):
        path = f"{folder}/{entry.name}"
        if entry.kind == "folder" and entry.name == ENHANCED:
            for image in lake.list_folder(path):
                if _is_old(image, since) and image.name.partition(".")[0] not in needed:
                    yield Superfluous(kind, f"{path}/{image.name}", image.size)
        elif entry.name.endswith(".parquet") and _is_old(entry, since) and needed.isdisjoint(_held(lake, path)):
            yield Superfluous(kind, path, entry.size)


def _held(lake: Storage, path: str) -> set[str]:
    """The fingerprints of the rows of a file; a damaged file holds none.

    Raises:
        UnreadableFile: what it holds is not known.
    """
    try:
        return set(read_table(lake, path, ["fingerprint"])["fingerprint"].to_pylist())
    except UnreadableFile:
        raise
    except (DamagedFile, KeyError) as error:
        log.warning("%s It holds nothing that can be used.", error)
        return set()


def _is_old(entry: Entry, since: dt.datetime) -> bool:
    return entry.kind == "file" and entry.mtime_ns < since.timestamp() * 1e9


def _batches(lake: Storage, kind: str) -> Iterator[tuple[str, str]]:
    for day in _folders(lake, kind):
        for batch in _folders(lake, f"{kind}/{day.name}"):
            try:
                yield validate_batch_date(day.name), validate_batch_id(batch.name)
            except ConfigurationError:
                log.warning("%s is no batch: left alone.", lake.url(f"{kind}/{day.name}/{batch.name}"))


def _folders(lake: Storage, path: str) -> list[Entry]:
    return [entry for entry in lake.list_folder(path) if entry.kind == "folder"]
