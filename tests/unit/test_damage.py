"""What is damaged is noticed, named, and stops nothing but its own batch; what can be made again is made again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.image_files import picture, saved
from tests.unit.published import DATE, Night, caption_all, pin, process
from tests.unit.reviews import a_review
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError, DamagedFile, EnvironmentFault, FailureRateExceeded
from tounum_tasks.history.restore import restore
from tounum_tasks.intake.register import register
from tounum_tasks.items import register_path
from tounum_tasks.manifest.commit import mend_latest
from tounum_tasks.manifest.read import history_path, manifest_path, read_version
from tounum_tasks.plan import RunRequest
from tounum_tasks.publish import verdict
from tounum_tasks.report.examples import choose
from tounum_tasks.report.figures import read_figures
from tounum_tasks.report.page import render
from tounum_tasks.reprocess.outdated import outdated_dates
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.reviews.text import path_of


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """Two versions of a batch of noisy photographs, some of which were enhanced."""
    found = Night(tmp_path, noisy=True)
    for name in ("lake", "non_photos", "quarantine"):
        monkeypatch.setenv(f"TOUNUM_{name.upper()}_ROOT", str(tmp_path / name))
    for run_id in ("first", "second"):
        plan = found.plan(run_id, enhancement="classic", captioner=pin("captioner", run_id))
        caption_all(plan, found.settings, f"the {run_id} caption")
        found.publish(plan)
    return found


def file_of(night: Night, path: str) -> Path:
    return night.root / "lake" / path


def change_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def photographs(night: Night) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in file_of(night, "photos").rglob("*.png")}


# Caches


@pytest.mark.parametrize("damage", [change_a_bit, cut, lambda path: (path.unlink(), path.symlink_to(path))])
def test_a_damaged_enhanced_image_never_replaces_a_photograph(night: Night, damage) -> None:
    before = photographs(night)
    enhanced = [path for path in file_of(night, "stages").rglob("enhanced/*") if path.is_file()]
    assert before and enhanced
    for path in enhanced:
        damage(path)
    shutil.rmtree(file_of(night, "stages/route"))
    plan = night.plan("third", enhancement="classic", captioner=pin("captioner", "second"))
    caption_all(plan, night.settings, "the second caption")
    assert night.publish(plan)["outcome"] == "unchanged"
    assert photographs(night) == before


def test_going_back_does_not_take_a_damaged_enhanced_image_either(night: Night) -> None:
    before = photographs(night)
    for path in file_of(night, "stages").rglob("enhanced/*"):
        change_a_bit(path)
    shutil.rmtree(file_of(night, "photos"))
    restore(night.settings, DATE, night.batch_id, 1)
    assert photographs(night) == before


@pytest.mark.parametrize("damage", [change_a_bit, cut])
@pytest.mark.parametrize("name", ["measure_and_enhance", "model_inputs", "route"])
def test_a_damaged_cache_is_computed_again(night: Night, name: str, damage) -> None:
    files = list(file_of(night, f"stages/{name}").rglob("*.parquet"))
    good = {path: path.read_bytes() for path in files}
    for path in files:
        damage(path)
    plan = night.plan("third", enhancement="classic", captioner=pin("captioner", "second"))
    caption_all(plan, night.settings, "the second caption")
    assert night.publish(plan)["outcome"] == "unchanged"
    for path, content in good.items():
        assert path.read_bytes() != content or name == "model_inputs"  # the run and its time are in the rows
    assert read_version(night.lake, DATE, night.batch_id, 2)["status"].to_pylist().count("ok") == 3


# Manifests and their history


@pytest.mark.parametrize("damage", [change_a_bit, cut])
def test_a_damaged_version_is_made_whole_from_the_manifest(night: Night, damage) -> None:
    path = file_of(night, history_path(DATE, night.batch_id, 2))
    good = path.read_bytes()
    damage(path)
    with pytest.raises(DamagedFile, match=r"2\.parquet is damaged"):
        read_version(night.lake, DATE, night.batch_id, 2)
    request = RunRequest(run_id="third", batch_id=night.batch_id)
    assert [batch.base_version for batch in register(request, night.settings).batches] == [2]
    assert path.read_bytes() == good


def test_a_damaged_manifest_is_made_whole_by_the_next_run(night: Night) -> None:
    path = file_of(night, manifest_path(DATE, night.batch_id))
    good = path.read_bytes()
    change_a_bit(path)
    assert outdated_dates(night.settings, {}) == [DATE]
    plan = night.plan("third", enhancement="classic", captioner=pin("captioner", "second"))
    caption_all(plan, night.settings, "the second caption")
    assert night.publish(plan)["outcome"] == "unchanged" and path.read_bytes() == good


def test_damage_that_nothing_can_mend_is_named_and_keeps_its_batch_out(night: Night) -> None:
    cut(file_of(night, history_path(DATE, night.batch_id, 2)))
    cut(file_of(night, manifest_path(DATE, night.batch_id)))
    with pytest.raises(DamagedFile, match=r"2\.parquet is damaged"):
        mend_latest(night.lake, DATE, night.batch_id)
    with pytest.raises(EnvironmentFault, match=r"2\.parquet is damaged .*: restore it from a backup"):
        register(RunRequest(run_id="third", batch_id=night.batch_id), night.settings)


def test_verdict_and_report_name_a_damaged_manifest(night: Night) -> None:
    plan = night.plan("third")
    cut(file_of(night, history_path(DATE, night.batch_id, 2)))
    with pytest.raises(FailureRateExceeded, match=r"2\.parquet is damaged"):
        verdict.check(plan, night.settings)
    figures = read_figures(plan, night.settings)
    assert figures.verdict.level == "bad" and "2.parquet is damaged" in figures.verdict.sentences[0]
    cut(file_of(night, manifest_path(DATE, night.batch_id)))
    figures = read_figures(plan, night.settings)
    assert "manifest.parquet is damaged" in " ".join(figures.verdict.sentences)
    assert "manifest.parquet is damaged" in render(
        figures, choose(figures, night.settings), night.settings, made_at=plan.started_at
    )


def test_commands_name_the_damage_in_one_sentence_and_show_the_rest(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = night.batch_id
    other = file_of(night, manifest_path(DATE, "other-0123456789"))
    other.parent.mkdir()
    other.write_bytes(file_of(night, manifest_path(DATE, batch)).read_bytes())
    cut(file_of(night, manifest_path(DATE, batch)))
    assert main(["show", "--json", "-"]) == 2
    out, err = capsys.readouterr()
    assert [json.loads(line)["batch_id"] for line in out.splitlines()] == ["other-0123456789"]
    assert_one_sentence(err, "manifest.parquet")
    assert main(["show"]) == 2 and "other-0123456789" in capsys.readouterr().out
    assert main(["show", "--batch", batch]) == 2
    assert_one_sentence(capsys.readouterr().err, "manifest.parquet")

    cut(file_of(night, history_path(DATE, batch, 1)))
    assert main(["history", "--batch", batch, "--json", "-"]) == 2
    out, err = capsys.readouterr()
    assert [bool(json.loads(line)["damage"]) for line in out.splitlines()] == [True, False]
    assert_one_sentence(err, "1.parquet")
    assert main(["history", "--batch", batch]) == 2 and "damaged" in capsys.readouterr().out
    for command in (["restore", "--version", "1"], ["diff"]):
        assert main([*command, "--batch", batch]) == 2
        assert_one_sentence(capsys.readouterr().err, "1.parquet")
    assert main(["prune", "--yes"]) == 2
    assert_one_sentence(capsys.readouterr().err, "1.parquet")


def assert_one_sentence(said: str, file: str) -> None:
    (line,) = [line for line in said.splitlines() if line.startswith("tounum: ")]
    assert f"{file} is damaged" in line and "restore it from a backup" in line and "Traceback" not in said


def test_going_back_to_a_whole_version_leaves_a_damaged_one_behind(night: Night) -> None:
    cut(file_of(night, history_path(DATE, night.batch_id, 2)))
    cut(file_of(night, manifest_path(DATE, night.batch_id)))
    done = restore(night.settings, DATE, night.batch_id, 1)
    assert (done.version, done.is_new) == (3, True)
    assert night.lake_table(night.batch_id)["caption"].to_pylist()[0] == "the first caption"


def test_prune_leaves_a_batch_alone_of_which_it_cannot_know_what_is_needed(night: Night) -> None:
    cut(file_of(night, history_path(DATE, night.batch_id, 2)))
    before = sorted(file_of(night, "stages").rglob("*"))
    assert main(["prune", "--keep-days", "1", "--yes"]) == 2
    assert sorted(file_of(night, "stages").rglob("*")) == before


@pytest.mark.parametrize("lost", [[2], [1, 2]], ids=["the newest", "all"])
def test_versions_that_somebody_deleted_are_named_and_the_next_run_writes_the_current_one_again(
    night: Night, lost: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on from there: the manifest does not fall back to what was before, and no number is given twice."""
    batch, manifest = night.batch_id, night.lake.read_bytes(manifest_path(DATE, night.batch_id))
    for number in lost:
        night.lake.remove(history_path(DATE, batch, number))
    for command in (["history", "--batch", batch], ["diff", "--batch", batch], ["diff", "--dates", f"{DATE}..{DATE}"]):
        assert main(command) == 2
        assert "2.parquet is gone: run the batch again" in capsys.readouterr().err
    needed = sorted(file_of(night, "features").rglob("*.parquet"))
    for path in needed:
        os.utime(path, (1, 1))
    assert main(["prune", "--keep-days", "1", "--yes"]) == 2 and "2.parquet is gone" in capsys.readouterr().err
    assert sorted(file_of(night, "features").rglob("*.parquet")) == needed != []
    request = RunRequest(run_id="third", batch_id=batch)
    assert [one.base_version for one in register(request, night.settings).batches] == [2]
    plan = night.plan("third", enhancement="classic", captioner=pin("captioner", "second"))
    caption_all(plan, night.settings, "the second caption")
    done = night.publish(plan)
    assert (done["outcome"], done["version"]) == ("unchanged", 2)
    assert night.lake.read_bytes(manifest_path(DATE, batch)) == manifest
    assert night.lake.read_bytes(history_path(DATE, batch, 2)) == manifest


