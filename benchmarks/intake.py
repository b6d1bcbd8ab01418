"""How many files a second intake takes in: one after the other, and side by side as the settings have it.

    python -m benchmarks.intake [--files N] [--rounds N] [--s3 MILLISECONDS]

Both ways copy the same drawn batch in turns; the ratio is that of the medians. With ``--s3`` every root is in a store
on this machine (moto, in a process of its own) that takes so long for each request besides its own time.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from tounum_tasks.intake.take_in import take_in
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.store.open import open_storage

DATE = "2026-03-01"


def main() -> None:
    """Draw, take in, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500, metavar="N", help="default: 500")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--s3", type=float, metavar="MS", help="in a store that takes so long a request")
    arguments = parser.parse_args()
    server = _store(arguments.s3 / 1000) if arguments.s3 is not None else None
    ways = {"one by one": 1, "side by side": load_settings().files_at_once}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for way, at_once in ways.items():
                root = f"s3://archive/{way.replace(' ', '-')}-{number}" if server else f"{folder}/{way} {number}"
                rates[way].append(arguments.files / _seconds(root, arguments.files, at_once))
    if server:
        server.terminate()
    for way, found in rates.items():
        print(f"{way} ({ways[way]}): {statistics.median(found):.0f} files a second")
    one, many = (statistics.median(found) for found in rates.values())
    print(f"ratio {many / one:.1f}")


def _seconds(root: str, files: int, at_once: int) -> float:
    settings = Settings(ingest_root=f"{root}/ingest", lake_root=f"{root}/lake", non_photos_root=f"{root}/non_photos",
                        quarantine_root=f"{root}/quarantine", min_free_gib=0, files_at_once=at_once)  # fmt: skip
    ingest, lake = open_storage(settings.ingest_root, untrusted=True), open_storage(settings.lake_root)
    rng = np.random.default_rng(0)
    for number in range(files):
        picture = cv2.resize(rng.integers(0, 256, (12, 12, 3), np.uint8), (300, 300))
        ingest.write_bytes(f"Box/{number:05}.png", cv2.imencode(".png", picture)[1].tobytes())
    ingest.write_bytes("Box/_READY", b"")
    if "://" not in root:
        os.sync()
    begun = time.perf_counter()
    taken = take_in(ingest, lake, DATE, settings)
    seconds = time.perf_counter() - begun
    assert len(taken.batches) == 1, taken
    return seconds


def _store(delay: float) -> multiprocessing.Process:
    """Start the store, and let this process know where it is."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(delay, theirs), daemon=True)
    process.start()
    os.environ.update(ours.recv())
    return process


def _serve(delay: float, tell: Connection) -> None:
    from tests.s3_server import S3Server

    server = S3Server()
    server.empty()

    def late(request: object, done: bool) -> None:
        if not done:
            time.sleep(delay)

    with server.disturbed(late):
        tell.send(server.environment())
        while Path("/proc", str(os.getppid())).exists():
            time.sleep(1)


if __name__ == "__main__":
    main()
