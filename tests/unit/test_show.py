"""The command ``show``."""

import argparse
import io
import json
import os
import pty
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.unit.published import drop_pages, plan_for, process, small_settings
from tests.unit.published_lake import DATE, bad_row, make_settings, ok_row, publish
from tounum_tasks.cli import show
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.pages.terminal import print_items
from tounum_tasks.publish.stage import run as publish_batch

LONG_PATH = "box 12/" + "a very long folder name/" * 6 + "scan.png"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    settings = make_settings(tmp_path)
    rows = [
        ok_row(settings, "a.png", "Photo"),
        ok_row(settings, "b.png", "Text", page=2, pages=3, needs_review=True),
        ok_row(settings, LONG_PATH, "Photo", caption="写真 [bold]of[/bold] a :dog:"),
        bad_row(settings, "broken\x1b[31m.jpg"),
    ]
    publish(settings, rows)
    publish(settings, [bad_row(settings, "x.jpg", batch_id="other-9876543210", batch_name="Other")])
    return settings.lake_root


def run(lake: str, *options: str) -> int:
    parser = argparse.ArgumentParser()
    show.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["show", "--lake", lake, *options])
    return arguments.run(arguments)


def test_lists_batches(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lake) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [DATE, "other-9876543210", "1", "0", "1", "0", "1", "Other"]
    assert "scans-0123456789" in lines[2] and "Photo 2, Text 1" in lines[2]


def test_lists_items_one_a_line_and_complete_where_there_is_no_terminal(
    lake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lake, "--batch", "scans-0123456789") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "b.png (page 2 of 3)" in lines[2] and "review class" in lines[2]
    assert LONG_PATH in lines[3] and "写真 [bold]of[/bold] a :dog:" in lines[3]
    assert "quarantined" in lines[4] and "truncated: the JPEG file ends" in lines[4]
    assert "broken\\u001b[31m.jpg" in lines[4]


@pytest.mark.parametrize("width", [80, 100, 180])
def test_fits_the_terminal_and_loses_nothing(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    row = {
        "source_path": LONG_PATH, "page": 1, "pages": 1, "status": "ok", "label": "Photo", "label_source": "model",
        "confidence": 0.93, "needs_review": False, "quality_flags_before": ["noisy"], "page_flags": [],
        "enhancement_accepted": True, "enhancement_operations": ["denoise_light"],
        "caption": "two dogs play", "error_code": None,
        "error_message": None, "sidecars": [], "duplicate_of": None, "duplicate_of_batch": None,
        "near_duplicate_of": None, "near_duplicate_of_batch": None,
    }  # fmt: skip
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as terminal:
        print_items([row], terminal)
    text = os.read(master, 65536).decode()
    os.close(master)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.replace("\r", "").split("\n")]
    assert all(cell_len(line) <= width for line in lines)
    status, caption = lines[0].index("Status"), lines[0].index("Caption")
    columns = "".join(line[:status] for line in lines[1:]), "".join(line[caption:] for line in lines[1:])
    assert columns[0].replace(" ", "") == LONG_PATH.replace(" ", "")
    assert columns[1].replace(" ", "") == "twodogsplaynoisy→denoise_light"


def test_json_of_items(lake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lake, "--batch", "scans-0123456789", "--json", "-") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4
    assert list(rows[0])[:9] == [
        "path", "page", "label", "confidence", "probabilities", "caption", "words", "error_code", "error_message",
    ]  # fmt: skip
    assert rows[0]["words"] == ["a", "dog", "runs", "on", "grass"]
    assert rows[0]["probabilities"]["Photo"] == rows[0]["confidence"]
    assert rows[3]["probabilities"] is None and rows[3]["error_code"] == "truncated"
    assert rows[0]["batch_id"] == "scans-0123456789" and "prob_photo" not in rows[0]
    target = tmp_path / "out.jsonl"
    assert run(lake, "--batch", "scans-0123456789", "--json", str(target)) == 0
    assert capsys.readouterr().out == ""
    assert [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()] == rows


def test_json_of_batches(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lake, "--json", "-") == 0
    other, scans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert scans["items"] == 4 and scans["ok"] == 3 and scans["quarantined"] == 1 and scans["failed"] == 0
    assert scans["classes"]["Photo"] == 2 and scans["manifest_version"] == 1
    assert other["manifest_uri"].endswith(f"manifests/{DATE}/other-9876543210/manifest.parquet")


def test_unknown_batches_name_what_there_is(lake: str) -> None:
    with pytest.raises(ConfigurationError, match=r"No batch 'scans-0' was published; there are scans-0123456789"):
        run(lake, "--batch", "scans-0")
    with pytest.raises(ConfigurationError, match="is no batch id"):
        run(lake, "--batch", "../../etc")


def test_empty_and_absent_lakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No manifest lies in"):
        run(str(tmp_path))
    with pytest.raises(EnvironmentFault, match="does not exist"):
        run(str(tmp_path / "nowhere"))


def test_json_that_cannot_be_written(lake: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        run(lake, "--json", str(tmp_path / "no folder" / "x.jsonl"))


def test_strange_entries_beside_the_manifests_are_left_out(lake: str) -> None:
    manifests = Path(lake.removeprefix("file://"), "manifests")
    (manifests / "notes").mkdir()
    (manifests / DATE / "Not A Batch").mkdir()
    (manifests / DATE / "empty-1").mkdir()
    (manifests / "README.txt").write_text("x")
    out = io.StringIO()
    assert run(lake) == 0
    assert out.getvalue() == ""


def test_a_persons_class_is_not_shown_with_the_models_confidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(tmp_path)
    publish(settings, [ok_row(settings, "a.png", "Photo", label_source="person", confidence=0.93)])
    assert run(settings.lake_root, "--batch", "scans-0123456789") == 0
    told = capsys.readouterr().out
    assert "Photo by a person" in told and "93" not in told


def test_what_stands_beside_an_image_and_what_it_repeats_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small_settings(tmp_path)
    drop_pages(settings, 2, noisy=True)
    box = tmp_path / "ingest" / "Box"
    for name, content in {
        "0.xmp": b"<x/>",
        "METS.xml": b"<mets/>",
        "again.png": (box / "1.png").read_bytes(),
    }.items():
        (box / name).write_bytes(content)
    plan = plan_for(settings, "a")
    process(plan, settings)
    publish_batch(plan, settings)
    assert run(settings.lake_root, "--batch", plan.batches[0].batch_id) == 0
    lines = {line.partition(" ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "with 0.xmp" in lines["0.png"] and "same file as 1.png" in lines["again.png"]
    assert lines["Beside"] == "Beside the images: METS.xml"
