"""
# TouNum, retraining

Trains a captioner, a classifier or a restorer on a data set of yours, measures it against the model in production **on
the same test images**, and puts it into production if a person approves.

| task | what it does |
|---|---|
| `prepare` | checks parameters, data set and disk; holds test images back; makes the work folder |
| `train` | trains the candidate; killed or restarted, it goes on from its last checkpoint |
| `evaluate` | measures candidate and production anew, on the same test images |
| `compare` | is the candidate better? CIDEr decides for captioners, macro F1 for classifiers, PSNR for restorers |
| `approve` | waits for a person: *Required Actions* in the run shows all figures side by side |
| `promote` | registers the candidate and puts it into production in one step |
| `finish` | removes checkpoints and caches, says how it ended |

**Start one.** Put the data below the folder of data sets (`TOUNUM_DATASETS_ROOT`, by default `data/datasets`), then
*Trigger* in the menu above. The captioner takes a folder with `captions_*.json` (MS-COCO) or a TSV file
`image<TAB>split<TAB>caption`, and the images; the classifier takes one folder per class: Painting, Photo, Schematics,
Sketch, Text; the restorer a folder of clean pictures. The data set `corrections` is what people corrected and
confirmed; with *Learn from corrections, too* it is added to another one. A wrong parameter ends the run at `prepare`
with one sentence.

**Approve or reject.** While `approve` waits, the run stays open and uses no worker. *Reject* leaves everything as it
was: the model in production, and the registry. With *Promote without asking if better* a better candidate needs nobody;
one that is not better waits for a person all the same. One retraining runs at a time, the next one waits.

**After a failure.** The last lines of the red task's log say what is wrong. Mend it and clear the task: `train` goes on
from its last checkpoint, however often it is cleared.

**Roll back.** `python -m tounum_tasks models rollback captioner`. Runs that have begun keep the version that they began
with.

A promotion is announced as an event of the asset `tounum_models`. More: `docs/retraining.md`.
"""

import datetime as dt
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Asset, dag, task

from tounum_airflow.database import MODEL_POOL
from tounum_airflow.notifier import FailureNotifier
from tounum_airflow.retrain import (
    ask_or_promote,
    plan_retraining,
    promote_candidate,
    retrain_params,
    run_in_background,
    run_retraining,
)
from tounum_airflow.retry import FailFast
from tounum_tasks.settings import load_settings

SETTINGS = load_settings()
MODEL_TASKS: Any = {"pool": MODEL_POOL, "queue": SETTINGS.model_queue}  # they load models
MODELS = Asset("tounum_models")


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two trainings at once would take twice as long and compare with a model that is about to go
    params=retrain_params(),
    doc_md=__doc__,
    tags=["tounum"],
    default_args={"retries": 2, "retry_policy": FailFast()},
    on_failure_callback=[FailureNotifier(SETTINGS.notify_connection)],
)
def tounum_retrain() -> None:
    @task(queue=SETTINGS.model_queue)  # where it will train: not every worker may have what that takes
    def prepare() -> dict:
        from tounum_tasks.retrain.prepare import prepare

        return plan_retraining(prepare)

    @task(**MODEL_TASKS, retries=5, execution_timeout=dt.timedelta(days=3))  # each retry goes on where it was
    def train() -> dict:
        from tounum_tasks.retrain.train import train

        return run_in_background(train)

    @task(**MODEL_TASKS, execution_timeout=dt.timedelta(hours=12))
    def evaluate() -> dict:
        from tounum_tasks.retrain.evaluate import evaluate

        return run_in_background(evaluate)

    @task.branch
    def compare() -> str:
        from tounum_tasks.retrain.compare import compare, remember_question
        from tounum_tasks.retrain.promote import may_promote_unasked

        return ask_or_promote(compare, may_promote_unasked, remember_question)

    approve = ApprovalOperator(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='compare', key='subject') }}",
        body="{{ ti.xcom_pull(task_ids='compare', key='body') }}",
    )

    @task(trigger_rule="none_failed_min_one_success", outlets=[MODELS])  # skipped when a person rejects
    def promote(outlet_events: Any = None) -> dict:
        from tounum_tasks.retrain.promote import promote

        return promote_candidate(promote, outlet_events[MODELS])

    @task(trigger_rule="none_failed")
    def finish() -> str:
        from tounum_tasks.retrain.promote import tidy

        return run_retraining(tidy)

    compared, promoted = compare(), promote()
    prepare() >> train() >> evaluate() >> compared >> [approve, promoted]
    approve >> promoted >> finish()


tounum_retrain()
