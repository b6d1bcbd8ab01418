"""What people type finds what they mean, and is never an error."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.search.text import TOKENIZER, fts_query

ROWS = (
    "a black dog runs through the snow",
    "a dog on a black sofa",
    "IMG_0012.jpg",
    "Müller, Straße 5",
    "two dogs and a cat AND a mouse",
    "北京 1911",
)


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE VIRTUAL TABLE words USING fts5(text, tokenize='{TOKENIZER}')")
    database.executemany("INSERT INTO words VALUES (?)", [(row,) for row in ROWS])
    yield database
    database.close()


def find(index: sqlite3.Connection, text: str) -> list[int]:
    found = index.execute("SELECT rowid - 1 FROM words WHERE words MATCH ? ORDER BY rowid", (fts_query(text),))
    return [row for (row,) in found]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("dog", [0, 1, 4]),
        ("black dog", [0, 1]),
        ('"black dog"', [0]),
        ("“black dog”", [0]),
        ('"dog"', [0, 1]),
        ('"black d', [0]),
        ("do black", []),
        ("black do", [0, 1]),
        ("img_0012", [2]),
        ("IMG_0012.jpg", [2]),
        ("muller", [3]),
        ("MÜLLER 5", [3]),
        ("AND", [4]),
        ("cat AND mouse", [4]),
        ("dog OR cat", []),
        ("^dog", [0, 1, 4]),
        ("text:dog", []),
        ("-dog (dog", [0, 1]),
        ('"black dog" snow !', [0]),
        ("北", [5]),
    ],
)
def test_words_find_their_rows(index: sqlite3.Connection, text: str, rows: list[int]) -> None:
    assert find(index, text) == rows


@pytest.mark.parametrize("text", ["", " ", '"', '""', "* ^ -", "\0", "\ud800", "!?", "'"])
def test_what_has_no_word_is_no_expression(text: str) -> None:
    assert fts_query(text) == ""


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.lists(
        st.sampled_from(['"', "dog", "AND", "NEAR(", "*", "^", "{", "}", ":", "-", "\0", "\ud800", "'", " ", ")"])
    ).map("".join),
    st.text(max_size=5).map(lambda text: f"{text} " * 900),
)


@given(HOSTILE)
def test_nothing_that_can_be_typed_is_an_error(index: sqlite3.Connection, text: str) -> None:
    if expression := fts_query(text):
        index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (expression,)).fetchall()


@given(st.lists(st.sampled_from(sorted({word for row in ROWS[:2] for word in row.split()})), min_size=1, max_size=4))
def test_all_words_must_be_there(index: sqlite3.Connection, words: list[str]) -> None:
    expected = [number for number, row in enumerate(ROWS) if set(words) <= set(row.split())]
    assert find(index, " ".join(f'"{word}"' for word in words)) == expected
