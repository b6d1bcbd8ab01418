"""What stands for containers here: the table, and that nothing outlives a container that is stopped."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.cluster import native
from tests.cluster.cluster import COMPOSE, Container, wait_until
from tests.cluster.compose import Service, read_env_file, read_services
from tests.conftest import REPOSITORY
from tounum_airflow.cluster import env_file

PORTS = native.Ports({"postgres": 1111, "redis": 2222, "api-server": 3333, "scheduler": 4444, "store": 5555})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Service]:
    path = tmp_path_factory.mktemp("env") / ".env"
    assert env_file.main(["--file", str(path)]) == 0
    return read_services(COMPOSE, variables=read_env_file(path), profiles=("s3",))


@pytest.mark.parametrize(
    ("service", "there", "here"),
    [
        ("worker", "redis://:secret@redis:6379/0", "redis://:secret@127.0.0.1:2222/0"),
        ("worker", "http://api-server:8080/execution/", "http://127.0.0.1:3333/execution/"),
        ("worker", "db+postgresql+psycopg2://u:p@postgres:5432/d", "db+postgresql+psycopg2://u:p@127.0.0.1:1111/d"),
        ("redis", "bind 0.0.0.0\nport 6379", "bind 127.0.0.1\nport 2222"),
        ("scheduler", "8974", "4444"),
        ("worker", "8974 images", "8974 images"),  # another service's port without its name is no address
    ],
)
def test_addresses_are_those_of_this_machine(service: str, there: str, here: str) -> None:
    assert PORTS.translate(service, there) == here


def test_every_port_of_the_file_is_in_the_table(services: dict[str, Service]) -> None:
    for service in services.values():
        for text in (*service.command, *service.environment.values(), *(service.health.test if service.health else ())):
            for name in services:
                assert f"{name}:" not in PORTS.translate(service.name, text).replace("redis://:", ""), text


def test_paths_are_folders_of_this_machine(services: dict[str, Service], tmp_path: Path) -> None:
    own, volumes = tmp_path / "own", tmp_path / "volumes"
    folders = native.folders_of(services["worker"], own, volumes, tmp_path)
    assert native.translate_paths("/data/lake", folders) == str(volumes / "lake")
    assert native.translate_paths("/data/logs/x:/opt/tounum/plugins", folders) == (
        f"{volumes}/logs/x:{REPOSITORY}/plugins"
    )
    assert native.translate_paths("/data/ingest", folders) == str(tmp_path / "data" / "ingest")
    assert native.translate_paths("/opt/airflow/cache", folders) == f"{own}/opt/airflow/cache"
    assert native.translate_paths("/database/x /mnt/data", folders) == "/database/x /mnt/data"


def test_every_image_is_known(services: dict[str, Service]) -> None:
    others = {service.image.partition(":")[0] for service in services.values()} - {"tounum"}
    assert others == native.NEEDED.keys() | {"minio/minio"}


def test_missing_program_is_named_with_its_package(
    services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "program_path", lambda: "/nowhere")
    with pytest.raises(native.NotInstalled, match=r"apt-get install postgresql .*redis-server"):
        native.check_installed(services)


FAMILY = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_nothing_outlives_a_container(services: dict[str, Service], how: str) -> None:
    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", FAMILY], start_new_session=True)

    container = Container("a", replace(services["worker"], name="a"), start)
    container.start()
    wait_until("all of them run", lambda: len(container.processes()) == 3)
    family = container.processes()
    getattr(container, how)()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
    assert not container.is_running and os.getpid() not in [process.pid for process in family]
