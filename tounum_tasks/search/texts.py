"""The texts of items, in which SQLite's FTS5 searches: those of all items in the index, or of a few by themselves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

from tounum_tasks.search.text import TOKENIZER

COLUMNS = "caption, source_path, words"
SCHEMA = f"""
CREATE VIRTUAL TABLE texts USING fts5 ({COLUMNS}, content = 'items', content_rowid = 'id', tokenize = '{TOKENIZER}');
"""
AT_ONCE = 200


def matching(index: sqlite3.Connection, expression: str, items: Iterable[int]) -> Iterator[int]:
    """Yield those of some items that an expression of FTS5 finds, in the order in which they come.

    They are copied into a table of their own, a few at a time: that takes a time for each of them, but none for all the
    others that the expression would find in the index.
    """
    rest = iter(items)
    with closing(sqlite3.connect(":memory:")) as few:
        few.execute(f"CREATE VIRTUAL TABLE texts USING fts5 ({COLUMNS}, content = '', tokenize = '{TOKENIZER}')")
        while some := list(islice(rest, AT_ONCE)):
            rows = index.cursor()
            rows.row_factory = None
            rows.execute(
                f"SELECT id, {COLUMNS} FROM items WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(some),)
            )
            few.executemany(f"INSERT INTO texts (rowid, {COLUMNS}) VALUES (?, ?, ?, ?)", rows)
            found = {row[0] for row in few.execute("SELECT rowid FROM texts WHERE texts MATCH ?", (expression,))}
            few.execute("INSERT INTO texts (texts) VALUES ('delete-all')")
            yield from (item for item in some if item in found)
