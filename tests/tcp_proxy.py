"""A wire between a client and a server that can be cut and mended."""

import contextlib
import socket
import threading


class TcpProxy:
    """Forwards connections to a port of this machine until :meth:`cut`, and again after :meth:`mend`."""

    def __init__(self, target_port: int, port: int = 0) -> None:
        self._target = target_port
        self._open: set[socket.socket] = set()
        self._is_cut = False
        self._listener = _bound(port)
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self._serve()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Refuse new connections and drop those that there are; the port is kept, so that nobody else takes it."""
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = _bound(self.port)
        self._is_cut = True

    def mend(self) -> None:
        """Take connections again; one that was not cut stays as it is."""
        if self._is_cut:
            self._is_cut = False
            self._listener.listen()
            self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open.update((client, server))
                threading.Thread(target=self._connect, args=(client, server), daemon=True).start()

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        """Forward both ways until both sides have ended."""
        with client, server:
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_forward, args=(server, client), daemon=True)
            back.start()
            _forward(client, server)
            back.join()
            self._open.difference_update((client, server))


def _bound(port: int) -> socket.socket:
    """A socket that has its port and refuses connections until it listens."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return found


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
