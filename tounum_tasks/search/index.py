"""The index that the web pages read: one SQLite file per lake and host, made from manifests, which may be deleted.

The number of an item says where it stands: newest night first, batch by batch, in the manifest's order. So a page in
this order is a walk along a B-tree, a night or a batch is a range of numbers, and nothing is sorted. What people
filter by is a *tag* (``class:Photo``, ``flag:blurry``, ``review``, ...). Which items have a tag is kept in bitmaps
(:mod:`tounum_tasks.search.tagged`).

Only the standard library is imported here: Airflow's api-server reads this file.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tounum_tasks.search.tagged import BATCH_BITS, Marked, Slots, Span
from tounum_tasks.search.tagged import SCHEMA as TAGGED
from tounum_tasks.search.texts import SCHEMA as TEXTS

LAYOUT = 6  # raise with every change of the tables: an index of another layout is made anew
ROWS_OF_A_BATCH, BATCHES_OF_A_DAY = 1 << BATCH_BITS, 1 << 20
LAST_DAY = dt.date(2199, 12, 31).toordinal()
BUSY_SECONDS = 30.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ}
CACHE_KIB = 1024  # of pages, per connection; the rest is in the cache of the operating system

TABLES = f"""
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE batches (
    batch_date TEXT, batch_id TEXT, number INTEGER, size INTEGER, mtime_ns INTEGER, content TEXT,
    batch_name TEXT, items INTEGER, photos INTEGER, to_review INTEGER, quarantined INTEGER, failed INTEGER,
    seconds REAL, run_id TEXT, manifest_version INTEGER, published_at TEXT, fault TEXT, models TEXT,
    PRIMARY KEY (batch_date, batch_id)
) WITHOUT ROWID;
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    batch_date TEXT, batch_id TEXT, source_path TEXT, page INTEGER, pages INTEGER, image_id TEXT,
    status TEXT, label TEXT, model_label TEXT, label_source TEXT, confidence REAL,
    caption TEXT, model_caption TEXT, caption_source TEXT, caption_confidence REAL,
    width_px INTEGER, height_px INTEGER, needs_review INTEGER, error_code TEXT,
    is_seen INTEGER DEFAULT 0, words TEXT, tags TEXT, file_name TEXT
);
CREATE INDEX items_by_name ON items (file_name);
CREATE INDEX items_by_path ON items (source_path, page);
CREATE INDEX items_of_an_image ON items (image_id);
CREATE INDEX items_by_confidence ON items (confidence) WHERE confidence IS NOT NULL;
CREATE INDEX items_by_caption ON items (caption_confidence) WHERE caption_confidence IS NOT NULL;
CREATE TABLE details (id INTEGER PRIMARY KEY, row BLOB);
{TAGGED.strip()}
CREATE TABLE totals (tag TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE reviews (review_id TEXT PRIMARY KEY, image_id TEXT, item TEXT, content TEXT) WITHOUT ROWID;
CREATE INDEX reviews_of_an_image ON reviews (image_id);
CREATE INDEX reviews_of_an_item ON reviews (item);
CREATE TABLE models (name TEXT, version TEXT, in_production INTEGER, content TEXT, PRIMARY KEY (name, version))
    WITHOUT ROWID;
{TEXTS.strip()}
"""


def index_file(folder: str, lake_root: str) -> Path:
    """Return where the index of a lake lies below the folder of the setting ``index_cache``."""
    lake = hashlib.sha256(lake_root.encode()).hexdigest()[:16]
    return Path(folder) / f"lake-{lake}-{LAYOUT}.sqlite"


def is_built(path: Path) -> bool:
    """Whether an index has been brought up to date once, as a whole."""
    try:
        with reading(path) as index:
            return is_whole(index)
    except (FileNotFoundError, sqlite3.DatabaseError):  # it is damaged: a refresh makes it anew
        return False


def is_whole(index: sqlite3.Connection) -> bool:
    """Whether an open index has been brought up to date once."""
    if not index.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
        return False
    return index.execute("SELECT 1 FROM state WHERE key = 'built'").fetchone() is not None


class DamagedRow(sqlite3.DatabaseError):
    """The index holds something else than what was written there, which SQLite itself does not see."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the index is damaged, so that it has to be made anew."""
    code = getattr(error, "sqlite_errorcode", 0)
    return bool({code, code & 0xFF} & _DAMAGE)


def remove_index(path: Path) -> None:
    """Remove an index with what was written last, and the notes of who reads it; who has it open goes on reading."""
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink(missing_ok=True)


class Reader(sqlite3.Connection):
    """A connection that sees one state of the index, whatever a refresh writes meanwhile, and so finds nothing twice.

    Attributes:
        marked: items that were asked for, by the tags that all of them have and the range of numbers.
        first: numbers of the first items with a text or a name, by those as well.
    """

    def __init__(self, *where: Any, **options: Any) -> None:
        super().__init__(*where, **options)
        self.row_factory = sqlite3.Row
        self.marked: dict[tuple[tuple[str, ...], Span], Marked] = {}
        self.first: dict[tuple[Any, ...], list[int]] = {}

    @cached_property
    def slots(self) -> Slots:
        """Where the items of all batches stand in bitmaps."""
        return Slots(self)

    def close(self) -> None:
        """Close it, and let go of what was found: that knows the connection, so it would stay for a while."""
        super().close()
        self.marked.clear()
        self.first.clear()
        self.__dict__.pop("slots", None)


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Context of a connection that cannot write; rows can be read by name.

    Raises:
        FileNotFoundError: there is no index yet.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, factory=Reader)) as connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("BEGIN")
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Context of a connection that writes, in transactions of the caller's; the tables are made if they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")  # readers go on while it is written
        connection.execute("PRAGMA synchronous = NORMAL")
        with transaction(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
                for statement in TABLES.split(";\n"):
                    connection.execute(statement)
        yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Context of one transaction, which takes the right to write at once; it is undone if the block raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def numbers_of_day(batch_date: str) -> Span:
    """Return the first number of a night's items, and the first one after them."""
    day = LAST_DAY - dt.date.fromisoformat(batch_date).toordinal()
    size = ROWS_OF_A_BATCH * BATCHES_OF_A_DAY
    return day * size, (day + 1) * size


def numbers_of_batch(batch_date: str, number: int) -> Span:
    """Return the first number of a batch's items, and the first one after them.

    Args:
        number: of the batch among those of its day, from 0.
    """
    first = numbers_of_day(batch_date)[0] + number * ROWS_OF_A_BATCH
    return first, first + ROWS_OF_A_BATCH


def packed(row: dict[str, Any]) -> bytes:
    """Return a whole row as compressed JSON; values that are empty are left out."""
    kept = {name: value for name, value in row.items() if value not in (None, [])}
    return zlib.compress(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), 3)


def unpacked(content: bytes) -> dict[str, Any]:
    """Return the row that :func:`packed` made.

    Raises:
        DamagedRow: it is none.
    """
    try:
        row: dict[str, Any] = json.loads(zlib.decompress(content))
    except (zlib.error, ValueError) as error:
        raise DamagedRow(f"a row of the index is damaged ({error})") from error
    return row
