"""A disk that is full at every step in turn: each attempt says so, and the last ends with the same manifest."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.disk import Disk
from tests.unit.published import Night, item_rows, process
from tounum_tasks.errors import EnvironmentFault

STEP_BYTES = 12 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        disk = Disk(tmp_path / "disk")
    except PermissionError as error:
        pytest.skip(str(error))
    yield disk
    disk.unmount()


def test_the_disk_is_full_at_every_step(disk: Disk, tmp_path: Path) -> None:
    ample, tight = Night(tmp_path / "ample", noisy=True), Night(disk.folder / "tight", noisy=True)
    plan = ample.plan("run", enhancement="classic")
    process(plan, ample.settings)
    ample.publish(plan)
    plan = tight.plan("run", enhancement="classic")

    def go_on() -> None:
        process(plan, tight.settings)
        tight.publish(plan)

    faults = attempts_until_it_fits(disk, go_on)
    assert len(faults) > 5 and all("No space is left" in fault and "free some" in fault for fault in faults)
    assert item_rows(tight.table(plan), str(tight.root)) == item_rows(ample.table(ample.plan("again")), str(ample.root))
    assert tight.copies("0.png") == ample.copies("0.png")
    assert not any(Path(tight.settings.lake_root.removeprefix("file://"), ".tmp").iterdir())


def attempts_until_it_fits(disk: Disk, action: Callable[[], None]) -> list[str]:
    """Repeat ``action`` on a disk that has a little more room each time; return what it said."""
    faults = []
    size = disk.used()
    while True:
        disk.resize(size)
        try:
            action()
        except EnvironmentFault as fault:
            faults.append(str(fault))
            size += STEP_BYTES
        else:
            return faults


def test_an_intake_on_a_full_disk_leaves_the_batch_where_it_is(disk: Disk, tmp_path: Path) -> None:
    """The check of free space comes before; here the room goes while the batch is copied."""
    night = Night(tmp_path / "house")
    lake = tmp_path / "house" / "lake"
    lake.symlink_to(disk.folder)
    for number in range(3):
        (tmp_path / "house" / "ingest" / "Box" / f"large{number}.bin").write_bytes(bytes(10**6))
    delivered = sorted(path.name for path in (tmp_path / "house" / "ingest" / "Box").iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tounum_tasks.intake.take_in._check_space", lambda *arguments: None)
        disk.resize(2 * 10**6)
        assert night.plan("full").batches == []
        assert sorted(path.name for path in (tmp_path / "house" / "ingest" / "Box").iterdir()) == delivered
    disk.resize(64 * 10**6)
    (batch,) = night.plan("room").batches
    assert batch.items == len(delivered) - 1
