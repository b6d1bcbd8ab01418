"""The metadata of one picture: read from its file, cleaned, and ready to go with its enhanced pixels.

What is damaged, hostile or too long is left out and named; nothing of it is a reason for a failure.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tounum_tasks.metadata.containers import Blocks, gif_blocks, jpeg_blocks, png_blocks, tiff_blocks, webp_blocks
from tounum_tasks.metadata.directories import first_directory, is_tiff
from tounum_tasks.metadata.exif import Exif, exif_fields, read_exif
from tounum_tasks.metadata.fields import Fields
from tounum_tasks.metadata.iptc import MAX_BYTES as MAX_IPTC
from tounum_tasks.metadata.iptc import complete_by_iptc, kept_iptc
from tounum_tasks.metadata.png_texts import complete_by_texts
from tounum_tasks.metadata.xmp import Xmp, xmp_fields

MAX_PACKET = 65_000  # bytes; a JPEG segment holds little more

_READERS: dict[str, Callable[[bytes], Blocks]] = {
    "jpeg": jpeg_blocks, "png": png_blocks, "webp": webp_blocks, "gif": gif_blocks,
}  # fmt: skip


@dataclass(frozen=True)
class Metadata:
    """What an original says of itself.

    Attributes:
        exif: a TIFF structure as JPEG, PNG and WebP hold it; orientation 1, no thumbnail.
        xmp: a packet, which says what IPTC says, too.
        iptc: IIM datasets.
        has_profile: the original has an ICC profile.
        fields: what of it people look for.
        left_out: what could not be read or kept, as sentences.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    has_profile: bool = False
    fields: Fields = field(default_factory=Fields)
    left_out: tuple[str, ...] = ()


def read_metadata(
    data: Any,
    format: str,
    size: tuple[int, int],
    *,
    dpi: float | None = None,
    turned: bool = False,
    offset: int | None = None,
    blocks: Blocks | None = None,
) -> Metadata:
    """Return the metadata of a picture: of JPEG, PNG, WebP and GIF, of TIFF with all that is built like it, and what
    ``blocks`` say of other formats.

    Args:
        data: the file, bytes or mapped.
        format: of the file, by content.
        size: (width, height) of the upright picture that they will go with.
        dpi: resolution of that picture, in dots per inch.
        turned: its pixels are turned against the original's.
        offset: of the directory of a TIFF file's page; default: the first.
        blocks: of a file of another format, as its decoder found them.
    """
    try:
        if offset is None and is_tiff(data):
            offset = first_directory(data)
        if offset is not None:
            blocks = tiff_blocks(data, offset)
        elif format in _READERS:
            blocks = _READERS[format](data)
        elif blocks is None:
            return Metadata()
    except (ValueError, zlib.error) as error:
        return Metadata(left_out=(f"all of it: {error}",))
    exif, exif_left_out = _exif(data if offset is not None else blocks.exif, size, dpi, offset)
    xmp, xmp_left_out = _xmp(blocks.xmp)
    iptc, iptc_left_out = _iptc(blocks.iptc)
    complete_by_iptc(xmp, iptc)
    complete_by_texts(xmp, blocks.texts)
    regions = xmp.without_original_pixels(turned=turned)
    packet = xmp.to_bytes()
    if len(packet) > MAX_PACKET:
        packet, xmp_left_out = b"", ("XMP: it is too long",)
    return Metadata(
        exif=exif.to_bytes(),
        xmp=packet,
        iptc=iptc,
        has_profile=blocks.has_profile,
        fields=xmp_fields(xmp).completed_by(exif_fields(exif)),
        left_out=(*blocks.left_out, *exif_left_out, *xmp_left_out, *iptc_left_out, *regions),
    )


def _exif(data: Any, size: tuple[int, int], dpi: float | None, offset: int | None) -> tuple[Exif, tuple[str, ...]]:
    nothing = Exif({}, {}, {})
    if offset is None and not data:
        return nothing, ()
    try:
        exif = read_exif(data, size, dpi, offset)
    except ValueError as error:
        return nothing, (f"EXIF: {error}",)
    return replace(exif, left_out=()), exif.left_out


def _xmp(packet: bytes) -> tuple[Xmp, tuple[str, ...]]:
    if not packet.strip(b"\0 "):
        return Xmp.empty(), ()
    try:
        return Xmp.parse(packet), ()
    except ValueError as error:
        return Xmp.empty(), (f"XMP: {error}",)


def _iptc(datasets: bytes) -> tuple[bytes, tuple[str, ...]]:
    kept = kept_iptc(datasets)
    if len(kept) > MAX_IPTC:
        return b"", ("IPTC: it is too long",)
    return kept, ("IPTC: it is damaged",) if datasets.strip(b"\0") and not kept else ()
