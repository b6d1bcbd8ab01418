"""What a backfill after a retrain costs, and what it changes: a real Airflow, real models, several batch dates.

    python benchmarks/backfill.py IMAGES... [--count 600] [--dates 3] [--long-side PX] [--captioner FOLDER]

Takes COUNT images in on so many batch dates, runs the nightly DAG once for each, promotes a second captioner, backfills
all dates, and backfills them once more. Prints what every task cost, computed and reused in each of the three, and
whether each promise was kept. Ends with 1 if one was not.
"""

import argparse
import datetime as dt
import hashlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from notebooks import choose_images
from PIL import Image

from tests.pipeline.second_models import register_second_captioner
from tounum_airflow.local.follow import follow
from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.intake.register import register
from tounum_tasks.manifest.schema import ITEM_COLUMNS
from tounum_tasks.models.card import read_version
from tounum_tasks.models.registry import Registry
from tounum_tasks.plan import RunRequest
from tounum_tasks.settings import Settings, load_settings

DAG = "tounum_nightly"
FIRST_DAY = dt.date(2026, 1, 1)
RUN_SECONDS = 3600
AT_MOST = 0.1
NEVER_AGAIN = {"measure_and_enhance": "decoding", "classify": "classification", "extract_features": "InceptionV3"}
CAPTION_COLUMNS = {
    "caption", "caption_words", "caption_log_probability", "caption_alternatives", "captioner_version",
    "fingerprint_caption",
}  # fmt: skip
SETTLED = ("manifests", "manifests_history", "originals", "photos", "features", "attention")


