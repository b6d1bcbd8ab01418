"""
# TouNum, the nightly run

Takes the batches of scans that are ready in the ingest folder, and leaves one row per image in the lake's manifests.

| task | what it does |
|---|---|
| `wait` | in scheduled runs only: waits until nothing in ingest is settling any more, at most `TOUNUM_WAIT_MINUTES` |
| `register` | copies and verifies the originals, empties ingest, lists every page, pins the model versions |
| `shard` | for each group of images: `measure_and_enhance`, `classify`, `route`, `extract_features`, `caption` |
| `publish` | commits one manifest per batch, from register's list, also when a shard failed |
| `report` | writes the run's page below `reports/` in the lake |
| `verdict` | turns the run red when a shard failed, or too many items did |

**By hand.** *Trigger* in the menu above takes what is ready now, without waiting. For a day that is already in the lake
give its `batch_date` (or the same as partition key): such a run reads the originals, never ingest. `batch_id` works on
one batch. What was computed with the same settings and models before is reused; `items` = `all` computes all again.

**Backfill.** *Trigger > Backfill* over a range of batch dates, *All Runs* for days that already ran. Keep the clock of
this page on UTC while you fill in the form, and tick *Override parameters on existing runs* if the parameters below it
are to count: else the form leaves them out. From a shell:
`airflow backfill create --dag-id tounum_nightly --from-date 2026-01-16 --to-date 2026-01-17`, with
`--reprocess-behavior completed` for days that already ran. Both days are processed.

**After a failure.** Read the red task's log: its last lines say in one sentence what is wrong. Errors of the
environment were tried again already; mend the cause, then clear the failed tasks. A cleared run never reads ingest;
trigger a new one for that.
"""

import datetime as dt
from typing import Any

from airflow.sdk import Asset, chain, dag, task, task_group

from tounum_airflow.deadline import night_deadline
from tounum_airflow.notifier import FailureNotifier
from tounum_airflow.params import run_params
from tounum_airflow.retry import FailFast
from tounum_airflow.sensor import IngestSettledSensor
from tounum_airflow.tasks import plan_run, publish_plan, run_on_plan, shard_task
from tounum_airflow.timetable import BatchDateTimetable
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.table import STEPS

SETTINGS = load_settings()
MANIFESTS = Asset("tounum_manifests")


@dag(
    schedule=BatchDateTimetable(SETTINGS.schedule, timezone=SETTINGS.timezone),
    catchup=False,
    max_active_runs=4,  # tonight's, one by hand, one for another day, one of tounum_reprocess; backfills have their own
    params=run_params(SETTINGS),
    doc_md=__doc__,
    tags=["tounum"],
    default_args={
        "retries": 2,
        "retry_policy": FailFast(),
        "execution_timeout": dt.timedelta(hours=12),
        "weight_rule": "tounum_airflow.priority.NightFirst",  # by name: an object would make a new version each time
    },
    on_failure_callback=[FailureNotifier(SETTINGS.notify_connection)],
    deadline=night_deadline(SETTINGS),
)
def tounum_nightly() -> None:
    @task(max_active_tis_per_dag=1)  # one intake at a time, also where the lake has no file locks
    def register() -> list[dict]:
        from tounum_tasks.intake.register import register

        return plan_run(register)

    @task_group
    def shard(shard: dict) -> None:
        chain(*(shard_task(step, SETTINGS)(shard) for step in STEPS))

    @task(trigger_rule="all_done", outlets=[MANIFESTS])
    def publish(outlet_events: Any = None) -> dict:
        from tounum_tasks.publish import stage

        return publish_plan(stage.run, outlet_events[MANIFESTS])

    @task(trigger_rule="all_done")
    def report() -> dict:
        from tounum_tasks.report import stage

        return run_on_plan(stage.run)

    @task(trigger_rule="none_failed")  # not all_success: an empty night skips shards and publish, and is a success
    def verdict() -> str:
        from tounum_tasks.publish.verdict import check

        return run_on_plan(check)

    registered, published = register(), publish()
    shards = shard.expand(shard=registered)
    IngestSettledSensor(task_id="wait") >> registered >> shards >> published
    published >> report()
    [shards, published] >> verdict()


tounum_nightly()
