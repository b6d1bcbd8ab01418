"""Which batch dates are brought to the models in production, in which order, and how many at once."""

from pathlib import Path

import pytest

from tests.unit.published import small_settings
from tests.unit.published_lake import ok_row, publish
from tounum_tasks.reprocess.outdated import choose, wanted_models
from tounum_tasks.settings import Settings

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
