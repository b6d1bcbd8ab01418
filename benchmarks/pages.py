"""The web pages over a large lake: how long its index takes, a page of each kind, and what Airflow feels of it.

::

    python -m benchmarks.pages draw DIR --rows 100000     a lake of drawn rows, without images
    python -m benchmarks.pages queries DIR                index it, time every kind of page
    python -m benchmarks.pages load DIR                   start the api-server over it: memory, /health under load
"""

import argparse
import datetime as dt
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa

from tounum_tasks.manifest.commit import commit_version, install_latest
from tounum_tasks.manifest.schema import CLASS_COLUMNS, SCHEMA, SCHEMA_VERSION
from tounum_tasks.search import query
from tounum_tasks.search.index import index_file, reading
from tounum_tasks.search.query import Filter
from tounum_tasks.search.refresh import refresh
from tounum_tasks.settings import Settings, load_settings
from tounum_tasks.store.open import open_storage
from tounum_tasks.thumbnails import thumbnail_path

ROWS_OF_A_BATCH = 250
FIRST_DAY = dt.date(2025, 1, 1)
BATCHES_OF_A_DAY = 4
NOUNS = [
    *("dog", "man", "woman", "child", "street", "snow", "house", "boat", "horse", "train", "bicycle", "church"),
    *("river", "tree", "table", "bridge", "soldier", "cow"),
]
VERBS = ["stands", "runs", "sits", "sleeps", "waits", "plays", "rides", "looks", "works", "leans"]
PLACES = ["field", "street", "beach", "room", "garden", "station", "harbour", "forest", "market", "yard"]
RARE = "zeppelin"
ROUNDS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    for name, action in (("draw", draw), ("queries", queries), ("load", load)):
        added = actions.add_parser(name)
        added.add_argument("folder", type=Path)
        added.add_argument("--rows", type=int, default=100_000)
        added.set_defaults(action=action)
    given = parser.parse_args()
    given.action(given.folder.absolute(), given.rows)


def settings_of(folder: Path) -> Settings:
    (folder / "lake").mkdir(parents=True, exist_ok=True)
    return load_settings(lake_root=str(folder / "lake"), index_cache=str(folder / "index"))


