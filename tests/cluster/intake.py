"""A batch that its owner deletes or rewrites at the moment when a run takes it in."""

import threading
import time
from pathlib import Path

from tests.cluster.night import MOMENT_SECONDS, Night

PAGES = 150  # enough to be met in the middle
NO_IMAGE, REWRITTEN = b"no image", b"rewritten"
CHANGES = ("deleted", "changed")


def disturb_intake(night: Night, folder: Path, change: str) -> None:
    """Let a run take a new batch in and strike meanwhile; fail unless the batch came in whole, or not at all."""
    batch = folder / f"box that is {change}"
    batch.mkdir(parents=True)
    for number in range(PAGES):
        (batch / f"{number:03d}.jpg").write_bytes(NO_IMAGE * (number + 1))
    (batch / "_READY").touch()
    night.drop([batch])
    ingest, last = night.archive.ingest, f"{batch.name}/{PAGES - 1:03d}.jpg"
    struck, ended = threading.Event(), threading.Event()

    def strike() -> None:
        while not ended.is_set() and not night.archive.open_intakes():
            time.sleep(0.002)
        if change == "deleted":
            ingest.remove(batch.name)
        else:
            ingest.write(last, REWRITTEN)
        struck.set()

    striking = threading.Thread(target=strike, daemon=True)
    striking.start()
    night.finish(night.trigger(max_failure_rate=1), seconds=MOMENT_SECONDS)
    ended.set()
    striking.join()
    assert struck.is_set(), "the intake was over before the batch could be touched"
    taken = _taken(night, batch.name)
    assert len(taken) in (0, PAGES), f"{len(taken)} of {PAGES} files were taken in"
    if change == "deleted":
        assert ingest.names(batch.name) == []
    else:
        # Taken as it was, or left alone and taken as it is now by the next run; what was rewritten is never lost.
        night.finish(night.trigger(max_failure_rate=1), seconds=MOMENT_SECONDS)
        sizes = {size for path, size in _taken(night, batch.name) if path == last.partition("/")[2]}
        assert sizes and sizes <= {len(NO_IMAGE) * PAGES, len(REWRITTEN)}
        assert len(REWRITTEN) in sizes or last in ingest.names(batch.name)
    assert night.archive.open_intakes() == [], "an intake was left open"


def _taken(night: Night, name: str) -> set[tuple[str, int]]:
    return {(row["source_path"], row["bytes"]) for row in night.archive.rows() if row["batch_name"] == name}
