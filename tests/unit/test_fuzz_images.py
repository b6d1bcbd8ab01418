"""At least 500 damaged files: each decodes to valid pixels or raises an ItemError, and none brings the process down."""

import hashlib
import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.fuzz import write_mutated_batch

COUNT, SEED = 600, 20_261_120
MEMORY_LIMIT = 6 << 30  # of address space: no file may make a decoder ask for gigabytes


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


def test_damaged_files_are_decoded_or_refused(tmp_path):
    paths = write_mutated_batch(tmp_path, COUNT, SEED)
    assert len(set(paths)) == COUNT
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-X", "faulthandler", "-m", "tests.fuzz", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=_limit_memory,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    last = lines[-1].get("begins", "(none)") if lines else "(before the first file)"
    assert result.returncode == 0, f"exit {result.returncode} at {last}\n{result.stderr[-3000:]}"

    outcomes = Counter(outcome for line in lines for outcome in line.get("outcomes", ()))
    assert sum("ends" in line for line in lines) == COUNT
    # The mutations must reach every answer, or they test less than they seem to.
    for expected in (
        "decoded",
        "corrupt",
        "truncated",
        "not_an_image",
        "too_many_pixels",
        "too_many_pages",
        "empty_file",
    ):
        assert outcomes[expected], (expected, outcomes)
    assert 60 <= outcomes["decoded"] <= COUNT


def test_the_files_are_the_same_every_time(tmp_path):
    digests = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        paths = write_mutated_batch(folder, 100, SEED)
        digests.append([(path.relative_to(folder), _digest(path)) for path in paths])
    assert digests[0] == digests[1]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
