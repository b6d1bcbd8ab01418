"""What the texts of a PNG file say, in the properties of XMP that mean the same (PNG Third Edition, 11.3.3.2)."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from tounum_tasks.metadata.fields import date_of, plain
from tounum_tasks.metadata.xmp import Xmp

_ALTERNATIVES = {"Title": "dc:title", "Description": "dc:description", "Copyright": "dc:rights"}


def complete_by_texts(xmp: Xmp, texts: Mapping[str, str]) -> None:
    """Write what texts say into XMP where that is silent.

    Args:
        texts: by keyword.
    """
    for keyword, name in _ALTERNATIVES.items():
        text = plain(texts.get(keyword))
        if text and not xmp.text(name):
            xmp.set_alternative(name, text)
    author = plain(texts.get("Author"))
    if author and not xmp.texts("dc:creator"):
        xmp.add_to_list("dc:creator", [author], "Seq")
    created = _date(texts.get("Creation Time", ""))
    if created and not xmp.text("xmp:CreateDate"):
        xmp.set_text("xmp:CreateDate", created)


def _date(text: str) -> str | None:
    """Return a date as ISO 8601; PNG recommends the form of e-mails (RFC 1123, 5.2.14), and others are in use."""
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, OverflowError):
        return date_of(text)
