"""Step extract_features: InceptionV3 features of every photograph, in batches, kept in ``lake/features``.

They also tell, where that is sure, that a photograph lies on its side or its head.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pyarrow as pa

from tounum_tasks.batches import in_batches, read_ahead
from tounum_tasks.features.turns import Turns, packaged_turns
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.schema import SCHEMA as MANIFEST
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.pins import load_model
from tounum_tasks.steps.shard import ShardWork
from tounum_tasks.steps.table import step_named

VERSION = 3
READ_AT_ONCE = 32
COMMIT_EVERY = 64  # 16 MiB of features, which are in memory several times when they are written

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
        MANIFEST.field("page_flags"),
        MANIFEST.field("turn_degrees"),
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
    turns = packaged_turns() if packaged_turns().extractor == extractor.digest else None
    by_input = {measure_and_enhance.fingerprint(work, item): fingerprint for fingerprint, item in pending.items()}
    for inputs, pixels in read_ahead(measure_and_enhance.read_inputs(work, list(by_input), READ_AT_ONCE)):
        started = time.monotonic()
        features = extractor.extract(pixels).astype("<f2")
        lying = [_lying(turns, image) for image in features]
        seconds = (time.monotonic() - started) / len(inputs)
        yield from (
            {
                "fingerprint": by_input[found],
                "run_id": work.plan.run_id,
                "seconds": seconds,
                "features": image.tobytes(),
                **how,
            }
            for found, image, how in zip(inputs, features, lying, strict=True)
        )


def _lying(turns: Turns | None, features: np.ndarray) -> dict:
    """How a photograph lies, as columns; nothing is known of the features of another extractor."""
    told = turns.told(features) if turns else None
    return {"page_flags": [asdict(told[1])], "turn_degrees": told[0]} if told else {"page_flags": []}


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {
        **_turned(work.results("measure_and_enhance")[item.key], row),
        "features_uri": work.lake.url(work.folder(step_named("extract_features").folder)),
        "extractor_version": version_of(work.plan.models["extractor"]),
    }


def _turned(seen: dict, row: dict) -> dict:
    """The columns on how the page lies, if its features tell it; what its letters told, they know better."""
    if seen["turn_degrees"] or not row["page_flags"]:
        return {}
    return {"page_flags": [*seen["page_flags"], *row["page_flags"]], "turn_degrees": row["turn_degrees"]}


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return []
