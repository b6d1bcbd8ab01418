"""Intake and publishing in a bucket, killed at every request that changes something, then run again."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.s3_server import BUCKET, S3Server, kill_at
from tests.unit.published import DATE, pin, process
from tests.unit.published_s3 import S3Night, objects
from tests.unit.test_take_in import png
from tests.unit.test_take_in_s3 import House
from tounum_tasks.manifest.read import versions
from tounum_tasks.store.open import open_storage


def run_and_kill(s3: S3Server, action: Callable[[], object], at_change: int) -> bool:
    """Run ``action`` in a forked process; return whether it was killed at its change number ``at_change`` (from 1)."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        try:
            action()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a forked child must never return into the test
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    with s3.disturbed(kill_at(child, at_change)):
        os.write(go, b"x")
        _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(go)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return killed


def test_intake_killed_at_every_step(s3: S3Server) -> None:
    files = {"box/a.png": png(1), "box/inner/copy.png": png(1), "box/b.jpg": b"broken", "box/_READY": b""}
    number, killed = 1, True
    while killed:
        s3.empty()
        house = House()
        for name, content in files.items():
            house.ingest.write_bytes(name, content)
        killed = run_and_kill(s3, lambda: House().take(), number)
        stored = {open_storage(f"s3://{BUCKET}").read_bytes(path) for path in objects()}
        assert set(files.values()) - {b""} <= stored, f"lost before change {number}"
        house.take()
        assert [(item.source_path, item.page, item.error_code) for item in house.items()] == [
            ("a.png", 1, None), ("b.jpg", 1, "not_an_image"), ("inner/copy.png", 1, None),
        ]  # fmt: skip
        assert house.ingest.list_folder() == [] == house.lake.list_folder("registers/journal")
        number += 1
    assert number > 10


def test_publishing_killed_at_every_step(s3: S3Server, tmp_path: Path) -> None:
    """What was text becomes a sketch: whatever is named is there, and in the end one copy of each image is left."""
    night, bucket = S3Night(tmp_path), open_storage(f"s3://{BUCKET}")
    first = night.plan("first")
    process(first, night.settings)
    night.publish(first)
    second = night.plan("second", classifier=pin("classifier", "2"))
    process(second, night.settings, label="Sketch")
    before = {path: bucket.read_bytes(path) for path in objects()}
    number, killed, seen = 1, True, set()
    while killed:
        s3.empty()
        for path, content in before.items():
            bucket.write_bytes(path, content)
        killed = run_and_kill(s3, lambda: night.publish(second), number)
        rows = night.table(second).to_pylist()
        seen.add((versions(night.lake, DATE, night.batch_id)[-1], rows[0]["manifest_version"]))
        stored = objects()
        for row in rows:
            assert row["destination_uri"].removeprefix(f"s3://{BUCKET}/") in stored, number
        assert night.publish(second)["version"] == 2
        for name in ("0.png", "1.png", "2.png"):
            assert night.copies(name) == ["non_photos/sketch"], number
        assert night.copies("broken.jpg") == ["quarantine"]
        number += 1
    assert seen == {(1, 1), (2, 1), (2, 2)}  # before the commit, before the installation, after both
