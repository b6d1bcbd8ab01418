"""The last word on a run: more failures than allowed make it red, after everything was published."""

from collections import Counter
from dataclasses import dataclass

from tounum_tasks.errors import DamagedFile, FailureRateExceeded, TounumError
from tounum_tasks.manifest.published import BatchRef, manifest_gone
from tounum_tasks.manifest.read import latest_version, manifest_path, read_version
from tounum_tasks.manifest.schema import STATUS_OK
from tounum_tasks.plan import BatchPlan, RunPlan
from tounum_tasks.publish.overtaken import complaint, other_publishers
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage


class Overtaken(TounumError):
    """Another run published a batch first, with other results (exit code 1)."""


@dataclass(frozen=True)
class JudgedBatch:
    """What became of one batch of a run.

    Attributes:
        version: of its manifest that is current; 0 if there is none.
        statuses: items by status.
        others: runs that published it since this one began.
        complaint: a sentence if they published results that this run was not started for.
        damage: a sentence if the current version cannot be read or is not installed: then nothing else is known of it.
    """

    plan: BatchPlan
    version: int
    statuses: Counter[str]
    others: list[str]
    complaint: str | None = None
    damage: str | None = None

    @property
    def without_result(self) -> int:
        """Items that are quarantined or failed; all of them if there is no manifest."""
        return self.plan.items - self.statuses[STATUS_OK]

    @property
    def failure_rate(self) -> float:
        return self.without_result / self.plan.items if self.plan.items else 0.0


@dataclass(frozen=True)
class JudgedRun:
    """What makes a run red, if anything does: the task ``verdict`` and the report say the same of it."""

    plan: RunPlan
    batches: list[JudgedBatch]

    @property
    def unpublished(self) -> list[JudgedBatch]:
        return [batch for batch in self.batches if not batch.version]

    @property
    def over_limit(self) -> list[JudgedBatch]:
        """Batches of which more items failed or were quarantined than the run accepts."""
        return [
            batch for batch in self.batches
            if batch.version and not batch.damage and batch.failure_rate > self.plan.max_failure_rate
        ]  # fmt: skip

    @property
    def faults(self) -> list[str]:
        """What kept a batch out, or keeps it from being judged."""
        return [*self.plan.faults, *(batch.damage for batch in self.batches if batch.damage)]

    @property
    def complaints(self) -> list[str]:
        return [batch.complaint for batch in self.batches if batch.complaint]

    @property
    def is_red(self) -> bool:
        return bool(self.unpublished or self.over_limit or self.faults or self.complaints)


def judge(plan: RunPlan, settings: Settings) -> JudgedRun:
    """Return what became of the batches of a run, by the manifests that are current."""
    return JudgedRun(plan, [_judge_batch(plan, batch, settings) for batch in plan.batches])


def _judge_batch(plan: RunPlan, batch: BatchPlan, settings: Settings) -> JudgedBatch:
    lake = open_storage(settings.lake_root)
    version = latest_version(lake, batch.batch_date, batch.batch_id)
    if version == 0:
        return JudgedBatch(batch, 0, Counter(), [])
    try:
        if not lake.exists(manifest_path(batch.batch_date, batch.batch_id)):
            raise manifest_gone(lake, BatchRef(batch.batch_date, batch.batch_id))
        table = read_version(lake, batch.batch_date, batch.batch_id, version)
        others = other_publishers(lake, plan, batch)
    except DamagedFile as fault:
        return JudgedBatch(batch, version, Counter(), [], damage=str(fault))
    told = complaint(plan, batch, table, others, settings) if others else None
    return JudgedBatch(batch, version, Counter(table["status"].to_pylist()), others, told)


def check(plan: RunPlan, settings: Settings) -> str:
    """Return one sentence about the run.

    Raises:
        FailureRateExceeded: of some batch more than ``max_failure_rate`` of the items failed or were quarantined, or
            a fault of the environment kept a batch out, or the manifest of one is damaged.
        Overtaken: another run published a batch with other results, which nobody asked this run for.
    """
    judged = judge(plan, settings)
    exceeded = [f"{batch.plan.batch_id} has no manifest" for batch in judged.unpublished] + [
        f"{batch.without_result} of {batch.plan.items} images of {batch.plan.batch_id} failed or were quarantined"
        for batch in judged.over_limit
    ]
    if exceeded:
        raise FailureRateExceeded(
            f"{'; '.join(exceeded)}: the limit is {plan.max_failure_rate:.0%}. "
            "All rows are published; error_code and error_message of the manifest say why."
        )
    if judged.faults:
        raise FailureRateExceeded(" ".join(judged.faults))
    if judged.complaints:
        raise Overtaken("; ".join(judged.complaints) + ".")
    if not plan.batches:
        return "Nothing arrived."
    total = sum((batch.statuses for batch in judged.batches), Counter())
    return f"{total.total()} images in {len(plan.batches)} batches: " + ", ".join(
        f"{number} {status}" for status, number in sorted(total.items())
    )