def draw(folder: Path, rows: int) -> None:
    """Write manifests of drawn rows, 250 a batch and four batches a night, through the real commit."""
    lake = open_storage(settings_of(folder).lake_root)
    for number in range(-(-rows // ROWS_OF_A_BATCH)):
        date = (FIRST_DAY + dt.timedelta(days=number // BATCHES_OF_A_DAY)).isoformat()
        size = min(ROWS_OF_A_BATCH, rows - number * ROWS_OF_A_BATCH)
        table = pa.Table.from_pylist(list(_rows(number, date, size)), schema=SCHEMA)
        commit_version(lake, table, version=1, expected_rows=size, run_id=f"drawn__{number}")
        install_latest(lake, date, f"batch-{number:010x}")
        if number % 200 == 0:
            print(f"{number * ROWS_OF_A_BATCH:,} of {rows:,} rows", flush=True)


def _rows(number: int, date: str, size: int) -> Iterator[dict]:
    random = np.random.default_rng(number)
    labels = list(CLASS_COLUMNS)
    for position in range(size):
        label = labels[int(random.choice(5, p=(0.1, 0.5, 0.1, 0.1, 0.2)))]
        confidence = float(round(random.beta(8, 1), 4))
        is_bad = random.random() < 0.01
        name = f"box {number % 97}/folder {position // 50}/IMG_{number:06d}_{position:04d}.tif"
        row = {
            "batch_id": f"batch-{number:010x}", "batch_date": date, "batch_name": f"Delivery {number}",
            "source_path": name, "page": 1, "pages": 1, "image_id": f"{number:032x}{position:032x}", "sha256": "0" * 64,
            "original_uri": f"file:///lake/originals/{date}/{name}", "bytes": 4_000_000, "run_id": f"drawn__{number}",
            "code_version": "0", "manifest_version": 1, "schema_version": SCHEMA_VERSION, "status": "ok",
            "format": "tiff", "width_px": 3000, "height_px": 2000, "seconds_measure_and_enhance": 0.4,
        }  # fmt: skip
        if is_bad:
            yield row | {"status": "quarantined", "error_code": "truncated", "error_message": "it ends too early"}
            continue
        others = dict.fromkeys(CLASS_COLUMNS.values(), (1 - confidence) / 4)
        row |= {
            "label": label, "confidence": confidence, **others, CLASS_COLUMNS[label]: confidence,
            "is_photo": label == "Photo", "needs_review": confidence < 0.7,
            "review_reasons": ["class"] if confidence < 0.7 else [],
            "quality_flags_before": [flag for flag in ("blurry", "noisy", "dark") if random.random() < 0.05],
        }  # fmt: skip
        if label == "Photo":
            noun, other = (NOUNS[int(random.zipf(1.5)) % len(NOUNS)] for _ in range(2))
            caption = f"A {noun} {VERBS[random.integers(10)]} beside a {other} in a {PLACES[random.integers(10)]}."
            if random.random() < 1e-4:
                caption = caption.replace(noun, RARE)
            row |= {"caption": caption, "caption_words": caption.split(), "caption_confidence": float(random.random())}
        yield row


def queries(folder: Path, rows: int) -> None:
    """Index the lake and time a page of 60 of every kind, and its processor time, which other work hardly changes."""
    settings = settings_of(folder)
    path = index_file(settings.index_cache, settings.lake_root)
    begun = time.perf_counter()
    done = refresh(settings)
    print(f"index: {time.perf_counter() - begun:.1f} s for {done}, {path.stat().st_size / 1e6:.0f} MB", flush=True)
    begun = time.perf_counter()
    refresh(settings)
    print(f"nothing new: {time.perf_counter() - begun:.2f} s")
    time_pages(path)
    print(f"memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def time_pages(path: Path) -> None:
    """Print how long a page of every kind takes over an index."""
    print("| page of 60 | median ms | worst ms | processor ms |\n|---|---|---|---|")
    with reading(path) as index:
        nights = [night["batch_date"] for night in index.execute("SELECT DISTINCT batch_date FROM batches ORDER BY 1")]
        middle = index.execute(
            "SELECT id FROM items ORDER BY id LIMIT 1 OFFSET (SELECT sum(items) * 2 / 5 FROM batches)"
        )
        after = middle.fetchone()["id"]
    last, most = nights[-1], (nights[len(nights) // 10], nights[-len(nights) // 10])
    three = ("class:Photo", "review", "flag:blurry")
    five = ("status:ok", "route:photos", "class:Photo", "review", "reason:class")
    kinds: dict[str, tuple[Filter, int | None]] = {
        "newest": (Filter(), None),
        "one night": (Filter(last, last), None),
        "class": (Filter(tags=("class:Sketch",)), None),
        "class and to review": (Filter(tags=("class:Sketch", "review")), None),
        "three tags": (Filter(tags=three), None),
        "five tags": (Filter(tags=five), None),
        "five tags, most nights": (Filter(*most, tags=five), None),
        "two tags that never meet": (Filter(tags=("class:Sketch", "status:quarantined")), None),
        "frequent word": (Filter(text="dog"), None),
        "rare word": (Filter(text=RARE), None),
        "beginning of a word": (Filter(text="zepp"), None),
        "phrase": (Filter(text='"dog runs beside"'), None),
        "file name": (Filter(text="IMG_000123_0007.tif"), None),
        "word and class": (Filter(text="dog", tags=("review",)), None),
        "word and five tags": (Filter(text="dog", tags=five), None),
        "word of half and three tags": (Filter(text="photo", tags=three), None),
        "word of half and another class": (Filter(text="photo", tags=("class:Sketch",)), None),
        "word of all": (Filter(text="delivery"), None),
        "40 % down": (Filter(), after),
        "40 % down, class": (Filter(tags=("class:Text",)), after),
        "least sure first": (Filter(sort="unsure"), None),
        "least sure first, class": (Filter(sort="unsure", tags=("class:Schematics",)), None),
        "least sure first, one night": (Filter(last, last, sort="unsure"), None),
        "least sure first, three tags": (Filter(sort="unsure", tags=three), None),
        "least sure first, five tags, most nights": (Filter(*most, sort="unsure", tags=five), None),
        "least sure first, word": (Filter(text="dog", sort="unsure"), None),
        "least sure first, word and five tags": (Filter(text="dog", sort="unsure", tags=five), None),
        "least sure first, word of all": (Filter(text="delivery", sort="unsure"), None),
        "least sure caption first": (Filter(sort="caption"), None),
    }
    for name, (wanted, begin) in kinds.items():
        _time(path, name, lambda index, w=wanted, b=begin: (query.page(index, w, 61, after=b), query.count(index, w)))
    _time(path, "nights", lambda index: query.nights(index, 30))
    _time(path, "facets", lambda index: query.facets(index, Filter()))
    _time(path, "facets of a year", lambda index: query.facets(index, Filter("2025-01-01", "2025-12-31")))


def _time(path: Path, name: str, ask: Callable) -> None:
    times, processor = [], []
    for _ in range(ROUNDS):
        begun, busy = time.perf_counter(), time.thread_time()
        with reading(path) as index:  # as a request does: the connection is a part of it
            ask(index)
        times.append(1000 * (time.perf_counter() - begun))
        processor.append(1000 * (time.thread_time() - busy))
    middle = statistics.median
    print(f"| {name} | {middle(times):.1f} | {max(times):.1f} | {middle(processor):.1f} |", flush=True)


def load(folder: Path, rows: int) -> None:
    """Start an api-server over the lake; ask for 60 images a second and pages, and see what /health takes."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.browser.airflow import airflow_over, passwords

    site = airflow_over(folder)
    site.prepare()
    site.launch("api-server")
    try:
        _wait(f"{site.base_url}/api/v2/version")
        login = {"username": "vera", "password": passwords(site)["vera"]}
        token = httpx.post(f"{site.base_url}/auth/token", json=login, timeout=60).json()["access_token"]
        client = httpx.Client(base_url=site.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        server = next(p for p in psutil.process_iter() if str(site.port) in " ".join(p.cmdline()))
        for _ in range(5):
            for own in ("/api/v2/dags", "/api/v2/plugins", "/api/v2/dags/tounum_nightly/dagRuns", "/ui/auth/menus"):
                client.get(own).raise_for_status()
        before = _memory(server)
        while "Reading the manifests" in client.get("/tounum/gallery", headers={"Accept": "text/html"}).text:
            time.sleep(2)
        pages = [
            "/tounum/gallery",
            "/tounum/nights",
            "/tounum/gallery?q=dog",
            "/tounum/gallery?class=Sketch&review=yes",
        ]
        for page in pages * 5:
            client.get(page).raise_for_status()
        print(f"api-server: {before:.0f} MiB before the pages, {_memory(server):.0f} MiB after", flush=True)
        _under_load(site.base_url, client, pages, _image(folder))
        print(f"api-server after the load: {_memory(server):.0f} MiB")
    finally:
        site.stop()


def _under_load(base_url: str, client: httpx.Client, pages: list[str], image: str) -> None:
    stop, answered = threading.Event(), []

    def ask(number: int) -> None:
        while not stop.is_set():
            begun = time.perf_counter()
            client.get(pages[len(answered) % len(pages)] if number == 0 else image)
            answered.append(time.perf_counter() - begun)
            stop.wait(max(0.0, 0.1 - (time.perf_counter() - begun)))  # six askers, ten a second each

    askers = [threading.Thread(target=ask, args=(number,)) for number in range(7)]
    for asker in askers:
        asker.start()
    health = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < 30:
        once = time.perf_counter()
        httpx.get(f"{base_url}/api/v2/monitor/health", timeout=60)
        health.append(1000 * (time.perf_counter() - once))
        time.sleep(0.2)
    stop.set()
    for asker in askers:
        asker.join()
    p95 = statistics.quantiles(health, n=20)[-1]
    print(
        f"{len(answered) / 30:.0f} answers a second; /health: median {statistics.median(health):.0f}, p95 {p95:.0f} ms"
    )


def _image(folder: Path) -> str:
    """Put a thumbnail into the lake, of the usual size, and return its address."""
    image_id = "0" * 64
    lake = open_storage(settings_of(folder).lake_root)
    lake.write_bytes(thumbnail_path(image_id), bytes(14_000))
    return f"/tounum/thumbnail/{image_id}?date={FIRST_DAY}&batch=batch-{0:010x}"


def _memory(worker: psutil.Process) -> float:
    """MiB of the worker itself; ``queries`` says what the process takes that makes the index now and then."""
    return worker.memory_info().rss / 2**20


def _wait(address: str) -> None:
    for _ in range(120):
        try:
            httpx.get(address, timeout=5)
            return
        except httpx.HTTPError:
            time.sleep(1)
    raise SystemExit("The api-server did not start.")


if __name__ == "__main__":
    main()
