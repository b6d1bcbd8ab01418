"""Step caption: a caption for every photograph, from its features, with the attention maps in ``lake/attention``."""

import time

import numpy as np
import pyarrow as pa

from tounum_tasks.plan import RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps import extract_features as features_stage
from tounum_tasks.steps.classify import photographs
from tounum_tasks.steps.pins import load_captioner
from tounum_tasks.steps.shard import Cache, ShardWork, in_batches

STAGE = "caption"
CAPTION_AT_ONCE = 128

SCHEMA = pa.schema(
    [
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("log_probability", pa.float64(), nullable=False),
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


def attention_of(work: ShardWork) -> Cache:
    """Attention maps are a product of their own: they lie in ``lake/attention``."""
    return work.product("attention", ATTENTION_SCHEMA)


def run(plan: RunPlan, shard: ShardRef, settings: Settings) -> dict:
    """Caption the photographs of a shard that have no committed caption; return counts and seconds."""
    started = time.monotonic()
    work = ShardWork(plan, shard, settings)
    wanted = {work.fingerprints.caption(item): item for item in photographs(work)}
    cache = work.cache(STAGE, SCHEMA)
    pending = work.pending(wanted, cache.rows(wanted, ["fingerprint", "run_id"]))
    if pending:
        rows, maps = _caption(work, pending)
        attention_of(work).commit(maps)
        cache.commit(rows)
    return work.summary(computed=len(pending), wanted=len(wanted), started=started)


def _caption(work: ShardWork, pending: dict) -> tuple[list[dict], list[dict]]:
    """Return the rows and the attention maps of the pending items."""
    captioner = load_captioner(work.plan.captioner, work.plan.extractor, work.settings)
    by_input = {work.fingerprints.features(item): fingerprint for fingerprint, item in pending.items()}
    features = features_stage.cache_of(work).iterate(by_input, ["fingerprint", "features"])
    rows: list[dict] = []
    maps: list[dict] = []
    for batch in in_batches(features, CAPTION_AT_ONCE):
        started = time.monotonic()
        arrays = np.stack([np.frombuffer(row["features"], "<f2").reshape(64, 2048) for row in batch])
        captions = captioner.caption(arrays, beam=work.plan.beam)
        seconds = (time.monotonic() - started) / len(batch)
        for row, caption in zip(batch, captions, strict=True):
            fingerprint = by_input[row["fingerprint"]]
            rows.append(
                {
                    "fingerprint": fingerprint,
                    "run_id": work.plan.run_id,
                    "seconds": seconds,
                    "caption": caption.text,
                    "words": list(caption.words),
                    "log_probability": caption.log_probability,
                    "alternatives": list(caption.alternatives),
                }
            )
            maps.append(
                {
                    "fingerprint": fingerprint,
                    "words": list(caption.words),
                    "attention": caption.attention.astype("<f2").tobytes(),
                }
            )
    work.require_all(len(rows), len(pending), features_stage.STAGE)
    return rows, maps
