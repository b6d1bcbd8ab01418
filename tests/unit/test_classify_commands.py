"""The commands classify, train classifier and evaluate classifier, as a person calls them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.cli.classify import class_columns
from tounum_tasks.cli.main import main


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Three plain images of each class."""
    root = tmp_path / "colours"
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for index in range(3):
            image = np.full((30, 40, 3), 50 * label + index, np.uint8)
            cv2.imwrite(str(root / name / f"{index}.png"), image)
    return root


@pytest.fixture(autouse=True)
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands see no lake of this machine, only the starters."""
    monkeypatch.setenv("TOUNUM_LAKE_ROOT", str(tmp_path / "lake"))


def test_classify_writes_a_row_per_item(colours: Path, tmp_path: Path) -> None:
    (colours / "Photo" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    file = tmp_path / "rows.jsonl"
    assert main(["classify", str(colours / "Photo"), "--json", str(file)]) == 1
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["0.png", "1.png", "2.png", "broken.png"]
    good, broken = rows[0], rows[3]
    assert good["label"] in CLASSES and good["caption"] is None and good["error_code"] is None
    assert set(good["probabilities"]) == set(CLASSES)
    assert good["confidence"] == max(good["probabilities"].values())
    assert broken["label"] is None and broken["error_code"] and broken["error_message"]


def test_classify_without_a_file_prints_readable_lines(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(colours / "Text" / "0.png")]) == 0
    line = capsys.readouterr().out
    assert "0.png: " in line and any(name in line for name in CLASSES)


def test_train_then_evaluate(colours: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    data = ["--data", str(colours)]
    arguments = ["train", "classifier", *data, "--out", str(out), "--architecture", "notebook", "--passes", "1"]
    assert main([*arguments, "--version", "colours-1"]) == 0
    card = json.loads((out / "classifier" / "colours-1" / "model.json").read_text())
    assert card["training"]["architecture"] == "notebook"
    file = tmp_path / "figures" / "colours.json"
    assert main(["evaluate", "classifier", *data, "--json", str(file)]) == 0
    measures = json.loads(file.read_text())
    assert measures["images"] == 15
    assert measures["classifier"]["version"].startswith("starter-")
    assert file.with_suffix(".confusion.png").exists() and file.with_suffix(".reliability.png").exists()


def test_data_without_a_class_is_one_clear_line(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (colours / "Sketch").iterdir():
        path.unlink()
    assert main(["evaluate", "classifier", "--data", str(colours), "--json", str(colours / "x.json")]) == 2
    assert "no images of class Sketch" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1"])
@pytest.mark.parametrize("command", [["train", "classifier"], ["evaluate", "classifier", "--json", "-"]])
def test_no_images_of_each_source_are_too_few(
    colours: Path, command: list[str], limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--data", str(colours), "--limit-per-source", limit]) == 2
    assert f"{limit} images of each source are too few: the limit must be at least 1" in capsys.readouterr().err


def test_a_link_to_nowhere_among_the_images_is_named(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (colours / "Photo" / "lost.jpg").symlink_to(colours / "gone.jpg")
    assert main(["evaluate", "classifier", "--data", str(colours), "--json", "-"]) == 2
    error = capsys.readouterr().err
    assert "lost.jpg" in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("Photo/donor", "There is no source Photo/donor to leave out"), ("Photo/.", "no images of class Photo")],
)
def test_a_source_that_cannot_be_left_out_is_told(
    colours: Path, source: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "classifier", "--data", str(colours), "--leave-out", source]) == 2
    assert sentence in capsys.readouterr().err


def test_the_limit_of_review_is_the_same_for_the_command_and_for_a_run() -> None:
    """Of 32 bits, as models give them, .7 is a little less than .7."""
    distribution = np.array([0.7, 0.1, 0.1, 0.05, 0.05], np.float32)
    assert float(distribution.max()) < 0.7
    assert class_columns(distribution, 0.7)["review_reasons"] == ["class"]
