"""Tables beside images, CSV as spreadsheets and databases write it: what they say of files, by a mapping of columns.

Whoever keeps titles and numbers in a table has columns of their own; the mapping says which of them means what.
"""

import csv
import io
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from unicodedata import normalize
from urllib.parse import unquote

from tounum_tasks.metadata.fields import FIELDS, Fields, date_of, distinct, guessed, plain

MAX_BYTES = 32 << 20
FILE = "file"
SUFFIXES = (".csv", ".tsv")

_DELIMITERS = ",;\t|"
_MAX_NOTES = 5
_MOST_LINES_BEFORE = 10  # the names of the columns
_DATES = ("captured_at", "digitised_at")
_KEYWORDS = "keywords"
_AS_TEXT = re.compile(r'\s*="(.*)"\s*')  # how zeros before a number outlive Excel


@dataclass
class Table:
    """What a table says.

    Attributes:
        rows: by file, as :func:`same_name` spells it.
        notes: what is wrong with it, as sentences that follow its name.
        assumed: the encoding that was taken for it because it does not say its own, else None.
    """

    rows: dict[str, Fields] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    assumed: str | None = None


def mapping_of(text: str) -> dict[str, str]:
    """Return a mapping of columns given as JSON, ``{"file": "Filename", "title": "Title"}``; of nothing, an empty one.

    Raises:
        ValueError: it is none; the message is a sentence.
    """
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f'it is no JSON such as {{"file": "Filename", "title": "Title"}} ({error})') from error
    if not isinstance(given, dict) or not all(isinstance(name, str) and name.strip() for name in given.values()):
        raise ValueError("it must give the name of a column for each field")
    if unknown := sorted(set(given) - {FILE, *FIELDS}):
        raise ValueError(f"there is no field {', '.join(unknown)}; the fields are {', '.join((FILE, *FIELDS))}")
    if FILE not in given or len(given) < 2:
        raise ValueError('it must say which column names the file ("file"), and name another one')
    return {name: column.strip() for name, column in given.items()}


def same_name(name: str) -> str:
    """Return the path or name of a file so that two spellings of one are the same: of case, slashes and accents, and as
    a URI."""
    spelt = unquote(name) if name.strip().casefold().startswith("file:") else name
    return normalize("NFC", spelt).casefold().replace("\\", "/").strip().removeprefix("./").lstrip("/")


def read_table(content: bytes, columns: Mapping[str, str]) -> Table | None:
    """Return what a table says, None if it has none of the columns: it is of another kind.

    Args:
        content: the file, at most ``MAX_BYTES``; UTF-8 or UTF-16 with or without a byte order mark, Windows-1252, or
            of old Macs.
        columns: as :func:`mapping_of` returns it.

    Raises:
        ValueError: it cannot be read; the message follows the name of the table.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES >> 20} MiB: divide it")
    text, assumed = _text(content)
    delimiter, place, header = _header(text, columns)
    there = {name: header.index(column.casefold()) for name, column in columns.items() if column.casefold() in header}
    if not there:
        return None
    missing = [column for name, column in columns.items() if name not in there]
    remedy = f"it has {', '.join(filter(None, header[:20]))}; correct the table or TOUNUM_METADATA_COLUMNS"
    if FILE not in there or len(there) < 2:
        raise ValueError(f"has no column {missing[0]}: {remedy}")
    table = Table(assumed=assumed)
    table.notes += [f"has no column {column}: {remedy}" for column in missing]
    try:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        deque(islice(lines, place + 1), maxlen=0)
        _read_rows(table, lines, there, len(header))
    except csv.Error as error:
        raise ValueError(f"is damaged, or no table ({error}): save it as CSV again") from error
    more = len(table.notes) - _MAX_NOTES
    table.notes[_MAX_NOTES:] = [f"has {more} more faults"] if more > 0 else []
    return table


def _text(content: bytes) -> tuple[str, str | None]:
    """The text of a file with one kind of line end, and its encoding if that is a guess."""
    assumed = None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    else:
        text, assumed = guessed(content.removeprefix(b"\xef\xbb\xbf"))
    return re.sub(r"\r\n|\r", "\n", text), assumed


def _header(text: str, columns: Mapping[str, str]) -> tuple[str, int, list[str]]:
    """The delimiter by which most of the columns are found, the line in which they are, and the names of all columns in
    one case: titles, comments and Excel's ``sep=;`` may stand before them."""
    wanted = {column.casefold() for column in columns.values()}
    found: list[tuple[int, int, str, list[str]]] = [(0, 0, _DELIMITERS[0], [])]
    for delimiter in _DELIMITERS:
        lines = csv.reader(io.StringIO(text), delimiter=delimiter)
        try:
            for place, cells in enumerate(islice(lines, _MOST_LINES_BEFORE + 1)):
                header = [" ".join(cell.split()).casefold() for cell in cells]
                found.append((len(wanted & set(header)), -place, delimiter, header))
        except csv.Error:  # so it is no table by this delimiter
            continue
    _, before, delimiter, header = max(found, key=lambda one: one[:2])
    return delimiter, -before, header


def _read_rows(table: Table, lines: "csv._reader", there: Mapping[str, int], width: int) -> None:  # type: ignore[name-defined]
    for cells in lines:
        while cells and not cells[-1].strip():
            del cells[-1]
        if not cells:
            continue
        if len(cells) > width:
            table.notes.append(f"has {len(cells)} cells in line {lines.line_num}, but {width} columns: it is left out")
            continue
        said = {name: _AS_TEXT.sub(r"\1", cells[at]) if at < len(cells) else "" for name, at in there.items()}
        name = same_name(said.pop(FILE))
        if not name:
            table.notes.append(f"names no file in line {lines.line_num}: it is left out")
            continue
        fields = _fields(said, table.notes, lines.line_num)
        if table.rows.setdefault(name, fields) != fields:
            table.notes.append(
                f"names {plain(name)} again in line {lines.line_num}, with other words: those are left out"
            )


def _fields(said: Mapping[str, str], notes: list[str], line: int) -> Fields:
    texts = {name: plain(value) for name, value in said.items() if name not in (*_DATES, _KEYWORDS)}
    dates = {name: date_of(said[name]) for name in _DATES if name in said}
    for name, date in dates.items():
        if said[name].strip() and not date:
            notes.append(f"has no date in line {line} ({plain(said[name])}): write it as 1923, 1923-05 or 1923-05-04")
    return Fields(**texts, **dates, keywords=distinct(said.get(_KEYWORDS, "").split(";")))


def files_of(name: str, images: Mapping[str, Sequence[str]], folder: str, batch: str) -> list[str]:
    """Return the images that a table names, none if there is none or if it cannot be told which.

    Args:
        name: as :func:`same_name` spells it: a path below the batch's folder or the table's, a name, or one without
            its ending.
        images: those of the batch by every such spelling.
        folder: of the table, spelled in the same way, with a slash at its end unless it is the batch's own.
        batch: the name of the batch's folder, spelled in the same way: a path may lead through it, wherever it lay.
    """
    below = f"/{name}".partition(f"/{batch}/")[2]
    found = images.get(folder + name) or images.get(name) or images.get(below) or []
    exact = [image for image in found if same_name(image) in (folder + name, name, below)]
    is_clear = len({image.rpartition("/")[0] for image in found}) == 1
    return exact or (list(found) if is_clear else [])


def spellings(image: str) -> set[str]:
    """Return how a table may name an image, given its path below the batch's folder."""
    path = same_name(image)
    name = path.rpartition("/")[2]
    return {path, name, path.rpartition(".")[0] or path, name.rpartition(".")[0] or name}