def test_going_back_from_a_version_that_somebody_deleted(night: Night) -> None:
    night.lake.remove(history_path(DATE, night.batch_id, 2))
    done = restore(night.settings, DATE, night.batch_id, 1)
    assert (done.version, done.is_new) == (3, True)
    assert night.lake_table(night.batch_id)["caption"].to_pylist()[0] == "the first caption"
    assert read_version(night.lake, DATE, night.batch_id, 2)["caption"].to_pylist()[0] == "the second caption"


def test_a_manifest_that_somebody_deleted_is_named_and_written_again_by_a_restore(
    night: Night, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    batch = night.batch_id
    manifest = night.lake.read_bytes(manifest_path(DATE, batch))
    night.lake.remove(manifest_path(DATE, batch))
    for command in (["show"], ["show", "--batch", batch], ["reviews", "sample", "--batch", batch]):
        assert main(command) == 2
        assert "manifest.parquet is gone: run the batch again, or restore a version" in capsys.readouterr().err
    assert main(["diff", "--dates", f"{DATE}..{DATE}"]) == 0
    assert "1 -> 2" in capsys.readouterr().out and "manifest.parquet is gone: run the batch again" in caplog.text
    plan = night.plan("third")
    with pytest.raises(FailureRateExceeded, match=r"manifest\.parquet is gone: run the batch again"):
        verdict.check(plan, night.settings)
    assert "manifest.parquet is gone" in " ".join(read_figures(plan, night.settings).verdict.sentences)
    assert outdated_dates(night.settings, {}) == [DATE]
    items = file_of(night, register_path(DATE, batch))
    items.rename(night.root / "items.parquet")
    assert outdated_dates(night.settings, {}) == []  # no run could write it
    (night.root / "items.parquet").rename(items)
    assert main(["history", "--batch", batch]) == 0
    assert main(["restore", "--batch", batch, "--version", "2"]) == 0
    assert night.lake.read_bytes(manifest_path(DATE, batch)) == manifest


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: (path.unlink(), path.mkdir())])
def test_a_register_that_is_gone_is_named_by_the_run_of_its_date(night: Night, damage) -> None:
    path = file_of(night, register_path(DATE, night.batch_id))
    damage(path)
    for request in (RunRequest(run_id="r", batch_date=DATE), RunRequest(run_id="r", batch_id=night.batch_id)):
        with pytest.raises(EnvironmentFault, match=r"items\.parquet is gone: restore it from a backup"):
            register(request, night.settings)


