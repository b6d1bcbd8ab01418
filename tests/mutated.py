"""Thousands of mutated files through intake and the whole pipeline on the command line.

    python -m tests.mutated [--count N] [--seed N] [--batch N] [--keep DIR]

Small images of every kind that is read are mutated (see :mod:`tests.fuzz`) and delivered in batches, in folders
and under names that are hard to show or to store. Each batch goes through ``run`` twice. What is asked of it:

- every file that was delivered has a row with the hash of its bytes, is kept as a sidecar, or was left in ingest as its
  name demands;
- every row is ``ok``, or ``quarantined`` with a reason, never ``internal``; what it names lies where it says;
- the second run changes no file of the lake and of the buckets but reports.

Whatever differs is printed, with the seed of its batch, and the exit code is 1. The last lines tell the reasons, the
largest memory of all processes of a run together, and the file that took longest.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from tests.conftest import REPOSITORY
from tests.fuzz import NO_IMAGES, ODD_NAMES, bombs, mutations
from tests.hostile_names import NAMES
from tests.image_files import every_kind
from tounum_tasks.items import read_sidecars
from tounum_tasks.names import is_ignored, is_ready_marker
from tounum_tasks.store.open import open_storage
from tounum_tasks.visible import display_name

HARD_NAMES = [*map(os.fsencode, ODD_NAMES), *NAMES]
STAYS_THE_SAME = (
    "lake/originals", "lake/registers", "lake/manifests", "lake/manifests_history", "lake/photos", "lake/features",
    "lake/attention", "non_photos", "quarantine",
)  # fmt: skip


@dataclass
class Found:
    """What all batches came to."""

    rows: int = 0
    files: int = 0
    sidecars: int = 0
    left: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    crashed_decoders: int = 0
    peak_bytes: int = 0
    longest: tuple[float, str] = (0.0, "")
    faults: list[str] = field(default_factory=list)


def main() -> int:
    """Draw and run all batches; return 1 if anything was not as it should be, else 0."""
    arguments = _parse()
    found = Found()
    with tempfile.TemporaryDirectory() as scratch:
        for number, done in enumerate(range(0, arguments.count, arguments.batch)):
            folder = Path(arguments.keep or scratch, f"{arguments.seed + number}")
            count = min(arguments.batch, arguments.count - done)
            began = time.monotonic()
            _one_batch(folder, count, arguments.seed + number, found, with_bombs=number == 0)
            print(
                f"seed {arguments.seed + number}: {count} files in {time.monotonic() - began:.0f} s, "
                f"{len(found.faults)} faults so far",
                flush=True,
            )
            if not arguments.keep:
                subprocess.run(["rm", "-rf", str(folder)], check=True)  # its paths may be longer than one may be
    _show(found)
    return 1 if found.faults else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first batch; the others count on (default: 1)")
    parser.add_argument("--batch", type=int, default=500, help="files of a batch (default: 500)")
    parser.add_argument("--keep", metavar="DIR", help="keep what was delivered and made there")
    return parser.parse_args()


def _one_batch(folder: Path, count: int, seed: int, found: Found, *, with_bombs: bool) -> None:
    """Deliver a batch, run it twice, and note what is found."""
    delivered = write_batch(folder / "ingest" / "box", count, seed, with_bombs=with_bombs)
    found.files += len(delivered)
    if not _run(folder, found, seed):
        return
    manifests = sorted((folder / "lake" / "manifests").rglob("*.parquet"))
    rows = [row for path in manifests for row in pq.read_table(path).to_pylist()]
    found.rows += len(rows)
    found.faults += [f"seed {seed}: {fault}" for fault in _faults(folder, delivered, rows, found)]
    before = _digests(folder)
    date = max((str(row["batch_date"]) for row in rows), default="")
    if date and _run(folder, found, seed, "--batch-date", date):
        after = _digests(folder)
        changed = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
        found.faults += [f"seed {seed}: the second run changed {display_name(path)}" for path in changed]


def write_batch(box: Path, count: int, seed: int, *, with_bombs: bool) -> dict[str, bytes]:
    """Deliver ``count`` files in a marked batch; return their SHA-256 by their path as it is shown."""
    rng = random.Random(seed)
    kinds = every_kind(rng.randint(32, 128), rng.randint(32, 128), seed)
    special = [*bombs().items(), *NO_IMAGES.items()] if with_bombs else []
    made: dict[str, bytes] = {}
    contents = iter([*special, *islice(mutations(kinds, rng), 2 * count)])
    while len(made) < count:
        name, data = next(contents)
        path = _draw_path(name, rng)
        target = os.path.join(os.fsencode(box), path)  # noqa: PTH118 - not all of it is UTF-8
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            with open(target, "xb") as file:  # noqa: PTH123
                file.write(data)
        except OSError:  # a file has the name of the folder, or the other way round
            continue
        made[display_name(os.fsdecode(path))] = hashlib.sha256(data).digest()
    (box / "_READY").touch()
    return made


def _draw_path(name: str, rng: random.Random) -> bytes:
    """A plain name, or a hard one with or without the number of the file, in up to three folders with such names."""
    own = os.fsencode(name)
    if rng.random() < 0.3:
        hard = rng.choice(HARD_NAMES)
        own = hard if rng.random() < 0.3 else hard[:200] + b" " + own
    folders = [rng.choice(HARD_NAMES) for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 3)))]
    path = b"/".join([*folders, own])
    return path if not is_ready_marker(os.fsdecode(path)) else b"marker/" + path


def _run(folder: Path, found: Found, seed: int, *arguments: str) -> bool:
    """Run the command; return whether it ended well, and note the peak of its processes' memory."""
    command = [
        sys.executable, "-m", "tounum_tasks", "run", "--lake", str(folder / "lake"),
        "--non-photos", str(folder / "non_photos"), "--quarantine", str(folder / "quarantine"),
        "--ingest", str(folder / "ingest"), "--max-failure-rate", "1", "--quiet-seconds", "0", *arguments,
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOUNUM_")}
    environment |= {"TOUNUM_MAX_PIXELS": "30000000", "TOUNUM_MIN_FREE_GIB": "0", "PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as said:
        process = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said, cwd=REPOSITORY)
        watch = threading.Thread(target=_watch, args=(process, found))
        watch.start()
        code = process.wait()
        watch.join()
        said.seek(0)
        text = said.read()
    if code != 0 or "Traceback" in text:
        found.faults.append(f"seed {seed}: run {' '.join(arguments)} ended with {code}: {text[-3000:]}")
    return code == 0


def _watch(process: psutil.Popen, found: Found) -> None:
    """Note the peak of a process and all below it, pages that they share counted for each."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            family = [process, *process.children(recursive=True)]
            found.peak_bytes = max(found.peak_bytes, sum(one.memory_info().rss for one in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.2)


def _faults(folder: Path, delivered: dict[str, bytes], rows: list[dict[str, Any]], found: Found) -> Iterator[str]:
    """Yield what is wrong with the first run, and count what is right."""
    by_path = {row["source_path"]: row for row in rows}
    sidecars = _sidecars(folder, rows)
    left = _left_in_ingest(folder)
    found.sidecars += len(sidecars)
    found.left += len(left)
    for path, digest in delivered.items():
        if path in by_path:
            if by_path[path]["sha256"] != digest.hex():
                yield f"the row of {path} has another hash than its file"
        elif path not in sidecars and not (path in left and any(map(is_ignored, path.split("/")))):
            yield f"{path} has no row"
    yield from (f"{path} was never delivered" for path in by_path if path not in delivered)
    for row in rows:
        yield from _faults_of_row(row, found)


def _faults_of_row(row: dict[str, Any], found: Found) -> Iterator[str]:
    found.answers[row["error_code"] or row["status"]] += 1
    found.crashed_decoders += "the decoder crashes" in (row["error_message"] or "")
    seconds = sum(value or 0.0 for name, value in row.items() if name.startswith("seconds_"))
    found.longest = max(found.longest, (seconds, f"{row['source_path']} ({row['format']}), page {row['page']}"))
    name = f"{row['source_path']}, page {row['page']}"
    if row["status"] not in ("ok", "quarantined") or row["error_code"] == "internal":
        yield f"{name}: {row['status']}, {row['error_code']}: {row['error_message']}"
    if (row["status"] == "ok") != (row["error_code"] is None):
        yield f"{name}: {row['status']} with reason {row['error_code']}"
    for column in ("original_uri", "destination_uri"):
        uri = row[column]
        if uri is not None and not Path(uri.removeprefix("file://")).is_file():
            yield f"{name}: {column} names {uri}, which is not there"


def _sidecars(folder: Path, rows: list[dict[str, Any]]) -> set[str]:
    lake = open_storage(str(folder / "lake"))
    batches = {(row["batch_date"], row["batch_id"]) for row in rows}
    return {sidecar.source_path for date, batch in batches for sidecar in read_sidecars(lake, str(date), batch)}


def _left_in_ingest(folder: Path) -> set[str]:
    box = os.fsencode(folder / "ingest" / "box")
    files = (os.path.join(top, name) for top, _, names in os.walk(box) for name in names)  # noqa: PTH118
    return {display_name(os.fsdecode(os.path.relpath(path, box))) for path in files}


def _digests(folder: Path) -> dict[str, str]:
    """A hash of each file that a second run must not change."""
    files = (path for place in STAYS_THE_SAME for path in (folder / place).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _show(found: Found) -> None:
    for fault in found.faults:
        print(fault)
    print(
        f"{found.files} files: {found.rows} rows (one for each page), {found.sidecars} sidecars, {found.left} left in "
        f"ingest by their names; {found.crashed_decoders} decoders crashed"
    )
    print(", ".join(f"{answer} {count}" for answer, count in found.answers.most_common()))
    print(f"peak memory {found.peak_bytes / 2**20:.0f} MiB; longest {found.longest[0]:.1f} s: {found.longest[1]}")
    print(f"{len(found.faults)} faults")


if __name__ == "__main__":
    sys.exit(main())
