"""Whether a file is whole: checks that decoders leave out, on the containers rather than on the pixels.

Decoders are made to show something. Many return a picture from a file that ends early or whose checksums are
wrong; an archive must hear about such a file instead.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from tounum_tasks.errors import ErrorCode, ItemError

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # inside a scan: neither stuffing nor a restart
_JPEG_STANDALONE = frozenset([0x01, 0xD8, *range(0xD0, 0xD8)])
_JPEG_FRAMES = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE, _JPEG_SCAN = 0xC2, 0xDA
_NONE_CAME = 16
_MAX_JPEG_SCANS = 100  # each costs a pass over all pixels; encoders write 10, those that search for the best up to 64
_MAX_JPEG_SEGMENTS = 100_000  # each may hold 64 kB; libraries take longer for a segment than for its content
_JPEG_UNREAD = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "lossless hierarchical", 0xC9:
    "arithmetic-coded",
    0xCA: "arithmetic-coded progressive", 0xCB: "lossless arithmetic-coded", 0xCD: "hierarchical arithmetic-coded",
    0xCE: "hierarchical arithmetic-coded", 0xCF: "lossless arithmetic-coded", 0xF7: "lossless (JPEG-LS)",
}  # fmt: skip
MAX_PNG_PROFILE = 16 << 20  # unpacked; profiles of printers have 4 MB at most
_MAX_PNG_TEXT = 64 << 10  # a chunk of text; nothing in a longer one (XMP, histories of programs) is used
_MAX_PNG_TEXTS = 1 << 20  # all of them together
_HEIF_BOXES = frozenset((b"ftyp", b"meta", b"moov", b"moof", b"mdat", b"free", b"skip", b"uuid"))  # parts of a picture
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def check_jpeg(data: bytes) -> None:
    """Walk the segments of a JPEG file up to its end marker, and look whether its scans bring the whole picture.

    Raises:
        ItemError: TRUNCATED without an end marker (also when a copy was filled up with zeros), and if its scans
            lack bits of its pixels; CORRUPT.
    """
    scans = 0
    bits_left: dict[int, list[int]] = {}  # by component: how many bits of each coefficient did not come yet
    is_progressive = False
    for marker, content in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and not bits_left:
            is_progressive = marker == _JPEG_PROGRESSIVE
            bits_left = {component: [_NONE_CAME] * 64 for component in data[content + 6 : _end_of(data, content) : 3]}
        scans += marker == _JPEG_SCAN
        if scans > _MAX_JPEG_SCANS:
            raise ItemError(ErrorCode.CORRUPT, f"the JPEG file has more than {_MAX_JPEG_SCANS} scans")
        if marker == _JPEG_SCAN and len(data) > content:
            _take_scan(data, content, bits_left, is_progressive=is_progressive)
    if any(map(any, bits_left.values())):
        raise ItemError(ErrorCode.TRUNCATED, "the JPEG file lacks scans: it would be coarse or without colours")


def _end_of(data: bytes, content: int) -> int:
    return content - 2 + int.from_bytes(data[content - 2 : content], "big")


def _take_scan(data: bytes, content: int, bits_left: dict[int, list[int]], *, is_progressive: bool) -> None:
    """Note which coefficients a scan brings, and up to which bit (ITU-T T.81, B.2.3 and G.1.1)."""
    behind = content + 1 + 2 * data[content]
    components = data[content + 1 : behind : 2]
    first, last, precision = 0, 63, 0
    if is_progressive:
        parameters = data[behind : behind + 3]
        if len(parameters) < 3:
            raise ItemError(ErrorCode.TRUNCATED, "the JPEG file ends in the header of a scan")
        first, last, precision = parameters
    for component in components:
        for coefficient in range(first, min(last, 63) + 1) if component in bits_left else ():
            bits_left[component][coefficient] = precision & 15


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels as the frame header of a JPEG file gives it (ITU-T T.81, B.2.2).

    Raises:
        ItemError: TRUNCATED, CORRUPT, UNSUPPORTED for other than 8 bits per sample and rare ways of coding.
    """
    for marker, content in _jpeg_segments(data):
        if marker in _JPEG_FRAMES and len(data) >= content + 5:
            precision, height, width = struct.unpack_from(">BHH", data, content)
            if marker in _JPEG_UNREAD:
                raise ItemError(
                    ErrorCode.UNSUPPORTED,
                    f"{_JPEG_UNREAD[marker]} JPEG files are not read; save it as baseline JPEG, TIFF or PNG",
                )
            if precision != 8:
                raise ItemError(ErrorCode.UNSUPPORTED, f"JPEG files with {precision} bits per sample are not read")
            return width, height
        if marker == _JPEG_SCAN:
            break
    raise ItemError(ErrorCode.CORRUPT, "the JPEG file has pixel data before it says how many")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, offset of the content) of the segments up to the end marker (ITU-T T.81, B.1.1)."""
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        if at + 4 > len(data):
            if data[at : at + 2] == b"\xff\xd9":
                return
            raise ItemError(ErrorCode.TRUNCATED, "the JPEG file ends before its end marker")
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0xFF):
            at = _next_jpeg_marker(data, at)  # padding, or bytes that decoders skip
        elif marker == 0xD9:
            return
        elif marker in _JPEG_STANDALONE:
            at += 2
        else:
            yield marker, at + 4
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _JPEG_SCAN:
                at = _next_jpeg_marker(data, at)
    raise ItemError(ErrorCode.CORRUPT, f"the JPEG file has more than {_MAX_JPEG_SEGMENTS} segments")


def _next_jpeg_marker(data: bytes, at: int) -> int:
    found = _JPEG_MARKER.search(data, at)
    if found:
        return found.start()
    if at < len(data) and not data[at:].strip(b"\0"):
        raise ItemError(ErrorCode.TRUNCATED, "the JPEG file ends in zero bytes; was it copied completely?")
    raise ItemError(ErrorCode.TRUNCATED, "the JPEG file ends in the middle of its pixel data")


def check_png(data: bytes) -> None:
    """Walk the chunks of a PNG file and compare their checksums (PNG, third edition, section 5).

    Raises:
        ItemError: TRUNCATED without an end chunk, CORRUPT for a wrong checksum or a palette that is missing.
    """
    view = memoryview(data)
    needs_palette = data[25:26] == b"\x03"  # its colour type
    for kind, start, end in _png_chunks(data):
        needs_palette = needs_palette and kind != b"PLTE"
        if needs_palette and kind == b"IDAT":
            raise ItemError(ErrorCode.CORRUPT, "the PNG file lacks the palette that its pixels are numbers of")
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise ItemError(ErrorCode.CORRUPT, "a checksum in the PNG file is wrong: its content has changed")
        if kind == b"IEND":
            return


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the content, end of the content) of the chunks up to and with the end chunk."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        yield kind, at + 8, end
        if kind == b"IEND":
            return
        at = end + 4
    raise ItemError(ErrorCode.TRUNCATED, "the PNG file ends before its end marker")


def without_bulk(data: bytes) -> bytes:
    """Return a PNG file without long texts and profiles, which decoders refuse to unpack; they say nothing of
    pixels.
    """
    left_out: list[tuple[int, int]] = []
    texts = 0
    for kind, start, end in _png_chunks(data):
        if kind in _PNG_TEXTS:
            size = _unpacked_size(kind, data[start:end], _MAX_PNG_TEXT)
            texts += size
            is_bulk = size > _MAX_PNG_TEXT or texts > _MAX_PNG_TEXTS
        else:
            is_bulk = kind == b"iCCP" and _unpacked_size(kind, data[start:end], MAX_PNG_PROFILE) > MAX_PNG_PROFILE
        if is_bulk:
            left_out.append((start - 8, end + 4))
    kept = zip([0, *(end for _, end in left_out)], [*(start for start, _ in left_out), len(data)], strict=True)
    return b"".join(data[start:end] for start, end in kept) if left_out else data


def _unpacked_size(kind: bytes, content: bytes, most: int) -> int:
    """Return how long the content of a text or profile chunk is when unpacked; more than ``most`` is not unpacked."""
    head = content.find(b"\0") + 2  # behind the keyword and the method
    if kind == b"iTXt":
        if content[head - 1 : head] != b"\1":
            return len(content)
        head = content.find(b"\0", content.find(b"\0", head + 1) + 1) + 1  # behind the languages
    elif kind == b"tEXt":
        return len(content)
    try:
        return len(zlib.decompressobj().decompress(content[head:], most + 1))
    except zlib.error:
        return most + 1 if kind == b"iCCP" else len(content)


def check_webp(data: bytes) -> None:
    """Walk the chunks of a WebP file (RFC 9649, section 2.3).

    Raises:
        ItemError: TRUNCATED if it is shorter than its header says, or zeros stand where a chunk should begin.
    """
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise ItemError(ErrorCode.TRUNCATED, "the WebP file is shorter than its header says")
    at = 12
    while at + 8 <= end:
        if not int.from_bytes(data[at : at + 8], "little") and not data[at:end].strip(b"\0"):
            raise ItemError(ErrorCode.TRUNCATED, "the WebP file ends in zero bytes; was it copied completely?")
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    if at > end + 1:
        raise ItemError(ErrorCode.TRUNCATED, "the WebP file ends before its picture does")


def webp_pixel_data(data: bytes) -> tuple[int, int]:
    """Return (start, end) of the coded pixels of the first frame; (0, 0) if there are none."""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8 ", b"VP8L"):
            return at + 8, min(at + 8 + length, len(data))
        at += 24 if kind == b"ANMF" else 8 + length + length % 2
    return 0, 0


def heif_size(data: bytes) -> tuple[int, int]:
    """Return the largest (width, height) in pixels that an AVIF or HEIC file gives (ISO/IEC 23008-12, 6.5.3).

    The master picture of a grid is described by such a box too, tiles by smaller ones.

    Raises:
        ItemError: TRUNCATED, CORRUPT.
    """
    sizes = []
    for kind, start, end in _heif_boxes(data):
        if kind in (b"meta", b"moov"):
            if end > len(data):
                raise ItemError(ErrorCode.TRUNCATED, "the file ends in its header")
            head = data[start:end]
            sizes += [struct.unpack_from(">II", head, at.end() + 4) for at in re.finditer(b"ispe", head[:-12])]
    if not sizes:
        raise ItemError(ErrorCode.CORRUPT, "the file does not say how large its picture is")
    return max(sizes, key=lambda size: size[0] * size[1])


def heif_pixel_data(data: bytes) -> tuple[int, int]:
    """Return (start, end) of the coded pixels of an AVIF or HEIC file; (0, 0) if there are none."""
    found = ((start, end) for kind, start, end in _heif_boxes(data) if kind == b"mdat")
    return next(found, (0, 0))


def check_heif(data: bytes) -> None:
    """Walk the boxes of an AVIF or HEIC file.

    Raises:
        ItemError: TRUNCATED if one ends behind the file, or zeros stand where one should begin.
    """
    end, found = 0, set()
    for kind, _, end in _heif_boxes(data):
        if end > len(data):
            raise ItemError(ErrorCode.TRUNCATED, "the file ends before its picture does")
        found.add(kind)
    if len(data) > end and not _is_whole_heif(found) and not data[end:].strip(b"\0"):
        raise ItemError(ErrorCode.TRUNCATED, "the file ends in zero bytes; was it copied completely?")


def _heif_boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes of an AVIF or HEIC file as :func:`boxes` does, without what somebody put behind its end."""
    found: set[bytes] = set()
    try:
        for kind, start, end in boxes(data, 0, len(data)):
            if not kind.strip(b"\0") or (kind not in _HEIF_BOXES and _is_whole_heif(found)):
                return
            yield kind, start, end
            found.add(kind)
    except ItemError:
        if not _is_whole_heif(found):
            raise


