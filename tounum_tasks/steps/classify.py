"""Step classify: the class of every readable image, in batches."""

import time
from collections.abc import Iterator

import pyarrow as pa

from tounum_tasks.batches import read_ahead
from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.fingerprint import fingerprint as hashed
from tounum_tasks.items import Item
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.schema import CLASS_COLUMNS
from tounum_tasks.page_flags.flags import bucket_of
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.pins import load_model
from tounum_tasks.steps.shard import ShardWork

VERSION = 2
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


def wanted(work: ShardWork) -> list[Item]:
    return measure_and_enhance.readable(work)


def fingerprint(work: ShardWork, item: Item) -> str:
    return hashed(
        stage="classify",
        version=[measure_and_enhance.VERSION, VERSION],
        model=work.plan.models["classifier"].digest,
        **measure_and_enhance.original_pixels(work.plan, item),
    )


def usable(work: ShardWork, rows: dict[str, dict]) -> dict[str, dict]:
    return rows


def run(work: ShardWork, pending: dict[str, Item]) -> Iterator[list[dict]]:
    classifier = load_model("classifier", work.plan.models, work.settings)
    by_input = {measure_and_enhance.fingerprint(work, item): fingerprint for fingerprint, item in pending.items()}
    # Classes are found better in degraded photographs than in restored ones (docs/enhancement.md).
    inputs = measure_and_enhance.read_inputs(work, list(by_input), READ_AT_ONCE, before_enhancement=True)
    for known, pixels in read_ahead(inputs):
        started = time.monotonic()
        probabilities = classifier.predict(pixels)
        seconds = (time.monotonic() - started) / len(known)
        yield [
            {
                "fingerprint": by_input[found],
                "run_id": work.plan.run_id,
                "seconds": seconds,
                "label": CLASSES[distribution.argmax()],
                "confidence": distribution.max(),
                "probabilities": distribution,
            }
            for found, distribution in zip(known, probabilities, strict=True)
        ]


def columns(work: ShardWork, item: Item, row: dict) -> dict:
    return {
        "model_label": row["label"],
        "confidence": row["confidence"],
        **{CLASS_COLUMNS[name]: value for name, value in zip(CLASSES, row["probabilities"], strict=True)},
        "classifier_version": version_of(work.plan.models["classifier"]),
    }


def review_reasons(work: ShardWork, row: dict) -> list[str]:
    # A confidence that is no number is never sure.
    return [] if row["confidence"] >= work.plan.review_confidence else ["class"]


def label_of(work: ShardWork, item: Item) -> str | None:
    """Return the class of an item: a person's, else the model's; None if it has none: it could not be read."""
    found = work.results("classify").get(item.key)
    return (work.reviews.label_of(item.image_id) or found["label"]) if found else None


def bucket_for(work: ShardWork, item: Item) -> str | None:
    """Return where an item belongs: its class, or the bucket of empty pages; None if it could not be read."""
    label = label_of(work, item)
    if label is None:
        return None
    flags = work.results("measure_and_enhance")[item.key]["page_flags"]
    return bucket_of(label, flags, by_person=work.reviews.label_of(item.image_id) is not None)


def photographs(work: ShardWork) -> list[Item]:
    """Return the items of a shard that go on to features and captions."""
    return [item for item in work.items if bucket_for(work, item) == PHOTO]
