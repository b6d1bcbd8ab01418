"""The command line as a user runs it: a process of its own, real models, real files."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TIMEOUT_SECONDS = 900

# Something of each folder of the sample batch, and all that is special: several pages, a copy, damage, noise.
FEW = (
    "photographs/astronaut.jpg", "photographs/portrait in poor light.jpg", "photographs/cat.png",
    "photographs/again/cat on a sofa.png", "photographs/spoon, camera turned.jpg", "photographs/engine for print.jpg",
    "photographs/cameraman, 16 bit.tif", "photographs/launch pad.gif", "photographs/copy broke off.jpg",
    "paintings/cat in oil.webp", "paintings/fruit bowl.jpg", "sketches/house.png", "sketches/portrait in pencil.jpg",
    "paintings/portrait in oil.jpg", "drawings/filter.png", "drawings/workflow, transparent.png", "texts/letter.jpg",
    "texts/inventory.tif", "texts/report.pdf", "texts/Übersicht № 18.png", "texts/list of boxes.jpg",
)  # fmt: skip

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def few(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the sample batch with the files as they are there, for what need not be seen in all of it."""
    folder = tmp_path_factory.mktemp("few") / "Sample"
    for name in (*FEW, "_READY"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample / name, folder / name)
    return folder


@pytest.fixture
def tounum(tmp_path: Path) -> Command:
    """Run ``python -m tounum_tasks`` in an empty working directory, without settings of the caller."""
    return command_in(tmp_path / "elsewhere")


def command_in(place: Path) -> Command:
    """Return the command, to be run in a new folder, without settings of the caller."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUNUM_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    place.mkdir()

    def run(*arguments: str | Path, kill_at: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """``kill_at``: text of the log at which the process is killed."""
        command = [sys.executable, "-m", "tounum_tasks", *map(str, arguments)]
        with subprocess.Popen(
            command,
            cwd=place,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr
            if kill_at:
                for line in process.stderr:
                    if kill_at in line:
                        process.kill()
                        break
            try:
                out, err = process.communicate(timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return run
