"""Kills at random instants: whatever is killed and run again ends with the same manifests and the same files.

    python -m tests.kills [--count N] [--seed N] [--on folders|s3]

A batch goes through two nights of ``run`` with real models: the first takes it in and publishes it; before the second,
a person corrects a class, and enhancement is left off, so that files are replaced and move to other buckets. Every run
is killed (SIGKILL) after a line of its log that is drawn at random and a part, drawn too, of the time until the next
line, and started again, until it ends by itself. Then these must be as they are without a kill: all columns of the
manifest that describe items, the versions of the manifest, every file in the buckets by its bytes, and an empty ingest
and journal.

So it goes on until N runs were killed (100) on folders, and N with all roots in a bucket of an S3 server. Whatever
differs is printed with the instants of the kills, and the exit code is 1.
"""

import argparse
import hashlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import openvino  # noqa: F401 - once here, not in every run
import pandas as pd
from PIL import Image, ImageSequence

from tests.pipeline.test_run_on_s3 import batch_id, deliver, manifests, rows
from tests.s3_server import BUCKET, S3Server
from tests.unit.reviews import a_review
from tounum_tasks.cli.main import main as tounum
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.sample.batch import write_sample_batch
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

FILES = (
    "photographs/rocket.jpg", "photographs/portrait in poor light.jpg", "photographs/whiskers, out of focus.jpg",
    "texts/inventory.tif", "texts/letter.jpg", "drawings/temperature.png",
)  # fmt: skip
BROKEN = "photographs/copy broke off.jpg"
SIDE = 200  # pixels
SIDECAR = "photographs/rocket.xmp"
CORRECTED = "texts/letter.jpg"
NIGHTS: tuple[tuple[str, ...], ...] = ((), ("--enhancement", "off"))
SETTINGS = {"TOUNUM_SHARD_SIZE": "3", "TOUNUM_MIN_FREE_GIB": "0", "TOUNUM_WRITE_CAPTIONS": "sidecar"}
BUCKETS = ("lake/photos", "non_photos", "quarantine")


@dataclass(frozen=True)
class State:
    """What a night leaves: the rows, and the SHA-256 of all files of the buckets by their paths."""

    rows: pd.DataFrame
    files: Mapping[str, str]
    versions: list[str]


@dataclass
class Run:
    """One run: when each line of its log came, in seconds from its start, and where it was killed."""

    seconds: list[float] = field(default_factory=list)
    killed_after: str = ""

    def draw_instant(self, draw: random.Random) -> tuple[int, float]:
        """A line by its number, and how long after it."""
        line = draw.randrange(len(self.seconds) - 1)
        return line, draw.uniform(0, self.seconds[line + 1] - self.seconds[line])


def main() -> int:
    """Kill runs on folders and in a bucket; return 1 if anything differed, else 0."""
    arguments = _parse()
    os.environ.update(SETTINGS)
    for step in STEPS:  # once here, not in every run
        importlib.import_module(f"tounum_tasks.steps.{step.name}")
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        batch = _batch(Path(scratch))
        for place in [arguments.on] if arguments.on else ["folders", "s3"]:
            faults += Trials(place, Path(scratch), batch, random.Random(arguments.seed)).kill(arguments.count)
    return 1 if faults else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="kills on folders, and as many on S3 (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument("--on", choices=["folders", "s3"], help="default: both, one after the other")
    return parser.parse_args()


def _batch(scratch: Path) -> Path:
    """Write the batch: pictures of the sample, made small, for what a run costs is then its steps and its models."""
    write_sample_batch(scratch / "sample")
    folder = scratch / "batch"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(scratch / "sample" / name) as image:
            pages = [page.resize((SIDE, SIDE)) for page in ImageSequence.Iterator(image)]
            pages[0].save(folder / name, save_all=len(pages) > 1, append_images=pages[1:])
    (folder / BROKEN).write_bytes((folder / FILES[0]).read_bytes()[:5_000])
    (folder / SIDECAR).write_text("<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>")
    (folder / "_READY").touch()
    return folder


