"""Which items of a shard are photographs, by their class under this plan."""

from tounum_tasks.classify import stage as classify_stage
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.items import Item
from tounum_tasks.quality.stage import measured
from tounum_tasks.stages import ShardWork


def photographs(work: ShardWork) -> list[Item]:
    """Return the items that go on to features and captions."""
    readable = measured(work)
    wanted = {work.fingerprints.classify(item) for item in readable}
    rows = work.cache(classify_stage.STAGE, classify_stage.SCHEMA).rows(wanted, ["fingerprint", "label"])
    work.require_all(len(rows), len(wanted), classify_stage.STAGE)
    return [item for item in readable if rows[work.fingerprints.classify(item)]["label"] == PHOTO]
