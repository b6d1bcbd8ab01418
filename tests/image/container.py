"""Runs commands in an image's root as docker-compose.yaml would: same environment, user and limits, no network."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.compose import read_documents, read_env_file, read_services
from tests.conftest import REPOSITORY
from tounum_airflow.cluster import env_file

COMPOSE = REPOSITORY / "docker-compose.yaml"
SERVICE = "worker"
USER, GROUP = env_file.IMAGE_USER, 0
# In namespaces of its own; what is mounted goes with them. `root` is made read-only, tmpfs covers the rest.
ENTER = """
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
while [ "$1" != -- ]; do mount -t tmpfs tmpfs "$root$1"; shift; done; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups --bounding-set=-all --no-new-privs \
    env --ignore-environment --chdir=/opt/airflow "$@"
"""


@dataclass(frozen=True)
class Container:
    """An image's root with the environment and the writable folders of a service of docker-compose.yaml."""

    root: Path
    environment: dict[str, str]
    writable: list[str]

    @classmethod
    def of_service(cls, root: Path, secrets: Path) -> "Container":
        """Return a container of the worker; its secrets are written to a file that is not there yet."""
        assert env_file.main(["--file", str(secrets)]) == 0
        variables = read_env_file(secrets)
        environment = dict(read_services(COMPOSE, variables=variables)[SERVICE].environment)
        document = read_documents(COMPOSE, variables=variables)["services"][SERVICE]
        assert document["read_only"] and document["cap_drop"] == ["ALL"]
        path = "/opt/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return cls(root, {"PATH": path, **environment}, document["tmpfs"])

    def run(self, *command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Return what became of a command; nothing that it writes is there for the next one.

        Args:
            command: what to run, in /opt/airflow.
            given: its standard input.
        """
        enter = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-euc", ENTER, "sh", str(self.root)]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.run(
            [*enter, *self.writable, "--", *variables, *command],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "USER_ID": str(USER), "GROUP_ID": str(GROUP)},
            input=given,
            capture_output=True,
            check=False,
        )

    def output(self, *command: str, given: bytes = b"") -> str:
        """Return what a command prints; fail if it does."""
        done = self.run(*command, given=given)
        assert done.returncode == 0, f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:].decode()}"
        return done.stdout.decode()
