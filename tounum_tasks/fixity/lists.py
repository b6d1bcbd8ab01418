"""Checksum lists as people and programs write them, told by content: md5sum, sha256sum, BSD, SFV, tables."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

MOST_BYTES = 64 * 2**20
# By number of hexadecimal digits.
ALGORITHMS = {8: "crc32", 32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
# By their names in small letters and digits alone: programs write SHA-256, SHA2-256, sha3_256, BLAKE2b, BLAKE2B-512.
KNOWN = {
    re.sub("[^a-z0-9]", "", name): name
    for name in (*ALGORITHMS.values(), *hashlib.algorithms_guaranteed)
    if not name.startswith("shake")
} | {"blake2b512": "blake2b", "blake2s256": "blake2s"}
SUFFIXES = (".md5", ".md5sum", ".sha1", ".sha1sum", ".sha256", ".sha256sum", ".sha384", ".sha512", ".sha512sum", ".sfv")

BYTE_ORDER_MARKS_16 = (b"\xff\xfe", b"\xfe\xff")

_HEX = r"(?P<digest>[0-9A-Fa-f]{128}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{56}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32})"
_LINES = (
    re.compile(
        rf"(?P<escaped>\\?)(?:\d+[ \t]+)?{_HEX}(?: [ *]|[ \t]+\*?|[,;|]\s*)(?P<path>\S.*)"
    ),  # md5sum and its relatives
    re.compile(rf"(?P<algorithm>[A-Za-z0-9/-]{{3,12}}) ?\((?P<path>.+)\) ?= ?{_HEX}"),  # BSD, openssl dgst
    re.compile(rf"(?P<path>\S(?:.*[^\s,;|:=])?)(?:[ \t]+|\s*[,;|:=]\s*){_HEX}"),
)
# Windows' own programs write several lines for a file: Get-FileHash | Format-List, certutil -hashfile.
_BLOCKS = (
    re.compile(rf"^Algorithm *:.*\nHash *: *{_HEX} *\nPath *: *(?P<path>\S.*(?:\n {{8,}}\S.*)*)", re.MULTILINE),
    re.compile(
        rf"^\S+(?: hash of(?: file)?|-Hash (?:von|der Datei)) (?P<path>\S.*?) ?:\n{_HEX} *(?:\nCertUtil: .*)?$",
        re.MULTILINE,
    ),
)
_DIGEST = re.compile(_HEX)
FILE_NAME = re.compile(r"\S.*\.(?=\w*[A-Za-z])\w{1,8}")
_WRAP = re.compile(r"\n +")
# How columns of checksums are called in several languages, and those of what is no file: perceptual hashes, pixels.
_HEADING = re.compile(
    r"md5|sha-?[1-5]|blake|crc|hash|hach|digest|check|chk|cksum|fixity|suma|verif|empreinte|huella|impronta|contr[oô]le"
    r"|kontroll|pr(ü|u\u0308|ue)f|сумма|хеш|хэш|校验|哈希|ハッシュ|チェック",
    re.IGNORECASE,
)
_HEADING_OF_OTHERS = re.compile(
    r"(^|[^a-z])[pdaw]_?hash|perceptual|pixel|block|thumb|image_?data|(^|[^a-z])(url|path|name)[ _-]?(hash|md5|sha)",
    re.IGNORECASE,
)
# Random UUIDs and their kin without hyphens (RFC 9562, 4): a digit for the version, another for the variant.
_UUID = re.compile(r"[0-9A-Fa-f]{12}[1-8][0-9A-Fa-f]{3}[89ABab][0-9A-Fa-f]{15}")
_FEWEST_UUIDS = 3  # by which a column of MD5 cannot be mistaken for one of them, but once in 30,000
_LONGEST_ROW = 10_000
_ROWS_THAT_TELL = 1_000
_MOST_NAMES = 8  # columns that are looked at for names of files
_SIGNED, _SIGNATURE = "-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----"
_SFV_LINE = re.compile(r"(?P<path>\S(?:.*\S)?)[ \t]+(?P<digest>[0-9A-Fa-f]{8})")
# Paths end before blanks, so that no line, however long, is looked at again from each of its blanks.
_BARE = re.compile(rf"\ufeff?{_HEX}\s*")
_COMMENTS = ("#", ";", "//", "%%%%")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True)
class Line:
    """What a list says of the file that it calls ``path``; ``digest`` is hexadecimal, lower case.

    ``algorithm`` is one of ``KNOWN``, or what the list calls one that is not known here; ``others`` are those that may
    be meant as well, where nothing says which it is.
    """

    path: str
    algorithm: str
    digest: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChecksumList:
    """What a list says; ``unread`` are the numbers, from 1, of lines that are no checksums."""

    lines: tuple[Line, ...]
    unread: tuple[int, ...] = ()


def read_list(content: bytes, name: str, is_there: Callable[[str], bool] = lambda path: False) -> ChecksumList | None:
    """Return what a file says, if it is a checksum list by its content, whatever its name; else None.

    A file of which more than half of the lines are checksums, or that is called a list and has one, is one that is
    damaged. ``a.tif.md5`` may hold a checksum
    and nothing else: that is of ``a.tif``. Checksums of eight digits count in a file that is called ``.sfv``, or where
    at least one of them has a letter and a digit: numbers and words at the end of lines are no checksums.

    Args:
        is_there: whether there is a file that a list may call so: of several columns with names, it tells which counts.
    """
    text = _decoded(content)
    if text is None:
        return None
    bare = _BARE.fullmatch(text)
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix.lower()
    if bare:
        return ChecksumList((_line(stem, bare["digest"], name),)) if suffix in SUFFIXES else None
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    told = [(number, line) for number, line in numbered if not line.startswith(_COMMENTS)]
    whole = [line for _, line in told]
    found = _read_table(whole, name, is_there) or [_read_line(line, name) for line in whole]
    if not any(found):
        found = [_read_short_line(line) for line in whole]
        digests = [line.digest for lines in found for line in lines or ()]
        if suffix != ".sfv" and not any(re.search("[a-f]", one) and re.search("[0-9]", one) for one in digests):
            return None
    if len(found) > 1 and not found[0] and re.search(r"[,;|\t]", whole[0]):
        if not any(map(_is_heading, (*re.split(r"[,;|\t]", whole[0]), name))):
            return None  # a table of something else
        del found[0], told[0]  # the head of a table
    said = [lines for lines in found if lines is not None]
    lines = tuple(line for lines in said for line in lines)
    if suffix not in SUFFIXES and (2 * sum(map(bool, said)) <= len(said) or _are_uuids(lines)):
        return None
    unread = tuple(number for (number, _), one in zip(told, found, strict=True) if one == [])
    return ChecksumList(lines, unread) if lines or unread else None


def _is_heading(text: str) -> bool:
    """Whether a column, or a list, is called as those with checksums of files are."""
    return bool(_HEADING.search(text)) and not _HEADING_OF_OTHERS.search(text)


def _are_uuids(lines: Sequence[Line]) -> bool:
    """Whether what look like checksums are UUIDs without hyphens, all of one version, by their digits."""
    are_all = len(lines) >= _FEWEST_UUIDS and all(_UUID.fullmatch(line.digest) for line in lines)
    return are_all and len({line.digest[12] for line in lines}) == 1


def _decoded(content: bytes) -> str | None:
    """The text of a list with one kind of line end and one line for a file, of a signed one what is signed.

    None: it is no text.

    Bytes that are not UTF-8 become what they are in names of files.
    """
    if content.startswith(BYTE_ORDER_MARKS_16):
        text = content.decode("utf-16", "replace")
    else:
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if "\0" in text:
        return None
    text = re.sub(r"\r\n|\r", "\n", text).rstrip("\x1a")  # with which DOS ended its files
    if text.startswith(_SIGNED):
        _, _, signed = text.partition("\n\n")
        text, _, _ = signed.partition(_SIGNATURE)
    for block in _BLOCKS:
        text = block.sub(_as_one_line, text)
    return text


def _as_one_line(block: re.Match[str]) -> str:
    """A block as md5sum writes it; long paths are wrapped, with blanks before what follows."""
    return f"{block['digest']}  {_WRAP.sub('', block['path'])}"


def _read_table(lines: Sequence[str], name: str, is_there: Callable[[str], bool]) -> list[list[Line] | None] | None:
    """What each line says of a table whose cells are quoted, or which has more than two columns; None: it is none.

    Its columns may be in any order: checksums are told by their digits and their heading, the file by its ending. None
    in place of a line: it has a file, and no checksum of it.
    """
    first = lines[:_ROWS_THAT_TELL]
    if any(len(line) > _LONGEST_ROW for line in lines) or not any(map(_DIGEST.search, first)):
        return None
    for separator in ",;\t|":
        widths = Counter(len(next(csv.reader([line], delimiter=separator))) for line in first)
        width = max(widths.items(), key=lambda one: one[::-1])[0]
        if width < 2 or (width == 2 and not any('"' in line for line in first)):
            continue
        rows = [next(csv.reader([line], delimiter=separator)) for line in lines]
        rows = [[*map(str.strip, row[: width - 1]), separator.join(row[width - 1 :]).strip()] for row in rows if row]
        names = Counter(at for row in rows for at, cell in enumerate(row) if FILE_NAME.fullmatch(cell))
        if names:
            named = [at for at, _ in names.most_common(_MOST_NAMES)]
            there = Counter(at for row in rows[:_ROWS_THAT_TELL] for at in named if at < len(row) and is_there(row[at]))
            place = max(named, key=lambda at: (there[at], names[at], -at))
            columns = _checksum_columns(rows, name)
            read = [_read_cells(row, place, columns, name) for row in rows]
            if any(read) and 2 * sum(one != [] for one in read) >= len(read):
                return read
    return None


def _checksum_columns(rows: Sequence[Sequence[str]], name: str) -> list[int]:
    """The columns with checksums of files: those that are called so, or all where nothing is called anything."""
    with_digests = [[at for at, cell in enumerate(row) if _DIGEST.fullmatch(cell)] for row in rows]
    columns = sorted({at for found in with_digests for at in found})
    heads = rows[: next((number for number, found in enumerate(with_digests) if found), 0)]
    called = [at for at in columns if any(at < len(head) and _is_heading(head[at]) for head in heads)]
    return called or (columns if not heads or _is_heading(name) else [])


def _read_cells(row: Sequence[str], place: int, columns: Sequence[int], name: str) -> list[Line] | None:
    """The checksums in ``columns`` of a row, of the file that the cell at ``place`` names; None: those are blank."""
    cells = [row[at] for at in columns if at < len(row)]
    if len(row) <= place or not cells:
        return []
    if not any(re.search("[0-9]", cell) for cell in cells):
        return None
    return [_line(row[place], digest, name) for digest in cells if _DIGEST.fullmatch(digest)]


def _read_line(line: str, name: str) -> list[Line]:
    for pattern in _LINES:
        match = pattern.fullmatch(line) or pattern.fullmatch(line.rstrip())
        if match:
            path = match["path"]
            if match.groupdict().get("escaped"):
                path = re.sub(r"\\[\\nr]", lambda escape: _ESCAPES[escape[0]], path)
            return [_line(_unquoted(path), match["digest"], name, match.groupdict().get("algorithm"))]
    return []


def _read_short_line(line: str) -> list[Line]:
    match = _SFV_LINE.fullmatch(line.rstrip())
    return [_line(match["path"], match["digest"], "")] if match else []


def _line(path: str, digest: str, name: str, algorithm: str | None = None) -> Line:
    """A line of the list ``name``, which may say of what kind its checksums are."""
    kind = known_algorithm(algorithm) if algorithm else _named_kind(name, len(digest))
    is_b2sum = kind == "sha512" and not algorithm and "512" not in name  # maybe: its lines look like those of sha512sum
    return Line(path, kind, digest.lower(), ("blake2b",) if is_b2sum else ())


def known_algorithm(name: str) -> str:
    """The algorithm that a list or manifest calls ``name``, as hashlib does; one that is not known stays as it is."""
    plain = re.sub("[^a-z0-9]", "", name.lower())
    return KNOWN.get(plain) or KNOWN.get(re.sub(r"^sha2(?=\d{3})", "sha", plain)) or name


def _named_kind(name: str, digits: int) -> str:
    """What checksums of so many digits are in a list of this name: ``B2SUMS`` and ``sha3-256.txt`` are no SHA-2."""
    plain = re.sub("[^a-z0-9]", "", name.lower().replace("b2sum", "blake2b"))
    for spelt, algorithm in KNOWN.items():
        if spelt.startswith(("blake2", "sha3")) and spelt in plain and 2 * hashlib.new(algorithm).digest_size == digits:
            return algorithm
    return ALGORITHMS[digits]


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 2 and path[0] == path[-1] == '"' else path
