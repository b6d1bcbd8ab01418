"""The command line as a user runs it: a process of its own, real models, real files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tounum(tmp_path: Path) -> Command:
    """Run ``python -m tounum_tasks`` in an empty working directory, without settings of the caller."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUNUM_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    place = tmp_path / "elsewhere"
    place.mkdir()

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tounum_tasks", *map(str, arguments)],
            cwd=place,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run
