"""Manifests: whole or not at all, one row per item, never worse than before."""

import json
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.published import DATE, Night, caption_all, drop_pages, pin, plan_for, process, small_settings
from tounum_tasks.errors import ConfigurationError, EnvironmentFault, FailureRateExceeded
from tounum_tasks.history.restore import restore
from tounum_tasks.manifest.commit import StaleRun, commit_version, install_latest
from tounum_tasks.manifest.models import MODEL_COLUMNS as MODELS
from tounum_tasks.manifest.read import failed_keys, latest_version, manifest_path
from tounum_tasks.manifest.schema import ITEM_COLUMNS, RUN_COLUMNS, SCHEMA, without_publication
from tounum_tasks.plan import RunRequest
from tounum_tasks.publish import stage as publish
from tounum_tasks.publish import verdict
from tounum_tasks.publish.rows import rows_of, to_table
from tounum_tasks.publish.verdict import Overtaken
from tounum_tasks.report.figures import read_figures
from tounum_tasks.steps.pins import pin_models
from tounum_tasks.store.open import open_storage


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_a_row_for_every_item_in_the_published_columns(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    assert night.publish(plan)["outcome"] == "published"
    table = night.table(plan)
    assert without_publication(table).schema.equals(SCHEMA, check_metadata=True)
    assert night.statuses(plan) == {"0.png": "ok", "1.png": "ok", "2.png": "ok", "broken.jpg": "quarantined"}
    row = table.to_pylist()[0]
    assert row["label"] == "Text" and row["is_photo"] is False and row["caption"] is None
    assert Path(row["destination_uri"].removeprefix("file://")).read_bytes() == night.lake.read_bytes(
        night.lake.relative(row["original_uri"])
    )


def test_a_long_batch_is_the_same_rows_in_the_same_order(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    few = night.table(plan).to_pylist()
    many = [{**few[number % len(few)], "page": number + 1} for number in range(2_500)]
    table = to_table(iter(many))
    assert table.to_pylist() == many == list(rows_of(table))


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
    commit_version(night.lake, second, version=2, expected_rows=4, run_id="x")  # and the process dies here
    assert install_latest(night.lake, DATE, batch_id) == 2
    assert night.table(plan)["manifest_version"].to_pylist() == [2] * 4
    with pytest.raises(StaleRun):
        commit_version(night.lake, second, version=2, expected_rows=4, run_id="x")


def test_a_manifest_that_is_not_what_was_registered_is_refused(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    night.publish(plan)
    table = night.table(plan)
    with pytest.raises(ValueError, match="rows for 4 items"):
        commit_version(night.lake, table.slice(0, 3), version=2, expected_rows=4, run_id="x")
    with pytest.raises(ValueError, match="two rows for one item"):
        commit_version(
            night.lake, pa.concat_tables([table.slice(0, 3), table.slice(0, 1)]), version=2, expected_rows=4, run_id="x"
        )
    with pytest.raises(ValueError, match="published columns"):
        commit_version(night.lake, table.drop_columns(["caption"]), version=2, expected_rows=4, run_id="x")
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
    second = night.plan("second", items="failed", classifier=pin("classifier", "2"))
    process(second, night.settings, label="Sketch")
    assert night.publish(second)["version"] == 2  # holds rows of both runs
    process(first, night.settings)  # a worker that was given up for dead wakes up
    assert night.publish(first)["outcome"] == "stale"
    assert night.column(first, "label") == ["Text", "Text", "Sketch", None]


def test_who_comes_late_with_the_same_results_has_nothing_to_complain_about(night: Night) -> None:
    one, other = night.plan("one"), night.plan("other")
    for plan in (one, other):
        process(plan, night.settings)
    assert [night.publish(plan)["outcome"] for plan in (one, other)] == ["published", "unchanged"]
    assert "3 ok" in verdict.check(other, night.settings)


def test_a_run_that_another_one_overtook_is_red_and_says_who_won(night: Night) -> None:
    loser = night.plan("loser", classifier=pin("classifier", "1"))
    winner = night.plan("winner", classifier=pin("classifier", "2"))
    process(winner, night.settings, label="Sketch")
    process(loser, night.settings)
    night.publish(winner)
    assert night.publish(loser)["outcome"] == "stale"
    with pytest.raises(Overtaken, match=r"published by another run \(winner\).*Start this run again"):
        verdict.check(loser, night.settings)
    assert "3 ok" in verdict.check(winner, night.settings)
    told = read_figures(loser, night.settings).verdict
    assert told.word == "Overtaken by another run" and "winner" in told.sentences[0]


def test_a_run_of_another_release_is_judged_by_the_models_that_both_know(night: Night) -> None:
    """The release that began the run knew a model more than the one that ends it, and another one not yet."""
    loser = night.plan("loser", classifier=pin("classifier", "1"))
    del loser.models["restorer"]
    loser.models["handwriting"] = pin("handwriting", "1")
    winner = night.plan("winner", classifier=pin("classifier", "2"))
    for plan in (winner, loser):
        process(plan, night.settings)
        night.publish(plan)
    with pytest.raises(Overtaken, match=r"published by another run \(winner\)"):
        verdict.check(loser, night.settings)


def test_report_is_as_red_as_the_run_that_another_one_overtook_in_part(night: Night) -> None:
    """Rows of a run stay in a manifest whose version another run published, over the failed items alone."""
    first = night.plan("first")
    process(first, night.settings, shards=[0])
    night.publish(first)
    over_failed = night.plan("second", items="failed", classifier=pin("classifier", "2"))
    process(over_failed, night.settings, label="Sketch")
    night.publish(over_failed)
    with pytest.raises(Overtaken, match=r"published by another run \(second\)"):
        verdict.check(first, night.settings)
    figures = read_figures(first, night.settings)
    assert figures.batches[0].outcome == "superseded"
    assert (figures.verdict.level, figures.verdict.word) == ("bad", "Overtaken by another run")


def test_what_trying_again_cannot_mend_is_not_tried_again(night: Night) -> None:
    plan = night.plan("a")
    process(plan, night.settings)
    (batch,) = plan.batches
    other_register = plan.model_copy(update={"batches": [batch.model_copy(update={"items": 9})]})
    with pytest.raises(ConfigurationError, match=rf"{batch.batch_id}: the manifest has 4 rows for 9 items"):
        publish.run(other_register, night.settings)
    (night.root / "lake" / "manifests_history").write_text("no folder")
    with pytest.raises(EnvironmentFault, match="Not published, while all other batches were"):
        publish.run(plan, night.settings)


def test_a_run_that_a_promotion_overtook_is_green(night: Night) -> None:
    """It asked for whatever is in production, and that is what the batch has now."""
    today = pin_models(RunRequest(run_id="x"), night.settings)
    before = today | {"captioner": pin("captioner", "1")}
    asked = list(MODELS)
    loser = night.plan("loser", in_production=asked, **before)
    winner = night.plan("winner", in_production=asked, **today)
    caption_all(loser, night.settings, "a dog")
    caption_all(winner, night.settings, "a cat")
    night.publish(winner)
    assert night.publish(loser)["outcome"] == "stale"
    assert night.column(winner, "caption") == ["a cat"] * 3 + [None]
    assert "3 ok" in verdict.check(loser, night.settings)
    with pytest.raises(Overtaken):
        verdict.check(loser.model_copy(update={"in_production": ["classifier"]}), night.settings)


def test_a_photograph_with_other_content_is_put_right_by_the_next_publish(night: Night) -> None:
    plan = night.plan("a")
    caption_all(plan, night.settings, "a dog")
    night.publish(plan)
    photo = next(Path(night.lake.root.removeprefix("file://"), "photos").rglob("0.png"))
    content = photo.read_bytes()
    photo.write_bytes(b"other settings")
    again = night.plan("b")
    caption_all(again, night.settings, "a dog")
    assert photo.read_bytes() == b"other settings"  # a run that has not published anything replaces nothing
    assert night.publish(again)["outcome"] == "unchanged"
    assert photo.read_bytes() == content


def test_a_loser_leaves_the_winners_photographs_alone(tmp_path: Path) -> None:
    """Two runs with other settings for the enhancement, in any order: the files are those of the manifest."""
    for number, order in enumerate([("one", "other"), ("other", "one")]):
        night = Night(tmp_path / str(number), noisy=True)
        plans = {"one": night.plan("one", enhancement="classic"), "other": night.plan("other", enhancement="off")}
        for name in order:
            caption_all(plans[name], night.settings, "a dog")
        assert [night.publish(plans[name])["outcome"] for name in ("one", "other")] == ["published", "stale"]
        row = night.table(plans["one"]).to_pylist()[0]
        assert row["enhancement_accepted"] is True
        lies_there = Path(row["destination_uri"].removeprefix("file://")).read_bytes()
        assert lies_there != night.lake.read_bytes(night.lake.relative(row["original_uri"]))
        assert (
            lies_there == next(night.root.rglob(f"enhanced/{row['fingerprint_measure_and_enhance']}.png")).read_bytes()
        )


def test_an_item_whose_class_changed_moves_when_that_is_published(night: Night) -> None:
    first = night.plan("a")
    process(first, night.settings)
    night.publish(first)
    second = night.plan("b", classifier=pin("classifier", "2"))
    process(second, night.settings, label="Sketch", shards=[0])
    assert night.copies("0.png") == ["non_photos/sketch", "non_photos/text"]
    (night.root / "non_photos/text" / DATE / "a file of somebody else.txt").write_bytes(b"x")
    night.publish(second)
    assert night.copies("0.png") == ["non_photos/sketch"]
    assert night.copies("2.png") == ["non_photos/text"]  # an ok row is never replaced by a failed one
    assert (night.root / "non_photos/text" / DATE / "a file of somebody else.txt").exists()
    third = night.plan("c", classifier=pin("classifier", "3"))
    caption_all(third, night.settings, "a dog")
    night.publish(third)
    assert night.copies("0.png") == night.copies("2.png") == ["photos"]
    assert night.copies("broken.jpg") == ["quarantine"]
    back = night.plan("d")
    process(back, night.settings)
    night.publish(back)
    assert night.copies("0.png") == ["non_photos/text"]


def test_copies_of_a_run_that_never_published_go_with_the_next_publish(night: Night) -> None:
    killed, other = night.plan("killed", classifier=pin("classifier", "2")), night.plan("other")
    process(killed, night.settings, label="Sketch")
    process(other, night.settings)
    night.publish(other)
    assert night.copies("0.png") == ["non_photos/text"]


def test_what_another_publisher_removed_is_put_back_before_it_is_named(night: Night) -> None:
    first, second = night.plan("a"), night.plan("b", classifier=pin("classifier", "2"))
    process(first, night.settings)
    process(second, night.settings, label="Sketch")
    night.publish(first)  # removes the copies of the run that goes on
    later = second.model_copy(update={"batches": night.plan("b").batches})
    night.publish(later)
    assert night.copies("0.png") == ["non_photos/sketch"]


def test_derived_names_do_not_meet_files_of_the_batch(tmp_path: Path) -> None:
    settings = small_settings(tmp_path)
    drop_pages(settings)
    box = Path(settings.ingest_root.removeprefix("file://"), "Box")
    (box / "broken.jpg.reason.json").write_bytes(b"\x89PNG\r\n\x1a\n no image either")
    plan = plan_for(settings, "a")
    process(plan, settings)
    kept = sorted(path.name for path in (tmp_path / "quarantine").rglob("*") if path.is_file())
    assert len(kept) == 4 and {"broken.jpg", "broken.jpg.reason.json", "broken.jpg.reason.json.reason.json"} < set(kept)
    (refused,) = (tmp_path / "quarantine").rglob("broken.jpg.reason.json")
    assert refused.read_bytes() == b"\x89PNG\r\n\x1a\n no image either"


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


def test_a_file_that_was_not_delivered_has_a_row_and_a_note(tmp_path: Path) -> None:
    settings = small_settings(tmp_path, incomplete="take")
    drop_pages(settings, 1)
    box = Path(settings.ingest_root.removeprefix("file://"), "Box")
    (box / "md5sums.txt").write_text("0" * 32 + "  lost.tif\n")
    for run_id, outcome in (("a", "published"), ("b", "unchanged")):
        plan = plan_for(settings, run_id)
        process(plan, settings)
        (batch,) = publish.run(plan, settings)["batches"]
        assert batch["outcome"] == outcome
    table = publish.read_version(open_storage(settings.lake_root), DATE, batch["batch_id"], 1)
    row = next(row for row in table.to_pylist() if row["source_path"] == "lost.tif")
    assert (row["status"], row["error_code"]) == ("quarantined", "missing")
    assert (row["checksum"], row["checksum_source"]) == ("md5:" + "0" * 32, "md5sums.txt")
    note = Path(row["destination_uri"].removeprefix("file://"))
    assert json.loads(note.read_bytes())["error_code"] == "missing"
    note.unlink()
    restore(settings, DATE, batch["batch_id"], 1)
    assert note.exists()
