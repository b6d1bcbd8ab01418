"""What a run left in the lake and its buckets, and how that compares with an undisturbed run in one process."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.conftest import REPOSITORY
from tounum_tasks.manifest.schema import ITEM_COLUMNS, KEY_COLUMNS

DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")


@dataclass(frozen=True)
class Archive:
    """The four roots of an installation."""

    ingest: Path
    lake: Path
    non_photos: Path
    quarantine: Path

    @classmethod
    def below(cls, folder: Path, ingest: Path) -> "Archive":
        return cls(ingest, *(folder / name for name in ("lake", "non_photos", "quarantine")))

    def rows(self) -> list[dict[str, Any]]:
        """Return the columns of all manifests that describe the items; folders and dates written as ``{…}``."""
        found = []
        for file in sorted(self.lake.glob("manifests/*/*/manifest.parquet")):
            for row in pq.read_table(file, partitioning=None, columns=list(ITEM_COLUMNS)).to_pylist():
                found.append({name: self._elsewhere(value) for name, value in row.items()})
        return sorted(found, key=lambda row: [row[name] for name in KEY_COLUMNS])

    def versions(self) -> dict[str, int]:
        """Return how many versions of each batch's manifest were ever published."""
        folders = self.lake.glob("manifests_history/*/*")
        return {folder.name: len(list(folder.glob("*.parquet"))) for folder in folders}

    def files(self) -> dict[str, str]:
        """Return the sha256 of every image in the lake and the buckets, by path."""
        roots = [self.lake / "originals", self.lake / "photos", self.non_photos, self.quarantine]
        paths = [path for root in roots for path in root.rglob("*") if path.is_file() and ".tmp" not in path.parts]
        return {self._elsewhere(f"file://{path}"): _sha256(path) for path in paths}

    def _elsewhere(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for name, root in self._roots().items():
            value = value.replace(f"file://{root}", f"{{{name}}}")
        return DATE.sub("{date}", value)  # a run may begin before midnight and the other after

    def _roots(self) -> Mapping[str, Path]:
        return {"lake": self.lake, "non_photos": self.non_photos, "quarantine": self.quarantine}


def run_in_one_process(folder: Path, batches: list[Path], settings: Mapping[str, str]) -> Archive:
    """Process copies of ``batches`` with ``python -m tounum_tasks run``; return what came of it."""
    archive = Archive.below(folder, folder / "ingest")
    for batch in batches:
        shutil.copytree(batch, archive.ingest / batch.name)  # times too: a batch's id depends on them
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUNUM_")}
    environment |= {"PYTHONPATH": str(REPOSITORY), **settings}
    roots = {"--ingest": archive.ingest, "--lake": archive.lake}
    roots |= {"--non-photos": archive.non_photos, "--quarantine": archive.quarantine}
    command = [sys.executable, "-m", "tounum_tasks", "run", *(str(part) for pair in roots.items() for part in pair)]
    done = subprocess.run(command, env=environment, cwd=folder, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return archive


def assert_same(archive: Archive, undisturbed: Archive) -> None:
    """Fail unless the archive holds what the undisturbed run left: nothing lost, nothing twice, nothing besides."""
    rows, expected = archive.rows(), undisturbed.rows()
    assert [_key(row) for row in rows] == [_key(row) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        differs = {name: (row[name], wanted[name]) for name in ITEM_COLUMNS if row[name] != wanted[name]}
        assert not differs, f"{_key(row)} differs: {differs}"
    assert archive.files() == undisturbed.files()
    assert archive.versions() == undisturbed.versions(), "a batch was published more than once"
    assert [path for path in archive.ingest.rglob("*") if path.is_file()] == []
    assert list(archive.lake.glob("registers/journal/*")) == [], "an intake was left open"


def _key(row: Mapping[str, Any]) -> tuple:
    return tuple(row[name] for name in KEY_COLUMNS)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
