"""What a file is, by its content; the ending of its name plays no part."""

import re
import zlib
from enum import StrEnum
from importlib.util import find_spec
from pathlib import PurePosixPath

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import tiff_pages


class ImageFormat(StrEnum):
    """The formats that are read; the values are written to ``format`` in the manifest."""

    JPEG = "jpeg"
    PNG = "png"
    TIFF = "tiff"
    WEBP = "webp"
    AVIF = "avif"
    BMP = "bmp"
    GIF = "gif"
    PNM = "pnm"
    PCX = "pcx"
    JPEG2000 = "jpeg2000"
    PDF = "pdf"
    RAW = "raw"
    HEIC = "heic"


_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"II*\0", ImageFormat.TIFF),
    (b"MM\0*", ImageFormat.TIFF),
    (b"II+\0", ImageFormat.TIFF),
    (b"MM\0+", ImageFormat.TIFF),
    (b"GIF87a", ImageFormat.GIF),
    (b"GIF89a", ImageFormat.GIF),
    (b"\xff\x4f\xff\x51", ImageFormat.JPEG2000),
    (b"%PDF-", ImageFormat.PDF),
)
_IN_EXTRA = {ImageFormat.RAW: "rawpy", ImageFormat.HEIC: "pi_heif"}
_JPEG2000_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_PNM = re.compile(rb"(P[1-6]|P[Ff])[ \t\r\n#]|P7\n")
_UNREAD: tuple[tuple[bytes, int, str], ...] = (
    (b"8BPS\0\1", 0, "Photoshop (PSD)"),
    (b"8BPS", 0, "Photoshop (PSB)"),
    (b"%!PS", 0, "PostScript"),
    (b"\x04%!PS", 0, "PostScript"),
    (b"\xc5\xd0\xd3\xc6", 0, "PostScript (DOS EPS)"),
    (b"AT&TFORM", 0, "DjVu"),
    (b"DICM", 128, "DICOM"),
    (b"\x76\x2f\x31\x01", 0, "OpenEXR"),
    (b"#?RADIANCE", 0, "Radiance HDR"),
    (b"\xff\x0a", 0, "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", 0, "JPEG XL"),
    (b"II\xbc\x01", 0, "JPEG XR"),
    (b"\xff\xd8\xff\xf7", 0, "JPEG-LS"),
    (b"\x97JB2\r\n\x1a\n", 0, "JBIG2"),
    (b"\x8aMNG\r\n\x1a\n", 0, "MNG"),
    (b"gimp xcf", 0, "GIMP (XCF)"),
    (b"qoif", 0, "QOI"),
    (b"FLIF", 0, "FLIF"),
    (b"BPG\xfb", 0, "BPG"),
    (b"\x59\xa6\x6a\x95", 0, "Sun raster"),
    (b"SIMPLE  =", 0, "FITS"),
    (b"SDPX", 0, "DPX"),
    (b"XPDS", 0, "DPX"),
    (b"\0\0\1\0", 0, "icon (ICO)"),
    (b"icns\0", 0, "icon (ICNS)"),
    (b"\x8bJNG\r\n\x1a\n", 0, "JNG"),
    (b"\x01\xda\0", 0, "SGI"),
    (b"\x01\xda\1", 0, "SGI"),
    (b"DDS |\0\0\0", 0, "DirectDraw surface (DDS)"),
    (b"id=ImageMagick", 0, "MIFF"),
    (b"/* XPM */", 0, "XPM"),
    (b"\x80\x2a\x5f\xd7", 0, "Cineon"),
    (b"\0\x11\2\xff\x0c\0", 522, "Macintosh picture (PICT)"),
    (b"\6\6\xed\xf5\xd8\x1d\x46\xe5", 0, "InDesign"),
    (b"\xd7\xcd\xc6\x9a", 0, "Windows metafile (WMF)"),
    (b"\1\0\x09\0\0\3", 0, "Windows metafile (WMF)"),
    (b" EMF", 40, "Windows metafile (EMF)"),
    (b"II\xbc\0", 0, "JPEG XR"),
    (b"\xff\x10\xff\x50", 0, "JPEG XS"),
    (b"\0\0\0\x0cJXS \r\n\x87\n", 0, "JPEG XS"),
    (b"#?RGBE", 0, "Radiance HDR"),
    (b"EP*\0", 0, "Microsoft Document Imaging (MDI)"),
    (b"\xb1\x68\xde\x3a", 0, "fax (DCX)"),
    (b"srcdocid:", 0, "CALS raster"),
    (b"PCD_IPI", 2048, "Photo CD"),
    (b"PNTG", 65, "MacPaint"),
    (b"ILBM", 8, "Amiga (ILBM)"),
    (b"PBM BMHD", 8, "Deluxe Paint (PBM)"),
    (b"Paint Shop Pro Image File", 0, "Paint Shop Pro"),
    (b"CDR", 8, "CorelDRAW"),
    (b"ACON", 8, "cursor (ANI)"),
    (b"\0\xffKA", 0, "Affinity"),
    (b"mimetypeapplication/x-krita", 30, "Krita"),
    (b"mimetypeimage/openraster", 30, "OpenRaster"),
    (b"n+1\0", 344, "NIfTI"),
    (b"\x08\xf2\xa6\xb6", 0, "VIPS"),
    (b"\xb6\xa6\xf2\x08", 0, "VIPS"),
    (b"\xabKTX ", 0, "KTX"),
    (b"ZISRAWFILE", 0, "Zeiss CZI"),
)
_IN_IFF_OR_RIFF = frozenset(("Amiga (ILBM)", "Deluxe Paint (PBM)", "CorelDRAW", "cursor (ANI)"))
_PNG_CHANGED = (b"\x89PNG\n\x1a\n", b"\x89PNG\r\r\n\x1a\r\n", b"\x89PNG\r\n\x1a\r\n", b"\x09PNG\r\n\x1a\n")
_GZIP = b"\x1f\x8b\x08"
_POSTSCRIPT = re.compile(rb"(?:\x1b%-12345X(?:@PJL[^\n]*\n)+|\s+)%!PS")
_CAMERA_RAW: tuple[tuple[bytes, int, str], ...] = (
    (b"CR\x02", 8, "Canon CR2"),
    (b"IIII", 8, "Phase One IIQ"),
    (b"MMMM", 8, "Phase One IIQ"),
    (b"HEAPCCDR", 6, "Canon CRW"),
    (b"FUJIFILMCCD-RAW", 0, "Fujifilm RAF"),
    (b"IIU\0", 0, "Panasonic RW2"),
    (b"IIRO", 0, "Olympus ORF"),
    (b"IIRS", 0, "Olympus ORF"),
    (b"MMOR", 0, "Olympus ORF"),
    (b"FOVb", 0, "Sigma X3F"),
    (b"\0MRM", 0, "Minolta MRW"),
    (b"ARRI", 0, "ARRI"),
    (b"REDV", 4, "RED"),
)
# Files of the ISO base media format are told by their brands (ISO/IEC 14496-12, 4.3).
_CR3 = ("crx ",)
_HEIF = frozenset(("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "mif2", "msf1", "miaf"))
_BRANDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("jxl ",), "JPEG XL"),
    (("mjp2", "mj2s"), "Motion JPEG 2000"),
    (("jpm ",), "JPEG 2000 compound image (JPM)"),
    (("jxs ",), "JPEG XS"),
)
_HEIF_WITHOUT_HEVC = frozenset(("avci", "avcs", "jpeg", "jpgs", "j2ki", "j2is", "vvic", "vvis", "unif"))
# What was passed is not tried in another way (?>, *+): a text of many blanks would be looked at for ever.
_SVG = re.compile(
    rb"(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s[^<>\[]*+(?:>|\[.*?\]\s*+>))*+<(?:[\w.-]++:)?svg[\s/>]",
    re.DOTALL | re.IGNORECASE,
)
_XBM = re.compile(rb"(?>\s+|/\*.*?\*/)*+#define\s++\w*width\s++\d++\s++#define\s++\w*height\s++\d", re.DOTALL)
_TEXT_HEAD = 65_536


