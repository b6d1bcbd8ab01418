"""A cluster is lost, and restored from its backup as documented; the nights go on (``make test-cluster``)."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, interrupted_by_signals
from tests.cluster.conftest import SHARD_SIZE, Delivery
from tests.cluster.native import LOOPBACK, NotInstalled, program_path
from tests.cluster.night import DAG, Night, cluster_settings
from tests.cluster.results import assert_same

pytestmark = pytest.mark.cluster

VOLUMES = ("lake", "non_photos", "quarantine")


def test_the_nights_go_on_after_a_restore(tmp_path: Path, small_delivery: Delivery) -> None:
    first, second = small_delivery.batches
    folder, copy = tmp_path / "cluster", tmp_path / "copy"
    with interrupted_by_signals():
        with _cluster(folder) as lost:
            night = Night(lost)
            night.unpause()
            _succeeds(night, [first])
            _airflow(lost, "connections", "add", "tounum_notify", "--conn-type", "http", "--conn-password", "/a-secret")
            _back_up(lost, copy)
        shutil.rmtree(folder)

        with _restored(folder, copy) as found:
            night = Night(found)
            assert [run["state"] for run in found.api.runs(DAG, run_type="manual")] == ["success"]
            # The key that it is encrypted with was restored as well.
            shown = _airflow(found, "connections", "get", "tounum_notify", "--output", "json")
            assert "/a-secret" in shown
            _succeeds(night, [first, second])  # the first one comes once more by mistake
            assert_same(night.archive, small_delivery.undisturbed)


def _cluster(folder: Path) -> Cluster:
    try:
        return Cluster(folder, settings=cluster_settings(TOUNUM_SHARD_SIZE=SHARD_SIZE))
    except NotInstalled as missing:
        pytest.skip(f"the cluster's services are not installed: {missing}")


def _succeeds(night: Night, batches: list[Path]) -> None:
    night.drop(batches)
    run = night.trigger()
    assert night.finish(run) == "success", night.states(run)


def _back_up(cluster: Cluster, copy: Path) -> None:
    copy.mkdir()
    shutil.copy2(cluster.folder / ".env", copy)
    (copy / "airflow.sql").write_text(_sql(cluster, "pg_dump"))
    for volume in VOLUMES:
        shutil.copytree(cluster.volumes / volume, copy / volume, ignore=shutil.ignore_patterns("stages", ".tmp"))


def _restored(folder: Path, copy: Path) -> Cluster:
    """A cluster in an empty folder that is about to start, with a copy's settings, database and volumes."""
    folder.mkdir()
    shutil.copy2(copy / ".env", folder)
    cluster = _cluster(folder)
    cluster.replicas("postgres")[0].start()
    try:
        cluster.wait_healthy("postgres-1")
        _sql(cluster, "psql", "--set", "ON_ERROR_STOP=1", text=(copy / "airflow.sql").read_text())
    except BaseException:
        cluster.stop()
        raise
    for volume in VOLUMES:
        shutil.copytree(copy / volume, cluster.volumes / volume, dirs_exist_ok=True)
    return cluster


def _sql(cluster: Cluster, *command: str, text: str = "") -> str:
    where = ["--host", LOOPBACK, "--port", str(cluster.ports.local["postgres"]), "--username", "tounum"]
    environment = {"PATH": program_path(), "PGPASSWORD": cluster.environment("postgres-1")["POSTGRES_PASSWORD"]}
    return _output([*command, *where, "tounum"], environment, text)


def _airflow(cluster: Cluster, *command: str) -> str:
    return _output(["airflow", *command], cluster.environment("scheduler-1"))


def _output(command: list[str], environment: dict[str, str], text: str = "") -> str:
    done = subprocess.run(
        command, env=environment, input=text, text=True, capture_output=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr}"
    return done.stdout