def _is_whole_heif(kinds: set[bytes]) -> bool:
    return b"mdat" in kinds and not kinds.isdisjoint((b"meta", b"moov"))


def pcx_without_rest(data: bytes) -> bytes:
    """Return a PCX file without what somebody put behind its end, where decoders look for its palette.

    Without it, they take a picture of 256 colours for grey (ZSoft PCX File Format Technical Reference, revision 5).

    Raises:
        ItemError: TRUNCATED if the palette is missing.
    """
    version, bits, planes, palette_kind = data[1], data[3], data[65], data[68]
    needs_palette = version == 5 and bits == 8 and planes == 1 and palette_kind != 2
    if not needs_palette or data[-769:-768] == b"\x0c":
        return data
    _, top, _, bottom = struct.unpack_from("<4H", data, 4)
    at, left = 128, int.from_bytes(data[66:68], "little") * (bottom - top + 1)
    while left > 0 and at < len(data):
        is_run = data[at] >= 0xC0
        left -= data[at] & 63 if is_run else 1
        at += 2 if is_run else 1
    if data[at : at + 1] != b"\x0c" or at + 769 > len(data):
        raise ItemError(ErrorCode.TRUNCATED, "the PCX file ends before its palette does")
    return data[: at + 769]


def check_gif(data: bytes) -> None:
    """Walk the blocks of a GIF file up to the end of its first frame.

    Raises:
        ItemError: TRUNCATED, CORRUPT.
    """
    at = 13 + _gif_palette_size(data, 10)
    while at < len(data):
        kind = data[at]
        if kind == 0x2C:
            at = _skip_gif_blocks(data, at + 11 + _gif_palette_size(data, at + 9))
            if at <= len(data):
                return
        elif kind == 0x21:
            at = _skip_gif_blocks(data, at + 2)
        else:
            raise ItemError(ErrorCode.CORRUPT, "the GIF file has an unknown block")
    raise ItemError(ErrorCode.TRUNCATED, "the GIF file ends before its first frame does")


def _gif_palette_size(data: bytes, flags_at: int) -> int:
    flags = int.from_bytes(data[flags_at : flags_at + 1], "big")
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_gif_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the content, end) of the boxes of a JP2, AVIF or HEIC file; the last may end behind it."""
    while at + 8 <= stop:
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1 and at + 16 <= stop:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        end = at + length if length else stop
        if end < at + header:
            raise ItemError(ErrorCode.CORRUPT, "the file has a box of an impossible length")
        yield kind, at + header, end
        at = end
