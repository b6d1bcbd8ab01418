"""What the pages read: the index, which a process of its own keeps fresh, and the files of the lake."""

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tounum_tasks.search.index import index_file, reading, writing
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

log = logging.getLogger(__name__)

FRESH_SECONDS = 30.0
SLOW_WORK_SECONDS = 120.0


class Busy(Exception):
    """Slow work of the same kind is at its limit; the page asks again soon."""


class NotReady(Exception):
    """There is no index yet: it is being made for the first time."""


class Lake:
    """The lake of the settings, as pages see it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.index_path: Path = index_file(settings.index_cache, settings.lake_root)
        self._refreshing: subprocess.Popen[bytes] | None = None
        self._looked = 0.0
        self._lock = threading.Lock()
        self._slow = threading.BoundedSemaphore(2)

    @property
    def storage(self) -> Storage:
        """The lake's files."""
        return open_storage(self.settings.lake_root)

    @property
    def has_index(self) -> bool:
        """Whether there is an index; the first one takes seconds, or minutes for a large lake."""
        return self.index_path.exists()

    def index(self) -> AbstractContextManager[sqlite3.Connection]:
        """Context of the index, to be read.

        Raises:
            NotReady: there is none yet; it is being made.
        """
        if not self.has_index:
            self.keep_fresh()
            raise NotReady
        return reading(self.index_path)

    def index_to_write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Context of the index, to be written."""
        return writing(self.index_path)

    def keep_fresh(self) -> None:
        """Have the index brought up to date if nobody looked for a while; pages do not wait for it."""
        with self._lock:
            if self._refreshing is not None and self._refreshing.poll() is None:
                return
            if time.monotonic() - self._looked < FRESH_SECONDS and self.has_index:
                return
            self._looked = time.monotonic()
            self._refreshing = subprocess.Popen(command("index"), stdin=subprocess.DEVNULL)

    def refresh_now(self) -> None:
        """Have the index brought up to date, and wait for it: after a change that the page is to show."""
        subprocess.run(command("index"), stdin=subprocess.DEVNULL, timeout=SLOW_WORK_SECONDS, check=False)

    @contextmanager
    def slow_work(self) -> Iterator[None]:
        """Context of work that takes long; a third one at a time is turned away.

        All endpoints of Airflow share one pool of threads, so waiting in it would hold up everybody.

        Raises:
            Busy: there are two of them already.
        """
        if not self._slow.acquire(blocking=False):
            raise Busy
        try:
            yield
        finally:
            self._slow.release()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ``tounum_tasks`` in a process of its own: what it loads never enters the api-server.

        Raises:
            Busy: see :meth:`slow_work`.
            subprocess.TimeoutExpired: it takes too long.
        """
        with self.slow_work():
            return subprocess.run(
                command(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SLOW_WORK_SECONDS,
                check=False,
            )


def last_line(done: subprocess.CompletedProcess[str], otherwise: str) -> str:
    """Return the sentence with which a command ended, or another if it said nothing."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else otherwise


def command(*arguments: str) -> list[str]:
    """Return the command line that runs a command of ``tounum_tasks`` with this Python."""
    return [sys.executable, "-m", "tounum_tasks", *arguments]
