"""Building the rows of a manifest: one per registered item, whatever happened to it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa

import tounum_tasks
from tounum_tasks.batches import in_batches
from tounum_tasks.errors import ErrorCode
from tounum_tasks.items import Item, ItemKey, read_sidecars, source_paths_of
from tounum_tasks.manifest.schema import (
    SCHEMA,
    SCHEMA_VERSION,
    STATUS_FAILED,
    STATUS_OK,
    STATUS_QUARANTINED,
    round_floats,
)
from tounum_tasks.plan import BatchPlan, RunPlan, ShardRef
from tounum_tasks.publish.described import described
from tounum_tasks.reviews.laid_over import laid_over
from tounum_tasks.settings import Settings
from tounum_tasks.steps.shard import ShardWork, load_step
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.open import open_storage

ROWS_AT_ONCE = 1_024  # as dictionaries: a row takes ten times the memory then that it takes in a table


def build_rows(plan: RunPlan, batch: BatchPlan, settings: Settings, version: int) -> Iterator[dict]:
    """Yield one row per item of a batch that the run works on, in the order of the register, shard by shard."""
    lake = open_storage(settings.lake_root)
    sidecars = read_sidecars(lake, batch.batch_date, batch.batch_id)
    beside: dict[str, list[str]] = defaultdict(list)
    for sidecar in sidecars:
        for image in sidecar.describes:
            beside[image].append(sidecar.source_path)
    # Each part of the register is read twice, so that the items of a large batch are never held all at once.
    worked_on = {item.source_path: item.batch_name for work in _shards(plan, batch, settings) for item in work.items}
    batch_name = next(iter(worked_on.values()), "")
    # Also those that the run does not work on: whether a name is clear depends on all of them.
    images = source_paths_of(lake, batch.batch_date, batch.batch_id)
    said = described(lake, sidecars, images, worked_on, settings.metadata_mapping, batch_name)
    for work in _shards(plan, batch, settings):
        for row in _shard_rows(work, version):
            yield said.laid_over({**row, "sidecars": beside.get(row["source_path"], [])})


def keys_of(plan: RunPlan, batch: BatchPlan, settings: Settings) -> set[ItemKey]:
    """Return the keys of the items of a batch that the run works on: of those of :func:`build_rows`."""
    return {item.key for work in _shards(plan, batch, settings) for item in work.items}


def _shards(plan: RunPlan, batch: BatchPlan, settings: Settings) -> Iterator[ShardWork]:
    for number in range(batch.shards):
        shard = ShardRef(batch_id=batch.batch_id, batch_date=batch.batch_date, shard=number)
        yield ShardWork(plan, shard, settings)


def to_table(rows: Iterable[dict]) -> pa.Table:
    """Return rows as a table with the published columns, floats rounded as the columns state.

    Its chunks stay as they were made: to join them would hold a large batch twice.
    """
    parts = [
        pa.Table.from_pylist([round_floats(row) for row in part], schema=SCHEMA)
        for part in in_batches(rows, ROWS_AT_ONCE)
    ]
    return pa.concat_tables([SCHEMA.empty_table(), *parts])


def rows_of(table: pa.Table) -> Iterator[dict]:
    """Yield the rows of a table, of which few are unpacked at a time."""
    for part in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield from part.to_pylist()


def _shard_rows(work: ShardWork, version: int) -> Iterable[dict]:
    modules = {step.name: load_step(step.name) for step in STEPS}
    for item in work.items:
        found = {name: work.results(name)[item.key] for name in modules if item.key in work.results(name)}
        row = _provenance(work, item)
        reasons: list[str] = []
        for name, result in found.items():
            reasons += modules[name].review_reasons(work, result)
            row |= modules[name].columns(work, item, result)
            row |= {f"fingerprint_{name}": result["fingerprint"], f"seconds_{name}": result["seconds"]}
        row = laid_over(row, work.reviews, reasons)
        row |= _outcome(work, item, found)
        row |= _run(work, version)
        row["reused_stages"] = [name for name, result in found.items() if result["run_id"] != work.plan.run_id]
        yield row


def _provenance(work: ShardWork, item: Item) -> dict:
    return {
        "batch_id": item.batch_id,
        "batch_date": item.batch_date,
        "batch_name": item.batch_name,
        "source_path": item.source_path,
        "page": item.page,
        "pages": item.pages,
        "image_id": item.image_id,
        "sha256": item.sha256,
        "original_uri": work.lake.url(item.original),
        "bytes": item.bytes,
        "format": item.format,
        "checksum": item.checksum,
        "checksum_source": item.checksum_source,
        "duplicate_of": item.duplicate_of,
    }


def _outcome(work: ShardWork, item: Item, found: dict[str, dict]) -> dict:
    """Status and error of one item: of the first step that should have a result for it and has none, or its own."""
    for step in STEPS:
        if step.name not in found and item.key in work.fingerprints(step.name):
            return _failed(step.name)
    error = found["measure_and_enhance"]["error_code"]
    if not error:
        return {"status": STATUS_OK}
    status = STATUS_FAILED if error == ErrorCode.INTERNAL else STATUS_QUARANTINED
    return {"status": status, "error_code": error, "error_message": found["measure_and_enhance"]["error_message"]}


def _failed(task: str) -> dict:
    return {
        "status": STATUS_FAILED,
        "error_code": ErrorCode.NO_RESULT,
        "error_message": f"the task {task} left no result for this image: see the log of its shard",
    }


def _run(work: ShardWork, version: int) -> dict:
    return {
        "run_id": work.plan.run_id,
        "code_version": tounum_tasks.__version__,
        "manifest_version": version,
        "schema_version": SCHEMA_VERSION,
    }
