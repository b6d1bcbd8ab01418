"""One review: what a person said about an image, when, and what it replaces.

Reviews are never changed. A correction of a correction is another review of the same *chain* (a mark and its subject),
and so is an undo, which names the review that it takes back.
"""

import datetime as dt
import re
import secrets
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.names import validate_batch_date, validate_batch_id
from tounum_tasks.visible import one_line

Mark = Literal["label", "caption", "good", "scan_again", "taken_care"]
OF_IMAGES: frozenset[Mark] = frozenset({"label", "caption", "good"})
OF_ITEMS: frozenset[Mark] = frozenset({"scan_again", "taken_care"})

MAX_CAPTION = 300
MAX_AUTHOR = 250
REVIEW_ID = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_TIME = "%Y%m%dT%H%M%S%fZ"
_SAID = ": "  # between class and caption
# What has no shape of its own and is written all the same: joiners of Persian, Indian languages and emojis, marks of
# the direction of Hebrew and Arabic, and whether a sign is an emoji. Elsewhere they are shown as \uNNNN.
_WRITTEN = dict.fromkeys(map(ord, "\u200c\u200d\u200e\u200f\ufe0e\ufe0f"))


class ItemRef(NamedTuple):
    """One page of one file of one batch."""

    batch_date: str
    batch_id: str
    source_path: str
    page: int


class Chain(NamedTuple):
    """What reviews follow each other on: a mark of an image (its ``image_id``) or of an item."""

    mark: Mark
    subject: str | ItemRef


