"""What metadata say of a picture in words that people look for: the same few fields, whatever they came in."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tounum_tasks.visible import one_line

MAX_TEXT = 2_000  # characters of one field
MAX_KEYWORDS, MAX_KEYWORD = 64, 200  # all fields together fit into one message of a decoder's process

_EXIF_DATE = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)(?:[ T](\d\d:\d\d:\d\d))?")
# Months and days that are not known are blank, or 00. Of 1911/12 nobody knows: archives mean 1911 to 1912.
_PARTIAL_DATE = re.compile(r"(\d{4})(?:[:-](?!00)(\d\d))?(?:[:/-](?:00|  )){0,2}(?:[ T][0: ]*)?")
_ISO_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?)?)?")
_PDF_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(Z|[+-]\d\d'\d\d)?")
# What the umlauts and accents of Macs are in Windows-1252: capitals amidst small letters, signs amidst letters.
_OF_MACS = re.compile(r"[a-zß-ÿ][ŠŽŸ]|[A-Z][ŠŽŸ](?=[a-z])|(?<=[A-Za-zß-ÿ])[\ufffd‡ˆ‰§](?=[a-zß-ÿ])")
# Words of Windows-1252 that are none in the encoding of Macs: there these letters are capitals and signs.
_OF_WINDOWS = re.compile(r"(?<=[a-zß-öø-ÿ])[ß-öø-ÿ]|(?<=[A-Z])[ß-öø-ÿ](?=[a-z])|[ÄÅÆÖ](?=[A-Za-z])")
_SHORT_ZONE = re.compile(r"([+-]\d\d)(\d\d)$")
_ZONE = re.compile(r"Z|[+-]\d\d:\d\d")


@dataclass(frozen=True)
class Fields:
    """What is known; None: nothing.

    Attributes:
        captured_at: when the picture was taken, ISO 8601, as precise as it was written down: a year may be all.
        digitised_at: when it was scanned or became a file.
        device: maker and model of the camera or scanner.
        keywords: each once.
    """

    captured_at: str | None = None
    digitised_at: str | None = None
    device: str | None = None
    title: str | None = None
    description: str | None = None
    inventory_number: str | None = None
    copyright: str | None = None
    keywords: tuple[str, ...] = ()

    def completed_by(self, other: "Fields") -> "Fields":
        """Return these fields, where they are silent those of ``other``, and the keywords of both."""
        missing = {name: value for name, value in vars(other).items() if getattr(self, name) is None}
        return replace(self, **missing, keywords=distinct((*self.keywords, *other.keywords)))


FIELDS = tuple(Fields.__dataclass_fields__)


def plain(text: str | None) -> str | None:
    """Return text as one line of at most ``MAX_TEXT`` characters that can be shown, None if nothing is left of it."""
    return one_line(" ".join((text or "").replace("\0", " ").split()))[:MAX_TEXT] or None


def distinct(words: Iterable[str | None]) -> tuple[str, ...]:
    """Return keywords as plain text, each once: at most ``MAX_KEYWORDS`` of ``MAX_KEYWORD`` characters."""
    return tuple(dict.fromkeys(word[:MAX_KEYWORD] for word in map(plain, words) if word))[:MAX_KEYWORDS]


def decoded(content: bytes) -> str:
    """Return text whose encoding is not known: UTF-8 if it can be, else Windows-1252, as most old programs wrote, or
    what old Macs wrote, if more of it are letters of words there than in Windows-1252."""
    return guessed(content)[0]


def guessed(content: bytes) -> tuple[str, str | None]:
    """Return the same text, and the encoding that it was taken to have if it is not UTF-8."""
    try:
        return content.decode(), None
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
        is_of_macs = len(_OF_MACS.findall(text)) > len(_OF_WINDOWS.findall(text))
        return (content.decode("mac_roman"), "Mac OS Roman") if is_of_macs else (text, "Windows-1252")


def exif_date(text: str | None, zone: str | None = None) -> str | None:
    """Return a date of EXIF (``1987:05:04 12:00:00``, ``1987:05:00``) as ISO 8601, None if it is none."""
    partial = _PARTIAL_DATE.fullmatch(text.strip()) if text else None
    if partial:
        return iso_date("-".join(filter(None, partial.groups())))
    found = _EXIF_DATE.match(text.strip()) if text else None
    if not found:
        return None
    year, month, day, time = found.groups()
    zone = zone.strip() if zone and _ZONE.fullmatch(zone.strip()) else ""
    return iso_date(f"{year}-{month}-{day}" + (f"T{time}{zone}" if time else ""))


def pdf_date(text: str | None) -> str | None:
    """Return a date of a PDF file (``D:19870504120000+01'00'``) as ISO 8601, None if it is none."""
    found = _PDF_DATE.match(text.strip()) if text else None
    if not found:
        return None
    year, month, day, hour, minute, second, zone = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    time = f"T{hour}:{minute}:{second or '00'}{_zone_of_pdf(zone)}" if minute else ""
    return iso_date(date + time)


def _zone_of_pdf(zone: str | None) -> str:
    return f"{zone[:3]}:{zone[4:6]}" if zone and zone[0] in "+-" else zone or ""


def iso_date(text: str | None) -> str | None:
    """Return a date of XMP, which may be as short as a year, None if there is no such date."""
    found = _ISO_DATE.fullmatch(text.strip()) if text else None
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups("1"))  # what is not said is as good as any
    try:
        dt.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    date, mark, time = found.group().partition("T")
    return date + mark + _SHORT_ZONE.sub(r"\1:\2", time)


def date_of(text: str | None) -> str | None:
    """Return a date that programs wrote in the form of XMP or of EXIF, as ISO 8601, None if it is none."""
    return iso_date(text) or exif_date(text)


def device_of(make: str | None, model: str | None) -> str | None:
    """Return maker and model, the maker once (``Canon``, ``Canon EOS 5D`` give ``Canon EOS 5D``)."""
    make, model = plain(make), plain(model)
    if make and model and not model.casefold().startswith(make.split()[0].casefold()):
        return f"{make} {model}"
    return model or make
