"""A fingerprint changes with everything that a result depends on, and with nothing else."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.items import Item
from tounum_tasks.plan import BatchPlan, ModelPin, RunPlan, ShardRef
from tounum_tasks.settings import Settings
from tounum_tasks.steps.shard import ShardWork, load_step
from tounum_tasks.steps.table import STEPS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), JSON, max_size=5))
def test_order_does_not_matter_and_the_hash_is_stable(parts: dict) -> None:
    assert fingerprint(**parts) == fingerprint(**dict(reversed(parts.items())))
    assert len(fingerprint(**parts)) == 64


@given(JSON, JSON)
def test_different_values_have_different_fingerprints(one: object, other: object) -> None:
    assert (fingerprint(part=one) == fingerprint(part=other)) == (repr(one) == repr(other) or one is other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_without_a_canonical_form_are_refused(value: float) -> None:
    with pytest.raises(ValueError):
        fingerprint(part=value)


ITEM = Item("box-1", "2026-03-01", "Box", "a.png", 1, 1, "id", "id", 9, "png", "originals/x/a.png", 0)


def pin(name: str, digest: str = "1") -> ModelPin:
    return ModelPin(name=name, version="1", digest=digest)


PLAN = RunPlan(
    run_id="a", batch_date="2026-03-01", started_at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC), items="missing",
    enhancement="auto", max_failure_rate=0.2, max_pixels=10, pdf_dpi=300, beam=3, review_confidence=0.6,
    models={name: pin(name) for name in ("classifier", "extractor", "captioner", "restorer")},
    code_version="1",
    batches=[BatchPlan(batch_id="box-1", batch_date="2026-03-01", items=1, shards=1, base_version=0)],
)  # fmt: skip


def all_of(plan: RunPlan, item: Item = ITEM, label: str = "Photo") -> dict[str, str]:
    results = {"classify": {item.key: {"label": label}}, "measure_and_enhance": {item.key: {"page_flags": []}}}
    work = ShardWork(plan, ShardRef(batch_id="box-1", batch_date="2026-03-01", shard=0), Settings(), _results=results)
    return {step.name: load_step(step.name).fingerprint(work, item) for step in STEPS}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"captioner": pin("captioner", "2")}, {"caption"}),
        ({"beam": 5}, {"caption"}),
        ({"extractor": pin("extractor", "2")}, {"extract_features", "caption"}),
        ({"classifier": pin("classifier", "2")}, {"classify"}),
        ({"restorer": pin("restorer", "2")}, {"measure_and_enhance", "route", "extract_features", "caption"}),
        ({"enhancement": "off"}, {"measure_and_enhance", "route", "extract_features", "caption"}),
        ({"run_id": "b", "max_failure_rate": 1.0, "review_confidence": 0.1, "code_version": "2"}, set()),
        ({"max_pixels": 5}, {"measure_and_enhance", "classify", "route", "extract_features", "caption"}),
        ({"pdf_dpi": 150.0}, set()),  # the item is no PDF
    ],
)
def test_a_change_concerns_the_stages_that_read_it(change: dict, stages: set[str]) -> None:
    models = {name: value for name, value in change.items() if isinstance(value, ModelPin)}
    others = {name: value for name, value in change.items() if name not in models}
    plan = PLAN.model_copy(update={**others, "models": {**PLAN.models, **models}})
    before, after = all_of(PLAN), all_of(plan)
    assert {stage for stage in before if before[stage] != after[stage]} == stages


def test_another_class_concerns_the_route_alone() -> None:
    before, after = all_of(PLAN), all_of(PLAN, label="Text")
    assert {stage for stage in before if before[stage] != after[stage]} == {"route"}
