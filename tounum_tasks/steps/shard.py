"""What the steps share: the work of one shard, the committed rows of a step, and how a step is run.

A step's result depends on its input, its version, the settings that it reads and its model, and on nothing else. Its
fingerprint says so, and a run computes only what no earlier run did.
"""

import importlib
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast

import pyarrow as pa

from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.items import Item, ItemKey, require_items
from tounum_tasks.manifest.read import failed_keys
from tounum_tasks.memory import give_back, share_heaps
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.pinned import read_pinned
from tounum_tasks.settings import Settings
from tounum_tasks.steps.table import step_named
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes, read_rows

log = logging.getLogger(__name__)

ROWS_AT_ONCE, ARRAYS_AT_ONCE = 64, 16
"""Rows that are written at once, and those with arrays, of which each takes some hundred kilobytes."""


class Cache:
    """Committed rows of one shard in one folder of the lake: Parquet files, each written whole.

    Rows are found by their column ``fingerprint``. Two runs may work on one shard at once: what they both compute is
    the same, and replaced in one step. Below ``stages/`` the files may be deleted: the next run computes them again.
    """

    def __init__(self, lake: Storage, folder: str, schema: pa.Schema) -> None:
        self.lake = lake
        self.folder = folder
        self.schema = schema

    def rows(self, wanted: Iterable[str], columns: list[str] | None = None) -> dict[str, dict]:
        """Return the rows that are committed for the fingerprints ``wanted``, by fingerprint."""
        return {row["fingerprint"]: row for row in self.iterate(wanted, columns)}

    def iterate(self, wanted: Iterable[str], columns: list[str] | None = None, batch_size: int = 64) -> Iterator[dict]:
        """Yield each wanted row once, reading ``batch_size`` rows at a time so that memory stays bounded."""
        missing = set(wanted)
        for path in self._files():
            if not missing:
                return
            try:
                for row in read_rows(self.lake, path, columns, at_once=batch_size):
                    if row["fingerprint"] in missing:
                        missing.discard(row["fingerprint"])
                        yield row
            except (DamagedFile, KeyError) as error:
                # A damaged file is as good as none: what it held is computed again.
                log.warning("%s cannot be used; its results are computed again. %s", self.lake.url(path), error)
            except FileNotFoundError:
                continue  # deleted since it was listed: caches may be

    def commit(self, rows: list[dict]) -> None:
        """Write ``rows`` as one file, named by its fingerprints so that the same work gives the same file."""
        if not rows:
            return
        give_back()
        has_arrays = len(without_arrays(self.schema)) < len(self.schema)
        table = pa.Table.from_pylist(rows, schema=self.schema)
        content = parquet_bytes(table, row_group_size=ARRAYS_AT_ONCE if has_arrays else ROWS_AT_ONCE)
        name = fingerprint(rows=sorted(row["fingerprint"] for row in rows))[:32]
        self.lake.write_bytes(f"{self.folder}/{name}.parquet", content)
        pa.default_memory_pool().release_unused()

    def _files(self) -> list[str]:
        """Newest first: a result that was computed again is preferred to the one that it repeats."""
        entries = [entry for entry in self.lake.list_folder(self.folder) if entry.name.endswith(".parquet")]
        entries.sort(key=lambda entry: (-entry.mtime_ns, entry.name))
        return [f"{self.folder}/{entry.name}" for entry in entries]


class StepModule(Protocol):
    """What a module of :mod:`tounum_tasks.steps` that stands in the table consists of.

    Attributes:
        VERSION: to be raised when results change for the same input, settings and model.
        SCHEMA: of the committed rows; ``fingerprint``, ``run_id`` and ``seconds`` are among the columns.
    """

    VERSION: int
    SCHEMA: pa.Schema

    def wanted(self, work: "ShardWork") -> list[Item]:
        """Return the items for which there should be a result."""

    def fingerprint(self, work: "ShardWork", item: Item) -> str:
        """Return what an item's result is known by."""

    def usable(self, work: "ShardWork", rows: dict[str, dict]) -> dict[str, dict]:
        """Return those of the committed rows, by fingerprint, that need not be computed again."""

    def run(self, work: "ShardWork", pending: dict[str, Item]) -> Iterator[list[dict]]:
        """Compute the results of the items ``pending``, by fingerprint; yield rows that are committed together."""

    def columns(self, work: "ShardWork", item: Item, row: dict) -> dict:
        """Return the columns of the manifest that follow from an item's row."""

    def review_reasons(self, work: "ShardWork", row: dict) -> list[str]:
        """Return why a person should look at an item, as words; none if nothing is doubtful."""


def load_step(name: str) -> StepModule:
    """Import and return the module of a step."""
    return cast(StepModule, importlib.import_module(f"tounum_tasks.steps.{name}"))


