"""Compare the pipeline with the notebooks' way of doing the same: seconds per stage on the same images, and the ratio.

    python benchmarks/notebooks.py IMAGES... [--count N] [--rounds N] [--json FILE]

Each round runs both ways, each in a fresh process and each twice: the first pass (cold) loads the models and compiles
the graphs, the second (warm) does neither. The order changes from round to round. What exactly is compared is written
in benchmarks/README.md.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from notebooks_way import run_notebooks
from pipeline_way import EXTRA, run_pipeline
from stopwatch import PASSES

from tounum_tasks.cli.items import find_files
from tounum_tasks.errors import TounumError


def main() -> int:
    """Run both ways and print the tables."""
    arguments = _parse()
    rounds: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory(prefix="tounum-benchmark-") as scratch:
        folder = Path(scratch)
        try:
            count = choose_images(arguments.images, arguments.count, folder / "images")
        except TounumError as error:
            print(f"notebooks.py: {error}", file=sys.stderr)
            return 2
        ways = (("pipeline", run_pipeline), ("notebooks", run_notebooks))
        for number in range(arguments.rounds):
            print(f"Round {number + 1} of {arguments.rounds}", file=sys.stderr)
            results = {}
            # The first round begins with the pipeline, which says what the photographs are.
            for name, run in ways if number % 2 == 0 else ways[::-1]:
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                    results[name] = process.submit(run, folder).result()
            rounds.append(results)
        photos = len(json.loads((folder / "reference" / "captions.json").read_text()))
    summary = summarise(rounds, count, photos)
    print_summary(summary)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({**summary, "rounds": rounds}, indent=1, default=vars) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="image or folder (searched to any depth)")
    parser.add_argument("--count", type=int, default=64, help="images, spread evenly over all files (default: 64)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is reported (default: 3)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    return parser.parse_args()


def choose_images(paths: list[str], count: int, folder: Path) -> int:
    """Copy ``count`` images that OpenCV reads, spread evenly over the files below ``paths``; return how many it were.

    Of identical files one is taken: the pipeline would compute it once and the notebooks twice.
    """
    files = [file for file in find_files(paths) if cv2.haveImageReader(str(file))]
    chosen = [files[index * len(files) // count] for index in range(min(count, len(files)))]
    different = {hashlib.sha256(file.read_bytes()).digest(): file for file in chosen}
    folder.mkdir()
    for number, file in enumerate(different.values()):
        shutil.copy(file, folder / f"{number:05d}{file.suffix.lower()}")
    return len(different)


NOTEBOOKS = ["measure", "classify", "features", "caption"]
LINES: list[tuple[str, list[str], list[str]]] = [
    ("metrics, enhancement (auto)", ["measure"], ["measure, auto"]),
    ("metrics, enhancement (classic)", ["measure"], ["measure, classic"]),
    ("classification", ["classify"], ["classify"]),
    ("InceptionV3 features", ["features"], ["features"]),
    ("captions (beam of 3)", ["caption"], ["caption, beam"]),
    ("captions (greedy)", ["caption"], ["caption, greedy"]),
    ("these four (auto, beam of 3)", NOTEBOOKS, ["measure, auto", "classify", "features", "caption, beam"]),
    ("these four (classic, greedy)", NOTEBOOKS, ["measure, classic", "classify", "features", "caption, greedy"]),
    (EXTRA, [], [EXTRA]),
    ("overall (auto, beam of 3)", NOTEBOOKS, ["measure, auto", "classify", "features", "caption, beam", EXTRA]),
    ("overall (classic, greedy)", NOTEBOOKS, ["measure, classic", "classify", "features", "caption, greedy", EXTRA]),
]
OF_PHOTOS = ("InceptionV3", "captions")


def summarise(rounds: list[dict[str, dict[str, Any]]], images: int, photos: int) -> dict[str, Any]:
    """Medians over the rounds: seconds of each way, and of the ratio of both within a round."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for index, name in enumerate(PASSES):
        tables[name] = []
        for title, old_stages, new_stages in LINES:
            old = [sum(way["notebooks"]["passes"][index][stage].wall for stage in old_stages) for way in rounds]
            new = [sum(way["pipeline"]["passes"][index][stage].wall for stage in new_stages) for way in rounds]
            ratios = [before / after for before, after in zip(old, new, strict=True)] if old_stages else []
            tables[name].append(
                {
                    "stage": title,
                    "images": photos if title.startswith(OF_PHOTOS) else images,
                    "notebooks_seconds": statistics.median(old) if old_stages else None,
                    "pipeline_seconds": statistics.median(new),
                    "ratio": statistics.median(ratios) if ratios else None,
                    "ratio_range": [min(ratios), max(ratios)] if ratios else None,
                }
            )
    last = rounds[-1]["notebooks"]
    return {
        "images": images,
        "photographs": photos,
        "processors": os.cpu_count(),
        "captions_equal": last["captions_equal"],
        "features_cosine": last["features_cosine"],
        **tables,
    }


def print_summary(summary: dict[str, Any]) -> None:
    """Print both tables and how far the results of both ways agree."""
    for name in PASSES:
        print(f"\n{name}: {'models are loaded and graphs compiled' if name == 'cold' else 'everything is loaded'}")
        print(f"{'stage':<32}{'images':>7}{'notebooks':>16}{'pipeline':>16}{'ratio':>8}  range")
        for row in summary[name]:
            cells = [f"{row['stage']:<32}{row['images']:>7}"]
            for way in ("notebooks", "pipeline"):
                taken = row[f"{way}_seconds"]
                cells.append(f"{taken:>7.2f} s {row['images'] / taken:>5.1f}/s" if taken else f"{'':>16}")
            if row["ratio"]:
                cells.append(f"{row['ratio']:>8.1f}  {row['ratio_range'][0]:.1f} to {row['ratio_range'][1]:.1f}")
            print("".join(cells))
    print(
        f"\nGreedy captions that both ways agree on: {summary['captions_equal']} of {summary['photographs']}. "
        f"Smallest cosine between their features: {summary['features_cosine']:.5f}."
    )


if __name__ == "__main__":
    sys.exit(main())
