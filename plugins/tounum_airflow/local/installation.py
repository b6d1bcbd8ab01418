"""Sets up, starts and stops an Airflow that keeps everything below one folder and listens on loopback only."""

import contextlib
import fcntl
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import IO

import httpx
import psutil

from tounum_airflow.local.api import AirflowApi
from tounum_airflow.local.startable import Startable
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.settings import load_settings

PROJECT = Path(__file__).resolve().parents[3]
USER = "admin"
LOOPBACK = "127.0.0.1"
START_SECONDS = 180
STOP_SECONDS = 20
# Without these each component serves its task logs on all interfaces; the API server reads the files itself.
COMPONENTS = {
    "api-server": ["api-server", "--host", LOOPBACK, "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
TRIGGERER = "triggerer"


class LocalAirflow(Startable):
    """One installation: a scheduler with LocalExecutor on SQLite, DAG processor, triggerer and API server.

    Args:
        home: folder of Airflow's own state; created, readable by its owner only.
        workdir: where the components run; relative roots of the settings and ``.env`` are looked up here.
        port: of the web UI and API; None takes any free one.
        environment: variables on top of this process's own.
        dag_id: the DAG that must have been read before a start counts as complete.
        defers_later: leave the triggerer, which takes seconds to start and to stop, until :meth:`serve_deferred`.
    """

    def __init__(
        self,
        home: Path,
        *,
        workdir: Path,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        dag_id: str = "tounum_nightly",
        defers_later: bool = False,
    ) -> None:
        for path in (home, PROJECT):
            if re.search(r"[:?#\n]", str(path)):
                raise ConfigurationError(
                    f"Airflow cannot work in a folder whose path holds ':', '?' or '#': move {path}."
                )
        self.home = home.absolute()
        self.workdir = workdir
        self.port = port or _free_port()
        self.dag_id = dag_id
        self._from_start = [name for name in COMPONENTS if not (defers_later and name == TRIGGERER)]
        self._extra = dict(environment or {})
        self._lock: IO[str] | None = None
        self._processes: dict[str, subprocess.Popen] = {}
        self._sessions: set[int] = set()
        self._api: AirflowApi | None = None

    @property
    def base_url(self) -> str:
        """Address of the web UI."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api(self) -> AirflowApi:
        """The REST API, logged in as the administrator."""
        if self._api is None:
            self._api = AirflowApi(self.base_url, USER, self.password)
        return self._api

    @property
    def password(self) -> str:
        """The generated password of the web UI's only user."""
        return json.loads(self.passwords_file.read_text())[USER]

    @property
    def passwords_file(self) -> Path:
        """Where the password is kept, readable by the owner only."""
        return self.home / "passwords.json"

    def log_file(self, component: str) -> Path:
        """Where a component's own output goes."""
        return self.home / "logs" / f"{component}.log"

    def environment(self) -> dict[str, str]:
        """Return the environment of every process: nothing is written outside ``home`` and the settings' roots."""
        cache = self.home / "cache"
        changeable = {
            "AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "60",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",  # prepare() migrates; each process would look for itself
            # On a busy machine the first answer takes longer than the default of 5 s, which costs a task its attempt.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        inherited = {name: value for name, value in os.environ.items() if name != "AIRFLOW_CONFIG"}
        fixed = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.base_url}/execution/",
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.passwords_file),
            "AIRFLOW__API__BASE_URL": self.base_url,
            "AIRFLOW__API__PORT": str(self.port),
            # Components write at once; SQLite makes them wait for each other up to so many seconds.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(self.home / "logs" / "dag_processor"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "plugins")]),
            "PYTHONNOUSERSITE": "1",
            "XDG_CACHE_HOME": str(cache),
            "KERAS_HOME": str(cache / "keras"),
            "MPLCONFIGDIR": str(cache / "matplotlib"),
        }
        return {**changeable, **inherited, **fixed, **self._secrets(), **self._extra}

    def airflow(self, *arguments: str, timeout: float = 300) -> str:
        """Run an ``airflow`` command and return what it printed.

        Raises:
            EnvironmentFault: it failed; the message holds the end of its output.
        """
        return self._python("airflow", *arguments, timeout=timeout)

    def _python(self, module: str, *arguments: str, timeout: float = 300) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self.environment(),
            cwd=self.workdir,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise EnvironmentFault(f"{module} {' '.join(arguments)} failed:\n{done.stdout[-3000:]}")
        return done.stdout

    def prepare(self) -> None:
        """Create the folders, secrets, database and pool; quick when they exist.

        Raises:
            EnvironmentFault: another process uses this installation, or a command failed.
        """
        self._claim()
        if not self.passwords_file.exists():
            _write_private(self.passwords_file, json.dumps({USER: secrets.token_urlsafe(16)}))
        slots = load_settings().model_slots
        state = {"airflow": version("apache-airflow-core"), "model_slots": slots}
        stamp = self.home / "prepared.json"
        if not stamp.exists() or json.loads(stamp.read_text()) != state:
            self._python("tounum_airflow.database", str(slots))
            stamp.write_text(json.dumps(state))

    def start(self) -> None:
        """Start the components and wait until all of them answer and the DAG has been read.

        Raises:
            EnvironmentFault: a component ended, or the DAG cannot be read; the message says where to look.
        """
        self._claim()
        if not _is_free(self.port):
            raise ConfigurationError(
                f"Port {self.port} is in use by another program; stop that, or choose another: make ui PORT=8090"
            )
        self.prepare()
        for name in self._from_start:
            self.launch(name)
        self._wait_until("the components answer", self._all_healthy)
        self._wait_until(f"{self.dag_id} has been read", self._dag_is_there)

    def launch(self, component: str, environment: Mapping[str, str] | None = None) -> None:
        """Start a component, also one that has ended since the start; ``environment`` is for it alone."""
        port = ["--port", str(self.port)] if component == "api-server" else []
        with self.log_file(component).open("ab") as log:
            # A session of its own keeps the terminal's Ctrl-C away from it, and marks all its descendants.
            self._processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *COMPONENTS[component], *port],
                env={**self.environment(), **(environment or {})},
                cwd=self.workdir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._sessions.add(self._processes[component].pid)
        stored = {"boot_time": psutil.boot_time(), "sessions": sorted(self._sessions)}
        self._sessions_file.write_text(json.dumps(stored))

    def serve_deferred(self) -> None:
        """Start the triggerer, if it was left until a task is deferred."""
        if TRIGGERER not in self._processes:
            self.launch(TRIGGERER)

    def process(self, component: str) -> subprocess.Popen:
        """The running process of a component."""
        return self._processes[component]

    def stop(self) -> None:
        """Stop every process of every component, and let go of the installation."""
        if self._api is not None:
            self._api.close()
            self._api = None
        _stop_sessions(self._sessions)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        self._sessions.clear()
        if self._lock is not None:
            self._sessions_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """Raise EnvironmentFault if a component has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise EnvironmentFault(
                    f"Airflow's {name} ended by itself (exit code {process.returncode}). The end of "
                    f"{self.log_file(name)}:\n{_tail(self.log_file(name))}"
                )

    def _wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise EnvironmentFault(
                    f"After {START_SECONDS} s it is still not true that {what}: see {self.home}/logs."
                )
            time.sleep(0.3)

    def _all_healthy(self) -> bool:
        try:
            states = self.api.health()
        except httpx.HTTPError:
            return False
        needed = {"metadatabase", *(name.replace("-", "_") for name in self._from_start)} - {"api_server"}
        return all(states.get(name) == "healthy" for name in needed)

    def _dag_is_there(self) -> bool:
        if errors := self.api.import_errors():
            raise ConfigurationError(f"Airflow cannot read a DAG file:\n{errors[0].strip()}")
        return self.api.has_dag(self.dag_id)

    def _secrets(self) -> dict[str, str]:
        """Keys that all components share; made once."""
        path = self.home / "secrets.json"
        if not path.exists():
            made = {
                "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
                "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            }
            _write_private(path, json.dumps(made))
        return json.loads(path.read_text())

    @property
    def _sessions_file(self) -> Path:
        return self.home / "sessions.json"

    def _claim(self) -> None:
        """Make the installation ours, and stop what a killed launcher has left running in it."""
        if self._lock is not None:
            return
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        (self.home / "logs").mkdir(exist_ok=True)
        lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise EnvironmentFault(
                f"The Airflow in {self.home} is running already (make ui?): use it, or stop it first."
            ) from error
        self._lock = lock
        self._stop_leftovers()

    def _stop_leftovers(self) -> None:
        if not self._sessions_file.exists():
            return
        stored = json.loads(self._sessions_file.read_text())
        if stored["boot_time"] == psutil.boot_time():
            _stop_sessions(set(stored["sessions"]))
        self._sessions_file.unlink()


def _stop_sessions(sessions: set[int]) -> None:
    """Ask the components to stop, then kill whatever is left of their sessions.

    SIGTERM alone is not enough: a component that ends quickly can leave task processes behind.
    """
    alive = _members(sessions)
    for process in alive:
        if process.pid in sessions:
            _signal(process, signal.SIGTERM)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
    left = _members(sessions)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=STOP_SECONDS)


def _members(sessions: set[int]) -> list[psutil.Process]:
    """Return our processes of these sessions; a session's id is the process id of the component that opened it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            # The name guards against a number that was given to somebody else's session since.
            if os.getsid(process.pid) in sessions and "airflow" in " ".join(process.cmdline()):
                found.append(process)
    return found


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _write_private(path: Path, text: str) -> None:
    """Write a file that was never readable by anybody else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-25:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
