"""How long "more like this" takes: draws a lake of vectors, and asks.

    python -m benchmarks.search --images 1000000

Prints the time until the vectors are gathered from the lake and until they are mapped again, the time of a query, and
memory.
"""

import argparse
import hashlib
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tounum_tasks.search.likeness import open_likeness
from tounum_tasks.search.vectors import DIMENSIONS, SCHEMA, vectors_path
from tounum_tasks.store.open import open_storage
from tounum_tasks.tables import parquet_bytes

BATCH = 5_000
EXTRACTOR = "0123456789ab"


def main() -> None:
    """Draw, gather, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000, metavar="N", help="photographs (default: 1,000,000)")
    parser.add_argument("--queries", type=int, default=20, metavar="N", help="default: 20")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to draw (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(Path(folder), arguments.images, arguments.queries)


def measure(folder: Path, images: int, queries: int) -> None:
    """Print what a lake of so many photographs costs."""
    (folder / "lake").mkdir()
    lake = open_storage(str(folder / "lake"))
    for number, table in enumerate(draw(images)):
        lake.write_bytes(vectors_path("2026-01-31", f"batch-{number:06d}"), parquet_bytes(table))
    files = sum(path.stat().st_size for path in (folder / "lake").rglob("*.parquet"))
    print(f"{images:,} photographs in {-(-images // BATCH):,} batches, {files / 1e6:,.0f} MB in the lake")
    before = peak_mib()
    started = time.perf_counter()
    open_likeness(lake, folder / "cache")
    taken = time.perf_counter() - started
    print(f"gathered after a publication: {taken:.2f} s, memory +{peak_mib() - before:,.0f} MiB")
    started = time.perf_counter()
    found = open_likeness(lake, folder / "cache")
    print(f"mapped again: {1e3 * (time.perf_counter() - started):.1f} ms")
    copied = sum(path.stat().st_size for path in (folder / "cache").rglob("*.npy"))
    print(f"local copy: {copied / 1e6:,.0f} MB")
    seconds, processor = [], []
    for place in np.random.default_rng(1).integers(0, len(found), queries):
        started, computed = time.perf_counter(), time.process_time()
        found.like(found.image_ids[place].decode(), 60)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - computed)
    print(
        f"first query {1e3 * seconds[0]:.0f} ms, then median {1e3 * statistics.median(seconds[1:]):.0f} ms, "
        f"slowest {1e3 * max(seconds[1:]):.0f} ms; of processors {1e3 * statistics.median(processor):.0f} ms"
    )


def draw(images: int) -> Iterator[pa.Table]:
    """Yield batches of random vectors of length 1."""
    random = np.random.default_rng(0)
    for start in range(0, images, BATCH):
        numbers = range(start, min(start + BATCH, images))
        vectors = random.standard_normal((len(numbers), DIMENSIONS), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        rows = {
            "image_id": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
            "source_path": [f"{number}.jpg" for number in numbers],
            "page": [1] * len(numbers),
            "fingerprint": [hashlib.sha256(f"f{number}".encode()).hexdigest() for number in numbers],
            "extractor": [EXTRACTOR] * len(numbers),
            "vector": [vector.tobytes() for vector in vectors.astype("<f2")],
        }
        yield pa.table(rows, schema=SCHEMA)


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
