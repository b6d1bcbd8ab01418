"""The command line as a user runs it: a process of its own, real models, real files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TIMEOUT_SECONDS = 900

Command = Callable[..., subprocess.CompletedProcess[str]]


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
