"""Checksum lists as people and programs write them, told by content: md5sum, sha256sum, BSD, SFV, simple CSV."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

MOST_BYTES = 64 * 2**20
# By number of hexadecimal digits.
ALGORITHMS = {8: "crc32", 32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
SUFFIXES = (".md5", ".md5sum", ".sha1", ".sha1sum", ".sha256", ".sha256sum", ".sha384", ".sha512", ".sha512sum", ".sfv")

BYTE_ORDER_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")

_HEX = r"(?P<digest>[0-9A-Fa-f]{128}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{56}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})"
_LINES = (
    re.compile(rf"(?P<escaped>\\?){_HEX}(?: [ *]|[ \t]+\*?|[,;|]\s*)(?P<path>\S.*)"),  # md5sum and its relatives
    re.compile(rf"[A-Za-z0-9/-]{{3,12}} ?\((?P<path>.+)\) ?= ?{_HEX}"),  # BSD, openssl dgst
    re.compile(rf"(?P<path>\S.*?)(?:[ \t]+|\s*[,;|]\s*){_HEX}"),
)
_SFV_LINE = re.compile(r"(?P<path>\S.*?)[ \t]+(?P<digest>[0-9A-Fa-f]{8})")
_BARE = re.compile(rf"\ufeff?{_HEX}\s*")
_COMMENTS = ("#", ";", "//")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True)
class Line:
    """One line of a list: what it says of the file that it calls ``path``; ``digest`` is hexadecimal, lower case."""

    path: str
    algorithm: str
    digest: str


@dataclass(frozen=True)
class ChecksumList:
    """What a list says; ``unread`` are the numbers, from 1, of lines that are no checksums."""

    lines: tuple[Line, ...]
    unread: tuple[int, ...] = ()


def read_list(content: bytes, name: str) -> ChecksumList | None:
    """Return what a file says, if it is a checksum list by its content, whatever its name; else None.

    A file of which more than half of the lines are checksums is one that is damaged. ``a.tif.md5`` may hold a checksum
    and nothing else: that is of ``a.tif``. Checksums of eight digits count in a file that is called ``.sfv``, or where
    at least one of them has a letter: numbers at the end of lines are no checksums.
    """
    text = _decoded(content)
    if text is None:
        return None
    bare = _BARE.fullmatch(text)
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix.lower()
    if bare:
        return ChecksumList((_line(stem, bare["digest"]),)) if suffix in SUFFIXES else None
    numbered = [(number, line) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1) if line.strip()]
    told = [(number, line) for number, line in numbered if not line.startswith(_COMMENTS)]
    found = [(number, _read_line(line)) for number, line in told]
    if not any(line for _, line in found):
        found = [(number, _read_short_line(line)) for number, line in told]
        is_named = suffix == ".sfv"
        if not is_named and not any(line and re.search("[a-f]", line.digest) for _, line in found):
            return None
    if len(found) > 1 and not found[0][1] and re.search(r"[,;|\t]", told[0][1]):
        del found[0]  # the head of a table
    lines = [line for _, line in found if line]
    if 2 * len(lines) <= len(found):
        return None
    return ChecksumList(tuple(lines), tuple(number for number, line in found if not line))


def _decoded(content: bytes) -> str | None:
    """The text of a list; bytes that are not UTF-8 become what they are in names of files. None: it is no text."""
    if content.startswith(BYTE_ORDER_MARKS_16):
        text = content.decode("utf-16", "replace")
    else:
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return None if "\0" in text else text


def _read_line(line: str) -> Line | None:
    for pattern in _LINES:
        match = pattern.fullmatch(line) or pattern.fullmatch(line.rstrip())
        if match:
            path = match["path"]
            if match.groupdict().get("escaped"):
                path = re.sub(r"\\[\\nr]", lambda escape: _ESCAPES[escape[0]], path)
            return _line(_unquoted(path), match["digest"])
    return None


def _read_short_line(line: str) -> Line | None:
    match = _SFV_LINE.fullmatch(line.rstrip())
    return _line(match["path"], match["digest"]) if match else None


def _line(path: str, digest: str) -> Line:
    return Line(path, ALGORITHMS[len(digest)], digest.lower())


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 2 and path[0] == path[-1] == '"' else path
