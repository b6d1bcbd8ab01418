"""A night of many small images through the real DAG on a real Airflow, and whether anything grows with their number.

    python -m benchmarks.big_night DIR [--images 100000] [--batches 1] [--real FOLDER] [--reference 1000]
        [--shard-size N] [--model-slots N] [--json FILE]

Draws the images below DIR, one in five a photograph, delivers them, starts Airflow as `make run` does and lets
`tounum_nightly` work on them; first so many as ``--reference`` says, in an installation of their own, then all.
Prints a line a minute, then a table. Killed at any moment and started again with the same DIR it goes on:
with the same images, lake and, unless that has failed, DAG run.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import cv2
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.drawn_night import draw_images, masters
from benchmarks.night_figures import collect, print_table, said_of_index, said_of_report
from benchmarks.watch import Watch
from tounum_airflow.local.api import FINISHED, ApiError
from tounum_airflow.local.installation import COMPONENTS, LocalAirflow
from tounum_tasks.errors import EnvironmentFault

DAG = "tounum_nightly"
RUN_PREFIX = "big-night"
LOOK_SECONDS, SAY_SECONDS = 5.0, 60.0
# Runs of the schedule would work on the same batch beside the night's: none is due while this one lasts.
NEVER = "0 0 29 2 *"


class Night:
    """One installation below ``folder`` with its images, its run, and what was measured of it."""

    def __init__(self, folder: Path, images: int, batches: int, given: argparse.Namespace) -> None:
        self.folder = folder
        self.images = images
        self.batches = batches
        self.real: Path | None = given.real
        folder.mkdir(parents=True, exist_ok=True)
        variables = {f"TOUNUM_{name.upper()}_ROOT": str(folder / name) for name in ("lake", "non_photos", "quarantine")}
        variables |= {
            "TOUNUM_INGEST_ROOT": str(folder / "ingest"),
            "TOUNUM_INDEX_CACHE": str(folder / "index"),
            "TOUNUM_SCHEDULE": NEVER,
            "TOUNUM_REPROCESS_SCHEDULE": NEVER,
        }
        for name, value in (("SHARD_SIZE", given.shard_size), ("MODEL_SLOTS", given.model_slots)):
            if value:
                variables[f"TOUNUM_{name}"] = str(value)
        self.variables = variables
        self.airflow = LocalAirflow(folder / "airflow", workdir=folder, environment=variables)

    def figures(self) -> dict[str, Any]:
        """Do whatever of this night is not done yet; return what was measured."""
        done = self.folder / "figures.json"
        if not done.exists():
            self._deliver()
            os.environ |= self.variables  # also for what this program asks of the lake
            with self.airflow:
                run_id = self._work()
                found = collect(self.airflow, DAG, run_id, self.folder)
                found["pages"] = said_of_index(self.folder, self.variables)
                found["pages"]["gallery_ms"] = [self._answer("/tounum/gallery") for _ in range(5)]
            found["report_page"] = said_of_report(found["report"])
            done.write_text(json.dumps(found, indent=1))
        return json.loads(done.read_text())

    def _deliver(self) -> None:
        """Draw the images and put them into ingest, batch by batch; done once, before Airflow is started."""
        delivered = self.folder / "delivered"
        if delivered.exists():
            return
        share = -(-self.images // self.batches)
        of_class = masters(self.real)
        for number in range(self.batches):
            name, numbers = f"Delivery {number + 1}", range(number * share, min(self.images, (number + 1) * share))
            batch = self.folder / "ingest" / name
            if batch.exists() or not numbers:
                continue
            drawn = self.folder / "drawn" / name
            draw_images(drawn, numbers, of_class)
            (drawn / "_READY").touch()
            batch.parent.mkdir(exist_ok=True)
            drawn.rename(batch)
        delivered.touch()
        print(f"{self.images:,} images lie in {self.folder / 'ingest'}.", flush=True)

    def _work(self) -> str:
        """Let the scheduler finish the night; return the id of its run.

        Raises:
            EnvironmentFault: the run failed. Started again, the night goes on with another one.
        """
        watch = Watch({name: self.airflow.process(name).pid for name in COMPONENTS}, self.folder)
        watch.start()
        try:
            run_id = self._run()
            said = 0.0
            while (state := self.airflow.api.run(DAG, run_id)["state"]) not in FINISHED:
                self.airflow.check()
                if time.monotonic() - said > SAY_SECONDS:
                    said = time.monotonic()
                    self._say(run_id)
                time.sleep(LOOK_SECONDS)
            self._say(run_id)
        finally:
            watch.end()
        if state != "success":
            raise EnvironmentFault(f"{run_id} failed: see {self.airflow.home}/logs, then start this command again.")
        return run_id

    def _run(self) -> str:
        """The run that is to finish the night: the one that was begun, or a new one after one that failed."""
        runs = [run for run in self.airflow.api.runs(DAG) if run["dag_run_id"].startswith(RUN_PREFIX)]
        if runs and runs[-1]["state"] != "failed":
            print(f"{runs[-1]['dag_run_id']} goes on.", flush=True)
            return runs[-1]["dag_run_id"]
        return self.airflow.api.trigger(DAG, dag_run_id=f"{RUN_PREFIX}__{len(runs) + 1}")

    def _say(self, run_id: str) -> None:
        """Print and keep how far the run is, and how soon Airflow and a page answer meanwhile."""
        entry = {
            "time": time.time(),
            "health_ms": self._answer("/api/v2/monitor/health"),
            "gallery_ms": self._answer("/tounum/gallery"),
            "healthy": self._health(),
            "tasks": self._number(run_id),
            "tasks_done": self._number(run_id, state="success"),
        }
        with (self.folder / "answers.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(
            f"{time.strftime('%H:%M:%S')}  {entry['tasks_done']:,} of {entry['tasks']:,} tasks done; /health "
            f"{entry['health_ms']} ms, gallery {entry['gallery_ms']} ms; {entry['healthy']}",
            flush=True,
        )

    def _number(self, run_id: str, **filters: str) -> int:
        path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances"
        return self.airflow.api.request("GET", path, params={"limit": 1, **filters})["total_entries"]

    def _answer(self, path: str) -> int | None:
        """Milliseconds until an address answers; None if it does not within a minute, or with an error."""
        begun = time.perf_counter()
        try:
            self.airflow.api.page(path)
        except (ApiError, httpx.HTTPError):
            return None
        return round(1000 * (time.perf_counter() - begun))

    def _health(self) -> str:
        """What Airflow says of itself: the triggerer is where the sensor waits."""
        try:
            states = self.airflow.api.health()
        except httpx.HTTPError:
            return "no answer"
        ill = [f"{name} {state}" for name, state in states.items() if state != "healthy"]
        return ", ".join(ill) or "healthy"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Airflow is stopped before this program ends."""
    raise KeyboardInterrupt


def main() -> int:
    """Run the nights; print and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="where everything lies; 20 MB a thousand images")
    parser.add_argument("--images", type=int, default=100_000, help="how many (default: 100,000)")
    parser.add_argument("--batches", type=int, default=1, help="in how many batches they come (default: 1)")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="real pictures, below it a folder for each class")
    parser.add_argument("--reference", type=int, default=1_000, help="images of the night that it is compared with")
    parser.add_argument("--shard-size", type=int, metavar="N", help="default: that of the settings")
    parser.add_argument("--model-slots", type=int, metavar="N", help="default: that of the settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's & would let it ignore the first
        signal.signal(number, _interrupt)
    cv2.setNumThreads(1)
    folder = given.folder.absolute()
    needed = 0.5e6 * given.images
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "night").exists() and shutil.disk_usage(folder).free < needed:
        raise SystemExit(f"The night needs some {needed / 1e9:.0f} GB in {folder}.")
    reference = Night(folder / "reference", given.reference, 1, given).figures()
    night = Night(folder / "night", given.images, given.batches, given).figures()
    print_table(reference, night)
    if given.json:
        given.json.write_text(json.dumps({"reference": reference, "night": night}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
