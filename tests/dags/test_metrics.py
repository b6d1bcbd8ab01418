"""The pipeline's metrics over OpenTelemetry, set up and sent as Airflow's task processes do it."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.conftest import REPOSITORY

TASK = """
from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from tounum_airflow.metrics import run_published, shard_done

legacy_names = conf.getboolean("metrics", "legacy_names_on")
stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=legacy_names)
shard_done("classify", {"computed": 250, "reused": 6, "seconds": 1.5})
published = {"outcome": "published", "labels": {"ok": {"Photo": 200, "Text": 50}, "quarantined": {"none": 6}}}
run_published({"batches": [published, {"outcome": "unchanged", "labels": {"ok": {"Sketch": 9}}}]})
"""


def test_metrics_over_opentelemetry() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *values: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = {
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "plugins")]),
        }
        done = subprocess.run([sys.executable, "-c", TASK], env=os.environ | settings, check=False, capture_output=True)
        server.shutdown()
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert {path for path, _ in received} == {"/v1/metrics"}
    sent = b"".join(body for _, body in received)
    names = (b"tounum.items", b"tounum.batches", b"tounum.stage.items", b"tounum.stage.duration")
    tags = (b"classify", b"computed", b"reused", b"published", b"unchanged", b"quarantined", b"Photo", b"Text")
    assert not [name for name in (*names, *tags) if name not in sent]
    assert b"Sketch" not in sent  # those rows were published before
