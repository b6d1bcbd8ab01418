"""Log lines: one per record, whatever names and messages hold; fields of the work that is going on."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.logs import KeyValueFormatter, about


def line(message: str, *values: object, level: int = logging.INFO, failed: bool = False) -> str:
    exception = sys.exc_info() if failed else None
    record = logging.LogRecord("tounum", level, __file__, 1, message, values, exception)
    return KeyValueFormatter().format(record).partition(" ")[2]


def test_fields_are_those_of_the_work_that_is_going_on() -> None:
    with about(batch="box-1", shard=3):
        with about(path="a b.tif", page=2):
            assert line("Read.") == 'INFO batch=box-1 shard=3 path="a b.tif" page=2 Read.'
        assert line("%d done.", 5) == "INFO batch=box-1 shard=3 5 done."
    assert line("Done.", level=logging.ERROR) == "ERROR Done."


def test_threads_have_the_fields_of_their_own_work() -> None:
    def work(page: int) -> str:
        with about(page=page):
            return line("Read.")

    with about(batch="box-1"), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(50))) == [f"INFO page={page} Read." for page in range(50)]


def test_traceback_is_indented_and_cannot_forge_a_line() -> None:
    try:
        raise ValueError("broken\n12:00:00 INFO All is well\x1b[2J")
    except ValueError:
        first, *rest = line("It failed.", level=logging.ERROR, failed=True).split("\n")
    assert first == "ERROR It failed."
    assert all(text.startswith("    ") for text in rest)
    assert rest[-1] == "    12:00:00 INFO All is well\\u001b[2J"


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_breaks_a_line(name: str, message: str) -> None:
    with about(path=name, page=1):
        written = line("%s", message)
    assert len(written.splitlines()) == 1
    assert not any(ord(character) < 32 or ord(character) == 127 for character in written)
    written.encode()  # no half of a character
