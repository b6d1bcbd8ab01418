"""Step register: takes ready batches in, decides which batches the run works on, and pins its plan."""

import datetime as dt
import logging
from collections.abc import Iterable, Sequence

import tounum_tasks
from tounum_tasks.errors import ConfigurationError, DamagedFile, EnvironmentFault
from tounum_tasks.intake.rescans import place_of, strike_off_rescans
from tounum_tasks.intake.side_by_side import side_by_side
from tounum_tasks.intake.take_in import Intake, batch_date_of, take_in
from tounum_tasks.items import read_items, register_gone, register_path, registered_batches
from tounum_tasks.logs import about
from tounum_tasks.manifest.commit import mend_latest
from tounum_tasks.manifest.published import may_be_batch
from tounum_tasks.manifest.read import latest_version
from tounum_tasks.plan import BatchPlan, RunPlan, RunRequest
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.pinned import about_batch, pin
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import asked_of_production, pin_models
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

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
        EnvironmentFault: storage is away, full or not permitted, and no batch can be worked on.
    """
    lake = open_storage(settings.lake_root)
    models = pin_models(request, settings)
    batch_date = request.resolved_date(settings)
    today = request.model_copy(update={"batch_date": None}).resolved_date(settings)
    intake = Intake((), (), ())
    if request.batch_id:
        wanted = [_known_batch(lake, request, settings.files_at_once)]
        batch_date = wanted[0][0]
    elif request.take_in and batch_date == today:
        intake = take_in(open_storage(settings.ingest_root, untrusted=True), lake, batch_date, settings)
        wanted = [*_of_date(lake, batch_date), *intake.batches, *_unpublished(lake, batch_date, settings)]
    else:
        wanted = list(_of_date(lake, batch_date))
    batches, damaged = _batch_plans(lake, wanted, settings.files_at_once)
    lost = _lost_registers(lake, batch_date, request)
    batches, postponed = _first_shards(batches, settings.max_shards)
    store = ReviewStore(lake)
    strike_off_rescans(lake, store, batches)
    reviews = store.all()
    faults = [*intake.faults, *damaged, *lost]
    if faults and not batches:
        raise EnvironmentFault(" ".join(_shortened(faults)))
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
        caption_review_confidence=settings.caption_review_confidence,
        doubtful_captions=settings.doubtful_captions,
        models=models,
        in_production=asked_of_production(request, settings),
        code_version=tounum_tasks.__version__,
        batches=pin_reviews(lake, batches, Effective(reviews)),
        last_review=reviews[-1].review_id if reviews else None,
        waiting=_shortened([*intake.waiting, *postponed]),
        left_behind=_shortened(intake.left_behind),
        faults=_shortened(faults),
    )
    if not plan.batches:
        log.info("Nothing arrived: no batch is ready, and none of %s is waiting to be published.", batch_date)
    for batch in plan.batches:
        with about(batch=batch.batch_id):
            log.info("Batch of %s: %d images in %d shards.", batch.batch_date, batch.items, batch.shards)
    return plan


def _known_batch(lake: Storage, request: RunRequest, at_once: int) -> tuple[str, str]:
    assert request.batch_id is not None
    batch_date = batch_date_of(lake, request.batch_id) or _registered_date(lake, request.batch_id, at_once)
    if batch_date and (lost := _lost_registers(lake, batch_date, request)):
        raise DamagedFile(lost[0])
    if batch_date is None or request.batch_id not in registered_batches(lake, batch_date):
        raise ConfigurationError(
            f"There is no batch '{request.batch_id}' in {lake.root}: `python -m tounum_tasks show` lists the batches."
        )
    if request.batch_date not in (None, batch_date):
        raise ConfigurationError(
            f"Batch '{request.batch_id}' belongs to {batch_date}, not to {request.batch_date}: leave the date out."
        )
    return batch_date, request.batch_id


def _registered_date(lake: Storage, batch_id: str, at_once: int) -> str | None:
    """The date of a batch that is registered, where the note of its date is gone."""
    folders = [entry.name for entry in lake.list_folder("registers") if entry.kind == "folder"]
    days = [name for name in folders if may_be_batch(name, batch_id)]  # beside them lie the journal, claims and locks
    found = side_by_side(lambda day: lake.exists(register_path(day, batch_id)), days, at_once)
    return next((day for day, is_there in zip(days, found, strict=True) if is_there), None)


def _lost_registers(lake: Storage, batch_date: str, request: RunRequest) -> list[str]:
    """Return a sentence for each published batch of a date, or for the one that is asked for, without its register."""
    entries = [*lake.list_folder(f"manifests/{batch_date}"), *lake.list_folder(f"manifests_history/{batch_date}")]
    published = {entry.name for entry in entries if entry.kind == "folder"}
    wanted = published & {request.batch_id} if request.batch_id else published
    lost = sorted(wanted.difference(registered_batches(lake, batch_date)))
    sentences = [str(register_gone(lake, batch_date, batch_id)) for batch_id in lost]
    for sentence in sentences:
        log.error("%s", sentence)
    return sentences


def _of_date(lake: Storage, batch_date: str) -> Iterable[tuple[str, str]]:
    return ((batch_date, batch_id) for batch_id in registered_batches(lake, batch_date))


def _unpublished(lake: Storage, batch_date: str, settings: Settings) -> Iterable[tuple[str, str]]:
    """Batches of the days before that a run took in and, killed or failed, never published."""
    earliest = (dt.date.fromisoformat(batch_date) - dt.timedelta(days=settings.unfinished_days)).isoformat()
    days = [entry.name for entry in lake.list_folder("registers") if earliest <= entry.name < batch_date]
    known = [batch for of_day in side_by_side(lambda day: list(_of_date(lake, day)), days, settings.files_at_once)
             for batch in of_day]  # fmt: skip
    versions = side_by_side(lambda batch: latest_version(lake, *batch), known, settings.files_at_once)
    return [batch for batch, version in zip(known, versions, strict=True) if version == 0]


def _batch_plans(lake: Storage, wanted: Iterable[tuple[str, str]], at_once: int) -> tuple[list[BatchPlan], list[str]]:
    """Return the batches, unpublished ones first, and a sentence for each whose register or manifest is damaged."""

    def plan_of(batch: tuple[str, str]) -> BatchPlan | DamagedFile:
        batch_date, batch_id = batch
        try:
            items = read_items(lake, batch_date, batch_id)
            mend_latest(lake, batch_date, batch_id)
        except DamagedFile as fault:
            with about(batch=batch_id):
                log.error("%s", fault)
            return fault
        return BatchPlan(
            batch_id=batch_id,
            batch_date=batch_date,
            items=len(items),
            shards=max(item.shard for item in items) + 1,
            base_version=latest_version(lake, batch_date, batch_id),
        )

    found = side_by_side(plan_of, dict.fromkeys(wanted), at_once)
    plans = [plan for plan in found if isinstance(plan, BatchPlan)]
    damaged = [str(fault) for fault in found if isinstance(fault, DamagedFile)]
    return sorted(plans, key=lambda plan: (plan.base_version > 0, plan.batch_date, plan.batch_id)), damaged


def pin_reviews(lake: Storage, batches: list[BatchPlan], effective: Effective) -> list[BatchPlan]:
    """Return the batches with the names of the files in which what people said of them is kept for this run."""
    if not effective.in_force():
        return batches
    found = []
    for batch in batches:
        items = read_items(lake, batch.batch_date, batch.batch_id)
        about_it = about_batch(effective, [(item.image_id, place_of(item)) for item in items])
        found.append(batch.model_copy(update={"reviews": pin(lake, batch.batch_date, batch.batch_id, about_it)}))
    return found


def _first_shards(batches: list[BatchPlan], most: int) -> tuple[list[BatchPlan], list[str]]:
    """Return the batches that one run may work on, at least one, and a sentence about those that it may not."""
    total = 0
    for number, batch in enumerate(batches):
        total += batch.shards
        if total > most and number > 0:
            left = len(batches) - number
            return batches[:number], [
                f"{left} batches are left for another run, because one run works on at most {most} shards "
                "(TOUNUM_MAX_SHARDS); trigger one more, or let the next scheduled run take them."
            ]
    return batches, []


def _shortened(sentences: Sequence[str]) -> list[str]:
    more = len(sentences) - MOST_SENTENCES
    return [*sentences[:MOST_SENTENCES], *([f"... and {more} more: see the log."] if more > 0 else [])]
