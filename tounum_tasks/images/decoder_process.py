"""The process in which files are opened and decoded (see :mod:`~.decoder_pool`); it knows no setting and no secret.

Orders come as messages on a socket: JSON, and with it the descriptor of a file that is not open yet. Each order has a
limit on processor time and on memory; whoever exceeds it is ended by the system. The process ends when the other end
of the
socket is closed.
"""

import json
import mmap
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ItemError
from tounum_tasks.images.decoder_pool import MESSAGE_BYTES
from tounum_tasks.images.limits import ImageLimits, hostile_input
from tounum_tasks.images.open_file import MappedFile, OpenFile

_KEPT_BYTES = 64 << 20


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    base = _address_space()
    buffer = _PixelBuffer()
    file: OpenFile | None = None
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 1)
        if not message:
            return
        order = json.loads(message)
        if not order:
            file = None
            buffer.shrink()
            continue
        if descriptors:
            file = None
            file = OpenFile(_mapped(descriptors[0]))
        assert file is not None
        _limit(base + file.size, order)
        answer = _answer(file, order, buffer)
        _lift_memory_limit()
        has_content = "shape" in answer or sum(answer.get("blocks", ())) > 0
        socket.send_fds(connection, [json.dumps(answer).encode()], [buffer.descriptor] if has_content else [])


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _mapped(descriptor: int) -> MappedFile:
    """Map a file so that what is written there stays in this process."""
    try:
        return MappedFile(descriptor, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(descriptor)


def _limit(base: int, order: dict[str, Any]) -> None:
    memory, seconds = base + order["memory"], int(time.process_time()) + 1 + order["seconds"]
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (int(most if hard == resource.RLIM_INFINITY else min(most, hard)), hard))


def _lift_memory_limit() -> None:
    """The next file is mapped before its own limit is known."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _answer(file: OpenFile, order: dict[str, Any], buffer: "_PixelBuffer") -> dict[str, Any]:
    started = time.process_time()
    answer: dict[str, Any] = {}
    try:
        limits = ImageLimits(**order["limits"])
        with hostile_input(str(file.format)):
            if "size" in order:
                answer = _metadata(file, order, limits, buffer)
            elif order["page"]:
                page = file.read(order["page"], limits)
                buffer.write(page.rgb)
                answer = {"facts": page.facts(), "shape": page.rgb.shape}
            else:
                answer = {"pages": file.count_pages(limits)}
    except ItemError as error:
        error = file.explained(error)
        answer = {"code": error.code, "message": str(error)}
    return {**answer, "seconds": time.process_time() - started}


def _metadata(file: OpenFile, order: dict[str, Any], limits: ImageLimits, buffer: "_PixelBuffer") -> dict[str, Any]:
    size, dpi, turned = tuple(order["size"]), order["dpi"], order["turned"]
    found = file.metadata(order["page"], size, dpi=dpi, turned=turned, limits=limits)
    blocks = (found.exif, found.xmp, found.iptc)
    buffer.write(np.frombuffer(b"".join(blocks), np.uint8))
    return {
        "blocks": [len(block) for block in blocks],
        "said": {"has_profile": found.has_profile, "left_out": found.left_out},
        "fields": vars(found.fields),
    }


class _PixelBuffer:
    """Memory in which pixels go back; it is used again, since fresh memory costs more than the copy."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("pixels", os.MFD_CLOEXEC)

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Replace the content."""
        content = memoryview(pixels.data).cast("B")
        os.ftruncate(self.descriptor, len(content))
        at = 0
        while at < len(content):
            at += os.pwrite(self.descriptor, content[at:], at)

    def shrink(self) -> None:
        """Give back what an ordinary page does not need."""
        os.ftruncate(self.descriptor, min(os.fstat(self.descriptor).st_size, _KEPT_BYTES))


if __name__ == "__main__":
    main()
