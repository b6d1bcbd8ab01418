"""What the web pages say of models and schedules."""

import json

import pytest

from tounum_airflow.web.changes import outdated
from tounum_airflow.web.runs import said_schedule
from tounum_tasks.manifest.models import version_of
from tounum_tasks.plan import ModelPin

WANTED = {"captioner": "v2", "classifier": "v1"}


def models_of(**versions: str) -> str:
    pins = {name: ModelPin(name=name, version=version, digest="01234567" * 8) for name, version in versions.items()}
    return json.dumps({name: [version_of(pin)] for name, pin in pins.items()})


def test_a_batch_of_the_models_in_production_is_done() -> None:
    assert outdated(models_of(captioner="v2", classifier="v1"), WANTED) == []


def test_a_batch_of_an_older_model_says_which() -> None:
    assert outdated(models_of(captioner="v1", classifier="v1"), WANTED) == ["captioner v1"]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 2 * * *", "every day at 02:00, UTC"),
        ("30 22 * * *", "every day at 22:30, UTC"),
        ("0 2 * * 1-5", "0 2 * * 1-5, UTC"),
        ("@daily", "@daily, UTC"),
    ],
)
def test_a_daily_schedule_is_said_as_people_say_it(cron: str, said: str) -> None:
    assert said_schedule(cron, "UTC") == said
