"""Flags of a page as a person sees it: what they are made of, whatever finds them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BLANK = "blank"
"""The flag of an empty page, and the name of the bucket in which such pages lie."""

PHOTOGRAPH_LIES = "the photograph lies"
"""How the reason of the flag ``sideways`` begins where a photograph's features told it."""


@dataclass(frozen=True)
class PageFlag:
    """One flag.

    Attributes:
        flag: its name.
        score: what was measured, in the unit that :attr:`reason` tells.
        threshold: where the score becomes a flag.
        reason: why, as a sentence without its full stop.
    """

    flag: str
    score: float
    threshold: float
    reason: str


def names_of(flags: Iterable[Mapping[str, Any]] | None) -> list[str]:
    """Return the names of a row's flags, as its column ``page_flags`` has them; None is a row without any."""
    return [flag["flag"] for flag in flags or ()]


def lies_as_photograph(flag: Mapping[str, Any]) -> bool:
    """Return whether a flag, as the column ``page_flags`` has it, was told by a photograph's features."""
    return flag["reason"].startswith(PHOTOGRAPH_LIES)


def bucket_of(label: str, flags: Iterable[Mapping[str, Any]] | None, *, by_person: bool) -> str:
    """Return where an image belongs: its class, or :data:`BLANK` for an empty page.

    Args:
        label: its class.
        flags: its column ``page_flags``.
        by_person: a person gave it the class: people are right about empty pages, too.
    """
    return BLANK if not by_person and BLANK in names_of(flags) else label
