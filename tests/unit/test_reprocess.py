"""Which batch dates are brought to the models in production, in which order, and how many at once."""

from pathlib import Path

import pytest
from werkzeug.wrappers import Request

from tests.s3_server import BUCKET, S3Server
from tests.unit.published import small_settings
from tests.unit.published_lake import ok_row, publish
from tounum_tasks.items import register_path
from tounum_tasks.reprocess.outdated import choose, outdated_dates, wanted_models
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage

DATES = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path)


def publish_day(settings: Settings, date: str, *, version: int = 1, **models: str) -> None:
    """A batch of a photograph and a text; models that are not given are those in production."""
    made_with = {f"{name}_version": version for name, version in (wanted_models(settings) | models).items()}
    batch = {"batch_id": f"box-{date}", "batch_date": date}
    photo = ok_row(settings, "a.jpg", "Photo", **batch, **made_with)
    text = ok_row(settings, "b.jpg", "Text", **batch, classifier_version=made_with["classifier_version"])
    publish(settings, [photo, text], version=version)


def test_dates_made_with_other_models_oldest_or_newest_first(settings: Settings) -> None:
    publish_day(settings, DATES[0], captioner="old@1")
    publish_day(settings, DATES[1])
    publish_day(settings, DATES[2], classifier="old@1")
    publish_day(settings, DATES[3], captioner="old@1", extractor="old@1")
    (settings_folder(settings) / "manifests" / "someone else").mkdir()
    assert choose(settings, order="oldest", at_most=9).dates == [DATES[0], DATES[2], DATES[3]]
    assert choose(settings, order="newest", at_most=9).dates == [DATES[3], DATES[2], DATES[0]]


def settings_folder(settings: Settings) -> Path:
    return Path(settings.lake_root.removeprefix("file://"))


def test_nothing_to_do(settings: Settings) -> None:
    publish_day(settings, DATES[0])
    work = choose(settings, order="oldest", at_most=9)
    assert (work.dates, work.left) == ([], 0)


def test_at_most_so_many_and_those_that_fail_every_time_do_not_keep_others_out(settings: Settings) -> None:
    for date in DATES:
        publish_day(settings, date, captioner="old@1")
    first = choose(settings, order="oldest", at_most=2)
    assert (first.dates, first.left) == (DATES[:2], 2)
    publish_day(settings, DATES[1], version=2)  # the second was done, the first failed
    second = choose(settings, order="oldest", at_most=2)
    assert (second.dates, second.left) == (DATES[2:], 1)
    assert choose(settings, order="oldest", at_most=2).dates == [DATES[0], DATES[2]]  # all were tried: as before


def test_a_setting_that_names_a_version_is_what_manifests_are_compared_with(settings: Settings) -> None:
    production = wanted_models(settings)
    version = production["captioner"].partition("@")[0]
    named = settings.model_copy(update={"captioner": version})
    assert wanted_models(named) == production
    publish_day(settings, DATES[0])
    assert choose(named, order="oldest", at_most=9).dates == []


@pytest.mark.parametrize("late", [("manifests_history", "manifests"), ("manifests",)], ids=["all of it", "manifest"])
def test_a_batch_that_is_being_published_is_not_said_to_have_lost_its_manifest(
    s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, late: tuple[str, ...]
) -> None:
    """It is committed and installed while the batches are listed."""
    settings = small_settings(tmp_path).model_copy(update={"lake_root": f"s3://{BUCKET}/lake"})
    lake, wanted = open_storage(settings.lake_root), wanted_models(settings)
    publish_day(settings, DATES[0])
    lake.write_bytes(register_path(DATES[0], f"box-{DATES[0]}"), b"a register")
    names = [f"{kind}/{entry.name}" for kind in late for entry in lake.list_tree(kind)]
    contents = {name: lake.read_bytes(name) for name in names}
    for name in contents:
        lake.remove(name)
    assert len(contents) == len(late)

    def publish_meanwhile(request: Request, done: bool) -> None:
        if done and request.args.get("prefix") == "lake/manifests/":
            while contents:
                lake.write_bytes(*contents.popitem())

    with s3.disturbed(publish_meanwhile):
        assert outdated_dates(settings, wanted) == []
    assert not contents and "is gone" not in caplog.text
