"""The last word on a run: more failures than allowed make it red, after everything was published."""

from collections import Counter

from tounum_tasks.errors import DamagedFile, FailureRateExceeded, TounumError
from tounum_tasks.manifest.read import latest_version, read_version
from tounum_tasks.manifest.schema import STATUS_OK
from tounum_tasks.plan import RunPlan
from tounum_tasks.publish.overtaken import complaint, other_publishers
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage


class Overtaken(TounumError):
    """Another run published a batch first, with other results (exit code 1)."""


def check(plan: RunPlan, settings: Settings) -> str:
    """Return one sentence about the run.

    Raises:
        FailureRateExceeded: of some batch more than ``max_failure_rate`` of the items failed or were quarantined, or
            a fault of the environment kept a batch out, or the manifest of one is damaged.
        Overtaken: another run published a batch with other results, which nobody asked this run for.
    """
    lake = open_storage(settings.lake_root)
    total: Counter[str] = Counter()
    exceeded, complaints, damaged = [], [], []
    for batch in plan.batches:
        version = latest_version(lake, batch.batch_date, batch.batch_id)
        if version == 0:
            exceeded.append(f"{batch.batch_id} has no manifest")
            continue
        try:
            table = read_version(lake, batch.batch_date, batch.batch_id, version)
        except DamagedFile as fault:
            damaged.append(str(fault))
            continue
        counts = Counter(table["status"].to_pylist())
        bad = batch.items - counts[STATUS_OK]
        if bad / batch.items > plan.max_failure_rate:
            exceeded.append(f"{bad} of {batch.items} images of {batch.batch_id} failed or were quarantined")
        total += counts
        if others := other_publishers(lake, plan, batch):
            complaints.append(complaint(plan, batch, table, others, settings))
    if exceeded:
        raise FailureRateExceeded(
            f"{'; '.join(exceeded)}: the limit is {plan.max_failure_rate:.0%}. "
            "All rows are published; error_code and error_message of the manifest say why."
        )
    if plan.faults or damaged:
        raise FailureRateExceeded(" ".join([*plan.faults, *damaged]))
    if told := [sentence for sentence in complaints if sentence]:
        raise Overtaken("; ".join(told) + ".")
    if not plan.batches:
        return "Nothing arrived."
    return f"{total.total()} images in {len(plan.batches)} batches: " + ", ".join(
        f"{number} {status}" for status, number in sorted(total.items())
    )
