"""Manifests: whole or not at all, one row per item, never worse than before."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.published import DATE, drop_pages, plan_for, process, small_settings
from tounum_tasks.errors import EnvironmentFault, FailureRateExceeded
from tounum_tasks.manifest.commit import StaleRun, commit_version, install_latest
from tounum_tasks.manifest.read import failed_keys, latest_version, manifest_path
from tounum_tasks.manifest.schema import ITEM_COLUMNS, RUN_COLUMNS, SCHEMA
from tounum_tasks.plan import RunPlan
from tounum_tasks.publish import stage as publish
from tounum_tasks.publish import verdict
from tounum_tasks.storage import open_storage


class Night:
    """One batch of three pages and a broken file, in shards of two."""

    def __init__(self, folder: Path) -> None:
        self.settings = small_settings(folder, shard_size=2)
        drop_pages(self.settings)
        self.lake = open_storage(self.settings.lake_root)

    def plan(self, run_id: str, **options: object) -> RunPlan:
        return plan_for(self.settings, run_id, **options)

    def publish(self, plan: RunPlan) -> dict:
        (batch,) = publish.run(plan, self.settings)["batches"]
        return batch

    def table(self, plan: RunPlan) -> pa.Table:
        with self.lake.open(manifest_path(DATE, plan.batches[0].batch_id)) as file:
            return pq.read_table(file)

    def statuses(self, plan: RunPlan) -> dict[str, str]:
        return {row["source_path"]: row["status"] for row in self.table(plan).to_pylist()}


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_row_for_every_item_in_the_published_columns(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    assert night.publish(plan)["outcome"] == "published"
    table = night.table(plan)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert night.statuses(plan) == {"0.png": "ok", "1.png": "ok", "2.png": "ok", "broken.jpg": "quarantined"}
    row = table.to_pylist()[0]
    assert row["label"] == "Text" and row["is_photo"] is False and row["caption"] is None
    assert Path(row["destination_uri"].removeprefix("file://")).read_bytes() == night.lake.read_bytes(
        night.lake.relative(row["original_uri"])
    )


def test_every_column_is_described() -> None:
    assert all(field.metadata and field.metadata[b"description"] for field in SCHEMA)
    assert set(RUN_COLUMNS) | set(ITEM_COLUMNS) == set(SCHEMA.names)


def test_pandas_and_duckdb_read_the_folder_as_it_is(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    folder = Path(night.lake.root.removeprefix("file://"), "manifests")
    assert len(pd.read_parquet(folder)) == 4
    counted = duckdb.sql(f"select batch_date, count(*) from '{folder}/**/*.parquet' group by batch_date").fetchall()
    assert counted == [(DATE, 4)]


def test_quarantine_holds_the_bytes_and_the_reason(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    row = night.table(plan).to_pylist()[3]
    copy = Path(row["destination_uri"].removeprefix("file://"))
    assert copy.read_bytes() == b"\xff\xd8\xff no image"
    assert row["error_code"] in copy.with_name(copy.name + ".reason.json").read_text()


def test_items_of_a_failed_shard_are_rows_and_the_run_is_judged_by_them(night: Night) -> None:
    plan = night.plan("a", max_failure_rate=0.4)
    process(plan, night.settings, shards=[0])
    night.publish(plan)
    assert night.statuses(plan) == {"0.png": "ok", "1.png": "ok", "2.png": "failed", "broken.jpg": "failed"}
    assert night.table(plan).to_pylist()[2]["error_code"] == "no_result"
    with pytest.raises(FailureRateExceeded, match="2 of 4 images"):
        verdict.check(plan, night.settings)
    verdict.check(plan.model_copy(update={"max_failure_rate": 0.5}), night.settings)


def test_an_ok_row_is_never_replaced_by_a_failed_one(night: Night) -> None:
    first = night.plan("a")
    process(first, night.settings)
    night.publish(first)
    worse = night.plan("b", pdf_dpi=99, classifier={"name": "classifier", "version": "2", "digest": "other"})
    process(worse, night.settings, label="Sketch", shards=[1])
    assert night.publish(worse)["version"] == 2
    rows = {row["source_path"]: row for row in night.table(worse).to_pylist()}
    assert (rows["0.png"]["status"], rows["0.png"]["label"], rows["0.png"]["run_id"]) == ("ok", "Text", "a")
    assert (rows["2.png"]["status"], rows["2.png"]["label"], rows["2.png"]["run_id"]) == ("ok", "Sketch", "b")
    assert {row["manifest_version"] for row in rows.values()} == {2}


def test_publishing_again_changes_nothing(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    before = night.lake.read_bytes(manifest_path(DATE, plan.batches[0].batch_id))
    again = night.plan("b")
    process(again, night.settings)
    assert night.publish(again)["outcome"] == "unchanged"
    assert night.lake.read_bytes(manifest_path(DATE, plan.batches[0].batch_id)) == before


def test_the_same_inputs_give_the_same_bytes_but_for_the_run_columns(tmp_path: Path) -> None:
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        night = Night(tmp_path / name)
        plan = night.plan(name)
        process(plan, night.settings)
        night.publish(plan)
        own = {column for column in ITEM_COLUMNS if column.endswith("_uri") or column == "batch_id"}
        tables.append(night.table(plan).select([column for column in ITEM_COLUMNS if column not in own]))
    assert tables[0].equals(tables[1])


def test_a_late_loser_changes_nothing(night: Night) -> None:
    sleeper, winner = night.plan("sleeper"), night.plan("winner")
    process(winner, night.settings)
    night.publish(winner)
    before = night.lake.read_bytes(manifest_path(DATE, winner.batches[0].batch_id))
    process(sleeper, night.settings, label="Sketch")
    assert night.publish(sleeper)["outcome"] == "stale"
    assert night.lake.read_bytes(manifest_path(DATE, winner.batches[0].batch_id)) == before
    assert latest_version(night.lake, DATE, winner.batches[0].batch_id) == 1


def test_a_committed_version_is_installed_by_the_next_who_looks(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    batch_id = plan.batches[0].batch_id
    table = night.table(plan)
    second = table.set_column(
        table.schema.get_field_index("manifest_version"),
        SCHEMA.field("manifest_version"),
        pa.array([2] * 4, pa.int32()),
    )
    commit_version(night.lake, second, version=2, expected_rows=4)  # and the process dies here
    assert install_latest(night.lake, DATE, batch_id) == 2
    assert night.table(plan)["manifest_version"].to_pylist() == [2] * 4
    with pytest.raises(StaleRun):
        commit_version(night.lake, second, version=2, expected_rows=4)


def test_a_manifest_that_is_not_what_was_registered_is_refused(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    table = night.table(plan)
    with pytest.raises(ValueError, match="rows for 4 items"):
        commit_version(night.lake, table.slice(0, 3), version=2, expected_rows=4)
    with pytest.raises(ValueError, match="two rows for one item"):
        commit_version(night.lake, pa.concat_tables([table.slice(0, 3), table.slice(0, 1)]), version=2, expected_rows=4)
    with pytest.raises(ValueError, match="published columns"):
        commit_version(night.lake, table.drop_columns(["caption"]), version=2, expected_rows=4)
    assert latest_version(night.lake, DATE, plan.batches[0].batch_id) == 1


def test_failed_keys_are_what_items_failed_works_on(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings, shards=[1])
    night.publish(plan)
    batch_id = plan.batches[0].batch_id
    assert failed_keys(night.lake, DATE, batch_id, 1) == {("0.png", 1), ("1.png", 1), ("broken.jpg", 1)}
    assert failed_keys(night.lake, DATE, batch_id, 0) == frozenset()


def test_a_late_loser_is_known_by_rows_that_it_shares_with_the_winner(night: Night) -> None:
    first = night.plan("first")
    process(first, night.settings, shards=[0])
    night.publish(first)
    second = night.plan("second", items="failed")
    process(second, night.settings)
    assert night.publish(second)["version"] == 2  # holds rows of both runs
    assert night.publish(first)["outcome"] == "stale"
    assert set(night.statuses(first).values()) == {"ok", "quarantined"}


def test_a_photograph_that_another_run_replaced_is_put_back(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings, label="Photo")
    photo = next(Path(night.lake.root.removeprefix("file://"), "photos").rglob("0.png"))
    content = photo.read_bytes()
    photo.write_bytes(b"other settings")
    process(night.plan("b"), night.settings, label="Photo")
    assert photo.read_bytes() == content


def test_derived_names_do_not_meet_files_of_the_batch(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    drop_pages(settings)
    box = Path(settings.ingest_root.removeprefix("file://"), "Box")
    (box / "broken.jpg.reason.json").write_bytes(b"no image either")
    plan = plan_for(settings, "a")
    process(plan, settings)
    kept = sorted(path.name for path in (tmp_path / "quarantine").rglob("*") if path.is_file())
    assert len(kept) == 4 and {"broken.jpg", "broken.jpg.reason.json", "broken.jpg.reason.json.reason.json"} < set(kept)
    (refused,) = (tmp_path / "quarantine").rglob("broken.jpg.reason.json")
    assert refused.read_bytes() == b"no image either"


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing"])
def test_a_damaged_stage_file_is_computed_again(night: Night, damage: bytes) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    for path in Path(night.lake.root.removeprefix("file://"), "stages").rglob("*.parquet"):
        path.write_bytes(damage)
    process(plan, night.settings)
    night.publish(plan)
    assert list(night.statuses(plan).values()) == ["ok", "ok", "ok", "quarantined"]


def test_a_damaged_original_is_seen(night: Night) -> None:
    plan = night.plan("a")
    original = next(Path(night.lake.root.removeprefix("file://"), "originals").rglob("0.png"))
    original.write_bytes(next(original.parent.glob("1.png")).read_bytes())
    process(plan, night.settings)
    night.publish(plan)
    assert night.table(plan)["error_code"].to_pylist()[0] == "original_damaged"


def test_a_missing_original_is_a_fault_and_no_verdict_on_the_image(night: Night) -> None:
    plan = night.plan("a")
    original = next(Path(night.lake.root.removeprefix("file://"), "originals").rglob("0.png"))
    content = original.read_bytes()
    original.unlink()
    with pytest.raises(EnvironmentFault, match=r"0\.png is gone"):
        process(plan, night.settings)
    original.write_bytes(content)
    process(plan, night.settings)
    night.publish(plan)
    assert night.statuses(plan)["0.png"] == "ok"
