"""PDF files: counting and rendering pages with PDFium, in a process of its own (see :mod:`~.pdf_worker`)."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits

PAGE_SECONDS = 60  # of processor time, so that a busy machine makes no difference

_TAIL = 2048  # the end marker belongs into the last kilobyte; be generous to what mail programs append
_WORKER = Path(__file__).with_name("pdf_worker.py")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # no secrets


class PdfiumError(Exception):
    """What PDFium said of a damaged file."""


@dataclass(frozen=True)
class RenderedPage:
    """A page as HxWx3 uint8 sRGB, and the resolution that it was rendered at."""

    rgb: NDArray[np.uint8]
    dpi: float


def page_count(data: bytes) -> int:
    """Return the number of pages.

    Raises:
        ItemError: ENCRYPTED, TRUNCATED or CORRUPT.
    """
    head, _ = _ask(data, page=0, max_pixels=0, dpi=0)
    return int(head["pages"])


def render(data: bytes, page: int, limits: ImageLimits) -> RenderedPage:
    """Render page ``page`` (from 1) on white at ``limits.pdf_dpi``, or at what the pixel limit leaves of it.

    Raises:
        ItemError: ENCRYPTED, TRUNCATED or CORRUPT.
    """
    head, pixels = _ask(data, page=page, max_pixels=limits.max_pixels, dpi=limits.pdf_dpi)
    height, width, stride, channels = head["shape"]
    rows = np.frombuffer(pixels, np.uint8).reshape(height, stride)[:, : width * channels]
    rgb = rows.reshape(height, width, channels)[..., :3]
    return RenderedPage(np.array(rgb, dtype=np.uint8, order="C"), head["dpi"])


def _ask(data: bytes, **order: float) -> tuple[dict[str, Any], bytes]:
    if b"%%EOF" not in data.rstrip(b"\0\r\n\t ")[-_TAIL:]:
        # PDFium would mend such a file and silently lose the pages whose description is missing.
        raise ItemError(ErrorCode.TRUNCATED, "the PDF file ends before its end marker")
    head, content = _worker(os.getpid()).ask({**order, "bytes": len(data), "seconds": PAGE_SECONDS}, data)
    if "code" in head:
        raise ItemError(ErrorCode(head["code"]), head["message"])
    if "exception" in head:
        raise PdfiumError(head["exception"])
    return head, content


class _Worker:
    """The process, started when it is needed and again after a file has ended it; it ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, order: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            process = self._running()
            assert process.stdin and process.stdout
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.write(data)
                process.stdin.flush()
                head = json.loads(process.stdout.readline())
                size = head["shape"][0] * head["shape"][2] if "shape" in head else 0
                content = process.stdout.read(size)
                if len(content) == size:
                    return head, content
            except (OSError, ValueError):
                pass  # it is no more
            except BaseException:
                self._stop()  # its answer would be taken for that to the next order
                raise
            self._stop()
        raise ItemError(
            ErrorCode.CORRUPT, f"the PDF file asks for more memory, or more than {PAGE_SECONDS} s, for one page"
        )

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._stop()
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@lru_cache(maxsize=1)
def _worker(process_id: int) -> _Worker:
    """One for all threads of a process; a forked process starts its own."""
    return _Worker()
