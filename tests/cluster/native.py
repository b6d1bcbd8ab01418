"""What only containers have, and what stands for it where there are none; everything else comes from the file.

| in a container | here |
|---|---|
| an image of somebody else's | the program that Debian's package (or the test packages) installs: ``NEEDED`` |
| MinIO | ``tests/cluster/store.py``, which a test can make go away, throttle, or be full |
| `service:port`, a service's own port, all interfaces | 127.0.0.1 and a free port: ``PORTS`` |
| a mounted volume, the image's own folders | a folder below the cluster's: ``translate`` |
| the container's host name | ``HOSTNAME``, as Docker sets it, one for each replica |
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.compose import Service
from tests.conftest import REPOSITORY
from tounum_airflow.cluster import env_file, healthy

LOOPBACK = "127.0.0.1"
ALL_INTERFACES = "0.0.0.0"
# The ports on which the services listen in their containers.
PORTS = {"postgres": 5432, "redis": 6379, "api-server": 8080, "scheduler": 8974, "store": 9000}
# Folders of our image: where the code lies, and what every container has for itself.
CODE, OWN_FOLDERS = "/opt/tounum", ("/opt/airflow", "/data")
POSTGRES_USER = "postgres"
POSTGRES_DATA = "/var/lib/postgresql/data"


class NotInstalled(Exception):
    """A program is missing; the message says what to install."""


@dataclass(frozen=True)
class Ports:
    """A free port on loopback for each port of the table."""

    local: Mapping[str, int] = field(default_factory=lambda: dict(zip(PORTS, _free_ports(len(PORTS)), strict=True)))

    def translate(self, service: str, text: str) -> str:
        """Return ``text`` with the addresses of services, and the service's own port, as they are here."""
        for name, port in PORTS.items():
            text = re.sub(rf"\b{name}:{port}\b", f"{LOOPBACK}:{self.local[name]}", text)
        if service in PORTS:
            text = re.sub(rf"\b{PORTS[service]}\b", str(self.local[service]), text)
        return text.replace(ALL_INTERFACES, LOOPBACK)


def folders_of(service: Service, own: Path, volumes: Path, project: Path) -> dict[str, Path]:
    """Return which folder stands for each path of a container; the longest path that fits counts."""
    paths = {CODE: REPOSITORY, **{path: own / path.strip("/") for path in OWN_FOLDERS}}
    for mount in service.mounts:
        paths[mount.target] = volumes / mount.source if mount.is_volume else project / mount.source
    return dict(sorted(paths.items(), key=lambda entry: len(entry[0]), reverse=True))


def translate_paths(text: str, folders: Mapping[str, Path]) -> str:
    """Return ``text`` with the container's paths as they are here."""
    known = "|".join(re.escape(path) for path in folders)
    return re.sub(rf"(?<![\w./-])({known})(?![\w.-])", lambda match: str(folders[match[1]]), text)


def check_installed(services: Mapping[str, Service]) -> None:
    """Raise NotInstalled if a program that stands for an image is missing."""
    missing = {
        package
        for service in services.values()
        for program, package in NEEDED.get(_image(service), {}).items()
        if not _find(program)
    }
    if missing:
        raise NotInstalled(f"apt-get install {' '.join(sorted(missing))}")


def command_of(
    service: Service, command: list[str], folders: Mapping[str, Path], environment: dict[str, str]
) -> list[str]:
    """Return what to start for a service, after doing what its image does before that."""
    if _image(service) == "postgres":
        return _postgres(command, folders[POSTGRES_DATA], environment)
    if _image(service) == "minio/minio":
        environment["PYTHONPATH"] = str(REPOSITORY)
        return [sys.executable, "-m", "tests.cluster.store", *command]
    return command


def health_of(service: Service, test: list[str]) -> list[str]:
    """Return the health check as a command; that of the store is another program's."""
    if _image(service) == "minio/minio":
        return [sys.executable, healthy.__file__, "http://store:9000/"]
    kind, *command = test
    return command if kind == "CMD" else ["sh", "-c", *command]


NEEDED = {
    "postgres": {
        "postgres": "postgresql",
        "initdb": "postgresql",
        "pg_isready": "postgresql-client",
        "setpriv": "util-linux",
    },
    "redis": {"redis-server": "redis-server", "redis-cli": "redis-tools"},
}


def program_path() -> str:
    """Return PATH: our packages, then the system's, then Postgres, which Debian keeps apart."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    here = Path(sys.executable).parent
    return os.pathsep.join(map(str, [here, "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", *versions]))


def owner_of(service: Service) -> str | None:
    """Return the user that must own the service's folder; Postgres refuses to run as root."""
    return POSTGRES_USER if _image(service) == "postgres" and os.getuid() == 0 else None


def _postgres(command: list[str], data: Path, environment: dict[str, str]) -> list[str]:
    """Do what the image's entry point does: make the database cluster with its user and database, then start it."""
    become = []
    if os.getuid() == 0:
        become = ["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--init-groups"]
        shutil.chown(data, POSTGRES_USER, pwd.getpwnam(POSTGRES_USER).pw_gid)
    if not (data / "PG_VERSION").exists():
        user, database = environment["POSTGRES_USER"], environment["POSTGRES_DB"]
        password_file = data.with_name("password")
        env_file.write_private(password_file, environment["POSTGRES_PASSWORD"])
        if become:
            shutil.chown(password_file, POSTGRES_USER)
        options = ["--username", user, "--auth", "scram-sha-256", "--encoding", "UTF8", "--pwfile", str(password_file)]
        _run([*become, "initdb", "--pgdata", str(data), *options], environment)
        password_file.unlink()
        _run(
            [*become, "postgres", "--single", "-D", str(data), "template1"],
            environment,
            f'CREATE DATABASE "{database}"',
        )
    port = environment["PGPORT"]
    return [*become, *command, "-D", str(data), "-h", LOOPBACK, "-p", port, "-k", str(data)]


def _run(command: list[str], environment: dict[str, str], text: str = "") -> None:
    done = subprocess.run(
        command, env=environment, cwd="/", input=text, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stdout}{done.stderr}"


def _image(service: Service) -> str:
    return service.image.partition(":")[0]


def _find(program: str) -> str | None:
    return shutil.which(program, path=program_path())


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
