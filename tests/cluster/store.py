"""What stands for MinIO: ``python -m tests.cluster.store server FOLDER --address HOST:PORT``.

It takes MinIO's own arguments and keeps the objects in memory. The file ``FOLDER/fault`` says what is wrong with the
store at the moment; there is nothing wrong while it is not there.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

FAULT = "fault"
AWAY, THROTTLED, FULL = "away", "throttled", "full"
LOOK_SECONDS = 0.1
SERVED_OF_THROTTLED = 6  # one request in so many is carried out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["server"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", required=True)
    arguments = parser.parse_args()
    from tests.s3_server import CHANGES, S3Server, error  # its imports take seconds
    from tests.tcp_proxy import TcpProxy

    port = int(arguments.address.rpartition(":")[2])
    store, fault, requests = S3Server(), "", 0
    wire = TcpProxy(store.port, port)

    def disturb(request: "Request", done: bool) -> "Response | None":
        nonlocal requests
        requests += not done
        if fault == THROTTLED and not done and requests % SERVED_OF_THROTTLED:
            return error(503, "SlowDown")
        if fault == FULL and not done and request.method in CHANGES and request.method != "DELETE":
            return error(507, "InsufficientStorage")
        return None

    with store.disturbed(disturb):
        while True:
            time.sleep(LOOK_SECONDS)
            before, fault = fault, current(arguments.folder)
            if (fault == AWAY) != (before == AWAY):
                wire.cut() if fault == AWAY else wire.mend()


def current(folder: Path) -> str:
    try:
        return (folder / FAULT).read_text()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main()
