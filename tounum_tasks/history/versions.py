"""The versions of a batch's manifest that are kept."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from tounum_tasks.errors import ConfigurationError, DamagedFile
from tounum_tasks.manifest.models import MODEL_COLUMNS, distinct
from tounum_tasks.manifest.read import (
    history_path,
    installed_version,
    manifest_path,
    read_publication,
    read_version,
    versions,
)
from tounum_tasks.store.base import Storage


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        number: N of ``manifests_history/D/B/N.parquet``.
        run_id: the run that published it, or the restore; None if the first releases did.
        at: when.
        models: by name of the model, the versions that made the rows; more than one if rows of earlier runs stayed.
        enhancement: the methods, likewise.
        statuses: items by status.
        is_current: it is the one that is installed as ``manifest.parquet``.
        damage: what is wrong with its file, if it cannot be read: then nothing else is known of it.
    """

    number: int
    run_id: str | None
    at: dt.datetime | None
    models: dict[str, list[str]]
    enhancement: list[str]
    statuses: dict[str, int]
    is_current: bool
    damage: str | None = None

    def to_json(self) -> dict:
        return {
            "version": self.number,
            "current": self.is_current,
            "run_id": self.run_id,
            "published_at": self.at.isoformat(timespec="seconds") if self.at else None,
            "models": self.models,
            "enhancement": self.enhancement,
            "items": sum(self.statuses.values()),
            "statuses": self.statuses,
            "damage": self.damage,
        }


def list_versions(lake: Storage, batch_date: str, batch_id: str) -> list[Version]:
    """Return the kept versions of a batch, oldest first, and the current one also if it is gone from the history."""
    installed, numbers = _installed_and_kept(lake, batch_date, batch_id)
    current = max([installed, *numbers])
    found = [_describe(lake, batch_date, batch_id, number, number == current) for number in numbers]
    if current and current not in numbers:
        found.append(_unreadable(current, _gone(lake, batch_date, batch_id, current), is_current=True))
    return found


def versions_to_current(lake: Storage, batch_date: str, batch_id: str) -> list[int]:
    """Return the kept versions of a batch, of which the last is the current one; none if it was never published.

    Raises:
        DamagedFile: the current one is gone from the history, or all of it is and the manifest is damaged.
    """
    installed, numbers = _installed_and_kept(lake, batch_date, batch_id)
    if installed > max(numbers, default=0):
        raise DamagedFile(_gone(lake, batch_date, batch_id, installed))
    if not numbers and lake.exists(path := manifest_path(batch_date, batch_id)):
        raise DamagedFile(f"{lake.url(path)} is damaged, and its history is gone: restore them from a backup.")
    return numbers


def require_version(lake: Storage, batch_date: str, batch_id: str, number: int) -> pa.Table:
    """Return the rows of a version.

    Raises:
        ConfigurationError: there is no such version, or not any more.
    """
    known = versions(lake, batch_date, batch_id)
    if number not in known:
        listed = ", ".join(map(str, known)) or "none"
        raise ConfigurationError(f"{batch_id} has no version {number}; kept are: {listed}.")
    return read_version(lake, batch_date, batch_id, number)


def models_of(table: pa.Table) -> dict[str, list[str]]:
    """Return which versions of each model made the rows of a manifest."""
    return {name: distinct(table, column) for name, column in MODEL_COLUMNS.items()}


def _describe(lake: Storage, batch_date: str, batch_id: str, number: int, is_current: bool) -> Version:
    try:
        table = read_version(lake, batch_date, batch_id, number)
    except DamagedFile as fault:
        return _unreadable(number, str(fault), is_current=is_current)
    said = read_publication(lake, batch_date, batch_id, number)
    return Version(
        number=number,
        run_id=said.run_id,
        at=said.at,
        models=models_of(table),
        enhancement=distinct(table, "enhancement_method"),
        statuses=dict(sorted(Counter(table["status"].to_pylist()).items())),
        is_current=is_current,
    )


def _installed_and_kept(lake: Storage, batch_date: str, batch_id: str) -> tuple[int, list[int]]:
    """The version that is installed, and those that are kept: looked for in this order, in which they cannot disagree
    because somebody publishes meanwhile."""
    installed = installed_version(lake, batch_date, batch_id)
    return installed, versions(lake, batch_date, batch_id)


def _unreadable(number: int, damage: str, *, is_current: bool) -> Version:
    return Version(number, None, None, {name: [] for name in MODEL_COLUMNS}, [], {}, is_current, damage)


def _gone(lake: Storage, batch_date: str, batch_id: str, number: int) -> str:
    path = lake.url(history_path(batch_date, batch_id, number))
    return f"{path} is gone: run the batch again, or restore a version of it, to have it written from the manifest."
