"""EXIF (CIPA DC-008): what of it goes with upright sRGB pixels, and what it says.

Kept is what describes the picture, whatever wrote it. Left out are tags that describe how the original's pixels were
stored, thumbnails, and makers' notes, which hold addresses in the original file.
"""

import struct
from dataclasses import dataclass
from typing import Any

from tounum_tasks.metadata.directories import (
    ASCII,
    HEADER,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Directory,
    Entry,
    first_directory,
    read_directory,
    written,
)
from tounum_tasks.metadata.fields import Fields, decoded, device_of, distinct, exif_date, plain

MAX_BYTES = 60_000  # of a block, and of one tag: what a JPEG segment holds, with its head

CAMERA, PLACE = 34_665, 34_853  # tags that point to the directories of the camera's tags and of GPS
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 274, 282, 283, 296
_DESCRIPTION, _MAKE, _MODEL, _DATE, _COPYRIGHT, _TITLE, _KEYWORDS = 270, 271, 272, 306, 33_432, 40_091, 40_094
_TAKEN, _TAKEN_ZONE, _DIGITISED, _DIGITISED_ZONE = 36_867, 36_881, 36_868, 36_882
_COLOUR_SPACE, _WIDTH, _HEIGHT = 40_961, 40_962, 40_963
_MAKER_NOTE, _INTEROPERABILITY = 37_500, 40_965
# Document, description, maker, model, orientation, page, software, date, artist, host, rating, copyright, and what
# Windows writes. All others of a TIFF's main directory say how its pixels are stored.
_KEPT = (
    269, 270, 271, 272, 274, 285, 305, 306, 315, 316, 18_246, 18_249, 33_432, *range(40_091, 40_096)
)  # fmt: skip
_SRGB = 1
_INCH = 2
_TEXTS = (1, ASCII, UNDEFINED, 129)  # 129: UTF-8 (EXIF 3.0, 4.6.2)
_LONG_TAG = 1_000  # bytes


@dataclass(frozen=True)
class Exif:
    """What is kept, by the directory that it stands in, and what was left out, as sentences."""

    main: Directory
    camera: Directory
    place: Directory
    left_out: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Return a block as JPEG, PNG and WebP hold it, without the word ``Exif`` before it; nothing if it is empty."""
        inner = {CAMERA: self.camera, PLACE: self.place}
        return HEADER + written(self.main, inner, len(HEADER)) if self.main or any(inner.values()) else b""


def read_exif(data: Any, size: tuple[int, int], dpi: float | None, offset: int | None = None) -> Exif:
    """Return what is kept of a block, or of a page of a TIFF file.

    Args:
        data: bytes or a mapped file.
        size: (width, height) of the upright picture that it will go with.
        dpi: resolution of that picture along both sides, in dots per inch.
        offset: of the page's directory, if it is not the first.

    Raises:
        ValueError: nothing can be read, or it is too long even without its long tags.
    """
    found = read_directory(data, first_directory(data) if offset is None else offset, MAX_BYTES)
    left_out: list[str] = []
    camera, place = (_inner(data, found, tag, left_out) for tag in (CAMERA, PLACE))
    if _MAKER_NOTE in camera:
        left_out.append("EXIF: the maker's notes, which hold addresses in the original file")
    camera = {tag: entry for tag, entry in camera.items() if tag not in (_MAKER_NOTE, _INTEROPERABILITY)}
    right = {_COLOUR_SPACE: (SHORT, "<H", _SRGB), _WIDTH: (LONG, "<I", size[0]), _HEIGHT: (LONG, "<I", size[1])}
    for tag, (kind, form, value) in right.items():
        if tag in camera:
            camera[tag] = Entry(kind, struct.pack(form, value))
    main = {tag: found[tag] for tag in _KEPT if tag in found} | _resolution(dpi)
    if _ORIENTATION in main:
        main[_ORIENTATION] = Entry(SHORT, struct.pack("<H", 1))
    exif = Exif(main, camera, place, tuple(left_out))
    return exif if len(exif.to_bytes()) <= MAX_BYTES else _without_long_tags(exif)


def _inner(data: Any, main: Directory, tag: int, left_out: list[str]) -> Directory:
    """Return the directory that a tag points to; a damaged one costs its own tags alone."""
    offset = main[tag].integer() if tag in main else None
    if offset is None:
        return {}
    try:
        return read_directory(data, offset, MAX_BYTES)
    except ValueError as error:
        left_out.append(f"EXIF: {error}")
        return {}


def _resolution(dpi: float | None) -> Directory:
    """Return the tags of a resolution in dots per inch, with two decimals; of none, none."""
    if dpi is None:
        return {}
    value = Entry(RATIONAL, struct.pack("<II", round(dpi * 100), 100))
    return {_X_RESOLUTION: value, _Y_RESOLUTION: value, _UNIT: Entry(SHORT, struct.pack("<H", _INCH))}


def _without_long_tags(exif: Exif) -> Exif:
    def short(directory: Directory) -> Directory:
        return {tag: entry for tag, entry in directory.items() if len(entry.content) <= _LONG_TAG}

    sentence = f"EXIF: tags of more than {_LONG_TAG} bytes, for together they are too long"
    shortened = Exif(short(exif.main), short(exif.camera), short(exif.place), (*exif.left_out, sentence))
    if len(shortened.to_bytes()) > MAX_BYTES:
        raise ValueError("it is too long")
    return shortened


def exif_fields(exif: Exif) -> Fields:
    """Return what EXIF says in words; scanners that know no other date give that of the last change."""
    digitised = exif_date(_text(exif.camera, _DIGITISED), _text(exif.camera, _DIGITISED_ZONE))
    return Fields(
        captured_at=exif_date(_text(exif.camera, _TAKEN), _text(exif.camera, _TAKEN_ZONE)),
        digitised_at=digitised or exif_date(_text(exif.main, _DATE)),
        device=device_of(_text(exif.main, _MAKE), _text(exif.main, _MODEL)),
        title=_wide_text(exif.main, _TITLE),
        description=plain(_text(exif.main, _DESCRIPTION)),
        copyright=plain(_text(exif.main, _COPYRIGHT)),
        keywords=distinct((_wide_text(exif.main, _KEYWORDS) or "").split(";")),
    )


def _text(directory: Directory, tag: int) -> str | None:
    entry = directory.get(tag)
    return decoded(entry.content.rstrip(b"\0 ")) if entry and entry.kind in _TEXTS else None


def _wide_text(directory: Directory, tag: int) -> str | None:
    """What Windows wrote, UTF-16."""
    entry = directory.get(tag)
    return plain(entry.content.decode("utf-16-le", "replace")) if entry else None
