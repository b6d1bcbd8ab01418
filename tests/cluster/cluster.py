"""Starts the services of docker-compose.yaml as native processes and treats them as containers: stop, kill, pause."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.cluster import native, store
from tests.cluster.compose import Service, read_env_file, read_services
from tests.cluster.results import Archive, folders
from tests.cluster.roots import prefixes_of
from tests.conftest import REPOSITORY
from tests.disk import Disk
from tounum_airflow.cluster import env_file
from tounum_airflow.local.api import AirflowApi, ApiError
from tounum_airflow.local.startable import Startable

COMPOSE = REPOSITORY / "docker-compose.yaml"
FAST_RECOVERY = Path(__file__).parent / "fast_recovery.yaml"
START_SECONDS = 900  # one minute where nothing else runs
START_ATTEMPTS = 5
STOP_SECONDS = 20
RESTART_SECONDS = 1.0
DISK_SIZE = "16g"


class Container:
    """One replica of a service: a process with a session of its own, which all its descendants belong to."""

    def __init__(self, name: str, service: Service, start: Callable[[], subprocess.Popen]) -> None:
        self.name, self.service = name, service
        self._start = start
        self._process: subprocess.Popen | None = None
        self.is_wanted = False
        self.starts = 0

    def start(self) -> None:
        self._process = self._start()
        self.is_wanted = True
        self.starts += 1

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Return every process in the container. (Those of Postgres make sessions of their own.)"""
        if self._process is None:
            return []
        found = {process.pid: process for process in psutil.process_iter() if _session(process) == self._process.pid}
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            found |= {process.pid: process for process in [main, *main.children(recursive=True)]}
        return [process for process in found.values() if process.pid != os.getpid()]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process in the container."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """End everything in the container at once, as the kernel does with a container's first process."""
        while processes := [process for process in self.processes() if process.status() != psutil.STATUS_ZOMBIE]:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=STOP_SECONDS)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """Ask its first process to end, then end what is left."""
        self.is_wanted = False
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()


