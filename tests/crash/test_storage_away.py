"""A store that goes away at every step in turn: each attempt says so, and the last ends with the same manifest."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from werkzeug.wrappers import Request

from tests.s3_server import S3Server
from tests.tcp_proxy import TcpProxy
from tests.unit.published import item_rows, process
from tests.unit.published_s3 import S3Night, objects
from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.store import objects as object_storage

STEP = 20  # requests from one outage to the next
OUTAGE_SECONDS = 3


@pytest.fixture
def wire(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """What the store is reached through."""
    wire = TcpProxy(s3.port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
    object_storage._connect.cache_clear()
    yield wire
    wire.cut()
    object_storage._connect.cache_clear()


def work(night: S3Night) -> None:
    """A whole night; what an earlier attempt has done is done."""
    plan = night.plan("run", enhancement="classic")
    process(plan, night.settings)
    night.publish(plan)


def outcome(night: S3Night) -> tuple[list[dict], list[str]]:
    """The rows that describe the items, and the names of all objects but the caches, which a night may lack."""
    batch_id = night.batch_id
    kept = [name for name in objects() if "/stages/" not in name and "/search/" not in name]
    names = {name.replace(batch_id, "ID") for name in kept}
    return item_rows(night.lake_table(batch_id), ""), sorted(names)


@pytest.fixture
def undisturbed(s3: S3Server, tmp_path: Path) -> tuple[list[dict], list[str]]:
    night = S3Night(tmp_path / "undisturbed", noisy=True)
    work(night)
    found = outcome(night)
    s3.empty()
    return found


def at_request(number: int, action: Callable[[], object]) -> Callable[[Request, bool], None]:
    """Call ``action`` when a request is about to be carried out; its answer is lost with the connection."""
    numbers = count(1)

    def disturb(request: Request, done: bool) -> None:
        if not done and next(numbers) == number:
            action()

    return disturb


def test_a_store_that_is_away_at_every_step(
    undisturbed: tuple, wire: TcpProxy, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "PATIENCE_SECONDS", 0.5)
    night, faults = S3Night(tmp_path / "night", noisy=True), []
    for number in count(STEP, STEP):
        with s3.disturbed(at_request(number, wire.cut)):
            try:
                work(night)
                break
            except EnvironmentFault as fault:
                faults.append(str(fault))
            finally:
                wire.mend()
    assert len(faults) > 3 and all("cannot be reached" in fault for fault in faults)
    assert outcome(night) == undisturbed


def test_a_short_outage_is_not_noticed(undisturbed: tuple, wire: TcpProxy, s3: S3Server, tmp_path: Path) -> None:
    night, lasted = S3Night(tmp_path / "night", noisy=True), []

    def away() -> None:
        began = time.monotonic()
        wire.cut()
        time.sleep(OUTAGE_SECONDS)
        wire.mend()
        lasted.append(time.monotonic() - began)

    with s3.disturbed(at_request(2 * STEP, threading.Thread(target=away).start)):
        work(night)
    assert lasted and lasted[0] >= OUTAGE_SECONDS
    assert outcome(night) == undisturbed
