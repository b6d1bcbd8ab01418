"""Step register: takes ready batches in, decides which batches the run works on, and pins its plan."""

import datetime as dt
import logging
from collections.abc import Iterable

import tounum_tasks
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.intake.take_in import Intake, batch_date_of, take_in
from tounum_tasks.items import read_items, registered_batches
from tounum_tasks.manifest.read import latest_version
from tounum_tasks.models.pins import pin_models
from tounum_tasks.plan import BatchPlan, RunPlan, RunRequest
from tounum_tasks.settings import Settings
from tounum_tasks.storage import Storage, open_storage

log = logging.getLogger(__name__)

# XCom carries the sentences; the log has all of them.
MOST_SENTENCES = 20


def register(request: RunRequest, settings: Settings) -> RunPlan:
    """Return the plan of a run.

    Ingest is read only by runs for the day on which they started that name no batch; other runs work on originals.
    Beside the batches of its date, a run that reads ingest also finishes batches of earlier days that were taken in
    but never published.

    Raises:
        ConfigurationError: unknown batch, or a model that is missing, damaged or made for other partners.
        EnvironmentFault: storage is away, full or not permitted.
    """
    lake = open_storage(settings.lake_root)
    classifier, extractor, captioner = pin_models(request, settings)
    batch_date = request.resolved_date(settings)
    today = request.model_copy(update={"batch_date": None}).resolved_date(settings)
    intake = Intake((), (), ())
    if request.batch_id:
        batches = [_known_batch(lake, request)]
        batch_date = batches[0][0]
    elif request.take_in and batch_date == today:
        intake = take_in(open_storage(settings.ingest_root), lake, batch_date, settings)
        batches = [*intake.batches, *_unpublished(lake, batch_date, settings), *_of_date(lake, batch_date)]
    else:
        batches = list(_of_date(lake, batch_date))
    plan = RunPlan(
        run_id=request.run_id,
        batch_date=batch_date,
        started_at=request.started_at,
        items=request.items,
        enhancement=request.enhancement,
        max_failure_rate=request.max_failure_rate,
        max_pixels=settings.max_pixels,
        pdf_dpi=settings.pdf_dpi,
        beam=settings.beam,
        review_confidence=settings.review_confidence,
        classifier=classifier,
        extractor=extractor,
        captioner=captioner,
        code_version=tounum_tasks.__version__,
        batches=[_batch_plan(lake, *batch) for batch in sorted(set(batches))],
        waiting=_shortened(intake.waiting),
        left_behind=_shortened(intake.left_behind),
    )
    if not plan.batches:
        log.info("Nothing arrived: no batch is ready, and none of %s is waiting to be published.", batch_date)
    for batch in plan.batches:
        log.info("%s of %s: %d images in %d shards.", batch.batch_id, batch.batch_date, batch.items, batch.shards)
    return plan


def _known_batch(lake: Storage, request: RunRequest) -> tuple[str, str]:
    assert request.batch_id is not None
    batch_date = batch_date_of(lake, request.batch_id)
    if batch_date is None or request.batch_id not in registered_batches(lake, batch_date):
        raise ConfigurationError(
            f"There is no batch '{request.batch_id}' in {lake.root}: `python -m tounum_tasks show` lists the batches."
        )
    if request.batch_date not in (None, batch_date):
        raise ConfigurationError(
            f"Batch '{request.batch_id}' belongs to {batch_date}, not to {request.batch_date}: leave the date out."
        )
    return batch_date, request.batch_id


def _of_date(lake: Storage, batch_date: str) -> Iterable[tuple[str, str]]:
    return ((batch_date, batch_id) for batch_id in registered_batches(lake, batch_date))


def _unpublished(lake: Storage, batch_date: str, settings: Settings) -> Iterable[tuple[str, str]]:
    """Batches of the days before that a run took in and, killed or failed, never published."""
    earliest = (dt.date.fromisoformat(batch_date) - dt.timedelta(days=settings.unfinished_days)).isoformat()
    for entry in lake.list_folder("registers"):
        if earliest <= entry.name < batch_date:
            for found, batch_id in _of_date(lake, entry.name):
                if latest_version(lake, found, batch_id) == 0:
                    yield found, batch_id


def _batch_plan(lake: Storage, batch_date: str, batch_id: str) -> BatchPlan:
    items = read_items(lake, batch_date, batch_id)
    return BatchPlan(
        batch_id=batch_id,
        batch_date=batch_date,
        items=len(items),
        shards=max(item.shard for item in items) + 1,
        base_version=latest_version(lake, batch_date, batch_id),
    )


def _shortened(sentences: tuple[str, ...]) -> list[str]:
    more = len(sentences) - MOST_SENTENCES
    return [*sentences[:MOST_SENTENCES], *([f"... and {more} more: see the log."] if more > 0 else [])]
