"""The commands ``history``, ``diff`` and ``restore``: what was, what changed, and going back."""

import datetime as dt
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skimage.data

from tests.unit.published import DATE, Night, caption_all, pin, plan_for, process, small_settings
from tounum_tasks.cli.main import main
from tounum_tasks.history.diff import Summary, compare
from tounum_tasks.history.restore import restore
from tounum_tasks.manifest.models import version_of
from tounum_tasks.manifest.read import history_path, latest_version, manifest_path
from tounum_tasks.manifest.schema import SCHEMA, without_publication
from tounum_tasks.models.card import write_card
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.plan import ModelPin
from tounum_tasks.publish import stage as publish

CAPTIONER_2 = pin("captioner", "2")


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Night:
    """A batch of three photographs whose second version has other captions, and in whose third one became a text."""
    found = Night(tmp_path)
    for name in ("lake", "non_photos", "quarantine"):
        monkeypatch.setenv(f"TOUNUM_{name.upper()}_ROOT", str(tmp_path / name))
    first = found.plan("first")
    caption_all(first, found.settings, "a dog runs")
    found.publish(first)
    second = found.plan("second", captioner=CAPTIONER_2)
    caption_all(second, found.settings, "a dog sleeps")
    found.publish(second)
    third = found.plan("third", captioner=CAPTIONER_2, classifier=pin("classifier", "2"))
    process(third, found.settings, label="Text", shards=[0])
    found.publish(third)
    return found


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_history_lists_versions_with_run_time_models_and_counts(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--batch", night.batch_id, "--json", "-"]) == 0
    found = json_lines(capsys)
    assert [(one["version"], one["run_id"], one["current"]) for one in found] == [
        (1, "first", False),
        (2, "second", False),
        (3, "third", True),
    ]
    times = [dt.datetime.fromisoformat(one["published_at"]) for one in found]
    assert times == sorted(times)
    assert dt.datetime.now(dt.UTC) - times[0] < dt.timedelta(minutes=10)
    assert found[1]["models"]["captioner"] == [version_of(CAPTIONER_2)]
    assert len(found[2]["models"]["classifier"]) == 2  # the second shard has no result of the new one
    assert found[0]["statuses"] == {"ok": 3, "quarantined": 1}
    assert main(["history", "--batch", night.batch_id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[-1].startswith("*") and lines[-1].endswith("third")


def test_versions_of_the_first_releases_do_not_say_who_published_them(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    path = night.root / "lake" / history_path(DATE, night.batch_id, 1)
    pq.write_table(without_publication(pq.read_table(path)), path)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert main(["history", "--batch", night.batch_id, "--json", "-"]) == 0
    first = json_lines(capsys)[0]
    assert (first["run_id"], first["published_at"]) == (None, "2023-11-14T22:13:20+00:00")
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0


def test_diff_of_captions(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--batch", night.batch_id, "--from", "1", "--to", "2", "--json", "-"]) == 0
    *items, last = json_lines(capsys)
    assert [item["path"] for item in items] == ["0.png", "1.png", "2.png"]
    assert all(item["changed"] == ["caption"] for item in items)
    assert items[0]["before"]["caption"] == "a dog runs" and items[0]["after"]["caption"] == "a dog sleeps"
    summary = last["summary"]
    assert (summary["from"], summary["to"], summary["items"], summary["changed"]) == (1, 2, 4, 3)
    assert (summary["words"], summary["words_removed"], summary["words_added"]) == (9, 3, 3)
    assert (summary["gained"], summary["lost"]) == ([["sleeps", 3]], [["runs", -3]])
    assert summary["models"]["captioner"]["after"] == [version_of(CAPTIONER_2)]
    assert summary["classes"] == []


def test_diff_of_classes_is_against_the_version_before(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--batch", night.batch_id]) == 0
    told = capsys.readouterr().out
    assert "version 2 to version 3" in told and "2 of 4 images differ: class 2, route 2, caption 2" in told
    assert "0 changed, 0 new, 2 gone" in told
    assert any(line.split() == ["Photo", "2"] for line in told.splitlines())
    assert any(line.split()[0] == "1.png" and "no caption" in line for line in told.splitlines() if line)


def test_diff_of_dates_is_against_the_last_version_of_other_models(
    night: Night, capsys: pytest.CaptureFixture[str]
) -> None:
    """Captions were last made by another captioner in version 1, classes by another classifier in version 2."""
    assert main(["diff", "--dates", f"{DATE}..{DATE}", "--model", "captioner", "--json", "-"]) == 0
    *items, batch, last = json_lines(capsys)
    assert (batch["batch"]["batch_id"], batch["batch"]["from"], batch["batch"]["to"]) == (night.batch_id, 1, 3)
    assert {(item["batch_id"], item["path"]) for item in items} == {(night.batch_id, f"{n}.png") for n in range(3)}
    assert last["summary"]["captions_changed"] == 1 and last["summary"]["captions_gone"] == 2
    assert last["summary"]["classes"] == [{"before": "Photo", "after": "Text", "items": 2}]
    assert main(["diff", "--dates", DATE, "--model", "classifier", "--json", "-"]) == 0
    *_, batch, last = json_lines(capsys)
    assert batch["batch"]["from"] == 2 and last["summary"]["captions_changed"] == 0
    assert main(["diff", "--dates", DATE, "--model", "restorer", "--json", "-"]) == 0
    (batch, last) = json_lines(capsys)
    assert batch["batch"]["from"] is None and last["summary"]["changed"] == 0
    assert main(["diff", "--dates", DATE]) == 0
    told = capsys.readouterr().out
    assert "1 batch:" in told and "2 -> 3" in told


def test_what_turned_is_counted() -> None:
    """Flags that were raised and fell, states that came and went, and the sum over batches."""
    nothing = dict.fromkeys(SCHEMA.names)
    states = [(None, "failed"), (False, "ok"), (True, "ok")]
    pairs = [(old, new) for old in states for new in states]
    before, after = (
        [
            nothing | {"source_path": str(n), "page": 1, "status": pair[side][1], "needs_review": pair[side][0],
                       "enhancement_accepted": pair[1 - side][0]}
            for n, pair in enumerate(pairs)
        ]
        for side in (0, 1)
    )  # fmt: skip
    tables = [pa.Table.from_pylist(rows) for rows in (before, after)]
    _, summary = compare(*tables)
    assert (summary.items, summary.changed) == (9, 6)
    assert summary.review == summary.enhanced == (2, 2)
    assert summary.statuses == {("failed", "ok"): 2, ("ok", "failed"): 2}
    total = Summary(items=0)
    for _ in range(3):
        total.add(summary)
    assert (total.items, total.changed, total.review) == (27, 18, (6, 6))
    assert total.groups == {group: 3 * number for group, number in summary.groups.items()}


def test_diff_of_a_version_with_itself_is_empty(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "--batch", night.batch_id, "--from", "2", "--to", "2"]) == 0
    assert "0 of 4 images differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["diff", "--from", "7"], "has no version 7; kept are: 1, 2, 3."),
        (["diff", "--to", "1"], "has no version before 1"),
        (["diff", "--model", "captioner"], "--model goes with --dates"),
        (["diff", "--dates", "2001-01-01..2001-12-31"], "No batch of 2001-01-01 to 2001-12-31"),
        (["diff", "--dates", DATE, "--from", "1"], "are versions of one batch"),
        (["diff", "--dates", DATE, "--model", "painter"], "There is no model 'painter'"),
        (["restore", "--version", "9"], "has no version 9"),
        (["history", "--batch", "box-1"], "No batch 'box-1' was published; there are box-"),
        (["history", "--batch", "../x"], "is no batch id"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    night: Night, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if {"--batch", "--dates"} & set(arguments) else [*arguments, "--batch", night.batch_id]
    assert main(given) == 2
    assert sentence in capsys.readouterr().err


def rows(night: Night) -> list[dict]:
    return night.lake_table(night.batch_id).to_pylist()


def test_restore_brings_back_rows_and_files_as_a_new_version(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert night.copies("0.png") == ["non_photos/text"]
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0
    told = capsys.readouterr().out
    assert "is current again, as version 4" in told and "2 files put back, 0 replaced, 2 removed" in told
    assert [row["caption"] for row in rows(night)] == ["a dog runs"] * 3 + [None]
    assert {(row["run_id"], row["manifest_version"]) for row in rows(night)} == {("first", 4)}
    assert night.copies("0.png") == night.copies("2.png") == ["photos"]
    for row in rows(night)[:3]:
        copy = Path(row["destination_uri"].removeprefix("file://"))
        assert copy.read_bytes() == night.lake.read_bytes(night.lake.relative(row["original_uri"]))
    assert main(["history", "--batch", night.batch_id, "--json", "-"]) == 0
    assert json_lines(capsys)[3]["run_id"].startswith("restore__1__")
    # Once more changes nothing: nor does it after being interrupted.
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0
    assert latest_version(night.lake, DATE, night.batch_id) == 4


def test_restore_says_what_the_next_run_would_do(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0
    starter = Registry(str(night.root / "lake")).production("captioner")
    told = capsys.readouterr().out
    assert f"made with the captioner test-1@captioner, while runs use {starter}@" in told
    assert "models rollback" in told


def test_a_run_that_began_before_a_restore_does_not_undo_it(night: Night) -> None:
    going_on = night.plan("going on", captioner=CAPTIONER_2, classifier=pin("classifier", "3"))
    caption_all(going_on, night.settings, "a dog sleeps")
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0
    assert night.publish(going_on)["outcome"] == "stale"
    assert [row["caption"] for row in rows(night)] == ["a dog runs"] * 3 + [None]


@pytest.mark.parametrize("cache", ["there", "deleted"])
def test_restore_puts_photographs_back_as_they_were_enhanced(tmp_path: Path, cache: str) -> None:
    night = Night(tmp_path, noisy=True)
    enhanced = night.plan("enhanced", enhancement="classic")
    caption_all(enhanced, night.settings, "noise")
    night.publish(enhanced)
    photo = next((tmp_path / "lake" / "photos").rglob("0.png"))
    was = photo.read_bytes()
    plain = night.plan("plain", enhancement="off")
    caption_all(plain, night.settings, "noise")
    night.publish(plain)
    assert photo.read_bytes() != was
    if cache == "deleted":
        (tmp_path / "lake" / "stages").rename(tmp_path / "stages")
    places = ["--lake", str(tmp_path / "lake"), "--batch", night.batch_id]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("non_photos", "quarantine"):
            patch.setenv(f"TOUNUM_{name.upper()}_ROOT", str(tmp_path / name))
        assert main(["restore", *places, "--version", "1"]) == 0
    assert photo.read_bytes() == was


def test_restore_refuses_what_it_cannot_put_back(night: Night, capsys: pytest.CaptureFixture[str]) -> None:
    original = next((night.root / "lake" / "originals").rglob("0.png"))
    content = original.read_bytes()
    original.unlink()
    before = night.lake.read_bytes(manifest_path(DATE, night.batch_id))
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 2
    assert "0.png is gone: restore it" in capsys.readouterr().err
    assert night.lake.read_bytes(manifest_path(DATE, night.batch_id)) == before
    assert latest_version(night.lake, DATE, night.batch_id) == 3
    original.write_bytes(content)
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 0


def test_restore_refuses_buckets_that_it_does_not_know(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOUNUM_QUARANTINE_ROOT", str(night.root / "elsewhere"))
    assert main(["restore", "--batch", night.batch_id, "--version", "1"]) == 2
    assert "lies in none of the configured buckets: set TOUNUM_LAKE_ROOT" in capsys.readouterr().err


def test_restore_enhances_again_with_the_restorer_that_the_row_names(tmp_path: Path) -> None:
    """The cache is gone, and another restorer is newer: the pixels are those of then all the same."""
    settings = small_settings(tmp_path)
    registry = Registry(settings.lake_root)
    folder = shutil.copytree(registry.resolve("restorer").folder, tmp_path / "own")
    weights = read_safetensors(folder / "weights.safetensors")
    write_safetensors(folder / "weights.safetensors", {name: 0.9 * array for name, array in weights.items()})
    (folder / "model.json").unlink()
    write_card(folder, name="restorer", version="own-1")
    own = registry.register(folder)
    box = tmp_path / "ingest" / "Box"
    box.mkdir(parents=True)
    picture = skimage.data.astronaut()[100:356, 100:356]
    noise = np.random.default_rng(0).normal(0, 25, picture.shape)
    cv2.imwrite(str(box / "0.png"), np.clip(picture + noise, 0, 255).astype(np.uint8))
    (box / "_READY").touch()
    pin = ModelPin(name="restorer", version=own.version, digest=own.digest)
    enhanced = plan_for(settings, "enhanced", enhancement="auto", restorer=pin)
    process(enhanced, settings, label="Photo")
    publish.run(enhanced, settings)
    photo = next((tmp_path / "lake" / "photos").rglob("0.png"))
    was = photo.read_bytes()
    plain = plan_for(settings, "plain", enhancement="off")
    process(plain, settings, label="Photo")
    publish.run(plain, settings)
    assert photo.read_bytes() != was
    shutil.rmtree(tmp_path / "lake" / "stages")
    restore(settings, DATE, plain.batches[0].batch_id, 1)
    assert photo.read_bytes() == was
