"""What a retrain changed: batch by batch over a range of dates, the current version beside the last one before it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.history.diff import ItemChange, Summary, compare
from tounum_tasks.history.versions import models_of, versions_to_current
from tounum_tasks.manifest.models import MODEL_COLUMNS
from tounum_tasks.manifest.published import BatchRef, manifest_gone, published_and_gone
from tounum_tasks.manifest.read import read_version
from tounum_tasks.names import validate_batch_date
from tounum_tasks.store.base import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchChange:
    """What changed in one batch between two versions of its manifest.

    ``before`` is None where no kept version was made with other models: it was made once, or the earlier ones were
    cleared away; then nothing is known to have changed.
    """

    batch: BatchRef
    before: int | None
    after: int
    items: list[ItemChange]
    summary: Summary

    def to_json(self) -> dict:
        return {
            "batch_date": self.batch.batch_date,
            "batch_id": self.batch.batch_id,
            "from": self.before,
            "to": self.after,
            **self.summary.to_json(),
        }


def changes_between(lake: Storage, first: str, last: str, model: str | None = None) -> Iterator[BatchChange]:
    """Yield what changed in every published batch of the dates ``first`` to ``last``, both included, in their order.

    A batch whose manifest is gone is named in the log, and compared by its history.

    Compared are the current version and the newest earlier one that other versions of models made.

    Args:
        model: look at versions of this model alone, such as ``captioner``; None: any.

    Raises:
        ConfigurationError: these are no dates, or there is no such model.
        DamagedFile: a version does not hold what was published.
    """
    validate_batch_date(first), validate_batch_date(last)
    if model is not None and model not in MODEL_COLUMNS:
        raise ConfigurationError(f"There is no model '{model}': choose one of {', '.join(MODEL_COLUMNS)}.")
    published, gone = published_and_gone(lake)
    for batch in sorted([*published, *gone]):
        if first <= batch.batch_date <= last:
            if batch in gone:  # what it was stands in its history
                log.warning("%s", manifest_gone(lake, batch))
            yield _of_batch(lake, batch, [model] if model else list(MODEL_COLUMNS))


def _of_batch(lake: Storage, batch: BatchRef, models: list[str]) -> BatchChange:
    *earlier, current = versions_to_current(lake, batch.batch_date, batch.batch_id)
    after = read_version(lake, batch.batch_date, batch.batch_id, current)
    made_with = {name: models_of(after)[name] for name in models}
    for number in reversed(earlier):
        before = read_version(lake, batch.batch_date, batch.batch_id, number)
        if any(models_of(before)[name] != made_with[name] for name in models):
            items, summary = compare(before, after)
            return BatchChange(batch, number, current, items, summary)
    return BatchChange(batch, None, current, [], Summary(items=after.num_rows))
