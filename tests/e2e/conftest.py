"""One Airflow for all end-to-end tests, with its first night behind it."""

import contextlib
import datetime as dt
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.e2e.airflow_installation import DAG, AirflowInstallation, image_file
from tests.e2e.archive import Archive, build_archive


@dataclass(frozen=True)
class Webhook:
    """A chat's webhook: where to post, and what was posted."""

    url: str
    messages: list[str]


class StatsD(threading.Thread):
    """Receives metrics over UDP, as a StatsD server does."""

    def __init__(self, server: socket.socket) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._received: list[str] = []
        self.port: int = server.getsockname()[1]

    def run(self) -> None:
        """Collect until the socket is closed."""
        with contextlib.suppress(OSError):
            while packet := self._server.recv(65536):
                self._received += packet.decode().splitlines()

    def values(self, name: str, **tags: str) -> list[float]:
        """Return what was sent of a metric with these tags, in order."""
        found = []
        for line in list(self._received):
            key, _, value = line.partition(":")
            told, *pairs = key.split(",")
            if told == name and tags.items() <= dict(pair.split("=") for pair in pairs).items():
                found.append(float(value.partition("|")[0]))
        return found


@dataclass(frozen=True)
class FirstNight:
    """The scheduled run, and the run that was triggered by hand while the scheduled one waited."""

    scheduled: str
    by_hand: str
    deferred_log: str


@pytest.fixture(scope="session")
def webhook() -> Iterator[Webhook]:
    messages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(json.loads(body)["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *values: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Webhook(f"http://127.0.0.1:{server.server_port}/hook", messages)
        server.shutdown()


@pytest.fixture(scope="session")
def statsd() -> Iterator[StatsD]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        listener = StatsD(server)
        listener.start()
        yield listener


@pytest.fixture(scope="session")
def paused_airflow(
    tmp_path_factory: pytest.TempPathFactory, webhook: Webhook, statsd: StatsD
) -> Iterator[AirflowInstallation]:
    folder = tmp_path_factory.mktemp("folder with spaces")
    with AirflowInstallation(
        folder, schedule=_just_passed(), notify_url=webhook.url, statsd_port=statsd.port
    ) as installation:
        yield installation


def _just_passed() -> str:
    """Return a daily schedule whose last tick was a moment ago, today: unpausing the DAG starts a scheduled run."""
    now = dt.datetime.now(dt.UTC)
    tick = max(now - dt.timedelta(minutes=1), now.replace(hour=0, minute=0))
    return f"{tick.minute} {tick.hour} * * *"


@pytest.fixture(scope="session")
def first_night(paused_airflow: AirflowInstallation) -> FirstNight:
    """A scheduled run waits for a settling batch; meanwhile a run by hand finds nothing; then the batch is ready."""
    airflow = paused_airflow
    airflow.drop("settling", {"a.png": image_file(1)}, ready=False)
    airflow.api.set_paused(DAG, False)
    (run,) = airflow.wait_for("a scheduled run begins", lambda: airflow.api.runs(DAG))
    scheduled = run["dag_run_id"]
    airflow.wait_for("the scheduled run waits", lambda: airflow.state(scheduled, "wait") == "deferred")
    by_hand = airflow.trigger()
    airflow.finish(by_hand)
    deferred_log = airflow.log(scheduled, "wait")
    assert airflow.state(scheduled, "wait") == "deferred"
    airflow.airflow.serve_deferred()

    airflow.drop("Ärchiv 2026", {"b.png": image_file(2), "c.jpg": b"no image at all"})
    airflow.mark_ready("settling")
    airflow.wait_for("the batches are taken in", lambda: airflow.state(scheduled, "register") == "success")
    airflow.drop("late", {"d.jpg": image_file(4, format="JPEG")})
    airflow.finish(scheduled)
    return FirstNight(scheduled, by_hand, deferred_log)


@pytest.fixture(scope="session")
def airflow(paused_airflow: AirflowInstallation, first_night: FirstNight) -> AirflowInstallation:
    return paused_airflow


@pytest.fixture(scope="session")
def archive(airflow: AirflowInstallation) -> Archive:
    return build_archive(airflow)
