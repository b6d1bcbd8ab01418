"""A real S3 server over HTTP on the loopback, with faults that a test can order."""

import contextlib
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

BUCKET = "archive"
KEY_ID, SECRET = "AKIATESTKEYIDENTIFIER", "a-secret/that+nobody=may.see"
CHANGES = ("PUT", "POST", "DELETE")

# Called with every request before the store sees it (``done`` false) and after it was carried out (``done`` true);
# what it returns is answered instead.
Disturbance = Callable[[Request, bool], Response | None]


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as those of a real store do
    disable_nagle_algorithm = True  # or every answer waits 40 ms

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class S3Server:
    """The server; ``requests`` are (method, path) of all requests that it carried out."""

    def __init__(self) -> None:
        self._store = DomainDispatcherApplication(create_backend_app)
        self._creating = threading.Lock()
        self._disturbance: Disturbance | None = None
        self.requests: list[tuple[str, str]] = []
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Handler
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a client needs to know, as environment variables."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def empty(self) -> None:
        """Forget everything, and make the bucket anew."""
        for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{BUCKET}")):
            with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)):
                pass
        self.requests.clear()

    @contextlib.contextmanager
    def disturbed(self, disturbance: Disturbance) -> Iterator[None]:
        """Context in which ``disturbance`` sees every request."""
        self._disturbance = disturbance
        try:
            yield
        finally:
            self._disturbance = None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        request = Request(environ, populate_request=False)
        disturbance = self._disturbance
        if disturbance and (answer := disturbance(request, False)):
            request.get_data()  # a client that still sends would take the answer for a lost connection
            return answer(environ, start_response)
        # moto looks for the object and writes it in two steps; what a store promises is that they are one.
        creates = request.method == "PUT" and ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ)
        head: list[tuple] = []
        with self._creating if creates else contextlib.nullcontext():
            body = list(self._store(environ, lambda *arguments: head.append(arguments)))
        self.requests.append((request.method, request.path))
        if disturbance and (answer := disturbance(request, True)):
            return answer(environ, start_response)
        start_response(*head[0])
        return body


def error(status: int, code: str) -> Response:
    """The answer of a store that does not do what it was asked."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return Response(body, status=status, content_type="application/xml")


def cut(request: Request) -> None:
    """Cut the connection, so that whatever is answered never arrives."""
    request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


def kill_at(process_id: int, change: int) -> Disturbance:
    """Kill a process just before its n-th request that changes something is carried out."""
    seen = 0

    def disturb(request: Request, done: bool) -> None:
        nonlocal seen
        if request.method in CHANGES and not done:
            seen += 1
            if seen == change:
                os.kill(process_id, signal.SIGKILL)
                raise ConnectionAbortedError  # what a dead process asked for is not done

    return disturb
