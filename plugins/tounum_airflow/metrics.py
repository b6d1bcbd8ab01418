"""The pipeline's own metrics, sent as Airflow sends its own: the settings of ``[metrics]`` hold for both.

Where no metrics are switched on, nothing is sent. Tags have few values each: batches and runs are in the logs.
"""

from collections.abc import Mapping
from typing import Any

from airflow.sdk.observability import stats

ITEMS = "tounum.items"  # tags status, label
BATCHES = "tounum.batches"  # tag outcome
STAGE_ITEMS = "tounum.stage.items"  # tags stage, result
STAGE_DURATION = "tounum.stage.duration"  # tag stage


def shard_done(stage: str, summary: Mapping[str, Any]) -> None:
    """Count what one stage did with one shard.

    Args:
        stage: the task's name, without its group.
        summary: what the stage reports.
    """
    for result in ("computed", "reused"):
        stats.incr(STAGE_ITEMS, count=summary[result], tags={"stage": stage, "result": result})
    stats.timing(STAGE_DURATION, summary["seconds"] * 1000, tags={"stage": stage})


def run_published(summary: Mapping[str, Any]) -> None:
    """Count batches by outcome, and the items of those whose manifest is new by status and class.

    Batches that a repeated task finds published already are unchanged: no item counts twice.
    """
    for batch in summary["batches"]:
        stats.incr(BATCHES, tags={"outcome": batch["outcome"]})
        if batch["outcome"] != "published":
            continue
        for status, labels in batch["labels"].items():
            for label, count in labels.items():
                stats.incr(ITEMS, count=count, tags={"status": status, "label": label})
