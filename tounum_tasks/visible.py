"""How text from outside is shown: in messages, logs, XCom, JSON and pages.

Everything that is shown goes through here. Names are made visible once, where they come in (:func:`display_name`);
messages that hold such names, and whatever else may stand in them, are made one printable line where they are made
(:func:`one_line`, by every :class:`tounum_tasks.errors.TounumError`) and again where they leave, which changes nothing.
"""

import re
import unicodedata

# Characters that have no shape of their own, beside those of the category Cf: joiners, fillers, vowels that are not
# seen, variation selectors (Unicode 16.0, Default_Ignorable_Code_Point in DerivedCoreProperties.txt).
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def display_name(name: str) -> str:
    """Return ``name`` so that it can be stored as UTF-8 and printed, and so that no two names look the same.

    What cannot be seen (control characters, bidirectional marks and overrides, zero-width characters, soft hyphens,
    tags, ...) becomes ``\\uNNNN`` or ``\\UNNNNNNNN``, bytes that are not UTF-8 ``\\xNN``, and a backslash is doubled.
    Letters of two scripts that share a shape are left alone.
    """
    return "".join("\\\\" if character == "\\" else _shown(character) for character in name)


def one_line(text: str) -> str:
    """Return ``text`` as one line that can be printed: what :func:`display_name` escapes, but for the backslash.

    It may be applied again and again: what was made visible before stays as it is.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def is_control(character: str) -> bool:
    """Whether a character can break a line, turn it around, or cannot be stored as UTF-8."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _shown(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else f"\\u{ord(character):04x}"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python carries a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if not (is_control(character) or unicodedata.category(character) == "Cf" or _INVISIBLE.match(character)):
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
