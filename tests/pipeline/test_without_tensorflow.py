"""Where TensorFlow cannot be imported, everything works but training, and training says what it lacks."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.pipeline.conftest import Command
from tounum_tasks.classify.labels import CLASSES

# Python runs this at its start, before anything else.
FORBID = """
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Forbidden())
"""


@pytest.fixture
def lean(tounum: Command, tmp_path: Path) -> Command:
    """The command in a Python without TensorFlow."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FORBID)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return tounum(*arguments, PYTHONPATH=f"{tmp_path / 'site'}{os.pathsep}{REPOSITORY}")

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Noisy pictures with captions, one for each class."""
    generator = np.random.default_rng(0)
    lines = ["image\tsplit\tcaption"]
    for name in CLASSES:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        gradient = np.linspace(0, 255, 160)[:, None, None] + generator.normal(0, 25, (160, 160, 3))
        Image.fromarray(np.clip(gradient, 0, 255).astype(np.uint8)).save(folder / "0.png")
        lines.append(f"{name}/0.png\tdev\ta dog runs")
    (tmp_path / "data" / "captions.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


def test_a_night_needs_no_tensorflow(lean: Command, few: Path, tmp_path: Path) -> None:
    shutil.copytree(few, tmp_path / "ingest" / "Sample")
    done = lean("run", "--ingest", tmp_path / "ingest", "--lake", tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    rows = pd.read_parquet(tmp_path / "lake" / "manifests")
    assert rows.caption.str.len().gt(0).sum() == (rows.label == "Photo").sum() > 0
    assert rows.enhancement_operations.str.len().gt(0).any()  # the restorer was asked


def test_commands_that_use_or_measure_models_need_none(lean: Command, data: Path, tmp_path: Path) -> None:
    found = str(tmp_path / "found.json")
    for command in (
        ("classify", data / "Photo"),
        ("caption", data / "Photo", "--caption-all"),
        ("enhance", data / "Photo", tmp_path / "enhanced"),
        ("evaluate", "captioner", "--data", data, "--json", found),
        ("evaluate", "classifier", "--data", data, "--json", found),
        ("evaluate", "restorer", "--data", data / "Photo", "--json", found),
        ("models", "list"),
    ):
        done = lean(*command)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("model", ["captioner", "classifier", "restorer"])
def test_training_says_in_one_sentence_what_it_lacks(lean: Command, data: Path, tmp_path: Path, model: str) -> None:
    done = lean("train", model, "--data", data, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "tounum: Training needs keras and tensorflow, not installed here: install the extra with "
        "\"pip install 'tounum[train]'\"."
    )
    assert "Traceback" not in done.stderr
