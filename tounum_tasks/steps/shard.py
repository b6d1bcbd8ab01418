"""What the stages share: their fingerprints, the cache of their committed rows, and the work of one shard.

A stage's result depends on its input, its version, the settings that it reads and its model, and on nothing else.
:class:`Fingerprints` says so for every stage in one place, so that a run computes only what no earlier run did.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import pyarrow as pa

from tounum_tasks.errors import DamagedFile, EnvironmentFault
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.items import Item, read_items
from tounum_tasks.manifest.read import failed_keys
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.restore.enhance import RESTORE_VERSION
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes, read_rows

# Raise a stage's number when its results change for the same input, settings and model.
MEASURE_VERSION = 2
CLASSIFY_VERSION = 1
ROUTE_VERSION = 1
FEATURES_VERSION = 1
CAPTION_VERSION = 1


log = logging.getLogger(__name__)

T = TypeVar("T")


def in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most ``size``; only one list is held at a time."""
    iterator = iter(things)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprint of each stage's result for an item under one plan."""

    plan: RunPlan

    def _original(self, item: Item) -> dict[str, object]:
        """What the pixels of an item before enhancement depend on: classes are of them."""
        return {
            "image": item.image_id,
            "register_error": [item.error_code, item.error_message],
            "max_pixels": self.plan.max_pixels,
            "pdf_dpi": self.plan.pdf_dpi if item.format == "pdf" else None,
        }

    def measure(self, item: Item) -> str:
        return fingerprint(
            stage="measure",
            version=[MEASURE_VERSION, RESTORE_VERSION],
            enhancement=self.plan.enhancement,
            model=self.plan.restorer.digest if self.plan.enhancement == "auto" else None,
            **self._original(item),
        )

    def classify(self, item: Item) -> str:
        return fingerprint(
            stage="classify",
            version=[MEASURE_VERSION, CLASSIFY_VERSION],
            model=self.plan.classifier.digest,
            **self._original(item),
        )

    def route(self, item: Item, label: str | None) -> str:
        """``label`` is the class, or None for an item that goes to quarantine."""
        return fingerprint(
            stage="route",
            version=ROUTE_VERSION,
            input=self.measure(item),
            item=[item.source_path, item.page],
            label=label,
        )

    def features(self, item: Item) -> str:
        return fingerprint(
            stage="features",
            version=FEATURES_VERSION,
            input=self.measure(item),
            model=self.plan.extractor.digest,
        )

    def caption(self, item: Item) -> str:
        return fingerprint(
            stage="caption",
            version=CAPTION_VERSION,
            input=self.features(item),
            model=self.plan.captioner.digest,
            beam=self.plan.beam,
        )


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
        content = parquet_bytes(pa.Table.from_pylist(rows, schema=self.schema), row_group_size=64)
        name = fingerprint(rows=sorted(row["fingerprint"] for row in rows))[:32]
        self.lake.write_bytes(f"{self.folder}/{name}.parquet", content)

    def _files(self) -> list[str]:
        """Newest first: a result that was computed again is preferred to the one that it repeats."""
        entries = [entry for entry in self.lake.list_folder(self.folder) if entry.name.endswith(".parquet")]
        entries.sort(key=lambda entry: (-entry.mtime_ns, entry.name))
        return [f"{self.folder}/{entry.name}" for entry in entries]


@dataclass(frozen=True)
class ShardWork:
    """The items of one shard, and which of their results must be computed."""

    plan: RunPlan
    shard: ShardRef
    settings: Settings

    @cached_property
    def lake(self) -> Storage:
        return open_storage(self.settings.lake_root)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        return Fingerprints(self.plan)

    @cached_property
    def items(self) -> list[Item]:
        """The items that the run works on: all of the shard, or those that the manifest says are not ok."""
        items = read_items(self.lake, self.shard.batch_date, self.shard.batch_id, self.shard.shard)
        if self.plan.items != "failed":
            return items
        batch = next(batch for batch in self.plan.batches if batch.batch_id == self.shard.batch_id)
        if batch.base_version == 0:
            return items
        failed = failed_keys(self.lake, batch.batch_date, batch.batch_id, batch.base_version)
        return [item for item in items if item.key in failed]

    def cache(self, stage: str, schema: pa.Schema) -> Cache:
        """The committed rows of a stage, which may be deleted and computed again."""
        return self.product(f"stages/{stage}", schema)

    def product(self, name: str, schema: pa.Schema) -> Cache:
        """Committed rows that people use, below a folder of their own in the lake."""
        shard = self.shard
        return Cache(self.lake, f"{name}/{shard.batch_date}/{shard.batch_id}/{shard.name}", schema)

    def require_all(self, found: int, wanted: int, stage: str) -> None:
        """Raise EnvironmentFault if not every wanted result of an earlier stage could be read."""
        if found < wanted:
            raise EnvironmentFault(
                f"{wanted - found} results of the stage {stage} of {self.shard.batch_id} {self.shard.name} are gone: "
                "the stage cache was deleted during the run. Run it again."
            )

    def summary(self, *, computed: int, wanted: int, started: float) -> dict:
        """What a step reports: ``started`` is its ``time.monotonic()`` at the start."""
        summary = {
            "batch_id": self.shard.batch_id,
            "shard": self.shard.shard,
            "computed": computed,
            "reused": wanted - computed,
            "seconds": round(time.monotonic() - started, 2),
        }
        log.info("%(computed)d computed, %(reused)d reused, %(seconds).1f s.", summary)
        return summary

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
