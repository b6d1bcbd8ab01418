"""How values read: names that cannot mislead, numbers with as many digits as they deserve, durations."""

from collections.abc import Mapping, Sequence
from typing import Any

from tounum_tasks.manifest.sources import BY_PERSON
from tounum_tasks.visible import one_line

REVIEW_REASONS = {
    "class": "class in doubt",
    "caption": "caption in doubt",
    "end": "the end of the file is empty: copy it again from its source",
}
"""Why a person should look at an image, by the words of the column ``review_reasons``."""


def review_reasons(reasons: Sequence[str] | None) -> str:
    """Return why a person should look at an image; manifests of earlier releases knew doubtful classes alone."""
    return "; ".join(REVIEW_REASONS.get(reason, reason) for reason in reasons or ["class"])


def certainty(row: Mapping[str, Any]) -> str:
    """Return how sure the class of a row of a manifest is: ``93.1 %``, or that a person gave it."""
    return "by a person" if row["label_source"] == BY_PERSON else percent(row["confidence"])


def visible(text: object) -> str:
    """Return ``text`` as one line in which nothing is hidden; see :func:`tounum_tasks.visible.one_line`."""
    return one_line(str(text))


def quantity(value: float | None) -> str:
    """Return a measurement with about three significant digits: 12,345 or 47.3 or 0.82."""
    if value is None:
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def percent(share: float) -> str:
    """Return a share of 1 as a percentage; what is neither nothing nor all never reads as 0 % or 100 %."""
    if 0 < share < 0.001:
        return "< 0.1\u00a0%"
    if 0.999 < share < 1:
        return "> 99.9\u00a0%"
    return f"{share * 100:.1f}".removesuffix(".0") + "\u00a0%"


def duration(seconds: float) -> str:
    """Return a duration: ``38 ms``, ``4.2 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def place(url: str) -> str:
    """Return a URL as people read it: files by their path."""
    return visible(url.removeprefix("file://"))


def count(number: int, singular: str, plural: str = "") -> str:
    """Return ``1 image`` or ``1,200 images``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
