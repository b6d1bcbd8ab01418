"""Fixtures that more than one folder of tests uses."""

import os
import sqlite3  # noqa: F401 - before TensorFlow, whose own SQLite lacks full text search: the first one loaded serves all
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.s3_server import S3Server  # its imports take seconds

# Examples write to disks that are slow when the machine is busy; that is no failure.
settings.register_profile("tounum", deadline=None)
settings.load_profile("tounum")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Training data that lies beside the checkout (or where TOUNUM_SHARED_DATA says); skips where it is absent."""
    folder = Path(os.environ.get("TOUNUM_SHARED_DATA", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("the training data is not here")
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample batch, to be read and copied: to draw it takes as long as many a test."""
    from tounum_tasks.sample.batch import write_sample_batch

    folder = tmp_path_factory.mktemp("sample") / "Sample"
    write_sample_batch(folder)
    return folder


@pytest.fixture(scope="session")
def s3_process() -> Iterator["S3Server"]:
    """One server for all tests."""
    from tests.s3_server import S3Server

    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_process: "S3Server", monkeypatch: pytest.MonkeyPatch) -> "S3Server":
    """An S3 server that the environment names, with one empty bucket."""
    s3_process.empty()
    for name, value in s3_process.environment().items():
        monkeypatch.setenv(name, value)
    return s3_process


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.cases import ALL_NODES  # which needs this file

    for item in items:
        if item.nodeid.partition("[")[0] in ALL_NODES:
            item.add_marker(pytest.mark.cases)