class Review(BaseModel):
    """What a person said, as it is stored.

    Attributes:
        review_id: names the review, and sorts it among all others by time.
        mark: what kind of thing was said: the class, the caption, that all is good as it is, that the page has to be
            scanned again, or that a quarantined file was taken care of.
        value: the class or the caption; an undo of ``scan_again`` may say here what struck it off.
        old: what the row said: its class, its caption, or for "good" both, as :func:`said` puts them.
        image_id: of the image.
        batch_date, batch_id, source_path, page: the item at which the person looked.
        manifest_version: of the manifest that the person saw.
        author: who.
        at: when, ISO 8601 in UTC.
        saw: the review that was in force in this chain when the person looked; None if there was none.
        undoes: the review that this one takes back.
        sample: the random sample that the image was looked at for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    review_id: str
    mark: Mark
    value: str | None = None
    old: str | None = None
    image_id: Annotated[str, Field(min_length=1, max_length=200)]
    batch_date: str
    batch_id: str
    source_path: Annotated[str, Field(min_length=1)]
    page: Annotated[int, Field(ge=1)]
    manifest_version: Annotated[int, Field(ge=0)]
    author: Annotated[str, Field(min_length=1, max_length=MAX_AUTHOR)]
    at: str
    saw: str | None = None
    undoes: str | None = None
    sample: str | None = None

    @field_validator("review_id", "saw", "undoes")
    @classmethod
    def _id(cls, value: str | None) -> str | None:
        if value is not None and not REVIEW_ID.fullmatch(value):
            raise ValueError(f"'{one_line(value[:100])}' is no review id such as 20260131T235959000000Z-0123abcd")
        return value

    @field_validator("batch_date")
    @classmethod
    def _date(cls, value: str) -> str:
        return _checked(validate_batch_date, value)

    @field_validator("batch_id")
    @classmethod
    def _batch(cls, value: str) -> str:
        return _checked(validate_batch_id, value)

    @field_validator("author", "source_path", "image_id", "sample")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        if value is not None and one_line(value) != value:
            raise ValueError("control characters and line breaks are not allowed: write one line of plain text")
        return value

    @field_validator("old")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        return value if value is None else _plain_text(value)

    @field_validator("at")
    @classmethod
    def _utc(cls, value: str) -> str:
        try:
            at = dt.datetime.fromisoformat(value)
        except ValueError:
            at = dt.datetime.min
        if at.utcoffset() != dt.timedelta(0):
            raise ValueError(f"'{one_line(value[:100])}' is no time in UTC: write it as 2026-01-31T23:59:59+00:00")
        return value

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.undoes is None:
            self._check_value()
        elif self.mark != "scan_again" and self.value is not None:
            raise ValueError("an undo has no value of its own: leave it out")
        for name, other in (("saw", self.saw), ("undoes", self.undoes)):
            if other is not None and other >= self.review_id:
                raise ValueError(f"{name} names a review that is not older than this one: use new_review_id")
        return self

    def _check_value(self) -> None:
        if self.mark == "label":
            if self.value not in CLASSES:
                raise ValueError(f"'{one_line(str(self.value)[:100])}' is no class: choose one of {', '.join(CLASSES)}")
        elif self.mark == "caption":
            check_caption(self.value)
        elif self.value is not None:
            raise ValueError(f"the mark {self.mark} has no value: leave it out")
        if self.mark == "good" and parts_of(self.old)[0] not in CLASSES:
            raise ValueError('"good" says what is good: give the class, and the caption, of the row as old')

    @property
    def item(self) -> ItemRef:
        """The item at which the person looked."""
        return ItemRef(self.batch_date, self.batch_id, self.source_path, self.page)

    @property
    def chain(self) -> Chain:
        """The chain in which this review stands."""
        return Chain(self.mark, subject(self))

    def to_json(self) -> dict:
        return self.model_dump(mode="json", exclude_none=True)


def subject(review: Review) -> str | ItemRef:
    """Return what a review is about: the image for class, caption and "good", else the item."""
    return review.image_id if review.mark in OF_IMAGES else review.item


def make_review(**fields: object) -> Review:
    """Return a review.

    Raises:
        ConfigurationError: a field is wrong; one sentence says which, and what to do.
    """
    try:
        return Review(**fields)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"Not a review: {where + ': ' if where else ''}{told}.") from error


def new_review_id(*, after: str | None = None, now: dt.datetime | None = None) -> str:
    """Return an id for a review that is made now.

    Args:
        after: the id of a review that it follows; the new one sorts behind it, whatever the clocks say.
        now: the time, aware; default: the clock's.
    """
    now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    if after is not None:
        now = max(now, time_of(after) + dt.timedelta(microseconds=1))
    return f"{now.strftime(_TIME)}-{secrets.token_hex(4)}"


def time_of(review_id: str) -> dt.datetime:
    """Return the time, in UTC, that the id of a review names."""
    return dt.datetime.strptime(review_id.partition("-")[0], _TIME).replace(tzinfo=dt.UTC)


def check_caption(value: str | None) -> str:
    """Return a caption that a person wrote.

    Raises:
        ValueError: it is no caption; the sentence says why.
    """
    if value is None or not value.translate(_WRITTEN).strip() or value != value.strip():
        raise ValueError("a caption has 1 to 300 characters, with no blank at its ends")
    if len(value) > MAX_CAPTION:
        raise ValueError(f"the caption has {len(value)} characters: write {MAX_CAPTION} at most")
    return _plain_text(value)


def _plain_text(value: str) -> str:
    written = value.translate(_WRITTEN)
    if odd := [character for character in written if one_line(character) != character]:
        raise ValueError(
            f"the text holds a line break or a character that cannot be seen ({one_line(odd[0])}): write one line of "
            "plain text"
        )
    return value


def said(label: str, caption: str | None = None) -> str:
    """Return what a row says of an image, for ``old`` of "good": ``Photo: a dog runs``, or ``Text``."""
    return f"{label}{_SAID}{caption}" if caption else label


def parts_of(old: str | None) -> tuple[str | None, str | None]:
    """Return class and caption that :func:`said` put together."""
    if old is None:
        return None, None
    label, _, caption = old.partition(_SAID)
    return label, caption or None


def _checked(check: Callable[[str], str], value: str) -> str:
    try:
        return check(value)
    except ConfigurationError as error:
        raise ValueError(str(error).rstrip(".")) from error