@dataclass
class Cost:
    """What one round over all dates cost, and what the logs of the tasks say was computed and reused.

    ``seconds`` are durations of tasks, as Airflow shows them; ``cpu_seconds`` is the time of the processor that all
    processes of tasks took, which does not depend on what else the machine does.
    """

    seconds: Counter[str] = field(default_factory=Counter)
    computed: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class Benchmark:
    """One installation with a lake of its own below ``folder``."""

    def __init__(self, folder: Path, dates: int) -> None:
        self.folder = folder
        self.days = [(FIRST_DAY + dt.timedelta(days=number)).isoformat() for number in range(dates)]
        roots = {f"{name}_root": str(folder / name) for name in ("ingest", "lake", "non_photos", "quarantine")}
        for root in roots.values():
            Path(root).mkdir()
        self.lake = folder / "lake"
        self.settings: Settings = load_settings(**roots)
        variables = {f"TOUNUM_{name.upper()}": root for name, root in roots.items()}
        variables["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "True"
        self.airflow = LocalAirflow(folder / "airflow", workdir=folder, environment=variables)

    def take_in(self, images: list[Path], long_side: int | None) -> None:
        """Take the images in as the runs of so many nights did, as equal shares; enlarged if ``long_side`` is given."""
        share = -(-len(images) // len(self.days))
        for number, day in enumerate(self.days):
            batch = self.folder / "ingest" / f"Box {number + 1}"
            batch.mkdir()
            for image in images[number * share : (number + 1) * share]:
                if long_side:
                    enlarge(image, batch / f"{image.stem}.jpg", long_side)
                else:
                    shutil.copy2(image, batch / image.name)
            (batch / "_READY").touch()
            started = dt.datetime.fromisoformat(f"{day}T02:00:00+00:00")
            register(RunRequest(run_id=f"intake-{day}", started_at=started), self.settings)

    def backfill(self, behavior: str) -> Cost:
        """Backfill all dates, one after the other, so that no task waits for the processor of another."""
        before = self._runs()
        self._wait_for_the_end_of_backfills()
        cost = Cost(cpu_seconds=-self._cpu_seconds())
        self.airflow.airflow(
            "backfill", "create", "--dag-id", DAG, "--from-date", self.days[0], "--to-date", self.days[-1],
            "--reprocess-behavior", behavior, "--max-active-runs", "1",
        )  # fmt: skip
        runs = [run_id for run_id in self._runs() if run_id not in before]
        if len(runs) != len(self.days):
            raise SystemExit(f"The backfill made {len(runs)} runs for {len(self.days)} dates.")
        for run_id in runs:
            if follow(self.airflow, DAG, run_id, timeout=RUN_SECONDS) != "success":
                raise SystemExit(f"{run_id} failed; its logs lie in {self.airflow.home}/logs (see --keep).")
            self._add(cost, run_id)
        cost.cpu_seconds += self._cpu_seconds()
        return cost

    def _runs(self) -> list[str]:
        """The runs of backfills; that of the night, which unpausing may start, finds nothing."""
        return [run["dag_run_id"] for run in self.airflow.api.runs(DAG, run_type="backfill")]

    def _wait_for_the_end_of_backfills(self) -> None:
        """Airflow notices half a minute after its last run that a backfill is over, and refuses others before."""
        while any(not known["completed_at"] for known in self._backfills()):
            time.sleep(2)

    def _backfills(self) -> list[dict]:
        return self.airflow.api.request("GET", "backfills", params={"dag_id": DAG, "limit": 1000})["backfills"]

    def _cpu_seconds(self) -> float:
        """What the processes of tasks that have ended took: the scheduler's workers are told when they reap them."""
        times = [worker.cpu_times() for worker in psutil.Process(self.airflow.process("scheduler").pid).children()]
        return sum(time.children_user + time.children_system for time in times)

    def _add(self, cost: Cost, run_id: str) -> None:
        for task in self.airflow.api.tasks(DAG, run_id):
            name = task["task_id"].removeprefix("shard.")
            cost.seconds[name] += task["duration"] or 0
            if task["map_index"] < 0:
                continue
            log = self.airflow.api.log(DAG, run_id, task["task_id"], map_index=task["map_index"])
            for computed, reused in re.findall(r"(\d+) computed, (\d+) reused", json.dumps(log)):
                cost.computed[name] += int(computed)
                cost.reused[name] += int(reused)

    def promote(self, folder: Path | None) -> str:
        """Promote the captioner in ``folder``, or a variant of the starter that says other words."""
        registry = Registry(str(self.lake))
        if folder:
            version = read_version(folder, name="captioner").version
            registry.register(folder)
        else:
            version = register_second_captioner(self.lake)
        registry.promote("captioner", version)
        return version

    def rows(self) -> pa.Table:
        """All manifests as one table, in a fixed order."""
        files = sorted((self.lake / "manifests").rglob("*.parquet"))
        return pa.concat_tables([pq.read_table(file).replace_schema_metadata(None) for file in files])

    def bytes_on_disk(self) -> dict[str, str]:
        """What lies in the lake and the buckets, apart from caches, registers and reports."""
        places = [*(self.lake / name for name in SETTLED), self.folder / "non_photos", self.folder / "quarantine"]
        return dict(_digests(places))


def enlarge(image: Path, target: Path, long_side: int) -> None:
    """Write an image in the size of a scan, as JPEG."""
    with Image.open(image) as opened:
        picture = opened.convert("RGB")
    factor = long_side / max(picture.size)
    size = (round(picture.width * factor), round(picture.height * factor))
    picture.resize(size, Image.Resampling.LANCZOS).save(target, quality=92)


def _digests(places: list[Path]) -> Iterator[tuple[str, str]]:
    for place in places:
        for path in place.rglob("*"):
            if path.is_file():
                yield str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def verdicts(first: pa.Table, second: pa.Table, version: str, costs: dict[str, Cost], same_bytes: bool) -> dict:
    """Return the promises, and whether each was kept."""
    backfill, again = costs["backfill"], costs["second backfill"]
    photographs = pc.sum(second["is_photo"]).as_py()
    same = [name for name in ITEM_COLUMNS if name not in CAPTION_COLUMNS]
    new = [found.startswith(f"{version}@") for found in second["captioner_version"].drop_null().to_pylist()]
    kept = {
        f"{what} ran zero times": backfill.computed[task] == 0 and backfill.reused[task] > 0
        for task, what in NEVER_AGAIN.items()
    }
    return {
        **kept,
        f"every caption of {photographs} comes from {version}": all(new)
        and len(new) == photographs == backfill.computed["caption"],
        "every other column is unchanged": first.select(same).equals(second.select(same)),
        "a second backfill computes nothing and changes no byte": same_bytes and not sum(again.computed.values()),
        f"the backfill costs at most {AT_MOST:.0%} of the first runs": backfill.total <= AT_MOST * costs["first"].total,
    }


def print_table(costs: dict[str, Cost]) -> None:
    """Print seconds, computed and reused by task and round."""
    print(f"\n{'task':<22}" + "".join(f"{name:>34}" for name in costs))
    print(f"{'':<22}" + "".join(f"{'seconds':>14}{'computed':>10}{'reused':>10}" for _ in costs))
    for task in costs["first"].seconds:
        cells = (f"{c.seconds[task]:>14.1f}{c.computed[task]:>10}{c.reused[task]:>10}" for c in costs.values())
        print(f"{task:<22}" + "".join(cells))
    print(f"{'all tasks':<22}" + "".join(f"{cost.total:>14.1f}{'':>20}" for cost in costs.values()))
    print(f"{'all tasks, processor':<22}" + "".join(f"{cost.cpu_seconds:>14.1f}{'':>20}" for cost in costs.values()))
    first, backfill = costs["first"], costs["backfill"]
    print(
        f"\nThe backfill cost {backfill.total / first.total:.1%} of the first runs' task time, "
        f"and {backfill.cpu_seconds / first.cpu_seconds:.1%} of their processor time."
    )


def main() -> int:
    """Measure, print, and return 0 if every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files or folders")
    parser.add_argument("--count", type=int, default=600, help="how many images (default: 600)")
    parser.add_argument("--dates", type=int, default=3, help="on how many batch dates (default: 3)")
    parser.add_argument("--long-side", type=int, metavar="PX", help="enlarge the images to the size of scans")
    parser.add_argument("--captioner", type=Path, metavar="FOLDER", help="what train wrote; default: a renamed starter")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this new folder and leave it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.keep or Path(scratch) / "backfill").absolute()
        folder.mkdir(parents=True)
        count = choose_images(given.images, given.count, folder / "images")
        benchmark = Benchmark(folder, given.dates)
        benchmark.take_in(sorted((folder / "images").iterdir()), given.long_side)
        costs: dict[str, Cost] = {}
        with benchmark.airflow:
            benchmark.airflow.api.set_paused(DAG, False)
            print("First runs", flush=True)
            costs["first"] = benchmark.backfill("none")
            first = benchmark.rows()
            version = benchmark.promote(given.captioner)
            print(f"Backfill with {version}", flush=True)
            costs["backfill"] = benchmark.backfill("completed")
            second, before = benchmark.rows(), benchmark.bytes_on_disk()
            print("Second backfill", flush=True)
            costs["second backfill"] = benchmark.backfill("completed")
            kept = verdicts(first, second, version, costs, before == benchmark.bytes_on_disk())
    print_table(costs)
    for promise, is_kept in kept.items():
        print(f"{'yes' if is_kept else 'NO':<4} {promise}")
    if given.json:
        figures = {name: vars(cost) for name, cost in costs.items()}
        given.json.write_text(json.dumps({"images": count, "costs": figures, "kept": kept}, indent=2))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
