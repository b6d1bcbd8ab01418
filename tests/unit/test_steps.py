"""What a row in the tables of steps and models needs elsewhere is there: whoever adds one is told what is missing."""

import pytest

from tounum_tasks.manifest.schema import SCHEMA
from tounum_tasks.model_kinds import KINDS, Kind
from tounum_tasks.settings import Settings
from tounum_tasks.steps.shard import StepModule, load_step
from tounum_tasks.steps.table import STEPS, Step

PARTS = {*StepModule.__annotations__, *(name for name in vars(StepModule) if not name.startswith("_"))}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step_has_its_module_its_columns_and_its_place(step: Step) -> None:
    module = load_step(step.name)
    assert set(vars(module)) >= PARTS, f"steps/{step.name}.py lacks a part of StepModule"
    assert {"fingerprint", "run_id", "seconds"} <= set(module.SCHEMA.names)
    assert {f"fingerprint_{step.name}", f"seconds_{step.name}"} <= set(SCHEMA.names)
    before = [other.name for other in STEPS[: STEPS.index(step)]]
    assert set(step.needs) <= set(before), f"{step.name} stands before a step that it needs"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_model_has_its_class_and_its_setting(kind: Kind) -> None:
    assert callable(kind.load().load)
    assert Settings.model_fields[kind.name].default == "production"
    assert kind.column is None or kind.column in SCHEMA.names
    assert kind.partner is None or KINDS[kind.partner].column or not kind.column
