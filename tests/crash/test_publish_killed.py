"""Publishing is killed at every step, then run again: the same manifest, and never a half one."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.crash.killing import run_and_kill
from tests.unit.published import DATE, drop_pages, plan_for, process, small_settings
from tounum_tasks.manifest.read import latest_version, manifest_path
from tounum_tasks.manifest.schema import SCHEMA, without_publication
from tounum_tasks.publish import stage as publish


def test_killed_at_every_step(tmp_path: Path) -> None:
    manifests = []
    number = 1
    killed = True
    while killed:
        folder = tmp_path / str(number)
        settings = small_settings(folder)
        drop_pages(settings)
        plan = plan_for(settings, "run")
        process(plan, settings)
        killed = run_and_kill(lambda plan=plan, settings=settings: publish.run(plan, settings), number)
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
    from tounum_tasks.storage import open_storage

    return latest_version(open_storage(settings.lake_root), DATE, plan.batches[0].batch_id)
