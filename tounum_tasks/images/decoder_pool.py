"""Decoders run in processes of their own: what a file does to one of them costs that file alone.

A small file can ask for hours and for all memory there is, and decoders written in C cannot be interrupted; some crash.
So files are opened in worker processes (:mod:`~.decoder_process`) under a limit on processor time and memory. A
worker is started when a thread finds none idle, serves many pages and files, and is replaced after its death.

A file is copied once into memory that workers map (``memfd_create(2)``), and pixels come back in the same way.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tounum_tasks
from tounum_tasks.errors import ErrorCode

MESSAGE_BYTES = 1 << 20  # far more than an order or an answer has

_ENVIRONMENT = ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # no secrets
# OpenCV's own limits on the sides of a picture; ours are on its pixels.
_OPENCV = {f"OPENCV_IO_MAX_IMAGE_{name}": str(1 << 40) for name in ("WIDTH", "HEIGHT", "PIXELS")}
_LIBRAW = {"OMP_NUM_THREADS": "1"}  # as many files are decoded at once as there are threads to do it
_FOREIGN_SIGNALS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


class SharedFile:
    """A file in memory that workers may map, until it is closed."""

    def __init__(self, data: bytes) -> None:
        self.descriptor = os.memfd_create("file", os.MFD_CLOEXEC)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def close(self) -> None:
        """Give the memory back, also that of workers that still hold the file."""
        _pool(os.getpid()).forget(self)
        os.close(self.descriptor)


def ask(file: SharedFile, order: Mapping[str, Any]) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
    """Have a worker do ``order`` on ``file``; return its answer, and the pixels if there are any.

    The answer has the processor time in ``seconds``, and of a file that cannot be used ``code`` and ``message``. A
    worker that was ended from outside (the system was short of memory, say) is replaced, and the order tried once more.
    """
    for _ in range(2):
        answer, pixels = _pool(os.getpid()).ask(file, order)
        if answer.get("died") not in _FOREIGN_SIGNALS:
            break
    if "died" in answer:
        code, message = _cause_of_death(answer["died"], order["seconds"])
        return {"code": code, "message": message, "seconds": order["seconds"]}, None
    return answer, pixels


def _cause_of_death(status: int, seconds: float) -> tuple[ErrorCode, str]:
    if status == -signal.SIGXCPU:
        return ErrorCode.TOO_COSTLY, f"decoding takes more than {seconds} s of processor time; convert the file"
    if status in _FOREIGN_SIGNALS:
        return ErrorCode.TOO_COSTLY, "the decoder was ended twice by the system, which was probably short of memory"
    return ErrorCode.CORRUPT, "the decoder crashes on this file; scan it again"


class _Worker:
    """One process, and the file that it has open."""

    def __init__(self) -> None:
        self.file: SharedFile | None = None
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        root = str(Path(tounum_tasks.__file__).parents[1])
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tounum_tasks.images.decoder_process", str(theirs.fileno())],
                env={
                    **environment,
                    **_OPENCV,
                    **_LIBRAW,
                    "PYTHONPATH": os.pathsep.join((root, os.environ.get("PYTHONPATH", ""))),
                },
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def ask(self, file: SharedFile, order: Mapping[str, Any]) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        """Send an order and wait for the answer; ``{"died": exit status}`` if the process is no more."""
        try:
            new = [] if file is self.file else [file.descriptor]
            socket.send_fds(self.socket, [json.dumps(order).encode()], new)
            self.file = file
            message, descriptors, _, _ = socket.recv_fds(self.socket, MESSAGE_BYTES, 1)
        except OSError:
            message, descriptors = b"", []
        if not message:
            return {"died": self.process.wait()}, None
        answer = json.loads(message)
        if not descriptors:
            return answer, None
        try:
            return answer, _content(descriptors[0])
        finally:
            os.close(descriptors[0])

    def forget(self) -> None:
        """Let go of the file."""
        self.file = None
        try:
            self.socket.send(b"{}")
        except OSError:
            self.stop()

    def stop(self) -> None:
        """End the process."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


def _content(descriptor: int) -> NDArray[np.uint8]:
    """Return what a worker has written; read, for what is mapped would be there twice until it is copied."""
    content = np.empty(os.fstat(descriptor).st_size, np.uint8)
    at = 0
    while at < content.size and (read := os.preadv(descriptor, [content.data[at:]], at)):
        at += read
    return content


class _Pool:
    """The workers of this process; as many as threads decode at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def ask(self, file: SharedFile, order: Mapping[str, Any]) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        worker = self._take(file)
        try:
            answer, pixels = worker.ask(file, order)
        except BaseException:
            worker.stop()  # its answer would be taken for that to the next order
            raise
        if "died" in answer:
            worker.stop()
        else:
            with self._lock:
                self._idle.append(worker)
        return answer, pixels

    def _take(self, file: SharedFile) -> _Worker:
        """Return an idle worker, rather one that has the file open, or a new one."""
        with self._lock:
            alive = [worker for worker in self._idle if worker.process.poll() is None]
            chosen = next((worker for worker in alive if worker.file is file), alive[-1] if alive else None)
            self._idle = [worker for worker in alive if worker is not chosen]
        return chosen or _Worker()

    def forget(self, file: SharedFile) -> None:
        with self._lock:
            for worker in self._idle:
                if worker.file is file:
                    worker.forget()

    def workers(self) -> list["subprocess.Popen[bytes]"]:
        """The idle processes."""
        with self._lock:
            return [worker.process for worker in self._idle]

    def leave(self) -> None:
        """Close this process's ends of a pool that belongs to the process that it was forked from."""
        for worker in self._idle:
            worker.socket.close()


@lru_cache(maxsize=1)
def _pool(process_id: int) -> _Pool:
    """One for all threads of a process; a forked process starts its own."""
    return _Pool()


def _after_fork() -> None:
    if _pool.cache_info().currsize:
        _pool(os.getppid()).leave()
        _pool.cache_clear()


os.register_at_fork(after_in_child=_after_fork)
