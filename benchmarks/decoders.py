"""What it costs that files are decoded in processes of their own: a shard's steps with and without them.

    python benchmarks/decoders.py PHOTOGRAPHS [--small N] [--scans N] [--rounds N] [--json FILE]

Three batches: small photographs (224 x 224), A4 scans at 300 dpi (JPEG, photographs side by side), and the sample. Both
ways take turns, each in a fresh process, as tasks have it: the starts of decoders count. The step that decodes stands
by itself, and with all that a shard goes through. What is compared is written in benchmarks/README.md.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stopwatch import Stages, timed

from tounum_tasks.cli.items import find_files
from tounum_tasks.errors import ItemError
from tounum_tasks.images import decoder_pool
from tounum_tasks.intake.register import register
from tounum_tasks.plan import RunPlan, RunRequest
from tounum_tasks.sample.batch import write_sample_batch
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.shard import run_step
from tounum_tasks.steps.table import STEPS

FRESH = multiprocessing.get_context("spawn")
STEP, ALL = "measure_and_enhance", "all"
WAYS = ("processes", "own process")
SMALL, A4_AT_300_DPI = (224, 224), (2480, 3508)


def main() -> int:
    """Measure every batch in both ways and print one line each."""
    arguments = _parse()
    photographs = find_files([arguments.photographs])
    print("| batch | images | load | steps | wall s | CPU s | own process: wall s | CPU s | decoders, CPU more by |")
    print("|---|---|---|---|---|---|---|---|---|")
    results = []
    with tempfile.TemporaryDirectory(prefix="tounum-decoders-") as scratch:
        batches = {name: Path(scratch, name) for name in ("small photographs", "A4 scans", "sample")}
        _write_small(photographs, batches["small photographs"] / "ingest" / "batch", arguments.small)
        _write_scans(photographs, batches["A4 scans"] / "ingest" / "batch", arguments.scans)
        write_sample_batch(batches["sample"] / "ingest" / "batch")
        for name, folder in batches.items():
            results += measure(name, folder, arguments.rounds)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1, default=vars) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", metavar="PHOTOGRAPHS", help="folder of photographs (searched to any depth)")
    parser.add_argument("--small", type=int, default=384, help="small photographs (default: 384)")
    parser.add_argument("--scans", type=int, default=24, help="A4 scans (default: 24)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    return parser.parse_args()


def _write_small(photographs: list[Path], batch: Path, count: int) -> None:
    batch.mkdir(parents=True)
    count = min(count, len(photographs))
    for number in range(count):
        picture = _picture(photographs[number * len(photographs) // count])
        picture.resize(SMALL, Image.Resampling.BICUBIC).save(batch / f"{number:05d}.jpg", quality=92)
    (batch / "_READY").touch()


def _write_scans(photographs: list[Path], batch: Path, count: int) -> None:
    """Write pages on which photographs are stuck as they are, side by side: enlarged, they would all be blurred."""
    batch.mkdir(parents=True)
    left = itertools.cycle(photographs)
    width, height = A4_AT_300_DPI
    for number in range(count):
        page = Image.new("RGB", A4_AT_300_DPI, (250, 248, 242))
        for top, side in itertools.product(range(100, height - 500, 660), range(100, width - 500, 660)):
            page.paste(_picture(next(left)), (side, top))
        page.save(batch / f"{number:05d}.jpg", quality=92, dpi=(300, 300))
    (batch / "_READY").touch()


def _picture(photograph: Path) -> Image.Image:
    with Image.open(photograph) as opened:
        return opened.convert("RGB")


def measure(name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Take a batch in, run the steps in both ways in turns, and print and return what one and all of them took."""
    load = os.getloadavg()[0]
    plan = register(RunRequest(run_id="decoders"), load_settings(**_roots(folder)))
    turns = [(way, _in_a_process(run, folder, plan.to_json(), way)) for _ in range(rounds) for way in WAYS]
    images = turns[0][1][1]
    found = []
    for steps in (STEP, ALL):
        spent = {way: [stages[steps] for its_way, (stages, _) in turns if its_way == way] for way in WAYS}
        wall, cpu = (
            {way: statistics.median(getattr(took, kind) for took in spent[way]) for way in WAYS}
            for kind in ("wall", "cpu")
        )
        more = cpu[WAYS[0]] / cpu[WAYS[1]] - 1
        row = " | ".join(f"{seconds[way]:.1f}" for way in WAYS for seconds in (wall, cpu))
        print(f"| {name} | {images} | {load:.0f} | {steps} | {row} | {more:+.1%} |", flush=True)
        found.append({"batch": name, "images": images, "load": load, "steps": steps, "spent": spent, "more": more})
    return found


def _roots(folder: Path) -> dict[str, str]:
    return {f"{name}_root": str(folder / name) for name in ("ingest", "lake", "non_photos", "quarantine")}


def _in_a_process(work: Any, *arguments: object) -> Any:
    with ProcessPoolExecutor(1, mp_context=FRESH) as process:
        return process.submit(work, *arguments).result()


def run(folder: Path, stored: dict[str, Any], way: str) -> tuple[Stages, int]:
    """Run the steps from nothing; return what one and all of them took, and the number of images."""
    for products in ("stages", "features", "attention", "thumbnails"):
        shutil.rmtree(folder / "lake" / products, ignore_errors=True)
    if way == "own process":
        decoder_pool.ask = ask_here
    plan, stages, images = RunPlan.from_json(stored), Stages(), 0
    with timed(stages, ALL):
        for shard in plan.shards():
            for step in STEPS:
                with timed(stages, step.name):
                    computed = run_step(step.name, plan, shard, load_settings(**_roots(folder)))["computed"]
                images += computed if step.name == STEP else 0
    return stages, images


_opened = threading.local()
_PDFIUM = threading.Lock()  # knows no threads


def ask_here(file: decoder_pool.SharedFile, order: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Do what a decoder's process does with an order, in the thread that asks and without limits."""
    from tounum_tasks.images import decoder_process

    try:
        if getattr(_opened, "source", None) is not file:
            _opened.file = decoder_process.OpenFile(decoder_process._mapped(os.dup(file.descriptor)))
            _opened.source = file
        with _PDFIUM if _opened.file.format == "pdf" else threading.Lock():
            buffer = _Kept()
            answer = decoder_process._answer(_opened.file, dict(order), buffer)  # type: ignore[arg-type]
    except ItemError as error:
        return {"code": error.code, "message": str(error), "seconds": 0.0}, None
    return answer, buffer.pixels


class _Kept:
    """Takes what a decoder writes, as it is."""

    pixels: Any = None

    def write(self, pixels: Any) -> None:
        self.pixels = pixels.ravel()


if __name__ == "__main__":
    sys.exit(main())
