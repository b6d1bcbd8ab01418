"""Publishing is killed at every step, then run again: the same manifest, and never a half one."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tests.crash.killing import run_and_kill
from tests.unit.published import DATE, Night, drop_pages, pin, plan_for, process, small_settings
from tounum_tasks.history.restore import restore
from tounum_tasks.manifest.read import latest_version, manifest_path
from tounum_tasks.manifest.schema import SCHEMA, without_publication
from tounum_tasks.publish import stage as publish


def test_killed_at_every_step(tmp_path: Path) -> None:
    folder = tmp_path / "lake and buckets"
    settings = small_settings(folder)
    drop_pages(settings)
    plan = plan_for(settings, "run")
    process(plan, settings)
    shutil.copytree(folder, tmp_path / "before")
    manifests = []
    number = 1
    killed = True
    while killed:
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", folder)
        killed = run_and_kill(lambda: publish.run(plan, settings), number)
        path = folder / "lake" / manifest_path(DATE, plan.batches[0].batch_id)
        if path.exists():
            assert pq.read_table(path).num_rows == 4
        (batch,) = publish.run(plan, settings)["batches"]
        assert batch["version"] == 1 and latest_version_of(plan, settings) == 1
        table = pq.read_table(path)
        assert without_publication(table).schema.equals(SCHEMA, check_metadata=True)
        own = ["batch_id", "original_uri", "destination_uri", *(name for name in SCHEMA.names if name[:7] == "seconds")]
        manifests.append(table.drop_columns(own))
        number += 1
    assert number > 8
    assert all(manifest.equals(manifests[-1]) for manifest in manifests)


def latest_version_of(plan, settings) -> int:
    from tounum_tasks.store.open import open_storage

    return latest_version(open_storage(settings.lake_root), DATE, plan.batches[0].batch_id)


def test_killed_while_items_move_to_another_bucket(tmp_path: Path) -> None:
    """Killed at every step: what the manifest names is there, and who publishes next leaves one copy of each item."""
    night = Night(tmp_path / "lake and buckets")
    first = night.plan("first")
    process(first, night.settings)
    night.publish(first)
    second = night.plan("second", classifier=pin("classifier", "2"))
    process(second, night.settings, label="Sketch")
    shutil.copytree(night.root, tmp_path / "before")
    number, killed, versions = 1, True, set()
    while killed:
        shutil.rmtree(night.root)
        shutil.copytree(tmp_path / "before", night.root)
        killed = run_and_kill(lambda: publish.run(second, night.settings), number)
        rows = night.table(second).to_pylist()
        versions.add((latest_version_of(second, night.settings), rows[0]["manifest_version"]))
        for row in rows:
            assert Path(row["destination_uri"].removeprefix("file://")).is_file(), number
        (batch,) = publish.run(second, night.settings)["batches"]
        assert batch["version"] == 2
        for name in ("0.png", "1.png", "2.png"):
            assert night.copies(name) == ["non_photos/sketch"], number
        assert night.copies("broken.jpg") == ["quarantine"]
        number += 1
    assert versions == {(1, 1), (2, 1), (2, 2)}  # before the commit, before the installation, after both
    assert number > 10


def test_a_restore_killed_at_every_step_ends_where_it_would_have(tmp_path: Path) -> None:
    night = Night(tmp_path / "lake and buckets")
    for run_id, label in (("first", "Text"), ("second", "Sketch")):
        plan = night.plan(run_id, classifier=pin("classifier", run_id))
        process(plan, night.settings, label=label)
        night.publish(plan)
    shutil.copytree(night.root, tmp_path / "before")
    number, killed = 1, True
    while killed:
        shutil.rmtree(night.root)
        shutil.copytree(tmp_path / "before", night.root)
        killed = run_and_kill(lambda: restore(night.settings, DATE, night.batch_id, 1), number)
        for row in night.lake_table(night.batch_id).to_pylist():
            assert Path(row["destination_uri"].removeprefix("file://")).is_file(), number
        restore(night.settings, DATE, night.batch_id, 1)
        assert night.lake_table(night.batch_id)["label"].to_pylist() == ["Text"] * 3 + [None]
        assert latest_version(night.lake, DATE, night.batch_id) == 3
        assert night.copies("0.png") == ["non_photos/text"]
        number += 1
    assert number > 10
