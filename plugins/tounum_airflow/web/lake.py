"""What the pages read: the index, which a process of its own keeps fresh, and the files of the lake."""

import logging
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from tounum_tasks.reviews.review import Chain, Review
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.search.index import Reader, index_file, is_built, is_whole, reading, writing
from tounum_tasks.search.reviewed import reviews_of_chain
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

log = logging.getLogger(__name__)

FRESH_SECONDS = 30.0
SLOW_WORK_SECONDS = 120.0


class Busy(Exception):
    """Slow work of the same kind is at its limit; the page asks again soon."""


class NotReady(Exception):
    """There is no index yet, or none that knows all images: it is being made, for the first time or anew."""


class Lake:
    """The lake of the settings, as pages see it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.index_path: Path = index_file(settings.index_cache, settings.lake_root)
        self.reviews = ReviewStore(self.storage, compacted=self._compacted_of)
        self.trouble = ""
        self._refreshing: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the server runs
        self._looked = self._made_anew = -FRESH_SECONDS
        self._lock = threading.Lock()
        self._slow = threading.BoundedSemaphore(2)

    @property
    def storage(self) -> Storage:
        """The lake's files."""
        return open_storage(self.settings.lake_root)

    @contextmanager
    def index(self) -> Iterator[Reader]:
        """Context of the index, to be read; it is brought up to date if nobody looked for a while.

        Raises:
            NotReady: it is being made, which takes seconds, or minutes for a large lake, also in the place of a damaged
                one: until then it does not know all images.
        """
        self.keep_fresh()
        if not self.index_path.exists():
            raise NotReady
        with reading(self.index_path) as index:
            if not is_whole(index):
                raise NotReady
            yield index

    def index_to_write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Context of the index, to be written.

        Raises:
            NotReady: there is none yet.
        """
        if not is_built(self.index_path):
            raise NotReady
        return writing(self.index_path)

    def keep_fresh(self) -> None:
        """Have the index brought up to date if nobody looked for a while; pages do not wait for it."""
        with self._lock:
            if not self._is_at_it() and time.monotonic() - self._looked >= FRESH_SECONDS:
                self._refresh("index")

    def make_anew(self) -> None:
        """Have the index made anew, of which a page has found that it is damaged; a refresh reads little of it.

        Not again at once: on a disk that fails the new one is damaged as well.
        """
        with self._lock:
            if self._is_at_it() or time.monotonic() - self._made_anew < FRESH_SECONDS:
                return  # it may be doing so already: whoever finds the damage after it comes here again
            log.warning("%s is damaged; it is made anew.", self.index_path)
            self._refresh("index", "--anew")

    def _refresh(self, *arguments: str) -> None:
        self._looked = time.monotonic()
        self._said.seek(0)
        self._said.truncate()
        self._refreshing = subprocess.Popen(command(*arguments), stdin=subprocess.DEVNULL, stderr=self._said)

    def _is_at_it(self) -> bool:
        """Whether a refresh goes on; of one that has ended it is learnt how."""
        if self._refreshing is not None and self._refreshing.poll() is not None:
            self._hear()
        return self._refreshing is not None

    def _hear(self) -> None:
        """Learn how the last refresh ended; what was wrong stands on the pages until one succeeds."""
        assert self._refreshing is not None
        if self._refreshing.args == command("index", "--anew"):
            self._made_anew = time.monotonic()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self.trouble = _last_sentence(said) if self._refreshing.returncode else ""
        if self.trouble:
            log.warning("The index of the pages cannot be brought up to date: %s", said)
        self._refreshing = None

    def refresh_now(self) -> None:
        """Have the index brought up to date, and wait for it: after a change that the page is to show."""
        subprocess.run(command("index", "--wait"), stdin=subprocess.DEVNULL, timeout=SLOW_WORK_SECONDS, check=False)

    def _compacted_of(self, chain: Chain) -> list[Review]:
        with self.index() as index:
            return reviews_of_chain(index, chain)

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
            done = subprocess.run(
                command(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SLOW_WORK_SECONDS,
                check=False,
            )
        if done.returncode:
            log.warning("%s: %s", " ".join(arguments), done.stderr)
        return done


def last_line(done: subprocess.CompletedProcess[str], otherwise: str) -> str:
    """Return the sentence with which a command ended, or another if it said nothing."""
    return _last_sentence(done.stderr) or otherwise


def _last_sentence(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1].strip().removeprefix("tounum: ") if lines else ""  # a page has no need of the command's name


def command(*arguments: str) -> list[str]:
    """Return the command line that runs a command of ``tounum_tasks`` with this Python."""
    return [sys.executable, "-m", "tounum_tasks", *arguments]