class Trials:
    """All trials on one kind of storage."""

    def __init__(self, place: str, scratch: Path, batch: Path, draw: random.Random) -> None:
        self._place, self._scratch, self._batch, self._draw = place, scratch, batch, draw
        self._server = S3Server() if place == "s3" else None
        if self._server:
            os.environ.update(self._server.environment())

    def kill(self, count: int) -> int:
        """Kill ``count`` runs; return in how many trials something differed."""
        kills, trials, faults = 0, 0, 0
        clean, expected = self._undisturbed()
        while kills < count:
            trials += 1
            root, told, began = self._deliver(), list[str](), time.monotonic()
            differs: list[str] = []
            for night, arguments in enumerate(NIGHTS):
                self._correct(root, night)
                killed = True
                while killed and kills < count:
                    run = run_to(root, arguments, clean[night].draw_instant(self._draw))
                    killed = bool(run.killed_after)
                    told += [run.killed_after] * killed
                    kills += killed
                if killed:
                    run_to(root, arguments)
                differs += differences(expected[night], state(root))
            faults += bool(differs)
            print(f"{self._place}: trial {trials}, {kills} kills, {time.monotonic() - began:.0f} s", flush=True)
            for line in [*differs, *(told if differs else [])]:
                print(f"    {line}", flush=True)
        print(f"{self._place}: {kills} kills in {trials} trials of {len(NIGHTS)} nights, {faults} ended otherwise")
        return faults

    def _undisturbed(self) -> tuple[list[Run], list[State]]:
        """What the nights leave, and how long each takes, when nothing is killed."""
        root, runs, states = self._deliver(), [], []
        for night, arguments in enumerate(NIGHTS):
            self._correct(root, night)
            runs.append(run_to(root, arguments))
            states.append(state(root))
        seconds = ", ".join(f"{run.seconds[-1]:.0f} s" for run in runs)
        print(f"{self._place}: undisturbed nights of {seconds}", flush=True)
        return runs, states

    def _deliver(self) -> str:
        """Deliver the batch into storage that is empty but for it; return its root."""
        if self._server:
            self._server.empty()
            root = f"s3://{BUCKET}/all"
        else:
            shutil.rmtree(self._scratch / "folders", ignore_errors=True)
            (self._scratch / "folders" / "ingest").mkdir(parents=True)
            root = str(self._scratch / "folders")
        deliver(self._batch, root)
        return root

    def _correct(self, root: str, night: int) -> None:
        """Before the second night a person says that one image is something else."""
        if night == 1:
            row = pd.read_parquet(f"{root}/lake/manifests").set_index("source_path").loc[CORRECTED]
            where = {name: str(row[name]) for name in ("image_id", "batch_id", "batch_date")}
            said = a_review("label", "Sketch", source_path=CORRECTED, old=row.label, **where)
            ReviewStore(open_storage(f"{root}/lake")).add(said)


def run_to(root: str, arguments: Sequence[str], instant: tuple[int, float] | None = None) -> Run:
    """Run all stages in a process of its own; kill it so many seconds after a line of its log, if it gets there.

    Raises:
        AssertionError: the run failed by itself.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _run_and_exit(root, arguments, write)
    os.close(write)
    run, began, lines = Run(), time.monotonic(), list[str]()
    with os.fdopen(read, errors="backslashreplace") as log:
        for line in log:
            lines.append(line.rstrip())
            run.seconds.append(time.monotonic() - began)
            if instant and len(lines) == instant[0] + 1:
                time.sleep(instant[1])
                os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        run.killed_after = f"killed {instant[1] if instant else 0:.3f} s after: {lines[instant[0] if instant else -1]}"
    else:
        assert os.WEXITSTATUS(status) == 0, "\n".join(["the run failed by itself", *lines[-20:]])
    return run


def _run_and_exit(root: str, arguments: Sequence[str], log: int) -> NoReturn:
    """What the forked process does; it never returns into this command."""
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        roots = [f"--{name}={root}/{name.replace('-', '_')}" for name in ("ingest", "lake", "non-photos", "quarantine")]
        os._exit(tounum(["run", *roots, "--max-failure-rate", "1", *arguments]))
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)


def state(root: str) -> State:
    """What lies below a root after a night; raise AssertionError if something is left in ingest or in the journal."""
    storage, found = open_storage(root), batch_id(root)
    for place in ("ingest", "lake/registers/journal"):
        left = _files(storage, place)
        assert not left, f"left over: {left}"
    files = {
        path.replace(found, "ID"): hashlib.sha256(storage.read_bytes(path)).hexdigest()
        for bucket in BUCKETS
        for path in _files(storage, bucket)
        if "/.tmp/" not in path  # what killed writers left; it goes after a day
    }
    return State(rows(root), files, sorted(path.replace(found, "ID") for path in manifests(root)))


def _files(storage: Storage, folder: str) -> list[str]:
    found = []
    for entry in storage.list_folder(folder):
        path = f"{folder}/{entry.name}"
        found += _files(storage, path) if entry.kind == "folder" else [path]
    return found


def differences(expected: State, found: State) -> list[str]:
    """What is not as expected, one line each."""
    told = [f"manifests: {found.versions}"] if found.versions != expected.versions else []
    if list(found.rows.source_path) != list(expected.rows.source_path):
        told.append(f"rows: {list(found.rows.source_path)}")
    else:
        told += [f"column {name}" for name in expected.rows if not found.rows[name].equals(expected.rows[name])]
    paths = sorted({*expected.files, *found.files})
    return told + [f"file {path}" for path in paths if expected.files.get(path) != found.files.get(path)]


if __name__ == "__main__":
    sys.exit(main())
