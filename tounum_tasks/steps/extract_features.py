"""Step extract_features: InceptionV3 features of every photograph, in batches, kept in ``lake/features``."""

import time
from collections.abc import Iterator

import pyarrow as pa

from tounum_tasks.batches import in_batches
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.pins import load_model
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.steps.table import step_named

VERSION = 2
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


def wanted(work: ShardWork) -> list[Item]:
    return photographs(work)


def fingerprint(work: ShardWork, item: Item) -> str:
    return hashed(
        stage="extract_features",
        version=VERSION,
        input=measure_and_enhance.fingerprint(work, item),
        model=work.plan.models["extractor"].digest,
    )


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    return rows


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    return in_batches(_extract(work, pending), COMMIT_EVERY)


def _extract(work: ShardWork, pending: dict[str, Item]) -> Iterator[dict]:
    extractor = load_model("extractor", work.plan.models, work.settings)
    by_input = {measure_and_enhance.fingerprint(work, item): fingerprint for fingerprint, item in pending.items()}
    for inputs, pixels in measure_and_enhance.read_inputs(work, list(by_input), READ_AT_ONCE):
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


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {
        "features_uri": work.lake.url(work.folder(step_named("extract_features").folder)),
        "extractor_version": version_of(work.plan.models["extractor"]),
    }


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return []
