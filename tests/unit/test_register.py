"""Which batches a run works on."""

import contextlib
import datetime as dt
import threading
from pathlib import Path

import pytest
from werkzeug.wrappers import Request

from tests.s3_server import BUCKET, S3Server
from tests.unit.published import DATE, drop_pages, plan_for, process, small_settings
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.intake.register import register
from tounum_tasks.intake.take_in import claim_path
from tounum_tasks.items import register_path
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "ingest").mkdir()
    return small_settings(tmp_path, shard_size=2)


def ask(settings: Settings, *, days_later: int = 0, **options: object) -> RunPlan:
    request = RunRequest(run_id="run", started_at=NOON + dt.timedelta(days=days_later), **options)  # type: ignore[arg-type]
    return register(request, settings)


def ids(plan: RunPlan) -> list[tuple[str, str]]:
    return [(batch.batch_date, batch.batch_id.rpartition("-")[0]) for batch in plan.batches]


def test_tonights_run_takes_in_what_is_ready(settings: Settings) -> None:
    drop_pages(settings)
    plan = ask(settings)
    assert ids(plan) == [(DATE, "box")] and (plan.batches[0].items, plan.batches[0].shards) == (4, 2)
    assert plan.models["extractor"].digest and len(plan.shards()) == 2


@pytest.mark.parametrize("options", [{"take_in": False}, {"batch_date": "2026-02-28"}, {"batch_date": "2026-03-02"}])
def test_backfills_and_runs_for_other_days_never_read_ingest(settings: Settings, options: dict) -> None:
    drop_pages(settings)
    assert ask(settings, **options).batches == []
    assert Path(settings.ingest_root.removeprefix("file://"), "Box", "0.png").exists()


def test_the_batch_date_is_the_day_in_the_configured_zone(settings: Settings) -> None:
    auckland = settings.model_copy(update={"timezone": "Pacific/Auckland"})
    assert ask(auckland).batch_date == "2026-03-02"


def test_unpublished_batches_of_earlier_days_are_finished_and_published_ones_are_not(settings: Settings) -> None:
    drop_pages(settings)
    plan = ask(settings)
    assert ids(ask(settings, days_later=3)) == [(DATE, "box")]
    assert ids(ask(settings, days_later=40)) == []
    published = plan_for(settings, "a")
    process(published, settings)
    publish.run(published, settings)
    assert ids(ask(settings, days_later=3)) == []
    assert ids(ask(settings)) == ids(plan)


def test_a_batch_by_its_id(settings: Settings) -> None:
    drop_pages(settings)
    batch_id = ask(settings).batches[0].batch_id
    assert ask(settings, days_later=9, batch_id=batch_id).batch_date == DATE
    with pytest.raises(ConfigurationError, match="belongs to 2026-03-01"):
        ask(settings, batch_id=batch_id, batch_date="2026-03-02")
    with pytest.raises(ConfigurationError, match="no batch 'box-unknown'"):
        ask(settings, batch_id="box-unknown")


def test_a_batch_by_its_id_of_which_the_note_of_its_date_is_gone(settings: Settings) -> None:
    drop_pages(settings)
    (batch,) = ask(settings).batches
    lake = open_storage(settings.lake_root)
    lake.remove(claim_path(batch.batch_id))
    lake.write_bytes(register_path("1 copy", batch.batch_id), lake.read_bytes(register_path(DATE, batch.batch_id)))
    again = ask(settings, days_later=9, batch_id=batch.batch_id)
    assert (again.batch_date, again.batches) == (DATE, [batch])


def test_a_batch_that_is_not_there_is_looked_for_on_all_days_at_once(s3: S3Server, settings: Settings) -> None:
    settings = settings.model_copy(update={"lake_root": f"s3://{BUCKET}/lake"})
    for day in ("2026-02-27", "2026-02-28"):
        open_storage(settings.lake_root).write_bytes(register_path(day, "other"), b"a register")
    both = threading.Barrier(2)

    def wait_for_the_other(request: Request, done: bool) -> None:
        if request.path.endswith("/box-unknown/items.parquet") and not done:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=20)

    with s3.disturbed(wait_for_the_other), pytest.raises(ConfigurationError, match="no batch 'box-unknown'"):
        ask(settings, batch_id="box-unknown")
    assert not both.broken


def test_a_run_works_on_so_many_shards_and_leaves_the_rest_to_the_next(settings: Settings) -> None:
    drop_pages(settings, count=9)
    for name in ("b", "c"):
        box = Path(settings.ingest_root.removeprefix("file://"), name)
        box.mkdir()
        (box / "x.png").write_bytes(b"no image")
        (box / "_READY").touch()
    few = settings.model_copy(update={"max_shards": 3})
    plan = ask(few)
    assert len(plan.shards()) <= 3 and "left for another run" in plan.waiting[-1]
    assert len({batch.batch_id for batch in ask(settings).batches}) == 3


def test_a_damaged_register_is_named_and_holds_up_its_own_batch_only(settings: Settings) -> None:
    drop_pages(settings)
    batch = ask(settings).batches[0]
    lake = open_storage(settings.lake_root)
    lake.write_bytes(register_path(DATE, batch.batch_id), b"damaged")
    with pytest.raises(EnvironmentFault, match=r"items\.parquet is damaged"):
        ask(settings)
    box = Path(settings.ingest_root.removeprefix("file://"), "other")
    box.mkdir()
    (box / "x.png").write_bytes(b"no image")
    (box / "_READY").touch()
    plan = ask(settings)
    assert ids(plan) == [(DATE, "other")] and "damaged" in plan.faults[0]


def test_an_unknown_model_stops_before_anything_is_taken_in(settings: Settings) -> None:
    drop_pages(settings)
    with pytest.raises(ConfigurationError, match="none-such"):
        ask(settings, models={"captioner": "none-such"})
    assert Path(settings.ingest_root.removeprefix("file://"), "Box", "0.png").exists()