def detect_format(data: bytes, name: str = "") -> ImageFormat:
    """Return the format of ``data`` by its content; ``name`` is only used in messages.

    Raises:
        ItemError: EMPTY_FILE, UNSUPPORTED (a known format that is not read) or NOT_AN_IMAGE.
    """
    if not data:
        raise ItemError(ErrorCode.EMPTY_FILE, "the file has no content (0 bytes)")
    brands = _brands(data)
    unread = _unread_format(data, brands)
    if unread:
        raise ItemError(ErrorCode.UNSUPPORTED, f"{unread} files are not read; convert it to TIFF or PNG")
    found = _read_format(data, brands)
    if found:
        _check_is_installed(found, data)
        return found
    _check_is_unchanged(data)
    if _is_targa(data):
        raise ItemError(ErrorCode.UNSUPPORTED, "Targa (TGA) files are not read; convert it to TIFF or PNG")
    if not data.strip(b"\0"):
        raise ItemError(ErrorCode.NOT_AN_IMAGE, "the file holds nothing but zero bytes; was it copied completely?")
    suffix = PurePosixPath(name).suffix.lower()
    claims = f", whatever its ending {suffix} says" if suffix.isascii() and suffix[1:].isalnum() else ""
    raise ItemError(ErrorCode.NOT_AN_IMAGE, f"the content is no image of a known format{claims}")


def _check_is_unchanged(data: bytes) -> None:
    """Raise ItemError for a PNG file whose first bytes show what happened to all of them: they are there for that."""
    if data.startswith(_PNG_CHANGED):
        raise ItemError(
            ErrorCode.CORRUPT, "the PNG file was transferred as text, which changed its bytes; copy it again"
        )


def camera_raw_name(data: bytes) -> str | None:
    """Return the kind of a camera raw file, None if it is none."""
    for magic, offset, name in _CAMERA_RAW:
        if data.startswith(magic, offset):
            return name
    if _brands(data)[:1] == _CR3:
        return "Canon CR3"
    return tiff_pages.camera_raw_name(data)


