"""One cluster for all tests here, and what one process makes of the same batches."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, interrupted_by_signals
from tests.cluster.images import write_batches
from tests.cluster.native import NotInstalled
from tests.cluster.night import ROOTS_IN_STORE, Night, cluster_settings
from tests.cluster.results import Archive, run_in_one_process

IMAGES = int(os.environ.get("TOUNUM_CLUSTER_IMAGES", "40"))
FEW_IMAGES = 12
SHARD_SIZE = "20"


@dataclass(frozen=True)
class Delivery:
    """Batches, and what an undisturbed run in one process leaves of them."""

    batches: list[Path]
    undisturbed: Archive


def _delivery(folder: Path, *, images: int) -> Delivery:
    batches = write_batches(folder / "batches", images=images, batches=2)
    settings = cluster_settings(TOUNUM_SHARD_SIZE=SHARD_SIZE)
    return Delivery(batches, run_in_one_process(folder / "one process", batches, settings))


@pytest.fixture(scope="session")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    return _delivery(tmp_path_factory.mktemp("delivery"), images=IMAGES)


@pytest.fixture(scope="session")
def small_delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    return _delivery(tmp_path_factory.mktemp("small delivery"), images=FEW_IMAGES)


@pytest.fixture(scope="package", params=["folders"])  # gone before the tests of other folders begin
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with its roots in folders; for a test that asks for it, in the store."""
    on_store = request.param == "store"
    settings = cluster_settings(TOUNUM_SHARD_SIZE=SHARD_SIZE, **(ROOTS_IN_STORE if on_store else {}))
    disks = () if on_store else ("lake",)
    try:
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), settings=settings, profiles=("s3",), disks=disks)
    except NotInstalled as missing:
        pytest.skip(f"the cluster's services are not installed: {missing}")
    with interrupted_by_signals(), cluster:
        Night(cluster).unpause()
        yield cluster


@pytest.fixture
def night(cluster: Cluster) -> Night:
    night = Night(cluster)
    night.clear()
    return night
