"""Step classify: the class of every readable image, in batches."""

import logging
import time

import pyarrow as pa

from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.items import Item, ItemKey
from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps.measure_and_enhance import measured, read_inputs
from tounum_tasks.steps.pins import load_classifier
from tounum_tasks.steps.shard import ShardWork

log = logging.getLogger(__name__)

STAGE = "classify"
READ_AT_ONCE = 64

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64()), nullable=False),
    ]
)


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Classify the readable items of a shard that have no committed class; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    readable = measured(work)
    wanted = {work.fingerprints.classify(item): item for item in readable}
    cache = work.cache(STAGE, SCHEMA)
    pending = work.pending(wanted, cache.rows(wanted, ["fingerprint", "run_id"]))
    if pending:
        cache.commit(_classify(work, pending))
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _classify(work: ShardWork, pending: dict) -> list[dict]:
    classifier = load_classifier(work.plan.classifier, work.settings)
    by_input = {work.fingerprints.measure(item): fingerprint for fingerprint, item in pending.items()}
    rows = []
    # Classes are found better in degraded photographs than in restored ones (docs/enhancement.md).
    for inputs, pixels in read_inputs(work, list(by_input), READ_AT_ONCE, before_enhancement=True):
        started = time.monotonic()
        probabilities = classifier.predict(pixels)
        seconds = (time.monotonic() - started) / len(inputs)
        for found, distribution in zip(inputs, probabilities.tolist(), strict=True):
            best = max(range(len(CLASSES)), key=distribution.__getitem__)
            rows.append(
                {
                    "fingerprint": by_input[found],
                    "run_id": work.plan.run_id,
                    "seconds": seconds,
                    "label": CLASSES[best],
                    "confidence": distribution[best],
                    "probabilities": distribution,
                }
            )
    return rows


def read_labels(work: ShardWork) -> dict[ItemKey, str]:
    """Return the committed class of every readable item of a shard.

    Raises:
        EnvironmentFault: a row is gone because the stage cache was deleted during the run.
    """
    wanted = {item.key: work.fingerprints.classify(item) for item in measured(work)}
    rows = work.cache(STAGE, SCHEMA).rows(wanted.values(), ["fingerprint", "label"])
    work.require_all(len(rows), len(set(wanted.values())), STAGE)
    return {key: rows[found]["label"] for key, found in wanted.items()}


def photographs(work: ShardWork) -> list[Item]:
    """Return the items of a shard that go on to features and captions."""
    labels = read_labels(work)
    return [item for item in work.items if labels.get(item.key) == PHOTO]
