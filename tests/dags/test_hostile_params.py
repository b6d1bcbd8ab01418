"""What somebody who may trigger runs can write into the form, or send to the API: see docs/security.md."""

import copy
import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import ParamValidationError

from tests.unit.test_security import EVIL
from tounum_airflow.params import run_params
from tounum_airflow.request import run_request
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.registry import Registry
from tounum_tasks.settings import Settings

VERSIONS = {"classifier", "captioner"}
TEXTS = {"batch_date", "batch_id", "items", "enhancement", *VERSIONS}
RUN = SimpleNamespace(
    run_id="manual__2026-03-01T10:00:00+00:00",
    partition_key=None,
    run_type="manual",
    clear_number=0,
    start_date=dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC),
    run_after=dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC),
)


def test_every_text_of_the_form_is_tried() -> None:
    texts = {name for name, param in run_params(Settings()).items() if "string" in param.schema["type"]}
    assert texts == TEXTS


@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("value", EVIL)
def test_hostile_values_stop_at_the_form_or_before_anything_is_opened(name: str, value: str, tmp_path: Path) -> None:
    params = copy.deepcopy(run_params(Settings()))
    try:
        params[name].resolve(value)
    except ParamValidationError:
        return
    values = {key: param.value for key, param in params.items()}
    with pytest.raises(ConfigurationError):
        request = run_request(RUN, {**values, name: value})
        Registry(str(tmp_path / "lake")).resolve(name, request.models[name])
