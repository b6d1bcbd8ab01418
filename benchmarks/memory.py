"""Peak memory and time of ``python -m tounum_tasks run`` for batches of several sizes.

    python benchmarks/memory.py IMAGES... [--counts N...] [--scans N] [--json FILE]

Images are spread evenly over all files below IMAGES. ``--scans`` adds pages such as a 300-dpi A3 scanner delivers:
17 megapixels, in colour, noisy, as TIFF and as JPEG in turn. The peak is that of the largest process (Linux, macOS).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.cli.items import find_files
from tounum_tasks.errors import TounumError
from tounum_tasks.images.pages import detect_format

REPOSITORY = Path(__file__).resolve().parent.parent
A3_AT_300_DPI = (4961, 3508)
# ru_maxrss counts KiB on Linux and bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> int:
    """Run every batch size in a process of its own and print one line each."""
    arguments = _parse()
    try:
        files = [file for file in find_files(arguments.images) if _is_image(file)]
    except TounumError as error:
        print(f"memory.py: {error}", file=sys.stderr)
        return 2
    print(f"{'images':>7}{'scans':>7}{'rows':>7}{'ok':>7}{'seconds':>9}{'images/s':>10}{'peak MiB':>10}{'exit':>6}")
    results = []
    for count in arguments.counts:
        chosen = [files[index * len(files) // count] for index in range(min(count, len(files)))]
        found = measure(chosen, arguments.scans)
        results.append(found)
        rate = found["images"] / found["seconds"]
        print(
            f"{found['images']:>7}{found['scans']:>7}{found['rows']:>7}{found['ok']:>7}{found['seconds']:>9.0f}"
            f"{rate:>10.1f}{found['peak_mib']:>10.0f}{found['exit_code']:>6}",
            flush=True,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="image or folder (searched to any depth)")
    parser.add_argument("--counts", type=int, nargs="+", default=[300, 3000], help="batch sizes (default: 300 3000)")
    parser.add_argument("--scans", type=int, default=0, help="A3 scans in every batch beside the images (default: 0)")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    return parser.parse_args()


def _is_image(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            detect_format(opened.read(4096))
    except TounumError:
        return False
    return True


def measure(images: list[Path], scans: int) -> dict[str, float]:
    """Put a batch together, run the pipeline on it, and return rows, seconds and the peak of resident memory."""
    with tempfile.TemporaryDirectory(prefix="tounum-memory-") as scratch:
        batch, lake = Path(scratch, "ingest", "batch"), Path(scratch, "lake")
        batch.mkdir(parents=True)
        for number, image in enumerate(images):
            shutil.copy(image, batch / f"{number:05d}{image.suffix}")
        for number in range(scans):
            _write_scan(batch, images, number)
        (batch / "_READY").touch()
        command = [sys.executable, "-m", "tounum_tasks", "run", "--ingest", str(batch.parent), "--lake", str(lake)]
        started = time.monotonic()
        with Path(scratch, "log").open("w") as log:
            process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        manifests = list(lake.glob("manifests/*/*/manifest.parquet"))
        if not manifests:
            sys.exit("The run published nothing; the end of its log:\n" + Path(scratch, "log").read_text()[-3000:])
        tables = [pq.read_table(file, columns=["status"]) for file in manifests]
        states = pa.concat_tables(tables)["status"].to_pylist()
        return {
            "images": len(images),
            "scans": scans,
            "rows": len(states),
            "ok": states.count("ok"),
            "seconds": time.monotonic() - started,
            "peak_mib": usage.ru_maxrss * RSS_UNIT / 2**20,
            "exit_code": process.returncode,
        }


def _write_scan(batch: Path, images: list[Path], seed: int) -> None:
    """Write an A3 page: one of the images enlarged, with a margin and the noise of a scanner."""
    width, height = A3_AT_300_DPI
    with Image.open(images[seed % len(images)]) as picture:
        page = Image.new("RGB", (width, height), (250, 248, 242))
        page.paste(picture.convert("RGB").resize((width - 400, height - 400), Image.Resampling.BICUBIC), (200, 200))
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    pixels = Image.fromarray(np.clip(np.asarray(page) + noise, 0, 255).astype(np.uint8))
    if seed % 2:
        pixels.save(batch / f"scan{seed}.jpg", quality=92, dpi=(300, 300))
    else:
        pixels.save(batch / f"scan{seed}.tif", dpi=(300, 300))


if __name__ == "__main__":
    sys.exit(main())
