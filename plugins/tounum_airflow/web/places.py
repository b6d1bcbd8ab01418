"""What an address names: a date, a batch, an image; and what the index has there, or a sentence that it has nothing."""

import datetime as dt
import sqlite3
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Query
from pydantic import AfterValidator

from tounum_tasks.search import query


def checked_date(value: str) -> str:
    """Return a date as it was given, or nothing as nothing.

    Raises:
        ValueError: it is none, or of no year in which anybody takes in scans.
    """
    try:
        if value and (dt.date.fromisoformat(value).isoformat() != value or not "1900" <= value[:4] < "2200"):
            raise ValueError
    except ValueError:
        raise ValueError(f"'{value[:20]}' is no date: write it as 2026-01-31") from None
    return value


Date = Annotated[str, Query(max_length=10), AfterValidator(checked_date)]
Batch = Annotated[str, Query(max_length=80, pattern="^[a-z0-9-]*$")]


@dataclass(frozen=True)
class Place:
    """Where an image lies: ``path`` below its batch's folder, ``page`` from 1."""

    date: str
    batch: str
    path: str
    page: int

    @property
    def key(self) -> dict[str, Any]:
        """What names it in an address."""
        return {"date": self.date, "batch": self.batch, "path": self.path, "page": self.page}

    @property
    def options(self) -> list[str]:
        """What names it to the command ``thumbnail``."""
        batch = ["--batch-date", self.date, "--batch", self.batch]
        return [*batch, f"--source-path={self.path}", "--page", str(self.page)]

    def item(self, index: sqlite3.Connection) -> sqlite3.Row:
        """Return what the index has there.

        Raises:
            HTTPException: 404, there is nothing.
        """
        found = query.find(index, self.date, self.batch, self.path, self.page)
        if found is None:
            raise HTTPException(404, f"There is no page {self.page} of {self.path} in {self.batch}, {self.date}.")
        return found

    def row(self, index: sqlite3.Connection) -> dict[str, Any]:
        """Return its whole row of the manifest, without empty values.

        Raises:
            HTTPException: 404, there is nothing.
        """
        return query.row_of(index, self.item(index)["id"])


def _place(
    date: Date,
    batch: Batch,
    path: Annotated[str, Query(max_length=2000)],
    page: Annotated[int, Query(ge=1, lt=1 << 31)] = 1,
) -> Place:
    return Place(date, batch, path, page)


AskedPlace = Annotated[Place, Depends(_place)]


def batch_at(index: sqlite3.Connection, date: str, batch: str) -> sqlite3.Row:
    """Return a batch of the index.

    Raises:
        HTTPException: 404, there is none.
    """
    found = query.batch(index, date, batch)
    if found is None:
        raise HTTPException(404, f"There is no batch {batch} of {date}.")
    return found
