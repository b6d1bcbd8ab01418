"""``run`` with every root in a bucket: the same manifests as on folders, also when the storage fails on the way."""

import shutil
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from werkzeug.wrappers import Request, Response

from tests.pipeline.test_after_a_retrain import BROKEN, OTHERS, PHOTOS
from tests.s3_server import BUCKET, S3Server, error
from tests.tcp_proxy import TcpProxy
from tounum_tasks.cli.main import main
from tounum_tasks.manifest.schema import ITEM_COLUMNS
from tounum_tasks.store import objects as object_storage
from tounum_tasks.store.open import open_storage

URIS = ("original_uri", "destination_uri", "features_uri", "attention_uri")
OUTAGE_SECONDS = 6


@pytest.fixture(scope="module")
def batch(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "Box"
    for name in (*PHOTOS, *OTHERS, *BROKEN):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(sample / name, folder / name)
    (folder / "_READY").touch()
    return folder


@pytest.fixture(scope="module")
def expected(batch: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What an undisturbed run on folders publishes."""
    root = tmp_path_factory.mktemp("folders")
    shutil.copytree(batch, root / "ingest" / "Box", copy_function=shutil.copy2)
    assert run(str(root)) == 0
    return rows(str(root))


def run(root: str) -> int:
    return main(
        [
            "run", "--ingest", f"{root}/ingest", "--lake", f"{root}/lake", "--non-photos", f"{root}/non_photos",
            "--quarantine", f"{root}/quarantine", "--max-failure-rate", "1",
        ]
    )  # fmt: skip


def deliver(batch: Path, root: str) -> None:
    ingest = open_storage(f"{root}/ingest")
    for path in sorted(batch.rglob("*"), key=lambda path: path.name == "_READY"):
        if path.is_file():
            ingest.write_bytes(f"Box/{path.relative_to(batch)}", path.read_bytes())


def rows(root: str) -> pd.DataFrame:
    """What describes the items, with nothing of ours: where things lie is told below the root.

    The id of a batch holds a hash of the times at which its files arrived, which a bucket decides itself.
    """
    table = pd.read_parquet(f"{root}/lake/manifests")[list(ITEM_COLUMNS)].sort_values(["source_path", "page"])
    (batch_id,) = set(table.batch_id)
    prefix = root if "://" in root else f"file://{root}"
    for column in URIS:
        table[column] = table[column].str.removeprefix(prefix).str.replace(batch_id, "ID")
    return table.drop(columns="batch_id").reset_index(drop=True)


def test_every_root_in_a_bucket(batch: Path, expected: pd.DataFrame, s3: S3Server) -> None:
    root = f"s3://{BUCKET}/all"
    deliver(batch, root)
    assert run(root) == 0
    found = rows(root)
    pd.testing.assert_frame_equal(found, expected)
    assert open_storage(f"{root}/ingest").list_folder() == []
    for uri in found.destination_uri:
        assert open_storage(root).exists(uri.removeprefix("/").replace("ID", batch_id(root)))
    pages = [entry.name for entry in open_storage(f"{root}/lake").list_folder("reports")]
    assert pages
    before = manifests(root)
    assert run(root) == 0
    assert manifests(root) == before


def batch_id(root: str) -> str:
    (found,) = set(pd.read_parquet(f"{root}/lake/manifests").batch_id)
    return found


def manifests(root: str) -> dict[str, bytes]:
    lake, found = open_storage(f"{root}/lake"), {}
    for top in ("manifests", "manifests_history"):
        for day in lake.list_folder(top):
            for batch in lake.list_folder(f"{top}/{day.name}"):
                for file in lake.list_folder(path := f"{top}/{day.name}/{batch.name}"):
                    found[f"{path}/{file.name}"] = lake.read_bytes(f"{path}/{file.name}")
    return found


def test_throttled_and_away_for_a_while(
    batch: Path, expected: pd.DataFrame, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm of 503 all along, and twice the wire is cut: in the middle of intake, and of publishing."""
    root = f"s3://{BUCKET}/all"
    deliver(batch, root)
    wire = TcpProxy(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
    object_storage._connect.cache_clear()
    numbers, outages = iter(range(10**6)), {"/originals/": 0.0, "/manifests_history/": 0.0}

    def away(place: str) -> None:
        began = time.monotonic()
        wire.cut()
        time.sleep(OUTAGE_SECONDS)
        wire.mend()
        outages[place] = time.monotonic() - began

    def disturb(request: Request, done: bool) -> Response | None:
        place = next((place for place in outages if place in request.path), None)
        if place and not outages[place] and request.method == "PUT":
            outages[place] = -1
            threading.Thread(target=away, args=(place,)).start()
        return error(503, "SlowDown") if not done and next(numbers) % 4 == 0 else None

    with s3.disturbed(disturb):
        assert run(root) == 0
    object_storage._connect.cache_clear()
    assert min(outages.values()) >= OUTAGE_SECONDS
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    pd.testing.assert_frame_equal(rows(root), expected)
    assert {path.rpartition("/")[2] for path in manifests(root)} == {"manifest.parquet", "1.parquet"}


def test_a_storage_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    batch: Path,
    expected: pd.DataFrame,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = f"s3://{BUCKET}/all"
    deliver(batch, root)
    gone: list[bool] = []

    def full_from_the_second_photo(request: Request, done: bool) -> Response | None:
        if request.method == "PUT" and "/photos/" in request.path:
            gone.append(True)
        return error(507, "InsufficientStorage") if len(gone) > 2 and request.method == "PUT" else None

    with s3.disturbed(full_from_the_second_photo):
        assert run(root) == 2
    assert "No space is left for s3://" in capsys.readouterr().err
    assert run(root) == 0
    pd.testing.assert_frame_equal(rows(root), expected)
