"""Step publish: commits one manifest per batch of the run.

What is published is driven by the register's list, not by what upstream tasks returned: an item without a result
becomes a row with status failed, and the batch is published all the same.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, TounumError
from tounum_tasks.items import ItemKey, register_path
from tounum_tasks.logs import about
from tounum_tasks.manifest.commit import StaleRun, batch_lock, commit_version, install_latest
from tounum_tasks.manifest.published import BatchRef
from tounum_tasks.manifest.read import latest_version, read_version
from tounum_tasks.manifest.schema import ITEM_COLUMNS, SCHEMA, STATUS_FAILED, STATUS_OK
from tounum_tasks.plan import BatchPlan, RunPlan
from tounum_tasks.publish.duplicates import LakeHashes
from tounum_tasks.publish.overtaken import other_publishers
from tounum_tasks.publish.rows import build_rows, keys_of, rows_of, to_table
from tounum_tasks.publish.settle import BatchFiles
from tounum_tasks.reviews.compaction import compact
from tounum_tasks.search.vectors import keep_vectors
from tounum_tasks.settings import Settings
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import read_table

log = logging.getLogger(__name__)

NO_LABEL = "none"


def run(plan: RunPlan, settings: Settings) -> dict:
    """Publish every batch of the plan; return ``{"batches": [...]}`` with version, outcome and counts of each.

    ``counts`` are the items by status, ``labels`` those by status and class.

    ``outcome`` is published, unchanged (the rows that describe the items are those of the current version) or stale
    (another run has published other results since this one began; it wins whole).

    Raises:
        EnvironmentFault: at least one batch could not be published, which may pass; all others were.
        ConfigurationError: the same, but trying again cannot help.
    """
    batches: list[dict] = []
    failed: dict[str, Exception] = {}
    hashes = LakeHashes(open_storage(settings.lake_root))
    for batch in plan.batches:
        with about(batch=batch.batch_id):
            try:
                batches.append(_publish(plan, batch, hashes, settings))
            except (TounumError, pa.ArrowException, OSError, ValueError) as error:
                log.exception("This batch could not be published.")
                failed[batch.batch_id] = error
    if failed:
        may_pass = any(isinstance(error, EnvironmentFault | OSError) for error in failed.values())
        told = "; ".join(f"{batch_id}: {error}" for batch_id, error in failed.items())
        raise (EnvironmentFault if may_pass else ConfigurationError)(
            f"Not published, while all other batches were: {told}"
        )
    if plan.last_review:
        compact(open_storage(settings.lake_root), up_to=plan.last_review)
    if not batches:
        log.info("Nothing arrived: there is nothing to publish.")
    return {"batches": batches}


def _publish(plan: RunPlan, batch: BatchPlan, hashes: LakeHashes, settings: Settings) -> dict:
    lake = open_storage(settings.lake_root)
    files = BatchFiles(batch.batch_date, batch.batch_id, settings)
    with batch_lock(lake, batch.batch_id):
        try:
            outcome, table = _commit(lake, plan, batch, files, hashes)
        except StaleRun as stale:
            log.warning("%s", stale)
            outcome, table = "stale", None
        version = install_latest(lake, batch.batch_date, batch.batch_id)
        if table is None:
            table = read_version(lake, batch.batch_date, batch.batch_id, version)
        files.settle(table)
        hashes.keep(BatchRef(batch.batch_date, batch.batch_id), table)
        keep_vectors(lake, batch.batch_date, batch.batch_id, table)
    statuses = table["status"].to_pylist()
    counts = dict(Counter(statuses))
    labels: dict[str, Counter] = {}
    for status, label in zip(statuses, table["label"].to_pylist(), strict=True):
        labels.setdefault(status, Counter())[label or NO_LABEL] += 1
    log.info("Version %d %s, %s.", version, outcome, counts)
    return {
        "batch_id": batch.batch_id,
        "batch_date": batch.batch_date,
        "version": version,
        "outcome": outcome,
        "counts": counts,
        "labels": {status: dict(found) for status, found in labels.items()},
        "uri": lake.url(f"manifests/{batch.batch_date}/{batch.batch_id}/manifest.parquet"),
    }


def _commit(
    lake: Storage, plan: RunPlan, batch: BatchPlan, files: BatchFiles, hashes: LakeHashes
) -> tuple[str, pa.Table]:
    """Commit the rows of a run, unless they are those of the current version.

    Raises:
        StaleRun: another run has published other rows since this one began.
    """
    current = latest_version(lake, batch.batch_date, batch.batch_id)
    earlier = read_version(lake, batch.batch_date, batch.batch_id, current) if current else None
    reuse = _Reuse()
    rows = reuse.counted(build_rows(plan, batch, files.settings, current + 1))
    if earlier is not None:
        rows = _keep_earlier_rows(rows, keys_of(plan, batch, files.settings), earlier, current + 1)
    digests = read_table(lake, register_path(batch.batch_date, batch.batch_id), ["sha256"])["sha256"].to_pylist()
    table = to_table(hashes.mark(BatchRef(batch.batch_date, batch.batch_id), rows, digests))
    log.info("%s.", reuse.told)
    if earlier is not None and _same_items(table, earlier):
        return "unchanged", earlier
    del earlier  # a large batch's rows are not held twice while its files are put
    if others := other_publishers(lake, plan, batch):
        raise StaleRun(
            f"{batch.batch_id}: version {current} was published by another run ({', '.join(others)}) after this run "
            f"began at version {batch.base_version}, with other results; it stays, and nothing was changed."
        )
    files.put_missing(table)
    commit_version(lake, table, version=current + 1, expected_rows=batch.items, run_id=plan.run_id)
    return "published", table


class _Reuse:
    """How many results each stage computed in this run, and how many were taken as they were."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()
        self._reused: Counter[str] = Counter()

    def counted(self, rows: Iterable[dict]) -> Iterator[dict]:
        """Yield the rows, and count what they say."""
        for row in rows:
            stages = [step.name for step in STEPS if row.get(f"seconds_{step.name}") is not None]
            self._found.update(stages)
            self._reused.update(name for name in stages if name in row["reused_stages"])
            yield row

    @property
    def told(self) -> str:
        return "; ".join(
            f"{step.name} {self._found[step.name] - self._reused[step.name]} computed, {self._reused[step.name]} reused"
            for step in STEPS
        )


def _keep_earlier_rows(
    rows: Iterator[dict], keys: Collection[ItemKey], earlier: pa.Table, version: int
) -> Iterator[dict]:
    """Yield a row for every row of ``earlier``, in its order (that of the register).

    Rows of items that the run did not work on stay, and an ok row is never replaced by a failed one.

    Args:
        rows: what the run found, one for each of ``keys``, in the order of the register: none is held for long.
    """
    before_their_turn: dict[ItemKey, dict] = {}
    for before in rows_of(earlier):
        key = before["source_path"], before["page"]
        while key in keys and key not in before_their_turn:
            row = next(rows)
            before_their_turn[row["source_path"], row["page"]] = row
        found = before_their_turn.pop(key, None)
        if found is None or (found["status"] == STATUS_FAILED and before["status"] == STATUS_OK):
            found = {**before, "manifest_version": version}
        yield found


def _same_items(table: pa.Table, earlier: pa.Table) -> bool:
    """Whether two versions agree in all columns that describe the items rather than the run."""
    if not earlier.schema.equals(SCHEMA, check_metadata=True):
        return False
    return table.select(list(ITEM_COLUMNS)).equals(earlier.select(list(ITEM_COLUMNS)))
