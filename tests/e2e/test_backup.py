"""An installation is lost, and restored from its backup as the documentation says; the nights go on.

Runs are made by ``airflow dags test``: the same tasks on the same database, without a scheduler.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.e2e.airflow_installation import DAG, image_file
from tounum_airflow.local.installation import LocalAirflow

pytestmark = pytest.mark.e2e

SCANNED_AT = 1_767_225_600
BUCKETS = ("lake", "non_photos", "quarantine")
FILES = {"a.png": image_file(101), "b.png": image_file(102), "c.jpg": b"no image at all"}


class Installation:
    """One folder with everything in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        roots = {name: folder / name for name in ("ingest", *BUCKETS)}
        for root in roots.values():
            root.mkdir(parents=True, exist_ok=True)
        self.ingest, self.lake = roots["ingest"], roots["lake"]
        variables = {f"TOUNUM_{name.upper()}_ROOT": str(root) for name, root in roots.items()}
        self.airflow = LocalAirflow(
            folder / "airflow",
            workdir=folder,
            # `airflow dags test` cannot make runs of a DAG that has a deadline.
            environment={**variables, "TOUNUM_MAX_FAILURE_RATE": "0.5", "TOUNUM_DEADLINE_HOURS": "0"},
        )

    def deliver(self, batch: str, files: dict[str, bytes]) -> None:
        """Put a batch into ingest as a copy does that keeps the times of files."""
        (self.ingest / batch).mkdir()
        for name, content in {**files, "_READY": b""}.items():
            (self.ingest / batch / name).write_bytes(content)
            os.utime(self.ingest / batch / name, (SCANNED_AT, SCANNED_AT))

    def run(self, **conf: str) -> None:
        self.airflow.airflow("dags", "test", DAG, "--conf", json.dumps(conf), timeout=900)

    @property
    def runs(self) -> list[str]:
        """The states of all runs that Airflow remembers."""
        with sqlite3.connect(self.folder / "airflow" / "airflow.db") as database:
            return [state for (state,) in database.execute("select state from dag_run order by id")]

    @property
    def rows(self) -> pd.DataFrame:
        return pd.read_parquet(self.lake / "manifests").sort_values(["batch_name", "source_path"])

    @property
    def versions(self) -> dict[str, list[str]]:
        """The versions of each batch's manifest, by the batch's name."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.lake.glob("manifests_history/*/*/*.parquet")):
            found.setdefault(path.parent.name.rpartition("-")[0], []).append(path.stem)
        return found

    def back_up(self, target: Path) -> None:
        """While no run is active: database, secrets, buckets."""
        for bucket in BUCKETS:
            shutil.copytree(self.folder / bucket, target / bucket, ignore=shutil.ignore_patterns("stages"))
        (target / "airflow").mkdir()
        for name in ("secrets.json", "passwords.json"):
            shutil.copy2(self.folder / "airflow" / name, target / "airflow" / name)
        with (
            sqlite3.connect(self.folder / "airflow" / "airflow.db") as database,
            sqlite3.connect(target / "airflow" / "airflow.db") as copy,
        ):
            database.backup(copy)


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation with one night behind it, lost and restored into an empty folder."""
    place = tmp_path_factory.mktemp("backup")
    lost = Installation(place / "installation")
    lost.airflow.prepare()
    lost.airflow.airflow("connections", "add", "tounum_notify", "--conn-type", "http", "--conn-password", "/a-secret")
    lost.deliver("box", FILES)
    lost.run()
    lost.back_up(place / "copy")
    lost.airflow.stop()
    shutil.rmtree(lost.folder)

    shutil.copytree(place / "copy", lost.folder)
    found = Installation(lost.folder)
    found.airflow.prepare()
    yield found
    found.airflow.stop()


def test_the_nights_go_on_after_a_restore(restored: Installation) -> None:
    assert restored.runs == ["success"]
    before = restored.rows
    assert before["status"].to_list() == ["ok", "ok", "quarantined"]
    shown = restored.airflow.airflow("connections", "get", "tounum_notify", "--output", "json")
    assert "/a-secret" in shown  # the key that it is encrypted with was restored as well

    # The next night: the same delivery comes once more by mistake, beside a new one, and enhancement is switched off.
    restored.deliver("box", FILES)
    restored.deliver("new", {"d.png": image_file(103)})
    restored.run(enhancement="off")
    assert restored.runs == ["success", "success"]
    assert restored.versions == {"box": ["1", "2"], "new": ["1"]}  # its history goes on where it was
    assert not list(restored.ingest.iterdir())
    rows = restored.rows
    assert rows["source_path"].to_list() == ["a.png", "b.png", "c.jpg", "d.png"]
    assert rows["batch_id"].to_list()[:3] == before["batch_id"].to_list()
    originals = [path for path in restored.lake.glob("originals/**/*") if path.is_file()]
    assert len(originals) == len(rows)
