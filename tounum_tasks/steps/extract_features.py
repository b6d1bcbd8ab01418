"""Step extract_features: InceptionV3 features of every photograph, in batches, kept in ``lake/features``."""

import time
from collections.abc import Iterator

import pyarrow as pa

from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.measure_and_enhance import read_inputs
from tounum_tasks.steps.pins import load_extractor
from tounum_tasks.steps.shard import Cache, ShardWork, in_batches

STAGE = "features"
READ_AT_ONCE = 64
COMMIT_EVERY = 256  # 64 MiB of features

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field(
            "features",
            pa.binary(64 * 2048 * 2),
            nullable=False,
            metadata={"description": "64 x 2048 float16, little-endian, row by row: position (8 x 8), channel"},
        ),
    ]
)


def cache_of(work: ShardWork) -> Cache:
    """Features are a product of their own, not stage rows: they lie in ``lake/features``."""
    return work.product("features", SCHEMA)


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Extract the features of the photographs of a shard that have none; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    wanted = {work.fingerprints.features(item): item for item in photographs(work)}
    cache = cache_of(work)
    pending = work.pending(wanted, cache.rows(wanted, ["fingerprint", "run_id"]))
    if pending:
        for rows in in_batches(_extract(work, pending), COMMIT_EVERY):
            cache.commit(rows)
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _extract(work: ShardWork, pending: dict) -> Iterator[dict]:
    extractor = load_extractor(work.plan.extractor, work.settings)
    by_input = {work.fingerprints.measure(item): fingerprint for fingerprint, item in pending.items()}
    for inputs, pixels in read_inputs(work, list(by_input), READ_AT_ONCE):
        started = time.monotonic()
        features = extractor.extract(pixels).astype("<f2")
        seconds = (time.monotonic() - started) / len(inputs)
        yield from (
            {
                "fingerprint": by_input[found],
                "run_id": work.plan.run_id,
                "seconds": seconds,
                "features": image.tobytes(),
            }
            for found, image in zip(inputs, features, strict=True)
        )
