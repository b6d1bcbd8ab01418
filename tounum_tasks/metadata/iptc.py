"""IPTC-IIM 4.2: what programs before XMP wrote into JPEG and TIFF files, and still write."""

import struct
from collections.abc import Iterator

from tounum_tasks.metadata.fields import decoded, iso_date, plain
from tounum_tasks.metadata.xmp import Xmp

MAX_BYTES = 60_000
MAX_DATASETS = 2_000

_DATE, _TIME, _SUBJECT = (2, 55), (2, 60), (2, 25)
_CREATOR = (2, 80)
# Envelope and application record; without the shape of the original (2:131) and a small picture (2:200 to 2:202).
_KEPT_RECORDS = (1, 2)
_LEFT_OUT = ((2, 131), (2, 200), (2, 201), (2, 202))
# Which property says the same (IPTC Photo Metadata Standard 2023.2, IPTC Core): as text, or in several languages.
_ALTERNATIVES = {(2, 5): "dc:title", (2, 120): "dc:description", (2, 116): "dc:rights"}
_TEXTS = {
    (2, 40): "photoshop:Instructions", (2, 85): "photoshop:AuthorsPosition", (2, 90): "photoshop:City",
    (2, 92): "Iptc4xmpCore:Location", (2, 95): "photoshop:State", (2, 100): "Iptc4xmpCore:CountryCode",
    (2, 101): "photoshop:Country", (2, 103): "photoshop:TransmissionReference", (2, 105): "photoshop:Headline",
    (2, 110): "photoshop:Credit", (2, 115): "photoshop:Source", (2, 122): "photoshop:CaptionWriter",
}  # fmt: skip


def kept_iptc(content: bytes) -> bytes:
    """Return what of the datasets goes with pixels that were turned and changed; what is damaged ends them."""
    kept = (
        whole for dataset, _, whole in _datasets(content) if dataset[0] in _KEPT_RECORDS and dataset not in _LEFT_OUT
    )
    return b"".join(kept)


def complete_by_iptc(xmp: Xmp, content: bytes) -> None:
    """Write what IPTC says into XMP where that is silent: for formats that have no place for IPTC, and for one reader.

    Args:
        content: as :func:`kept_iptc` returns it.
    """
    said: dict[tuple[int, int], list[str]] = {}
    for dataset, value, _ in _datasets(content):
        text = plain(decoded(value))
        if text and dataset[0] == 2:
            said.setdefault(dataset, []).append(text)
    for dataset, name in _ALTERNATIVES.items():
        if dataset in said and not xmp.text(name):
            xmp.set_alternative(name, said[dataset][0])
    for dataset, name in _TEXTS.items():
        if dataset in said and not xmp.text(name):
            xmp.set_text(name, said[dataset][0])
    if _CREATOR in said and not xmp.texts("dc:creator"):
        xmp.add_to_list("dc:creator", said[_CREATOR], "Seq")
    xmp.add_to_list("dc:subject", said.get(_SUBJECT, []), "Bag")
    date = _date(*(said.get(dataset, [""])[0] for dataset in (_DATE, _TIME)))
    if date and not xmp.text("photoshop:DateCreated"):
        xmp.set_text("photoshop:DateCreated", date)


def _datasets(content: bytes) -> Iterator[tuple[tuple[int, int], bytes, bytes]]:
    """Yield (record, number), value and all bytes of each dataset (IIM 4.2, 1.5)."""
    at = 0
    for _ in range(MAX_DATASETS):
        if len(content) < at + 5 or content[at] != 0x1C:
            return
        record, number, length = struct.unpack_from(">BBH", content, at + 1)
        end = at + 5 + length
        if length & 0x8000 or end > len(content):  # extended datasets hold pictures
            return
        yield (record, number), content[at + 5 : end], content[at:end]
        at = end


def _date(date: str, time: str) -> str | None:
    """Return ``19870504`` and ``120000+0200`` as ISO 8601; months and days may be 00: not known."""
    if not date.isdecimal() or len(date) != 8:
        return None
    parts = [date[:4], *(part for part in (date[4:6], date[6:]) if part != "00")]
    day = "-".join(parts)
    digits, zone = time[:6], time[6:]
    if len(parts) < 3 or not digits.isdecimal() or len(digits) < 6:
        return iso_date(day)
    zone = f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 else ""
    return iso_date(f"{day}T{digits[:2]}:{digits[2:4]}:{digits[4:]}{zone}") or iso_date(day)