def test_a_register_that_is_gone_is_named_by_whoever_goes_back(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    night.lake.remove(register_path(DATE, night.batch_id))
    manifest = night.lake.read_bytes(manifest_path(DATE, night.batch_id))
    for number in ("1", "2"):
        assert main(["restore", "--batch", night.batch_id, "--version", number]) == 2
        said = capsys.readouterr().err
        assert "items.parquet is gone: restore it from a backup" in said and "Traceback" not in said
    assert night.lake.read_bytes(manifest_path(DATE, night.batch_id)) == manifest


def test_a_register_that_is_lost_during_a_run_is_named(tmp_path: Path) -> None:
    night = Night(tmp_path)
    plan = night.plan("first")
    night.lake.remove(register_path(DATE, plan.batches[0].batch_id))
    with pytest.raises(DamagedFile, match=r"items\.parquet is gone: restore it from a backup"):
        process(plan, night.settings)


def test_a_register_with_other_columns_is_damaged(night: Night) -> None:
    register_file = file_of(night, f"registers/{DATE}/{night.batch_id}/items.parquet")
    shutil.copy(file_of(night, manifest_path(DATE, night.batch_id)), register_file)
    with pytest.raises((ConfigurationError, EnvironmentFault), match=r"items\.parquet"):
        register(RunRequest(run_id="third", batch_id=night.batch_id), night.settings)


@pytest.mark.parametrize("confidence", [float("nan"), 0.1])
def test_a_confidence_that_is_no_number_is_never_sure(tmp_path: Path, confidence: float) -> None:
    night = Night(tmp_path)
    plan = night.plan("first")
    process(plan, night.settings)
    from tounum_tasks.steps.shard import ShardWork

    for shard in plan.shards():
        cache = ShardWork(plan, shard, night.settings).cache("classify")
        wanted = ShardWork(plan, shard, night.settings).fingerprints("classify").values()
        cache.commit([{**row, "confidence": confidence} for row in cache.rows(wanted).values()])
    night.publish(plan)
    assert night.column(plan, "needs_review") == [True, True, True, None]


# Originals


@pytest.mark.parametrize("label", ["Text", "Photo"])
@pytest.mark.parametrize("is_gone", [False, True])
def test_a_damaged_original_replaces_no_copy(tmp_path: Path, label: str, is_gone: bool) -> None:
    night = Night(tmp_path)
    plan = night.plan("first", enhancement="off")
    process(plan, night.settings, label=label)
    night.publish(plan)
    (copy,) = (path for path in tmp_path.rglob("1.png") if "originals" not in path.parts)
    good = copy.read_bytes()
    original = file_of(night, "originals") / DATE / night.batch_id / "1.png"
    change_a_bit(original)
    shutil.rmtree(file_of(night, "stages/route"))
    if is_gone:
        copy.unlink()
    second = night.plan("second", enhancement="off")
    with pytest.raises(EnvironmentFault, match=r"1\.png.* not what was taken in: restore it from a backup"):
        process(second, night.settings, label=label)
        night.publish(second)
    assert not copy.exists() if is_gone else copy.read_bytes() == good
    original.write_bytes(good)
    process(second, night.settings, label=label)
    night.publish(second)
    assert copy.read_bytes() == good


def test_a_lost_copy_is_not_put_again_from_a_damaged_original(night: Night, tmp_path: Path) -> None:
    plan = night.plan("third", enhancement="classic")
    process(plan, night.settings)
    night.publish(plan)
    (copy,) = (tmp_path / "non_photos").rglob("1.png")
    copy.unlink()
    change_a_bit(file_of(night, "originals") / DATE / night.batch_id / "1.png")
    with pytest.raises((EnvironmentFault, ConfigurationError), match=r"1\.png is not what was taken in"):
        restore(night.settings, DATE, night.batch_id, 3)
    assert not copy.exists()


def test_a_lost_original_holds_up_no_other_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOUNUM_MIN_FREE_GIB", "0")
    for box in ("One", "Two"):
        (tmp_path / "ingest" / box).mkdir(parents=True)
        (tmp_path / "ingest" / box / f"{box}.png").write_bytes(saved(picture(seed=len(box) + ord(box[0])), "PNG"))
        (tmp_path / "ingest" / box / "_READY").touch()
    command = ["run", "--ingest", str(tmp_path / "ingest"), "--lake", str(tmp_path / "lake")]
    assert main(command) == 0
    for folder in ("stages", "manifests", "manifests_history"):
        shutil.rmtree(tmp_path / "lake" / folder)
    (lost,) = (tmp_path / "lake" / "originals").rglob("One.png")
    lost.unlink()
    capsys.readouterr()
    assert main([*command, "--batch-date", lost.parts[-3]]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "one-" in said.lower() and "One.png is gone: restore it, then run again" in said
    (manifest,) = (tmp_path / "lake" / "manifests").rglob("manifest.parquet")
    assert manifest.parent.name.lower().startswith("two")
    (report,) = sorted((tmp_path / "lake" / "reports").rglob("*.html"), key=lambda path: path.stat().st_mtime)[-1:]
    assert "One.png is gone" in report.read_text()


# What lies beside images


def test_a_list_of_sidecars_that_is_gone_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("TOUNUM_MIN_FREE_GIB", "0")
    for box in ("One", "Two"):
        (tmp_path / "ingest" / box).mkdir(parents=True)
        (tmp_path / "ingest" / box / "a.png").write_bytes(saved(picture(seed=ord(box[0])), "PNG"))
        (tmp_path / "ingest" / box / "_READY").touch()
    (tmp_path / "ingest" / "One" / "a.xmp").write_text("<x/>")
    command = ["run", "--ingest", str(tmp_path / "ingest"), "--lake", str(tmp_path / "lake")]
    assert main(command) == 0
    (gone,) = (tmp_path / "lake").rglob("sidecars.parquet")
    content = gone.read_bytes()
    manifest = tmp_path / "lake" / "manifests" / gone.parts[-3] / gone.parts[-2] / "manifest.parquet"
    before = manifest.read_bytes()
    gone.unlink()
    capsys.readouterr()
    again = [*command, "--batch-date", gone.parts[-3], "--items", "all"]
    assert main(again) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.count("sidecars.parquet is gone: restore it from a backup") == 1
    assert manifest.read_bytes() == before
    gone.write_bytes(content)
    assert main(again) == 0


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("kind", "instead", "mended"),
    [
        ("manifests_history", a_folder, False),
        ("manifests_history", a_link, True),
        ("registers", a_link, False),
        ("search/hashes", a_folder, False),
        ("search/hashes", a_link, True),
        ("stages/measure_and_enhance", a_link, True),
    ],
)
def test_what_lies_in_place_of_a_file_stops_no_other_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str, instead, mended
) -> None:
    monkeypatch.setenv("TOUNUM_MIN_FREE_GIB", "0")
    lake = tmp_path / "lake"
    for box in ("One", "Two"):
        (tmp_path / "ingest" / box).mkdir(parents=True)
        (tmp_path / "ingest" / box / f"{box}.png").write_bytes(saved(picture(seed=len(box) + ord(box[0])), "PNG"))
        (tmp_path / "ingest" / box / "_READY").touch()
    command = ["run", "--ingest", str(tmp_path / "ingest"), "--lake", str(lake)]
    assert main(command) == 0
    bad = [path for path in (lake / kind).rglob("*.parquet") if "/one-" in str(path)]
    for path in bad:
        instead(path)
    (other,) = (lake / "manifests").glob("*/two-*/manifest.parquet")
    other.unlink()
    capsys.readouterr()
    code, said = main(command), capsys.readouterr().err
    assert other.is_file()
    assert (code == 0, str(bad[0]) in said) == (mended, not mended)
    for name in ("show", "index"):
        assert main([name, "--lake", str(lake)]) == 0


def brackets(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("instead", [a_folder, a_link, brackets])
def test_what_lies_in_place_of_a_review_is_named(night: Night, instead) -> None:
    review = a_review("good")
    ReviewStore(night.lake).add(review)
    instead(file_of(night, path_of(review.review_id)))
    with pytest.raises(DamagedFile, match=rf"{review.review_id}\.json (cannot be used|is damaged)"):
        ReviewStore(night.lake).all()
