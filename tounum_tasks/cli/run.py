"""``run``: the stages of the nightly DAG in one process, without Airflow."""

import argparse
import datetime as dt
import logging

from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.intake.register import register
from tounum_tasks.logs import about
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.publish import stage as publish_stage
from tounum_tasks.publish import verdict
from tounum_tasks.report import stage as report_stage
from tounum_tasks.report.summary import print_run
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.steps.shard import run_step
from tounum_tasks.steps.table import STEPS

log = logging.getLogger(__name__)


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "run",
        help="take ready batches in and process them, in one process",
        description="Takes in every ready batch (one that holds a file _READY, or that did not change for "
        "--quiet-seconds) and processes it. Stopped at any moment, the same command goes on where it was.",
    )
    parser.add_argument("--ingest", metavar="DIR", help="folder with the new batches (TOUNUM_INGEST_ROOT)")
    parser.add_argument("--lake", metavar="DIR", help="folder for all results (TOUNUM_LAKE_ROOT)")
    parser.add_argument("--non-photos", metavar="DIR", help="default with --lake: non_photos in it")
    parser.add_argument("--quarantine", metavar="DIR", help="default with --lake: quarantine in it")
    parser.add_argument("--quiet-seconds", type=float, metavar="S", help="how long a batch must be left unchanged")
    parser.add_argument("--batch-date", metavar="YYYY-MM-DD", help="work on a day's batches; not today: no intake")
    parser.add_argument("--batch-id", metavar="ID", help="work on one batch that was taken in before")
    parser.add_argument("--items", choices=["missing", "failed", "all"], default="missing", help="default: missing")
    parser.add_argument("--enhancement", choices=["auto", "classic", "off"], help="default: auto")
    parser.add_argument("--classifier", metavar="VERSION", help="default: production")
    parser.add_argument("--captioner", metavar="VERSION", help="default: production")
    parser.add_argument("--max-failure-rate", type=float, metavar="RATE", help="default: 0.2")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run all stages over all shards, publish, and print every item's fate.

    Raises:
        FailureRateExceeded: after publishing.
        ConfigurationError: nothing is published; run again to go on.
        EnvironmentFault: a batch is not published, nor half of it, while all others are; run again to go on.
    """
    settings = _settings(arguments)
    plan = register(_request(arguments, settings), settings)
    faults = _run_shards(plan, settings)
    told = [f"{batch_id} is not published: {fault}" for batch_id, fault in faults.items()]
    batches = [batch for batch in plan.batches if batch.batch_id not in faults]
    plan = plan.model_copy(update={"batches": batches, "faults": [*plan.faults, *told]})
    if batches or not told:
        publish_stage.run(plan, settings)
        report_stage.run(plan, settings)
        print_run(plan, settings)
    if told:
        raise EnvironmentFault(" ".join(told))
    verdict.check(plan, settings)
    return 0


def _run_shards(plan: RunPlan, settings: Settings) -> dict[str, EnvironmentFault]:
    """Run all steps; return what stopped a batch, by its id: the others are not held up."""
    faults: dict[str, EnvironmentFault] = {}
    shards = plan.shards()
    for number, shard in enumerate(shards, start=1):
        with about(batch=shard.batch_id, shard=shard.shard):
            try:
                for step in STEPS if shard.batch_id not in faults else ():
                    log.info("Shard %d of %d: %s", number, len(shards), step.name)
                    run_step(step.name, plan, shard, settings)
            except EnvironmentFault as fault:
                log.error("This batch is not published: %s", fault)
                faults[shard.batch_id] = fault
    return faults


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {
        "ingest_root": arguments.ingest,
        "lake_root": arguments.lake,
        "non_photos_root": arguments.non_photos,
        "quarantine_root": arguments.quarantine,
        "quiet_seconds": arguments.quiet_seconds,
        "enhancement": arguments.enhancement,
        "classifier": arguments.classifier,
        "captioner": arguments.captioner,
        "max_failure_rate": arguments.max_failure_rate,
    }
    settings = load_settings(**given)
    if arguments.lake:  # whoever names one folder for the results wants them all there
        for bucket in ("non_photos", "quarantine"):
            if f"{bucket}_root" not in settings.model_fields_set:
                given[f"{bucket}_root"] = f"{settings.lake_root}/{bucket}"
        settings = load_settings(**given)
    return settings


def _request(arguments: argparse.Namespace, settings: Settings) -> RunRequest:
    if arguments.batch_id and arguments.ingest:
        raise ConfigurationError("--batch-id works on a batch that was taken in before: leave --ingest out.")
    now = dt.datetime.now(dt.UTC)
    return RunRequest(
        run_id=f"cli__{now.isoformat(timespec='milliseconds')}",
        batch_date=arguments.batch_date,
        batch_id=arguments.batch_id,
        items=arguments.items,
        enhancement=settings.enhancement,
        max_failure_rate=settings.max_failure_rate,
        started_at=now,
    )