def _check_is_installed(found: ImageFormat, data: bytes) -> None:
    """Raise ItemError for what is read by a package of the extra `formats` that is not installed."""
    if found in _IN_EXTRA and find_spec(_IN_EXTRA[found]) is None:
        name = f"camera raw ({camera_raw_name(data)})" if found is ImageFormat.RAW else "HEIC"
        raise ItemError(
            ErrorCode.UNSUPPORTED,
            f"{name} files need {_IN_EXTRA[found]}, which is not installed: pip install 'tounum[formats]', "
            "or convert it to TIFF or PNG",
        )


def _read_format(data: bytes, brands: tuple[str, ...]) -> ImageFormat | None:
    if camera_raw_name(data):
        return ImageFormat.RAW
    for magic, found in _MAGIC:
        if data.startswith(magic):
            return found
    if data.startswith(_JPEG2000_BOX):
        return ImageFormat.JPEG2000
    if "avif" in brands or "avis" in brands:
        return ImageFormat.AVIF
    if not _HEIF.isdisjoint(brands):
        return ImageFormat.HEIC
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageFormat.WEBP
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return ImageFormat.BMP
    if _PNM.match(data):
        return ImageFormat.PNM
    if _is_pcx(data):
        return ImageFormat.PCX
    if b"%PDF-" in data[:1024]:  # readers accept a preamble of up to a kilobyte
        return ImageFormat.PDF
    return None


def _is_pcx(data: bytes) -> bool:
    """Whether the header is one of ZSoft's: maker, a known version, run lengths, and a reserved byte that is 0."""
    return len(data) >= 128 and data[0] == 10 and data[1] in (0, 2, 3, 4, 5) and data[2] == 1 and data[64] == 0


def _is_targa(data: bytes) -> bool:
    """Whether the footer, or what a header may say (kind, palette, depth, size), is that of a Targa file."""
    if data[-18:].startswith(b"TRUEVISION-XFILE"):
        return True
    if len(data) < 18 or data[2] not in (1, 2, 3, 9, 10, 11) or data[1] != (data[2] in (1, 9)):
        return False
    return data[16] in (8, 15, 16, 24, 32) and data[17] < 64 and any(data[12:14]) and any(data[14:16])


def _unread_format(data: bytes, brands: tuple[str, ...]) -> str | None:
    """Return the name of a format that is known but not read."""
    for magic, offset, known in _UNREAD:
        if data.startswith(magic, offset) and (known not in _IN_IFF_OR_RIFF or data.startswith((b"FORM", b"RIFF"))):
            if offset and _read_format(data, brands):
                continue  # a comment or pixels of a file that begins like one that is read
            return known
    if data.startswith(_GZIP):
        return _packed_format(data)
    if not _HEIF_WITHOUT_HEVC.isdisjoint(brands) and _HEIF.isdisjoint(brands):
        return "HEIF without HEVC"
    if "avif" not in brands and "avis" not in brands:
        for known_brands, known in _BRANDS:
            if set(brands[:1] if data.startswith(_JPEG2000_BOX) else brands) & set(known_brands):
                return known
    if data.startswith(b"\0\0\2\0") and any(data[4:6]):  # the number of pictures; a Targa file has none there
        return "cursor (CUR)"
    if _POSTSCRIPT.match(data[:_TEXT_HEAD]):
        return "PostScript"
    if _XBM.match(data[:_TEXT_HEAD]):
        return "XBM"
    return "SVG" if _is_svg(data[:_TEXT_HEAD]) else None


def _packed_format(data: bytes) -> str | None:
    """Return the name of a picture that is packed with gzip (SVGZ, EMZ, ...), by its beginning."""
    try:
        head = zlib.decompressobj(wbits=31).decompress(data[:_TEXT_HEAD], _TEXT_HEAD)
    except zlib.error:
        return None
    if head.startswith(_GZIP):
        return None
    found = _unread_format(head, _brands(head)) or _read_format(head, _brands(head))
    return f"{found} in gzip" if found else None


def _brands(data: bytes) -> tuple[str, ...]:
    """Return the major and the compatible brands of an ISO base media file, none if it is no such file."""
    at = 12 if data.startswith(_JPEG2000_BOX) else 0
    if data[at + 4 : at + 8] != b"ftyp":
        return ()
    end = at + min(int.from_bytes(data[at : at + 4], "big"), 1024)
    brands = [data[at + 8 : at + 12], *(data[offset : offset + 4] for offset in range(at + 16, end, 4))]
    return tuple(brand.decode("latin-1") for brand in brands)


def _is_svg(head: bytes) -> bool:
    """Whether the root of an XML document is ``svg``, behind byte order mark, declarations and comments."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "replace").encode()
    elif head.startswith((b"<\0", b"\0<")):
        head = head.decode("utf-16-le" if head.startswith(b"<") else "utf-16-be", "replace").encode()
    return bool(_SVG.match(head.removeprefix(b"\xef\xbb\xbf")))
