"""What version 0.1 left behind is read: manifests in lakes, plans of runs that began before an upgrade."""

import datetime as dt
import io
import json
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.published import DATE, Night, process
from tounum_tasks.cli.main import main
from tounum_tasks.history.restore import restore
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.manifest.read import history_path, manifest_path, read_version
from tounum_tasks.manifest.schema import SCHEMA
from tounum_tasks.plan import ModelPin, RunPlan

NAMES = {
    "fingerprint_measure_and_enhance": "fingerprint_measure",
    "seconds_measure_and_enhance": "seconds_measure",
    "fingerprint_extract_features": "fingerprint_features",
    "seconds_extract_features": "seconds_features",
}
# Columns that manifests have had since version 4.
LATER = [
    "label_source",
    "model_label",
    "caption_source",
    "model_caption",
    "marks",
    "reviewed_by",
    "reviewed_at",
]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A batch that version 0.1 published: columns, metadata and stage cache as they were called then."""
    night = Night(tmp_path, noisy=True)
    plan = night.plan("a", enhancement="classic")
    process(plan, night.settings, label="Photo")
    night.publish(plan)
    table = night.table(plan)
    table = table.drop_columns(LATER)
    reused = pa.array([["measure", "classify"]] * table.num_rows, table.schema.field("reused_stages").type)
    table = table.set_column(table.column_names.index("reused_stages"), "reused_stages", reused)
    table = table.rename_columns([NAMES.get(name, name) for name in table.column_names])
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"schema_version": b"2"})
    file = io.BytesIO()
    pq.write_table(table, file)
    for path in (history_path(DATE, night.batch_id, 1), manifest_path(DATE, night.batch_id)):
        night.lake.write_bytes(path, file.getvalue())
    stages = tmp_path / "lake" / "stages"
    (stages / "measure_and_enhance").rename(stages / "measure")
    return night


def test_manifest_has_todays_names(night: Night) -> None:
    table = read_version(night.lake, DATE, night.batch_id, 1)
    assert set(table.column_names) == set(SCHEMA.names) - {"marks", "reviewed_by", "reviewed_at"}
    assert table["model_label"].to_pylist() == table["label"].to_pylist() == ["Photo", "Photo", "Photo", None]
    assert table["label_source"].to_pylist() == ["model", "model", "model", None]
    assert table["model_caption"].null_count == table["caption_source"].null_count == 4
    assert table["reused_stages"].to_pylist() == [["measure_and_enhance", "classify"]] * 4
    wanted = ["source_path", "seconds_measure_and_enhance", "reused_stages", "model_label", "label_source"]
    installed = read_columns(night.lake, DATE, night.batch_id, wanted)
    assert installed is not None
    assert installed.select(wanted).equals(table.select(wanted))
    assert installed["seconds_measure_and_enhance"].null_count == 0


def test_a_lake_of_two_versions_is_read_without_losing_a_column(
    night: Night, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = night.lake.read_bytes(manifest_path(DATE, night.batch_id))
    plan = night.plan("b", enhancement="classic")
    process(plan, night.settings, label="Text")
    night.publish(plan)
    night.lake.write_bytes(manifest_path("2026-01-01", "earlier-0123456789"), before)
    folder = tmp_path / "lake" / "manifests"
    rows = pd.concat(map(pd.read_parquet, folder.glob("*/*/*.parquet")))
    union = duckdb.sql(f"select * from read_parquet('{folder}/**/*.parquet', union_by_name = true)")
    for columns in (rows.columns, union.columns):
        assert {*NAMES, *NAMES.values(), *SCHEMA.names} <= set(columns)
    assert len(rows) == len(union.fetchall()) == 8
    assert main(["show", "--lake", str(tmp_path / "lake")]) == 0
    assert main(["show", "--lake", str(tmp_path / "lake"), "--batch", "earlier-0123456789", "--json", "-"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert len(shown) == 4 and all(one["fingerprint_measure_and_enhance"] for one in shown)
    assert all("fingerprint_measure" not in one for one in shown)


def test_its_photographs_are_restored_from_the_cache_of_then(night: Night, tmp_path: Path) -> None:
    photo = next((tmp_path / "lake" / "photos").rglob("0.png"))
    was = photo.read_bytes()
    plain = night.plan("b", enhancement="off")
    process(plain, night.settings, label="Text")
    night.publish(plain)
    assert not photo.exists()
    assert restore(night.settings, DATE, night.batch_id, 1).version == 3
    assert photo.read_bytes() == was


def test_plan_of_a_run_that_goes_on() -> None:
    names = ("classifier", "extractor", "captioner", "restorer")
    pins = {name: {"name": name, "version": "1", "digest": "d"} for name in names}
    plan = RunPlan.from_json(
        {
            "run_id": "a",
            "batch_date": DATE,
            "started_at": dt.datetime(2026, 3, 1, tzinfo=dt.UTC).isoformat(),
            "items": "missing",
            "enhancement": "auto",
            "max_failure_rate": 0.2,
            "max_pixels": 10,
            "pdf_dpi": 300,
            "beam": 3,
            "review_confidence": 0.6,
            "code_version": "0.1.0",
            "batches": [],
            **pins,
        }
    )
    assert plan.models == {name: ModelPin(name=name, version="1", digest="d") for name in names}
    assert RunPlan.from_json(plan.to_json()) == plan
