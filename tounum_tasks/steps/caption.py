"""Step caption: a caption for every photograph, from its features, with the attention maps in ``lake/attention``."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from tounum_tasks.batches import in_batches
from tounum_tasks.caption.confidence import review_reasons as reasons_of
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.steps import extract_features
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.pins import load_model
from tounum_tasks.steps.shard import Cache, ShardWork

VERSION = 2
SHORT_VERSION = 2
"""Of short captions, beside that."""
CAPTION_AT_ONCE, READ_AT_ONCE = 32, 16

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("log_probability", pa.float64(), nullable=False),
        pa.field("confidence", pa.float64()),
        pa.field("alternatives", pa.list_(pa.string()), nullable=False),
    ]
)
ATTENTION_SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field(
            "attention",
            pa.binary(),
            nullable=False,
            metadata={"description": "words x 64 float16, little-endian; 64 = 8 x 8 positions, row by row"},
        ),
    ]
)


def wanted(work: ShardWork) -> list[Item]:
    return photographs(work)


def fingerprint(work: ShardWork, item: Item) -> str:
    plan = work.plan
    doubt: dict[str, list[Any]] = {}
    if plan.doubtful_captions != "keep":  # captions that are kept do not depend on what is called doubtful
        doubt["doubt"] = [plan.doubtful_captions, plan.caption_review_confidence]
    if plan.doubtful_captions == "short":
        doubt["doubt"].append(SHORT_VERSION)
    return hashed(
        stage="caption",
        version=VERSION,
        input=extract_features.fingerprint(work, item),
        model=plan.models["captioner"].digest,
        beam=plan.beam,
        **doubt,
    )


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    return rows


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    from tounum_tasks.caption.doubt import Doubt, captions_of

    captioner = load_model("captioner", work.plan.models, work.settings)
    doubt = Doubt(work.plan.doubtful_captions, work.plan.caption_review_confidence)
    by_input = {extract_features.fingerprint(work, item): fingerprint for fingerprint, item in pending.items()}
    features = work.cache("extract_features").iterate(by_input, ["fingerprint", "features"], batch_size=READ_AT_ONCE)
    found = 0
    for batch in in_batches(features, CAPTION_AT_ONCE):
        started = time.monotonic()
        arrays = np.stack([np.frombuffer(row["features"], "<f2").reshape(64, 2048) for row in batch])
        captions = captions_of(captioner, arrays, beam=work.plan.beam, doubt=doubt)
        seconds = (time.monotonic() - started) / len(batch)
        told = [(by_input[row["fingerprint"]], caption) for row, caption in zip(batch, captions, strict=True)]
        attention_of(work).commit(
            [
                {
                    "fingerprint": fingerprint,
                    "words": list(caption.words),
                    "attention": caption.attention.astype("<f2").tobytes(),
                }
                for fingerprint, caption in told
            ]
        )
        yield [
            {
                "fingerprint": fingerprint,
                "run_id": work.plan.run_id,
                "seconds": seconds,
                "caption": caption.text,
                "words": list(caption.words),
                "log_probability": caption.log_probability,
                "confidence": caption.confidence,
                "alternatives": list(caption.alternatives),
            }
            for fingerprint, caption in told
        ]
        found += len(batch)
    work.require_all(found, len(pending), "extract_features")


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {
        "model_caption": row["caption"] or None,
        "caption_words": row["words"],
        "caption_log_probability": row["log_probability"],
        "caption_confidence": row["confidence"],
        "caption_alternatives": row["alternatives"],
        "attention_uri": work.lake.url(attention_of(work).folder),
        "captioner_version": version_of(work.plan.models["captioner"]),
    }


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    return reasons_of(row["confidence"], work.plan.caption_review_confidence)


def attention_of(work: ShardWork) -> Cache:
    """Return the attention maps of a shard: a product of their own, which lies in ``lake/attention``."""
    return Cache(work.lake, work.folder("attention"), ATTENTION_SCHEMA)
