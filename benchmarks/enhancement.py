"""Measures the modes of enhancement, and other methods, on pictures that were degraded on purpose.

    python benchmarks/enhancement.py FOLDER [--names val.txt] [--images N] [--degradations KIND...]
        [--methods METHOD...] [--json FILE]

FOLDER holds clean photographs or pages; with ``--names`` only those that a file lists, one stem a line. Printed for
each degradation: PSNR in dB and SSIM against the clean picture, means over the pictures; how many pictures mode
``auto`` touched, and how many of these came out worse; and megapixels a second of processor time, measurements
included.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.datasets.pictures import Source, files_of, load_picture, read_stems
from tounum_tasks.evaluation.restorer import DEGRADATIONS, METHODS, degraded, summary, treat, treat_all

MEAN = "mean of the six"


def main() -> None:
    """Print the table, and write the figures of each picture if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path, help="file with the stems of the pictures to use")
    parser.add_argument("--images", type=int, help="use only the first so many")
    parser.add_argument("--degradations", nargs="+", choices=DEGRADATIONS, default=DEGRADATIONS, metavar="KIND")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--json", type=Path, help="write one JSON object per picture, degradation and method")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    files = files_of(Source(arguments.folder))
    if arguments.names:
        wanted = read_stems(arguments.names)
        files = [file for file in files if file.stem in wanted]
    files = files[: arguments.images]
    if not files:
        sys.exit(f"no pictures in {arguments.folder}")

    rows = []
    for number, file in enumerate(files):
        clean = load_picture(file)
        if not number:
            for method in arguments.methods:
                treat(degraded(clean, "noise 25", 0), method)  # the first call of some loads libraries
        rows += treat_all(str(file), clean, number, kinds=arguments.degradations, methods=arguments.methods)
        print(f"\r{number + 1} of {len(files)} pictures", end="", file=sys.stderr)
    print(file=sys.stderr)
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    print_table(summary(rows), list(arguments.degradations))


def print_table(methods: dict[str, Any], kinds: list[str]) -> None:
    """Print the means of all pictures as Markdown."""
    means = [MEAN] if all(MEAN in by_kind for by_kind in methods.values()) else []
    print("| |", " | ".join([*kinds, *means]), "|")
    print("|---|" + "---|" * len([*kinds, *means]))
    for method, by_kind in methods.items():
        cells = [by_kind[kind] for kind in [*kinds, *means]]
        decibels = [f"{cell['psnr']:.2f}" if cell["psnr"] is not None else "inf" for cell in cells]
        texts = [f"{psnr} / {cell['ssim']:.3f}" for psnr, cell in zip(decibels, cells, strict=True)]
        print(f"| {method} |", " | ".join(texts), "|")
    if {"auto", "untouched"} <= set(methods):
        by_kind = methods["auto"]
        touched = [f"{by_kind[kind]['touched']} of {by_kind[kind]['pictures']}" for kind in kinds]
        print("| touched by auto |", " | ".join([*touched, *("" for _ in means)]), "|")
        for name, title in (("worse", "of these, came out worse"), ("reverted", "reverted by the gate")):
            print(
                f"| {title} |", " | ".join([*(str(by_kind[kind][name]) for kind in kinds), *("" for _ in means)]), "|"
            )
    for method, by_kind in methods.items():
        speeds = [f"{by_kind[kind]['megapixels_per_second']:.1f}" for kind in kinds]
        print(f"| {method}, MP/s |", " | ".join([*speeds, *("" for _ in means)]), "|")


if __name__ == "__main__":
    main()
