"""All stages beside the notebooks' way and what people would use instead: time, processor time, memory, and the limit.

    python benchmarks/night.py IMAGES... [--count N] [--rounds N] [--json FILE]

Every way runs in a process of its own and goes over the same images twice: the first pass (cold) imports, loads and
compiles, the second (warm) does not. What is left out for want of a package is said on standard error. The table is
Markdown. What exactly is compared is written in benchmarks/README.md.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hardware import measure_limits
from notebooks import choose_images
from notebooks_way import run_notebooks
from other_ways import FEATURES, FLAGS, NOISY_SCAN, WAYS, draw_scan
from pipeline_way import EXTRA, run_pipeline, run_shipped
from stopwatch import PASSES, Spent

from tounum_tasks.errors import TounumError

FRESH = multiprocessing.get_context("spawn")
NOTEBOOKS = ("measure", "classify", "features", "caption")
SHIPPED = ("measure, auto", "classify", "features", "caption, beam", EXTRA)
CLASSIC = ("measure, classic", "classify", "features", "caption, greedy", EXTRA)
STAGES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (FLAGS, (), ("measure, off",)),
    ("metrics, enhancement (auto)", ("measure",), ("measure, auto",)),
    ("metrics, enhancement (classic)", ("measure",), ("measure, classic",)),
    (NOISY_SCAN, (), ()),
    ("classification", ("classify",), ("classify",)),
    (FEATURES, ("features",), ("features",)),
    ("captions (beam, with the judge)", ("caption",), ("caption, beam",)),
    ("captions (greedy)", ("caption",), ("caption, greedy",)),
    (EXTRA, (), (EXTRA,)),
    ("overall (auto, beam)", NOTEBOOKS, SHIPPED),
    ("overall (classic, greedy)", NOTEBOOKS, CLASSIC),
)
OF_PHOTOGRAPHS = (FEATURES, "captions")
Row = dict[str, Any]


def main() -> int:
    """Run every way and print the table."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="tounum-night-") as scratch:
        folder = Path(scratch)
        try:
            count = choose_images(arguments.images, arguments.count, folder / "images")
        except TounumError as error:
            print(f"night.py: {error}", file=sys.stderr)
            return 2
        rounds = []
        for number in range(arguments.rounds):
            print(f"Round {number + 1} of {arguments.rounds}", file=sys.stderr)
            rounds.append(_one_round(folder))
        photographs = len(json.loads((folder / "reference" / "captions.json").read_text()))
    found = {
        "images": count,
        "photographs": photographs,
        "processors": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "load": [one["load"] for one in rounds],
        "rows": table_rows(rounds, count, photographs),
        "limits": [one["limits"] for one in rounds],
        "workers": [one["workers"] for one in rounds],
    }
    print_table(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({**found, "rounds": rounds}, indent=1, default=vars) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="image or folder (searched to any depth)")
    parser.add_argument("--count", type=int, default=100, help="images, spread evenly over all files (default: 100)")
    parser.add_argument("--rounds", type=int, default=1, help="of which the median is reported (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    return parser.parse_args()


def _one_round(folder: Path) -> dict[str, Any]:
    """Measure everything once; the pipeline begins, for it says what the photographs are."""
    load = os.getloadavg()[0]
    found = {"pipeline": _in_a_process(run_pipeline, folder), "notebooks": _in_a_process(run_notebooks, folder)}
    draw_scan(folder)
    ways = {}
    for way in WAYS:
        if sentence := way.missing():
            print(sentence, file=sys.stderr)
        else:
            ways[way.stage, way.title] = _in_a_process(way.run, folder)
    return {
        **found,
        "ways": [{"stage": stage, "title": title, **way} for (stage, title), way in ways.items()],
        "limits": _in_a_process(measure_limits),
        "workers": measure_workers(folder),
        "load": load,
    }


def _in_a_process(work: Callable[..., Any], *arguments: object) -> Any:
    with ProcessPoolExecutor(1, mp_context=FRESH) as process:
        return process.submit(work, *arguments).result()


def measure_workers(folder: Path) -> dict[str, Any]:
    """Return images a second of one worker that has one core, and of two workers that have one core each."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return {}
    images = len(list((folder / "images").iterdir()))
    found = {}
    for name, cores in (("one", allowed[:1]), ("two", allowed[:2])):
        print(f"  {name}: a worker on each of the cores {cores}", file=sys.stderr)
        taken = _workers(folder, cores)
        rate = len(cores) * images / max(spent.wall for spent in taken)
        found[name] = {"images_a_second": rate, "cpu_an_image": sum(s.cpu for s in taken) / len(cores) / images}
    one, two = found["one"], found["two"]
    return {
        **found,
        "times": two["images_a_second"] / one["images_a_second"],
        "times_by_cpu": 2 * one["cpu_an_image"] / two["cpu_an_image"],
    }


def _workers(folder: Path, cores: list[int]) -> list[Spent]:
    """Let a worker on each core go over the images, once to warm up and then all at the same time."""
    allowed = os.sched_getaffinity(0)
    start, results = FRESH.Barrier(len(cores)), FRESH.SimpleQueue()
    workers = [FRESH.Process(target=_worker, args=(folder, start, results)) for _ in cores]
    try:
        for worker, core in zip(workers, cores, strict=True):
            os.sched_setaffinity(0, {core})  # a process inherits it from the thread that starts it, as from `taskset`
            worker.start()
    finally:
        os.sched_setaffinity(0, allowed)
    taken = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return taken


def _worker(folder: Path, start: Barrier, results: "SimpleQueue[Spent]") -> None:
    for _ in PASSES:
        start.wait()
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            began = time.perf_counter()
            stages, _, _ = run_shipped(folder / "images", Path(scratch))
            wall = time.perf_counter() - began
    results.put(Spent(wall, sum(spent.cpu for spent in stages.values())))


def table_rows(rounds: list[dict[str, Any]], images: int, photographs: int) -> list[Row]:
    """Return the rows of the table: the pipeline's row of each stage, then those of the other ways."""
    rows = []
    for stage, old, new in STAGES:
        count = photographs if stage.startswith(OF_PHOTOGRAPHS) else images
        whole = stage.startswith("overall")
        ways = [("pipeline", [_stages(one["pipeline"], new, whole) for one in rounds])] if new else []
        if old:
            ways.append(("notebooks", [_stages(one["notebooks"], old, whole) for one in rounds]))
        others = [(way["stage"], way["title"], way) for one in rounds for way in one["ways"]]
        for title in dict.fromkeys(title for its_stage, title, _ in others if its_stage == stage):
            ways.append((title, [way for its_stage, other, way in others if (its_stage, other) == (stage, title)]))
        first = None
        for title, passes in ways:
            row = _row(stage, title, 1 if stage == NOISY_SCAN else count, passes)
            first = first or row
            rows.append({**row, "times_wall": row["wall"] / first["wall"], "times_cpu": row["cpu"] / first["cpu"]})
    return rows


def _stages(way: dict[str, Any], stages: tuple[str, ...], whole: bool) -> dict[str, Any]:
    """What some stages of a way took together; the peak of memory is known of all of them alone."""
    passes = [sum((each[stage] for stage in stages), Spent()) for each in way["passes"]]
    return {"passes": passes, "peak_mib": way["peak_mib"] if whole else None}


def _row(stage: str, title: str, count: int, passes: list[dict[str, Any]]) -> Row:
    cold, warm = ([one["passes"][index] for one in passes] for index in range(len(PASSES)))
    wall, peaks = statistics.median(spent.wall for spent in warm), [one["peak_mib"] for one in passes]
    return {
        "stage": stage,
        "way": title,
        "images": count,
        "cold": statistics.median(spent.wall for spent in cold),
        "wall": wall,
        "cpu": statistics.median(spent.cpu for spent in warm),
        "images_a_second": count / wall,
        "peak_mib": None if None in peaks else max(peaks),
        "found": passes[-1].get("found", ""),
    }


def print_table(found: dict[str, Any]) -> None:
    """Print the table, the limit of the hardware, and how two workers do."""
    limits, workers = found["limits"][-1], found["workers"][-1]
    speeds = limits["flop_a_second"]
    print("| stage | way | images | cold s | warm s | CPU s | images/s | times (CPU) | peak MiB | |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in found["rows"]:
        times = "" if row["way"] == "pipeline" else f"{row['times_wall']:.1f} ({row['times_cpu']:.1f})"
        peak = f"{row['peak_mib']:,.0f}" if row["peak_mib"] else ""
        notes = [row["found"]] if row["found"] else []
        if row["stage"] == FEATURES:
            share = row["images"] * limits["flop_an_image"] / row["cpu"] / speeds["product"]
            notes.append(f"{share:.0%} of the limit")
        print(
            f"| {row['stage']} | {row['way']} | {row['images']} | {row['cold']:.2f} | {row['wall']:.2f} "
            f"| {row['cpu']:.2f} | {row['images_a_second']:.3g} | {times} | {peak} | {', '.join(notes)} |"
        )
    shares = {name: f"{speeds[name] / speeds['product']:.0%}" for name in ("extractor", "restorer")}
    print(
        f"\nThe limit, a product of matrices in {limits['precision']}: {speeds['product'] / 1e9:.0f} GFLOP a second of "
        f"a core. The features' network by itself reaches {shares['extractor']}, the restorer's {shares['restorer']}."
    )
    if workers:
        print(
            f"Two workers of one core each do {workers['times']:.2f} times the images of one worker of one core; by "
            f"processor seconds, which other programs hardly disturb, {workers['times_by_cpu']:.2f} times."
        )
    print(f"Load when the rounds began: {', '.join(f'{load:.1f}' for load in found['load'])}.")


if __name__ == "__main__":
    sys.exit(main())
