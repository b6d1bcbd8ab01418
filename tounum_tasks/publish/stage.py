"""Step publish: commits one manifest per batch of the run.

What is published is driven by the register's list, not by what upstream tasks returned: an item without a result
becomes a row with status failed, and the batch is published all the same.
"""

import logging
from collections import Counter

import pyarrow as pa

from tounum_tasks.errors import EnvironmentFault, TounumError
from tounum_tasks.manifest.commit import StaleRun, commit_version, install_latest
from tounum_tasks.manifest.read import latest_version, read_version
from tounum_tasks.manifest.schema import ITEM_COLUMNS, SCHEMA, STATUS_FAILED, STATUS_OK
from tounum_tasks.plan import BatchPlan, RunPlan
from tounum_tasks.publish.rows import build_rows, to_table
from tounum_tasks.settings import Settings
from tounum_tasks.storage import Storage, open_storage

log = logging.getLogger(__name__)


def run(plan: RunPlan, settings: Settings) -> dict:
    """Publish every batch of the plan; return ``{"batches": [...]}`` with version, outcome and counts of each.

    ``outcome`` is published, unchanged (the rows that describe the items are those of the current version) or stale
    (another run has published the batch since this one began; it wins whole).

    Raises:
        EnvironmentFault: at least one batch could not be published; all others were.
    """
    batches, failed = [], []
    for batch in plan.batches:
        try:
            batches.append(_publish(plan, batch, settings))
        except (TounumError, pa.ArrowException, OSError, ValueError) as error:
            log.exception("%s could not be published.", batch.batch_id)
            failed.append(f"{batch.batch_id}: {error}")
    if failed:
        raise EnvironmentFault(f"Not published, while all other batches were: {'; '.join(failed)}")
    if not batches:
        log.info("Nothing arrived: there is nothing to publish.")
    return {"batches": batches}


def _publish(plan: RunPlan, batch: BatchPlan, settings: Settings) -> dict:
    lake = open_storage(settings.lake_root)
    try:
        outcome, table = _commit(lake, plan, batch, settings)
    except StaleRun as stale:
        log.warning(str(stale))
        outcome, table = "stale", None
    version = install_latest(lake, batch.batch_date, batch.batch_id)
    if table is None:
        table = read_version(lake, batch.batch_date, batch.batch_id, version)
    counts = dict(Counter(table["status"].to_pylist()))
    log.info("%s: version %d %s, %s.", batch.batch_id, version, outcome, counts)
    return {
        "batch_id": batch.batch_id,
        "batch_date": batch.batch_date,
        "version": version,
        "outcome": outcome,
        "counts": counts,
        "uri": lake.url(f"manifests/{batch.batch_date}/{batch.batch_id}/manifest.parquet"),
    }


def _commit(lake: Storage, plan: RunPlan, batch: BatchPlan, settings: Settings) -> tuple[str, pa.Table]:
    current = latest_version(lake, batch.batch_date, batch.batch_id)
    earlier = read_version(lake, batch.batch_date, batch.batch_id, current) if current else None
    if current > batch.base_version and earlier is not None:
        others = _runs(earlier) - {plan.run_id}
        if batch.base_version:
            others -= _runs(read_version(lake, batch.batch_date, batch.batch_id, batch.base_version))
        if others:
            raise StaleRun(
                f"{batch.batch_id}: version {current} was published by another run ({', '.join(sorted(others))}) "
                f"after this run began at version {batch.base_version}; it stays, and nothing was changed."
            )
    rows = build_rows(plan, batch, settings, current + 1)
    if earlier is not None:
        rows = _keep_earlier_rows(rows, earlier, current + 1)
    table = to_table(rows)
    if earlier is not None and _same_items(table, earlier):
        return "unchanged", earlier
    commit_version(lake, table, version=current + 1, expected_rows=batch.items)
    return "published", table


def _runs(table: pa.Table) -> set[str]:
    """The runs that made the rows of a manifest."""
    return set(table["run_id"].to_pylist())


def _keep_earlier_rows(rows: list[dict], earlier: pa.Table, version: int) -> list[dict]:
    """Return a row for every row of ``earlier``, in its order (that of the register).

    Rows of items that the run did not work on stay, and an ok row is never replaced by a failed one.
    """
    made = {(row["source_path"], row["page"]): row for row in rows}
    merged = []
    for before in earlier.to_pylist():
        row = made.get((before["source_path"], before["page"]))
        if row is None or (row["status"] == STATUS_FAILED and before["status"] == STATUS_OK):
            row = {**before, "manifest_version": version}
        merged.append(row)
    return merged


def _same_items(table: pa.Table, earlier: pa.Table) -> bool:
    """Whether two versions agree in all columns that describe the items rather than the run."""
    if not earlier.schema.equals(SCHEMA, check_metadata=True):
        return False
    return table.select(list(ITEM_COLUMNS)).equals(earlier.select(list(ITEM_COLUMNS)))
