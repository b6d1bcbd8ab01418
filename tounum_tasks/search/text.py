"""What people type into a search box, as an expression of SQLite's FTS5 that cannot be a syntax error.

Light on purpose: pages import it, too.
"""

import re
import unicodedata

TOKENIZER = "unicode61 remove_diacritics 2"
"""For ``fts5(…, tokenize='…')``: letters and digits are words, the rest stands between them;
capitals and accents make no difference."""

MAX_CHARACTERS = 1_000
MAX_TERMS = 32  # FTS5 refuses expressions that are nested deeper than 256

_QUOTES = re.compile('["“”„‟«»]')


def fts_query(text: str) -> str:
    """Return the FTS5 expression that finds rows with all words of ``text``, in any order.

    Words between quotation marks must follow each other. The last word may be the beginning of one, unless its
    quotation mark is closed: people search while they type. A word with marks in it (``IMG_0012.jpg``) is a phrase of
    its parts. Whatever else FTS5 would understand (AND, NEAR, ``*``, ``^``, columns) is text like any other.

    Returns:
        The expression, to be given as a parameter of ``MATCH``; empty if ``text`` holds no letter and no digit, which
        finds everything or nothing, as the caller likes.
    """
    terms = _terms(_printable(text[:MAX_CHARACTERS]))[:MAX_TERMS]
    return " AND ".join(f'"{words}" *' if is_beginning else f'"{words}"' for words, is_beginning in terms)


def _terms(text: str) -> list[tuple[str, bool]]:
    """Return the words and phrases, and of each whether it may be a beginning."""
    parts = _QUOTES.split(text)
    terms: list[tuple[str, bool]] = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        is_phrase = number % 2 == 1
        words = [part.strip()] if is_phrase else part.split()
        found = [word for word in words if _has_token(word)]
        terms += [(word, False) for word in found]
        if is_last and found:
            terms[-1] = (found[-1], True)
    return terms


def _printable(text: str) -> str:
    """Return ``text`` with a blank for what SQLite's parser or UTF-8 cannot take."""
    return "".join(" " if unicodedata.category(character) in ("Cc", "Cs") else character for character in text)


def _has_token(word: str) -> bool:
    return any(unicodedata.category(character)[0] in "LN" for character in word)
