"""Who published a batch while a run was working on it, and whether that run has lost anything by it."""

from collections.abc import Mapping

import pyarrow as pa

from tounum_tasks.manifest.models import MODEL_COLUMNS, distinct, version_of
from tounum_tasks.manifest.read import latest_version, read_publication, read_version
from tounum_tasks.plan import BatchPlan, RunPlan, RunRequest
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import pin_models
from tounum_tasks.store.base import Storage


def other_publishers(lake: Storage, plan: RunPlan, batch: BatchPlan) -> list[str]:
    """Return the runs that published a batch since ``plan`` was made; none if the plan's own run did so after them."""
    latest = latest_version(lake, batch.batch_date, batch.batch_id)
    found: list[str] = []
    for version in range(batch.base_version + 1, latest + 1):
        publisher = _publisher(lake, batch, version, plan.run_id)
        found = [] if publisher == plan.run_id else [*found, publisher]
    return found


def _publisher(lake: Storage, batch: BatchPlan, version: int, run_id: str) -> str:
    """The run that published a version; the first releases did not write it down, but their rows name their runs."""
    said = read_publication(lake, batch.batch_date, batch.batch_id, version).run_id
    if said:
        return said
    runs = read_version(lake, batch.batch_date, batch.batch_id, version)["run_id"].unique().to_pylist()
    return run_id if run_id in runs else runs[0]


def complaint(plan: RunPlan, batch: BatchPlan, table: pa.Table, others: list[str], settings: Settings) -> str | None:
    """Return a sentence if others published a batch with results that a run was not asked for, or None.

    A run that asked for the models in production has nothing to complain about if another one used those that are in
    production now: it was overtaken by a promotion. All else means that what the run was started for did not happen.

    Args:
        table: the rows of the current manifest.
        others: the runs that published it since this run began.
    """
    # A run that began with another release may have pinned models that rows do not name, or fewer.
    wanted = {name: version_of(pin) for name, pin in plan.models.items() if name in MODEL_COLUMNS}
    if _made_with(table, wanted, plan.enhancement):
        return None
    if plan.in_production:
        pins = pin_models(RunRequest(run_id=plan.run_id), settings)
        today = {name: version_of(pin) for name, pin in pins.items() if name in plan.in_production}
        if _made_with(table, {**wanted, **today}, plan.enhancement):
            return None
    return (
        f"{batch.batch_id} was published by another run ({', '.join(others)}) while this one was working on it, with "
        "other models or settings; its manifest stays. Start this run again if you want its results instead"
    )


def _made_with(table: pa.Table, models: Mapping[str, str], enhancement: str) -> bool:
    """Whether all rows of a manifest that have a result were made with these models and this enhancement."""
    wanted = {**{MODEL_COLUMNS[name]: version for name, version in models.items()}, "enhancement_method": enhancement}
    return all(set(distinct(table, column)) <= {value} for column, value in wanted.items())
