"""Every fault of its own, on small batches: ``make test-cluster``."""

from pathlib import Path

import pytest

from tests.cluster.conftest import Delivery
from tests.cluster.intake import CHANGES, disturb_intake
from tests.cluster.night import DISK_FAULTS, FAULTS, STORE_FAULTS, Night, triggerer_killed
from tests.cluster.results import assert_same

pytestmark = pytest.mark.cluster

# These pass within the patience of a task.
SHORT = ("storage unreachable for a minute", "storage throttled for a minute")


@pytest.mark.parametrize("cluster", ["folders", "store"], indirect=True)
def test_undisturbed_run_is_as_in_one_process(night: Night, small_delivery: Delivery) -> None:
    night.drop(small_delivery.batches)
    run = night.trigger()
    assert night.finish(run) == "success", night.states(run)
    assert_same(night.archive, small_delivery.undisturbed)
    assert {task["try_number"] for task in night.tasks(run) if task["state"] == "success"} == {1}


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in STORE_FAULTS])
def test_fault(night: Night, small_delivery: Delivery, name: str) -> None:
    if name in DISK_FAULTS and not night.cluster.disks:
        pytest.skip("mounting a small disk needs root")
    _strike(night, small_delivery, name)


@pytest.mark.parametrize("cluster", ["store"], indirect=True)
@pytest.mark.parametrize("name", STORE_FAULTS)
def test_fault_of_the_store(night: Night, small_delivery: Delivery, name: str) -> None:
    run = _strike(night, small_delivery, name)
    if name in SHORT:
        assert {task["try_number"] for task in night.tasks(run) if task["state"] == "success"} == {1}


def _strike(night: Night, delivery: Delivery, name: str) -> str:
    night.drop(delivery.batches)
    run = night.trigger()
    FAULTS[name](night, run)
    assert night.finish(run) == "success", night.states(run)
    assert_same(night.archive, delivery.undisturbed)
    return run


def test_triggerer_is_killed_while_a_scheduled_run_waits(night: Night, small_delivery: Delivery) -> None:
    night.drop(small_delivery.batches, ready=False)
    run = night.scheduled()
    triggerer_killed(night, run)
    night.mark_ready(small_delivery.batches)
    assert night.finish(run) == "success", night.states(run)
    assert_same(night.archive, small_delivery.undisturbed)


@pytest.mark.parametrize("change", CHANGES)
def test_batch_is_deleted_or_changed_while_it_is_taken_in(night: Night, tmp_path: Path, change: str) -> None:
    disturb_intake(night, tmp_path, change)