class Cluster(Startable):
    """The services of the file, below one folder, on loopback only.

    Args:
        folder: everything lies below it, but for the database's files, which root may not own.
        settings: lines of ``.env`` beside the generated secrets.
        profiles: of the file.
        files: overriding files after docker-compose.yaml.
        disks: volumes that are a disk of their own, which a fault can fill; plain folders where none may be mounted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        profiles: tuple[str, ...] = (),
        files: tuple[Path, ...] = (FAST_RECOVERY,),
        disks: tuple[str, ...] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        assert env_file.main(["--file", str(folder / ".env")]) == 0
        self.variables = {**read_env_file(folder / ".env"), **(settings or {})}
        self.services = read_services(COMPOSE, *files, variables=self.variables, profiles=profiles)
        native.check_installed(self.services)
        self.ports = native.Ports()
        self.volumes = folder / "volumes"
        self._disks = disks
        self.disks: dict[str, Disk] = {}
        self._foreign = Path(tempfile.mkdtemp(prefix="tounum-database-"))  # readable on its way by another user
        self._foreign.chmod(0o755)
        self.containers = {
            f"{service.name}-{number}": self._container(service, number)
            for service in self.services.values()
            for number in range(1, service.replicas + 1)
        }
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep_running, daemon=True)
        self._api: AirflowApi | None = None

    # What people have

    @property
    def archive(self) -> Archive:
        """What the cluster works on: folders, or prefixes of the store."""
        roots = [self.variables.get(f"TOUNUM_{name}_ROOT") for name in ("INGEST", "LAKE", "NON_PHOTOS", "QUARANTINE")]
        if not any(roots):
            return folders(self.volumes, self.folder / self.variables["TOUNUM_INGEST_DIR"])
        url = f"http://{native.LOOPBACK}:{self.ports.local['store']}"
        prefix = prefixes_of(url, self.variables["AWS_ACCESS_KEY_ID"], self.variables["AWS_SECRET_ACCESS_KEY"])
        return Archive(*map(prefix, roots))

    @property
    def base_url(self) -> str:
        return f"http://{native.LOOPBACK}:{self.ports.local['api-server']}"

    @property
    def api(self) -> AirflowApi:
        """The REST API, as the administrator."""
        if self._api is None:
            self._api = self.login("admin", self.variables["TOUNUM_ADMIN_PASSWORD"])
        return self._api

    def login(self, user: str, password: str) -> AirflowApi:
        return AirflowApi(self.base_url, user, password)

    def log_file(self, name: str) -> Path:
        return self.folder / "output" / f"{name}.log"

    # Start and stop

    def start(self) -> None:
        """Start each service when those that it depends on are as it wants them; return when all are healthy."""
        for name in self._disks:
            with contextlib.suppress(PermissionError):
                self.disks[name] = Disk(self.volumes / name, size=DISK_SIZE)
        self._keeper.start()
        waiting = dict(self.services)
        healthy: set[str] = set()
        deadline = time.monotonic() + START_SECONDS
        while waiting or not all(self._is_done(service, healthy) for service in self.services.values()):
            for name, service in list(waiting.items()):
                if all(self._fulfilled(other, how, healthy) for other, how in service.depends_on.items()):
                    for container in self.replicas(name):
                        if not container.is_running:
                            container.start()
                    del waiting[name]
            assert time.monotonic() < deadline, f"not healthy after {START_SECONDS} s: see {self.folder / 'output'}"
            self.check()
            time.sleep(0.5)

    def _fulfilled(self, name: str, condition: str, healthy: set[str]) -> bool:
        if condition == "service_completed_successfully":
            return all(container.exit_code == 0 for container in self.replicas(name))
        if condition == "service_started":
            return all(container.starts for container in self.replicas(name))
        assert condition == "service_healthy", condition
        return self._is_done(self.services[name], healthy)

    def _is_done(self, service: Service, healthy: set[str]) -> bool:
        containers = self.replicas(service.name)
        if service.health is None:
            return all(container.exit_code == 0 for container in containers)
        for container in containers:
            if container.name not in healthy and container.is_running and self.is_healthy(container.name):
                healthy.add(container.name)
        return healthy.issuperset(container.name for container in containers)

    def stop(self) -> None:
        """Stop every process of every container, and remove the database."""
        self._stopping.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        if self._api is not None:
            self._api.close()
        running = [container for container in self.containers.values() if container.starts]
        for container in running:  # a paused one cannot end
            container.send(signal.SIGCONT)
        stopping = [threading.Thread(target=container.stop) for container in reversed(running)]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        shutil.rmtree(self._foreign, ignore_errors=True)
        for disk in self.disks.values():
            disk.unmount()

    def check(self) -> None:
        """Fail if a container ends with an error again and again."""
        for container in self.containers.values():
            assert not (container.exit_code and container.starts >= START_ATTEMPTS), (
                f"{container.name} ended with {container.exit_code}:\n{_tail(self.log_file(container.name))}"
            )

    # Faults

    def replicas(self, service: str) -> list[Container]:
        return [container for container in self.containers.values() if container.service.name == service]

    def is_healthy(self, name: str) -> bool:
        """Run the file's health check of a container once."""
        container = self.containers[name]
        health = container.service.health
        assert health, f"{name} has no health check"
        command = [self._here(container, part) for part in native.health_of(container.service, list(health.test))]
        with self.log_file(name).open("ab") as log, contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command,
                env=self.environment(name),
                cwd=self._workdir(container.service, name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=health.timeout * 4,  # several start at once
                check=False,
            )
            return done.returncode == 0
        return False

    def kill(self, name: str) -> None:
        """End a container's processes by SIGKILL; the file's restart policy brings it back."""
        with self._lock:
            self.containers[name].kill()

    def wipe(self, name: str) -> None:
        """Kill a container, empty its volumes and let it start again."""
        with self._lock:
            container = self.containers[name]
            container.kill()
            for mount in container.service.mounts:
                shutil.rmtree(self.volumes / mount.source)
            self._make_folders(container.service, name)

    @contextlib.contextmanager
    def store_is(self, fault: str) -> Iterator[None]:
        """Context in which something is wrong with the store: ``store.AWAY``, ``THROTTLED`` or ``FULL``."""
        file = self.volumes / "store" / store.FAULT
        file.write_text(fault)
        try:
            yield
        finally:
            file.unlink()

    def wait_healthy(self, name: str) -> None:
        wait_until(f"{name} is healthy", lambda: self.containers[name].is_running and self.is_healthy(name))

    def cpu_seconds(self, *services: str) -> float:
        """Return the processor time that the services' processes have taken, the ended ones included."""
        total = 0.0
        for name in services:
            for process in (process for container in self.replicas(name) for process in container.processes()):
                with contextlib.suppress(psutil.Error):
                    total += sum(process.cpu_times()[:4])  # its own and that of its children that ended
        return total

    def listeners(self) -> set[tuple[str, str]]:
        """Return container and address of every socket that accepts connections."""
        found = set()
        for container in self.containers.values():
            for process in container.processes():
                with contextlib.suppress(psutil.Error):
                    for connection in process.net_connections(kind="inet"):
                        if connection.status == psutil.CONN_LISTEN:
                            found.add((container.name, connection.laddr.ip))
        return found

    def _keep_running(self) -> None:
        """Restart what ended, by the policy of each service."""
        while not self._stopping.wait(RESTART_SECONDS):
            with self._lock:
                for container in self.containers.values():
                    if not container.is_wanted or container.is_running or self._stopping.is_set():
                        continue
                    policy, _, limit = container.service.restart.partition(":")
                    failed = container.exit_code != 0
                    if policy in ("always", "unless-stopped") or (
                        policy == "on-failure" and failed and container.starts <= int(limit or 1000)
                    ):
                        container.kill()  # nothing outlives a container's first process
                        container.start()

    # Containers

    def _container(self, service: Service, number: int) -> Container:
        name = f"{service.name}-{number}"
        return Container(name, service, lambda: self._start(service, name))

    def _start(self, service: Service, name: str) -> subprocess.Popen:
        self._make_folders(service, name)
        environment = self.environment(name)
        container = self.containers[name]
        command = [self._here(container, part) for part in service.command]
        command = native.command_of(service, command, self._folders(service, name), environment)
        self.log_file(name).parent.mkdir(exist_ok=True)
        with self.log_file(name).open("ab") as log:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=self._workdir(service, name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a container's processes: the file's, and what Docker and the image add."""
        container = self.containers[name]
        given = {key: self._here(container, value) for key, value in container.service.environment.items()}
        added = {"PATH": native.program_path(), "HOSTNAME": name, "LANG": "C.UTF-8"}
        if container.service.name == "postgres":
            added["PGPORT"] = str(self.ports.local["postgres"])
        return {**added, **given}

    def _here(self, container: Container, text: str) -> str:
        text = self.ports.translate(container.service.name, text)
        return native.translate_paths(text, self._folders(container.service, container.name))

    def _folders(self, service: Service, name: str) -> dict[str, Path]:
        owned = native.owner_of(service)
        volumes = self._foreign if owned else self.volumes
        return native.folders_of(service, self.folder / "containers" / name, volumes, self.folder)

    def _make_folders(self, service: Service, name: str) -> None:
        for folder in self._folders(service, name).values():
            folder.mkdir(parents=True, exist_ok=True)

    def _workdir(self, service: Service, name: str) -> Path | None:
        return Path(self._folders(service, name)[service.working_dir]) if service.working_dir else Path("/")


def wait_until(what: str, condition: Callable[[], Any], *, seconds: float = START_SECONDS, every: float = 0.3) -> Any:
    """Return the condition's value as soon as it is true; Airflow may be out of reach meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        trouble = ""
        try:
            if value := condition():
                return value
        except (ApiError, httpx.TransportError) as error:
            trouble = f" ({error})"
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}{trouble}"
        time.sleep(every)


def _session(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getsid(process.pid)
    return None


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-25:])


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that nothing is left running."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
