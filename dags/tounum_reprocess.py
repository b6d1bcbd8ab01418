"""
# TouNum, bringing old batches up to date

After a model was retrained and promoted, the manifests of earlier days are still those of the model before. This DAG
finds the batch dates of which a manifest was made with other models than a nightly run would use now, and runs
`tounum_nightly` for one after the other. What does not depend on the changed model is reused: after a new captioner
only captions are computed and manifests published.

| task | what it does |
|---|---|
| `find` | looks through the manifests and chooses the dates of this run |
| `run_for_date` | for each date: starts `tounum_nightly` with this `batch_date`, and waits without holding a worker |
| `left` | says how many dates are left for the next run |

**When.** Daily (`TOUNUM_REPROCESS_SCHEDULE`), and whenever `tounum_retrain` promotes a model. A promotion from the
command line is picked up by the daily run, or at once if you *Trigger* by hand. With nothing to do a run ends green.

**How much.** *Batch dates a run* and *Order* when triggered by hand; else the 31 oldest. Dates that failed before come
after those that were not tried yet.

**Beside the night's run.** One date at a time, so the other slots of `tounum_nightly` stay free, and its tasks give way
to those of the night's run and of runs by hand wherever slots are short. Ingest is never read.

**Pause** this DAG and no further date begins; the one that is going on ends. Unpause, and it goes on. **Cancel** by
marking the run as failed; the run of `tounum_nightly` for the date that was going on ends by itself, or can be marked
as well. **Resume** by clearing the run, or trigger another: it finds what is left.

**When a date fails**, the others go on, and the run ends red. The red task names the run of `tounum_nightly` whose log
says why. More: `docs/after_a_retrain.md`.
"""

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, dag, task

from tounum_airflow.notifier import FailureNotifier
from tounum_airflow.reprocess import RunForDate, dates_to_process, reprocess_params, what_is_left
from tounum_airflow.retry import FailFast
from tounum_tasks.settings import load_settings

SETTINGS = load_settings()
MODELS = Asset("tounum_models")  # never what publishing announces: this DAG would start itself


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable(SETTINGS.reprocess_schedule, timezone=SETTINGS.timezone), assets=[MODELS]
    ),
    catchup=False,
    max_active_runs=1,
    params=reprocess_params(),
    doc_md=__doc__,
    tags=["tounum"],
    default_args={"retries": 2, "retry_policy": FailFast()},
    on_failure_callback=[FailureNotifier(SETTINGS.notify_connection)],
)
def tounum_reprocess() -> None:
    @task
    def find() -> list[dict]:
        return dates_to_process()

    @task(trigger_rule="none_failed")  # a failed date makes the run red; none at all is a success
    def left() -> int:
        return what_is_left()

    run_for_date = RunForDate.partial(
        task_id="run_for_date",
        poke_interval=10,
        max_active_tis_per_dag=1,  # one date after the other; a waiting one counts
    ).expand_kwargs(find())
    run_for_date >> left()


tounum_reprocess()
