"""Measures the modes of enhancement on photographs that were degraded on purpose.

    python benchmarks/enhancement.py FOLDER [--names val.txt] [--images N] [--degradations KIND...] [--json FILE]

FOLDER holds clean photographs; with ``--names`` only those that a file lists, one stem a line. Printed for each
degradation: PSNR in dB and SSIM against the clean photograph, means over the photographs; the share of photographs
that mode ``auto`` touched and how many of these came out worse; and megapixels a second of processor time on one core.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from skimage.metrics import structural_similarity

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.images.decode import decode
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.enhance import Enhancement, enhance

DEGRADATIONS = ("clean", "noise 10", "noise 25", "blur 1", "blur 1.6", "blur1.2+n5", "jpeg 30", "grey noise 10")
METHODS = ("untouched", "classic", "auto")


def degrade(rgb: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Return a degraded copy of a photograph, rounded to uint8 as a scanner or camera would store it."""
    if kind == "jpeg 30":
        _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 30])
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy()
    pixels = rgb.astype(np.float32)
    if kind.startswith("noise"):
        pixels += random.normal(0, float(kind.split()[1]), pixels.shape)
    elif kind.startswith("grey noise"):
        pixels += random.normal(0, float(kind.split()[2]), (*pixels.shape[:2], 1))
    elif kind == "blur1.2+n5":
        pixels = cv2.GaussianBlur(pixels, (0, 0), 1.2) + random.normal(0, 5, pixels.shape)
    elif kind.startswith("blur"):
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(kind.split()[1]))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def psnr(clean: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal photographs."""
    error = float(np.mean((clean.astype(np.float64) - other) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")


def similarity(clean: np.ndarray, other: np.ndarray) -> float:
    """Return the mean structural similarity (Wang et al. 2004) of the channels."""
    return float(structural_similarity(clean, other, channel_axis=-1))


def treat(rgb: np.ndarray, method: str) -> tuple[Enhancement, float]:
    """Return what a method makes of a photograph, measurements included, and the seconds that it took."""
    mode = "off" if method == "untouched" else method
    started = time.process_time()
    result = enhance(rgb, mode=mode, before=measure(rgb))
    return result, time.process_time() - started


def main() -> None:
    """Print the table, and write the figures of each photograph if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=Path, help="file with the stems of the photographs to use")
    parser.add_argument("--images", type=int, help="use only the first so many")
    parser.add_argument("--degradations", nargs="+", choices=DEGRADATIONS, default=DEGRADATIONS, metavar="KIND")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument("--json", type=Path, help="write one JSON object per photograph, degradation and method")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(file for file in arguments.folder.iterdir() if file.is_file())
    if arguments.names:
        wanted = set(arguments.names.read_text().split())
        files = [file for file in files if file.stem in wanted]
    files = files[: arguments.images]
    if not files:
        sys.exit(f"no photographs in {arguments.folder}")

    rows = []
    for number, file in enumerate(files):
        clean = decode(file.read_bytes()).rgb
        for kind in arguments.degradations:
            degraded = degrade(clean, kind, np.random.default_rng([number, DEGRADATIONS.index(kind)]))
            for method in arguments.methods:
                result, seconds = treat(degraded, method)
                rows.append(
                    {
                        "image": file.stem,
                        "degradation": kind,
                        "method": method,
                        "psnr": psnr(clean, result.rgb),
                        "ssim": similarity(clean, result.rgb),
                        "touched": result.accepted,
                        "reverted": bool(result.operations) and not result.accepted,
                        "megapixels": clean.shape[0] * clean.shape[1] / 1e6,
                        "seconds": seconds,
                    }
                )
        print(f"\r{number + 1} of {len(files)} photographs", end="", file=sys.stderr)
    print(file=sys.stderr)
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print_table(rows, arguments.degradations, arguments.methods)


def print_table(rows: list[dict], kinds: list[str], methods: list[str]) -> None:
    """Print the means of all photographs as Markdown."""

    def column(kind: str, method: str, name: str) -> np.ndarray:
        return np.array([row[name] for row in rows if (row["degradation"], row["method"]) == (kind, method)])

    print("| |", " | ".join(kinds), "|")
    print("|---|" + "---|" * len(kinds))
    for method in methods:
        cells = []
        for kind in kinds:
            decibels = column(kind, method, "psnr")
            # Untouched clean photographs have an infinite ratio: the mean is over those that were touched.
            finite = decibels[np.isfinite(decibels)]
            mean = f"{finite.mean():.2f}" if finite.size else "inf"
            cells.append(f"{mean} / {column(kind, method, 'ssim').mean():.3f}")
        print(f"| {method} |", " | ".join(cells), "|")
    if {"auto", "untouched"} <= set(methods):
        touched, worse, reverted = [], [], []
        for kind in kinds:
            is_touched = column(kind, "auto", "touched")
            is_worse = column(kind, "auto", "psnr") < column(kind, "untouched", "psnr")
            touched.append(f"{int(is_touched.sum())} of {is_touched.size}")
            worse.append(f"{int((is_touched & is_worse).sum())}")
            reverted.append(f"{int(column(kind, 'auto', 'reverted').sum())}")
        print("| touched by auto |", " | ".join(touched), "|")
        print("| of these, came out worse |", " | ".join(worse), "|")
        print("| reverted by the gate |", " | ".join(reverted), "|")
    for method in methods:
        speeds = [column(kind, method, "megapixels").sum() / column(kind, method, "seconds").sum() for kind in kinds]
        print(f"| {method}, MP/s |", " | ".join(f"{speed:.1f}" for speed in speeds), "|")


if __name__ == "__main__":
    main()