@dataclass(frozen=True)
class ShardWork:
    """The items of one shard, and the results of the steps for them; each committed table is read once."""

    plan: RunPlan
    shard: ShardRef
    settings: Settings
    _fingerprints: dict[str, dict[ItemKey, str]] = field(default_factory=dict, compare=False, repr=False)
    _results: dict[str, dict[ItemKey, dict]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def lake(self) -> Storage:
        return open_storage(self.settings.lake_root)

    @cached_property
    def items(self) -> list[Item]:
        """The items that the run works on: all of the shard, or those that the manifest says are not ok."""
        items = require_items(self.lake, self.shard.batch_date, self.shard.batch_id, self.shard.shard)
        if self.plan.items != "failed":
            return items
        batch = next(batch for batch in self.plan.batches if batch.batch_id == self.shard.batch_id)
        if batch.base_version == 0:
            return items
        failed = failed_keys(self.lake, batch.batch_date, batch.batch_id, batch.base_version)
        return [item for item in items if item.key in failed]

    @cached_property
    def reviews(self) -> Effective:
        """What people had said of the batch when the run began.

        Raises:
            EnvironmentFault: what was kept of it is gone or damaged.
        """
        batch = next(batch for batch in self.plan.batches if batch.batch_id == self.shard.batch_id)
        return read_pinned(self.lake, batch.batch_date, batch.batch_id, batch.reviews)

    def folder(self, name: str) -> str:
        """Return this shard's folder below a folder of the lake: ``stages/STEP``, ``features``, ..."""
        return f"{name}/{self.shard.batch_date}/{self.shard.batch_id}/{self.shard.name}"

    def cache(self, name: str) -> Cache:
        """Return the committed rows of a step."""
        return Cache(self.lake, self.folder(step_named(name).folder), load_step(name).SCHEMA)

    def fingerprints(self, name: str) -> dict[ItemKey, str]:
        """Return by item what the results of a step are known by, for the items that should have one."""
        if name not in self._fingerprints:
            step = load_step(name)
            self._fingerprints[name] = {item.key: step.fingerprint(self, item) for item in step.wanted(self)}
        return self._fingerprints[name]

    def results(self, name: str) -> dict[ItemKey, dict]:
        """Return the committed rows of a step by item; items without a result are left out.

        Columns of arrays are left out, too: who needs them reads them piece by piece.
        """
        if name not in self._results:
            wanted, cache = self.fingerprints(name), self.cache(name)
            rows = cache.rows(wanted.values(), without_arrays(cache.schema))
            self._results[name] = {key: rows[found] for key, found in wanted.items() if found in rows}
        return self._results[name]

    def require(self, name: str) -> None:
        """Raise EnvironmentFault if not every wanted result of a step is there."""
        self.require_all(len(self.results(name)), len(self.fingerprints(name)), name)

    def require_all(self, found: int, wanted: int, step: str) -> None:
        """Raise EnvironmentFault if not every wanted result of an earlier step could be read."""
        if found < wanted:
            raise EnvironmentFault(
                f"{wanted - found} results of the task {step} of {self.shard.batch_id} {self.shard.name} are gone: "
                "the stage cache was deleted during the run. Run it again."
            )

    def pending(self, wanted: dict[str, Item], committed: dict[str, dict]) -> dict[str, Item]:
        """Return what must be computed of ``wanted``, given the committed rows, both by fingerprint.

        A run over all or the failed items takes only its own rows: those that it made before it was interrupted.
        """
        own_only = self.plan.items != "missing"
        return {
            found: item
            for found, item in wanted.items()
            if found not in committed or (own_only and committed[found]["run_id"] != self.plan.run_id)
        }


def run_step(name: str, plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Compute and commit the results of a step that a shard lacks; return counts and seconds.

    Raises:
        EnvironmentFault: results of an earlier step are gone, or storage does not do what it should.
    """
    started = time.monotonic()
    share_heaps()
    work = ShardWork(plan, shard, settings)
    for earlier in step_named(name).needs:
        work.require(earlier)
    step, cache = load_step(name), work.cache(name)
    wanted = {step.fingerprint(work, item): item for item in step.wanted(work)}
    committed = cache.rows(wanted, without_arrays(cache.schema))
    pending = work.pending(wanted, step.usable(work, committed))
    done = 0
    for rows in step.run(work, pending) if pending else ():
        cache.commit(rows)
        done += len(rows)
        log.info("%d of %d images done.", done, len(pending))
    summary = {
        "batch_id": shard.batch_id,
        "shard": shard.shard,
        "computed": len(pending),
        "reused": len(wanted) - len(pending),
        "seconds": round(time.monotonic() - started, 2),
    }
    log.info("%(computed)d computed, %(reused)d reused, %(seconds).1f s.", summary)
    return summary


def without_arrays(schema: pa.Schema) -> list[str]:
    """Return the columns of a schema that hold no arrays: those are large."""
    return [column.name for column in schema if not pa.types.is_fixed_size_binary(column.type)]
