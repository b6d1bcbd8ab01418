"""What a run left in the lake and its buckets, and how that compares with an undisturbed run in one process."""

import hashlib
import io
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.cluster.roots import Folder, Root
from tests.conftest import REPOSITORY
from tounum_tasks.manifest.schema import ITEM_COLUMNS, KEY_COLUMNS

DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")


@dataclass(frozen=True)
class Archive:
    """The four roots of an installation."""

    ingest: Root
    lake: Root
    non_photos: Root
    quarantine: Root

    def clear(self) -> None:
        for root in (self.ingest, self.lake, self.non_photos, self.quarantine):
            root.remove()

    def rows(self) -> list[dict[str, Any]]:
        """Return the columns of all manifests that describe the items; roots, batches and dates as ``{…}``."""
        comparable = self._comparable()
        found = [row for name in self._manifests() for row in self._read(name, ITEM_COLUMNS)]
        rows = [{name: comparable(value) for name, value in row.items()} for row in found]
        return sorted(rows, key=_key)

    def batches(self) -> dict[str, str]:
        """Return the name of each batch by its id."""
        names = ("batch_id", "batch_name")
        return {row["batch_id"]: row["batch_name"] for name in self._manifests() for row in self._read(name, names)}

    def versions(self) -> dict[str, int]:
        """Return how many versions of each batch's manifest were ever published."""
        comparable = self._comparable()
        published = [name for name in self.lake.names("manifests_history") if name.endswith(".parquet")]
        return dict(Counter(comparable(name.split("/")[2]) for name in published))

    def files(self) -> dict[str, str]:
        """Return the sha256 of every image in the lake and the buckets, by path."""
        comparable = self._comparable()
        places = [(self.lake, "originals"), (self.lake, "photos"), (self.non_photos, ""), (self.quarantine, "")]
        return {
            comparable(f"{root.url}/{name}"): hashlib.sha256(root.read(name)).hexdigest()
            for root, below in places
            for name in root.names(below)
            if ".tmp" not in name.split("/")
        }

    def open_intakes(self) -> list[str]:
        """Return the intakes that were begun and not ended."""
        return self.lake.names("registers/journal")

    def _manifests(self) -> list[str]:
        return [name for name in self.lake.names("manifests") if name.endswith("/manifest.parquet")]

    def _read(self, name: str, columns: Iterable[str]) -> list[dict[str, Any]]:
        return pq.read_table(io.BytesIO(self.lake.read(name)), columns=list(columns)).to_pylist()

    def _comparable(self) -> Callable[[Any], Any]:
        """Return what makes a value of this archive one that the same batches have in any other."""
        words = {root.url: f"{{{name}}}" for name, root in vars(self).items()}
        words |= {batch_id: f"{{{name}}}" for batch_id, name in self.batches().items()}
        known = re.compile("|".join(map(re.escape, words)))

        def comparable(value: Any) -> Any:
            if not isinstance(value, str):
                return value
            value = known.sub(lambda match: words[match[0]], value)
            return DATE.sub("{date}", value)  # a run may begin before midnight and the other after

        return comparable


def folders(folder: Path, ingest: Path) -> Archive:
    """Return the archive whose roots are ``ingest`` and folders below another one."""
    return Archive(Folder(ingest), *(Folder(folder / name) for name in ("lake", "non_photos", "quarantine")))


def run_in_one_process(folder: Path, batches: list[Path], settings: Mapping[str, str]) -> Archive:
    """Process copies of ``batches`` with ``python -m tounum_tasks run``; return what came of it."""
    archive = folders(folder, folder / "ingest")
    for batch in batches:
        archive.ingest.deliver(batch)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUNUM_")}
    environment |= {"PYTHONPATH": str(REPOSITORY), **settings}
    roots = {"--ingest": archive.ingest, "--lake": archive.lake}
    roots |= {"--non-photos": archive.non_photos, "--quarantine": archive.quarantine}
    options = [part for option, root in roots.items() for part in (option, root.url)]
    done = subprocess.run(
        [sys.executable, "-m", "tounum_tasks", "run", *options],
        env=environment,
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return archive


def assert_same(archive: Archive, undisturbed: Archive) -> None:
    """Fail unless the archive holds what the undisturbed run left: nothing lost, nothing twice, nothing besides."""
    rows, expected = archive.rows(), undisturbed.rows()
    assert [_key(row) for row in rows] == [_key(row) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        differs = {name: (row[name], wanted[name]) for name in ITEM_COLUMNS if row[name] != wanted[name]}
        assert not differs, f"{_key(row)} differs: {differs}"
    if isinstance(archive.ingest, Folder):  # a store gives files times of its own, and a batch's id depends on them
        assert archive.batches() == undisturbed.batches()
    assert archive.files() == undisturbed.files()
    assert archive.versions() == undisturbed.versions(), "a batch was published more than once"
    assert archive.ingest.names() == []
    assert archive.open_intakes() == [], "an intake was left open"


def _key(row: Mapping[str, Any]) -> tuple:
    return tuple(row[name] for name in KEY_COLUMNS)
