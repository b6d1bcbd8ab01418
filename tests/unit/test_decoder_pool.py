"""Decoders run in processes of their own: their death, their files, their secrets."""

import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.image_files import picture, saved, tiff_pages
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import decoder_pool
from tounum_tasks.images.decode import decode, open_image
from tounum_tasks.images.limits import ImageLimits

PNG = saved(picture(), "PNG")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch):
    """The only process of a new pool."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    decoder_pool._pool.cache_clear()
    decode(PNG)
    (process,) = decoder_pool._pool(os.getpid()).workers()
    return process


def signalled_while_busy(process, number: int) -> ItemError | np.ndarray:
    """Stop a worker, give it a page, send it a signal; return the answer."""
    os.kill(process.pid, signal.SIGSTOP)
    answers: list = []

    def ask() -> None:
        try:
            answers.append(decode(PNG).rgb)
        except ItemError as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while decoder_pool._pool(os.getpid()).workers():
        pass
    os.kill(process.pid, number)
    os.kill(process.pid, signal.SIGCONT)
    asking.join()
    return answers[0]


def test_a_decoder_that_crashes_costs_one_item(worker) -> None:
    answer = signalled_while_busy(worker, signal.SIGSEGV)
    assert isinstance(answer, ItemError) and answer.code == ErrorCode.CORRUPT and "crashes" in str(answer)
    assert np.array_equal(decode(PNG).rgb, picture())


def test_a_decoder_that_the_system_ends_is_started_again(worker) -> None:
    assert np.array_equal(signalled_while_busy(worker, signal.SIGKILL), picture())


def test_an_idle_worker_that_is_killed_costs_nothing(worker) -> None:
    worker.kill()
    assert np.array_equal(decode(PNG).rgb, picture())


def test_a_worker_knows_no_secret(worker) -> None:
    assert b"a-secret" not in Path(f"/proc/{worker.pid}/environ").read_bytes()


def test_one_worker_serves_many_pages_and_files(worker) -> None:
    pages = [picture(seed=seed) for seed in range(5)]
    for _ in range(3):
        with open_image(tiff_pages(pages, photometric="rgb", compression="zlib"), ImageLimits()) as file:
            for number in (5, 1, 3):
                assert np.array_equal(file.decode(number).rgb, pages[number - 1])
    assert [process.pid for process in decoder_pool._pool(os.getpid()).workers()] == [worker.pid]


def test_a_closed_file_is_given_back(worker) -> None:
    with open_image(PNG) as file:
        file.decode()
        assert "memfd:file" in Path(f"/proc/{worker.pid}/maps").read_text()
    decode(PNG)
    decode(saved(picture(8, 8), "BMP"))
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
    held = [line for line in Path(f"/proc/{worker.pid}/maps").read_text().splitlines() if "memfd" in line]
    assert len(held) <= 1


def test_an_open_file_is_not_held_a_second_time(worker) -> None:
    data = saved(picture(), "BMP")
    before = sys.getrefcount(data)
    with open_image(data) as pages:
        pages.decode(1)
        assert sys.getrefcount(data) == before


def test_threads_that_decode_pages_of_one_file_at_once(worker) -> None:
    pages = [picture(seed=seed) for seed in range(8)]
    found: dict[int, np.ndarray] = {}
    with open_image(tiff_pages(pages, photometric="rgb")) as file:
        threads = [
            threading.Thread(target=lambda page=page: found.update({page: file.decode(page).rgb}))
            for page in range(1, 9)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(np.array_equal(found[number], page) for number, page in enumerate(pages, 1))


def test_a_forked_process_starts_its_own(worker) -> None:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if np.array_equal(decode(PNG).rgb, picture()) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(decode(PNG).rgb, picture())
    assert [process.pid for process in decoder_pool._pool(os.getpid()).workers()] == [worker.pid]


def test_pixels_may_be_written_to() -> None:
    rgb = decode(PNG).rgb
    rgb[:] = 7
    assert decode(PNG).rgb[0, 0, 0] == picture()[0, 0, 0]
