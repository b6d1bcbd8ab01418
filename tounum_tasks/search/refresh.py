"""Bringing the index up to date with the manifests of a lake: what changed is read, and nothing else."""

from __future__ import annotations

import fcntl
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tounum_tasks
from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.model_kinds import KINDS
from tounum_tasks.models.registry import STARTERS, ListedVersion, Registry
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.reviews.text import FOLDER, compacted_names
from tounum_tasks.search.index import (
    index_file,
    is_damage,
    numbers_of_batch,
    packed,
    remove_index,
    transaction,
    writing,
)
from tounum_tasks.search.reviewed import drop_reviews, lay_over, take_reviews
from tounum_tasks.search.rows import file_name_of, tags_of, words_of
from tounum_tasks.search.tagged import (
    EVERYTHING,
    Marked,
    Slots,
    add_tags,
    counted,
    forget_items,
    give_up_room,
    make_room,
)
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Entry, Storage
from tounum_tasks.store.open import open_storage

if TYPE_CHECKING:
    import pyarrow as pa

    from tounum_tasks.items import ItemKey

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
ITEM_COLUMNS = (
    "batch_date", "batch_id", "source_path", "page", "pages", "image_id", "status", "label", "model_label",
    "label_source", "confidence", "caption", "model_caption", "caption_source", "caption_confidence", "width_px",
    "height_px", "needs_review", "error_code",
)  # fmt: skip


@dataclass(frozen=True)
class Refreshed:
    """What one refresh did: how many batches were written anew, taken out, and cannot be read."""

    written: int
    removed: int
    damaged: int


def refresh(settings: Settings, *, wait: bool = False, anew: bool = False) -> Refreshed | None:
    """Bring the index of the lake up to date; None if another process is at it already.

    Args:
        wait: for that other process, and do it after it.
        anew: remove it first; nobody else writes to it meanwhile.

    Raises:
        EnvironmentFault: the lake cannot be read, or the index not written.
    """
    path = index_file(settings.index_cache, settings.lake_root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock"), wait=wait) as is_alone:
            if is_alone and anew:
                remove_index(path)
            return _mended(path, settings) if is_alone else None
    except (OSError, sqlite3.OperationalError) as error:
        raise EnvironmentFault(f"The index {path} cannot be written: {error}.") from error


def _mended(path: Path, settings: Settings) -> Refreshed:
    """Bring the index up to date, and make it anew if it is damaged."""
    try:
        done = _refreshed(path, settings)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        log.warning("%s is damaged (%s); it is made anew.", path, error)
        remove_index(path)
        done = _refreshed(path, settings)
    _remove_other_layouts(path)
    return done


def _refreshed(path: Path, settings: Settings) -> Refreshed:
    with writing(path) as index:
        return _bring_up_to_date(open_storage(settings.lake_root), index)


def _remove_other_layouts(path: Path) -> None:
    """Remove what other releases kept of the same lake, which nothing else would: an index can be large."""
    kept = f"{path.stem}."
    for other in path.parent.glob(f"{path.stem.rpartition('-')[0]}-*"):
        if not other.name.startswith(kept):
            other.unlink(missing_ok=True)


def _bring_up_to_date(lake: Storage, index: sqlite3.Connection) -> Refreshed:
    there = _manifests(lake)
    known = {(row["batch_date"], row["batch_id"]): row["content"] for row in index.execute("SELECT * FROM batches")}
    gone = known.keys() - there.keys()
    for key in sorted(gone):
        with transaction(index):
            if (number := _remove(index, *key)) is not None:
                give_up_room(index, numbers_of_batch(key[0], number)[0])
            _set_state(index, "totals", "wrong")
    changed = sorted((key for key, entry in there.items() if known.get(key) != _content(entry)), reverse=True)
    _take_reviews(lake, index)
    damaged = 0
    for done, key in enumerate(changed, 1):
        damaged += not _write(lake, index, key, there[key])
        if done % 100 == 0:
            log.info("index: %d of %d batches", done, len(changed))
    if _state(index, "totals") != "right":
        _write_totals(index)
    _write_models(lake, index)
    with transaction(index):
        _set_state(index, "built", "yes")
    return Refreshed(len(changed), len(gone), damaged)


def _take_reviews(lake: Storage, index: sqlite3.Connection) -> None:
    """Take in reviews that are new, and take out those that are gone, if the lake lists others than the last time."""
    compacted = compacted_names(lake)  # before they are read: they only grow
    listed = "\n".join([compacted, *(entry.name for entry in lake.list_folder(FOLDER))])
    if _state(index, "reviews") == listed:
        return
    known = {row["review_id"] for row in index.execute("SELECT review_id FROM reviews")}
    there = {review.review_id: review for review in ReviewStore(lake).all()}
    with transaction(index):
        take_reviews(index, [review for name, review in there.items() if name not in known])
        drop_reviews(index, known - there.keys())
        _set_state(index, "compacted", compacted)
        _set_state(index, "reviews", listed)


def _state(index: sqlite3.Connection, key: str) -> str:
    found = index.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
    return found["value"] if found else ""


def _set_state(index: sqlite3.Connection, key: str, value: str) -> None:
    index.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))


@contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[bool]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _manifests(lake: Storage) -> dict[tuple[str, str], Entry]:
    """The manifests that are installed, by date and id of the batch."""
    from tounum_tasks.manifest.published import installed_manifests

    return {(batch.batch_date, batch.batch_id): entry for batch, entry in installed_manifests(lake).items()}


def _content(entry: Entry) -> str:
    return f"{entry.size} {entry.mtime_ns} {entry.version} {entry.identity}"


@dataclass
class _Batch:
    """A published batch: its rows, of which few are unpacked at a time, and what they say together.

    Attributes:
        table: the manifest; None if it cannot be read.
        shards: of each item, as it was registered.
        counts: of tags.
        seconds: that all steps took.
        versions: of the models, by name.
        first: the first row; empty, if there is none.
    """

    table: pa.Table | None = None
    shards: dict[ItemKey, int] = field(default_factory=dict)
    publication: Any = None
    fault: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    versions: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in KINDS})
    first: dict[str, Any] = field(default_factory=dict)

    @property
    def items(self) -> int:
        return 0 if self.table is None else self.table.num_rows

    def parts(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows, some at a time, each with its shard if that is known."""
        for part in () if self.table is None else self.table.to_batches(max_chunksize=ROWS_AT_ONCE):
            rows = part.to_pylist()
            for row in rows:
                if (key := (row["source_path"], row["page"])) in self.shards:
                    row["shard"] = self.shards[key]
            yield rows

    def count(self, row: dict[str, Any], tags: list[str]) -> None:
        self.first = self.first or row
        self.counts.update(tags)
        self.seconds += _seconds(row)
        for name, kind in KINDS.items():
            if kind.column and row.get(kind.column):
                self.versions[name].add(row[kind.column])


def _write(lake: Storage, index: sqlite3.Connection, key: tuple[str, str], entry: Entry) -> bool:
    """Write a batch anew; return whether its manifest could be read."""
    try:
        batch = _read(lake, *key)
    except DamagedFile as error:
        batch = _Batch(fault=str(error))
        log.warning("%s", error)
    except FileNotFoundError:  # it went away meanwhile: the next refresh takes it out
        return True
    with transaction(index):
        number = _remove(index, *key)
        if number is None:
            number = index.execute(
                "SELECT coalesce(max(number), -1) + 1 FROM batches WHERE batch_date = ?", key[:1]
            ).fetchone()[0]
        first = numbers_of_batch(key[0], number)[0]
        make_room(index, first, batch.items)
        _insert_items(index, first, batch)
        _insert_batch(index, key, number, entry, batch)
        _set_state(index, "totals", "wrong")
        lay_over(index, _reviewed_items(index, key[0], number))
    return batch.fault is None


def _read(lake: Storage, batch_date: str, batch_id: str) -> _Batch:
    from tounum_tasks.manifest.published import read_columns
    from tounum_tasks.manifest.read import read_publication

    table = read_columns(lake, batch_date, batch_id)
    if table is None:
        raise FileNotFoundError(batch_id)
    if not table.num_rows:
        return _Batch(table)
    batch = _Batch(table, _shards(lake, batch_date, batch_id))
    version = table["manifest_version"][0].as_py()
    try:
        batch.publication = read_publication(lake, batch_date, batch_id, version)
    except FileNotFoundError:  # the manifest can be shown all the same
        log.warning("Version %s of the manifest of %s/%s is gone from the history.", version, batch_date, batch_id)
    except DamagedFile as error:  # likewise: the next run of the batch makes it whole
        log.warning("%s", error)
    return batch


def _shards(lake: Storage, batch_date: str, batch_id: str) -> dict[ItemKey, int]:
    """The shard of each item of a batch, as it was registered; nothing is known without a register."""
    from tounum_tasks.items import shards_of

    try:
        return shards_of(lake, batch_date, batch_id)
    except FileNotFoundError:
        return {}
    except DamagedFile as error:  # runs and `verify` tell people; the manifest can be shown all the same
        log.warning("%s", error)
        return {}


def _remove(index: sqlite3.Connection, batch_date: str, batch_id: str) -> int | None:
    """Take a batch out, and return its number, if it was there."""
    found = index.execute(
        "SELECT number FROM batches WHERE batch_date = ? AND batch_id = ?", (batch_date, batch_id)
    ).fetchone()
    if found is None:
        return None
    number: int = found["number"]
    span = numbers_of_batch(batch_date, number)
    index.execute(
        "INSERT INTO texts (texts, rowid, caption, source_path, words) "
        "SELECT 'delete', id, caption, source_path, words FROM items WHERE id >= ? AND id < ?",
        span,
    )
    forget_items(index, span[0])
    for table in ("items", "details"):
        index.execute(f"DELETE FROM {table} WHERE id >= ? AND id < ?", span)
    index.execute("DELETE FROM batches WHERE batch_date = ? AND batch_id = ?", (batch_date, batch_id))
    return number


def _insert_items(index: sqlite3.Connection, first: int, batch: _Batch) -> None:
    columns = ("id", *ITEM_COLUMNS, "words", "tags", "file_name")
    statement = f"INSERT INTO items ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    item = first
    for rows in batch.parts():
        tagged = [(number, row, tags_of(row)) for number, row in enumerate(rows, item)]
        item += len(rows)
        for _, row, tags in tagged:
            batch.count(row, tags)
        index.executemany(
            statement,
            (
                (
                    number,
                    *(row.get(name) for name in ITEM_COLUMNS),
                    words_of(row),
                    json.dumps(tags),
                    file_name_of(row["source_path"]),
                )
                for number, row, tags in tagged
            ),
        )
        index.executemany("INSERT INTO details VALUES (?, ?)", ((number, packed(row)) for number, row, _ in tagged))
        add_tags(index, ((number, tags) for number, _, tags in tagged))
    index.execute(
        "INSERT INTO texts (rowid, caption, source_path, words) "
        "SELECT id, caption, source_path, words FROM items WHERE id >= ? AND id < ?",
        (first, item),
    )


def _reviewed_items(index: sqlite3.Connection, batch_date: str, number: int) -> list[sqlite3.Row]:
    """The items of a batch of which anybody said anything, to any of their copies."""
    span = numbers_of_batch(batch_date, number)
    return index.execute(
        "SELECT * FROM items WHERE id >= ? AND id < ? AND image_id IN (SELECT image_id FROM reviews)", span
    ).fetchall()


def _insert_batch(
    index: sqlite3.Connection,
    key: tuple[str, str],
    number: int,
    entry: Entry,
    batch: _Batch,
) -> None:
    counts, row, publication = batch.counts, batch.first, batch.publication
    values = {
        "batch_date": key[0],
        "batch_id": key[1],
        "number": number,
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "content": _content(entry),
        "batch_name": row.get("batch_name", key[1]),
        "items": batch.items,
        "photos": counts["route:photos"],
        "to_review": counts["review"],
        "quarantined": counts["status:quarantined"],
        "failed": counts["status:failed"],
        "seconds": batch.seconds,
        "run_id": publication.run_id if publication else row.get("run_id"),
        "manifest_version": row.get("manifest_version"),
        "published_at": publication.at.isoformat() if publication else None,
        "fault": batch.fault,
        "models": json.dumps({name: sorted(found) for name, found in batch.versions.items()}),
    }
    index.execute(
        f"INSERT INTO batches ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
    )


def _write_models(lake: Storage, index: sqlite3.Connection) -> None:
    """Write the versions of all models anew, if anything about them changed."""
    folders = [f"models/{name}" for name in KINDS]
    there = [
        (folder, e.name, e.mtime_ns, e.version, e.identity) for folder in folders for e in lake.list_folder(folder)
    ]
    content = json.dumps([tounum_tasks.__version__, sorted(STARTERS.glob("*/*"), key=str), there], default=str)
    if _state(index, "models") == content:
        return
    registry = Registry(lake)
    listed = [found for name in KINDS for found in registry.versions(name)]
    with transaction(index):
        index.execute("DELETE FROM models")
        index.executemany("INSERT INTO models VALUES (?, ?, ?, ?)", map(_model, listed))
        _set_state(index, "models", content)


def _model(found: ListedVersion) -> tuple[str, str, bool, str]:
    card = found.card.model_dump(mode="json") if found.card else None
    content = {"card": card, "problem": found.problem, "is_starter": found.is_starter}
    return found.name, found.version, found.in_production, json.dumps(content, default=str)


def _write_totals(index: sqlite3.Connection) -> None:
    with transaction(index):
        index.execute("DELETE FROM totals")
        index.executemany(
            "INSERT INTO totals VALUES (?, ?)", counted(index, Marked.of_batches(Slots(index), EVERYTHING)).items()
        )
        _set_state(index, "totals", "right")


def _seconds(row: dict[str, Any]) -> float:
    return sum(float(value) for name, value in row.items() if name.startswith("seconds_") and value)
