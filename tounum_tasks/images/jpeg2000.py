"""What the boxes of a JPEG 2000 file say: JP2, JPX as far as it has a code stream of its own, bare code streams."""

import struct
from collections.abc import Iterator

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.structure import boxes
from tounum_tasks.metadata.containers import Blocks

_CODE_STREAM = b"\xff\x4f\xff\x51"
_RESTRICTED_PROFILE, _ANY_PROFILE = 2, 3  # methods of a colour box (ITU-T T.800, table I.9; T.801, table M.22)
_CMYK, _SRGB, _GREY, _SYCC = 12, 16, 17, 18  # enumerated colour spaces (T.801, table M.25)
_XMP, _EXIF = bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), b"JpgTiffExif->JP2"  # which UUID boxes are these
_BILEVEL = (0, 15)
_READ_SPACES = frozenset((*_BILEVEL, _CMYK, _SRGB, _GREY, _SYCC))


def check(data: bytes) -> None:
    """Look for the end of the code stream, and for colours that are known (ITU-T T.800, annexes A and I).

    Raises:
        ItemError: TRUNCATED, CORRUPT, UNSUPPORTED for what only JPX has: pixel data in fragments, other colour spaces.
    """
    start, end = _code_stream(data)
    is_ended = b"\xff\xd9" in data[max(start, end - 64) : end] or (start == 0 and _ends_before_rest(data))
    if end > len(data) or not is_ended:
        raise ItemError(ErrorCode.TRUNCATED, "the JPEG 2000 file ends before its end marker")
    spaces = [space for space, _ in _colours(data)]
    if spaces and _READ_SPACES.isdisjoint(spaces) and None not in spaces:
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"JPEG 2000 files with colour space {spaces[0]} of ITU-T T.801 are not read; convert it to sRGB",
        )


def _ends_before_rest(data: bytes) -> bool:
    """Whether the end marker of a bare code stream stands behind its tile-parts, whatever somebody put behind it."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\x90" and at + 4 <= len(data):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    while data[at : at + 2] == b"\xff\x90":
        at += max(int.from_bytes(data[at + 6 : at + 10], "big"), 12)
    return data[at : at + 2] == b"\xff\xd9"


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels (ITU-T T.800, A.5.1).

    Raises:
        ItemError: as for ``samples``.
    """
    start = _size_marker(data)
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    return right - left, bottom - top


def decodable(data: bytes) -> bytes:
    """Return what decoders understand: the code stream alone where a JPX file has no header as JP2 files have it."""
    if data[:4] == _CODE_STREAM or any(kind == b"jp2h" for kind, _, _ in boxes(data, 0, len(data))):
        return data
    start, end = _code_stream(data)
    return data[start:end]


def samples(data: bytes) -> tuple[int, int]:
    """Return (components per pixel, bits per component) of a JPEG 2000 file (ITU-T T.800, A.5.1).

    Raises:
        ItemError: TRUNCATED, CORRUPT, UNSUPPORTED.
    """
    start = _size_marker(data)
    return int.from_bytes(data[start + 40 : start + 42], "big"), (data[start + 42] & 0x7F) + 1


def icc_profile(data: bytes) -> bytes | None:
    """Return the embedded ICC profile of a JP2 or JPX file, which Pillow does not hand out (T.800, I.5.3.3).

    Raises:
        ItemError: CORRUPT.
    """
    return next((profile for _, profile in _colours(data) if profile), None)


def metadata_blocks(data: bytes) -> Blocks:
    """Return the blocks of a JP2 or JPX file (XMP: ISO 16684-3, 5.7; EXIF: as exiv2 and Adobe's programs write it).

    Raises:
        ItemError: CORRUPT.
    """
    found = Blocks(has_profile=icc_profile(data) is not None)
    if data[:4] == _CODE_STREAM:
        return found
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"uuid" and data[start : start + 16] == _XMP:
            found.xmp = data[start + 16 : end]
        elif kind == b"uuid" and data[start : start + 16] == _EXIF:
            found.exif = data[start + 16 : end].removeprefix(b"Exif\0\0")
    return found


def with_resolution(data: bytes, dpi: float) -> bytes:
    """Return a JP2 file that states the resolution at which it was captured (ITU-T T.800, I.5.3.7)."""
    # In dots per metre: dpi * 5,000 / 127, as numerator, denominator and power of ten.
    factor, exponent = 50.0, 2
    while round(dpi * factor) > 0xFFFF:
        factor, exponent = factor / 10, exponent + 1
    fraction = round(dpi * factor), 127
    capture = struct.pack(">I4s4H2b", 18, b"resc", *fraction, *fraction, exponent, exponent)
    box = struct.pack(">I4s", 8 + len(capture), b"res ") + capture
    start, end = next((start, end) for kind, start, end in boxes(data, 0, len(data)) if kind == b"jp2h")
    length = struct.pack(">I", end - start + 8 + len(box))
    return data[: start - 8] + length + data[start - 4 : end] + box + data[end:]


def _size_marker(data: bytes) -> int:
    """Return where the code stream begins, with the marker that tells its size."""
    start, _ = _code_stream(data)
    if len(data) < start + 43:
        raise ItemError(ErrorCode.TRUNCATED, "the JPEG 2000 file ends in its header")
    return start


def _colours(data: bytes) -> Iterator[tuple[int | None, bytes | None]]:
    """Yield (enumerated colour space, ICC profile) of each colour box: one of both, none for what is a vendor's own."""
    if data[:4] == _CODE_STREAM:
        return
    header = next(((start, end) for kind, start, end in boxes(data, 0, len(data)) if kind == b"jp2h"), (0, 0))
    for kind, start, end in boxes(data, header[0], min(header[1], len(data))):
        if kind == b"colr" and end - start > 3:
            has_profile = data[start] in (_RESTRICTED_PROFILE, _ANY_PROFILE)
            is_enumerated = data[start] == 1
            yield (
                int.from_bytes(data[start + 3 : start + 7], "big") if is_enumerated else None,
                data[start + 3 : end] if has_profile else None,
            )


def _code_stream(data: bytes) -> tuple[int, int]:
    """Return where the code stream begins and where it should end."""
    if data[:4] == _CODE_STREAM:
        return 0, len(data)
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"jp2c":
            return start, end
        if kind == b"ftbl":
            raise ItemError(
                ErrorCode.UNSUPPORTED, "JPX files whose pixel data lie in fragments are not read; convert it to JP2"
            )
    raise ItemError(ErrorCode.TRUNCATED, "the JPEG 2000 file ends before its pixel data")
