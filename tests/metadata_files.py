"""Picture files with metadata of every kind, written as cameras, scanners and programs write them."""

import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

FORMATS = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "webp": "WEBP"}
TAKEN = "1987:05:04 12:00:00"


def xmp_packet(properties: str, *, namespaces: str = "") -> bytes:
    """Return a packet with ``properties``, elements of RDF."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        f' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" {namespaces}>'
        f'{properties}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


TITLED = xmp_packet(
    '<dc:title><rdf:Alt><rdf:li xml:lang="de">Markt</rdf:li><rdf:li xml:lang="x-default">Market</rdf:li></rdf:Alt>'
    "</dc:title><dc:identifier>Inv 1923/5</dc:identifier><xmp:Rating>4</xmp:Rating>"
    "<tiff:Orientation>6</tiff:Orientation>"
)


def iptc(*datasets: tuple[int, str]) -> bytes:
    """Return datasets of the application record, in UTF-8."""
    said = [(1, 90, b"\x1b%G"), *((2, number, text.encode()) for number, text in datasets)]
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(text)) + text for record, number, text in said)


def exif(orientation: int = 1, **more: Any) -> Image.Exif:
    """Return what a camera says; ``more`` are tags of the main directory by their numbers, as ``t270``."""
    found = Image.Exif()
    found.endian = "<"
    found[271], found[272], found[274], found[33432] = "Canon", "Canon EOS 5D", orientation, "City archive"
    for name, value in more.items():
        found[int(name[1:])] = value
    camera = found.get_ifd(34665)
    camera[36867], camera[37500] = TAKEN, b"maker's note" * 20
    camera[40961], camera[40962], camera[40963] = 65535, 9, 9
    found.get_ifd(34853)[1] = "N"
    return found


def with_metadata(
    pixels: np.ndarray, suffix: str, *, orientation: int = 1, xmp: bytes = TITLED, **options: Any
) -> bytes:
    """Return a file of the format of ``suffix`` with EXIF, XMP and a profile."""
    image, out = Image.fromarray(pixels), BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options |= {"icc_profile": profile[:24] + bytes(12) + profile[36:]}  # the same at any time
    options |= {"exif": exif(orientation)} if "exif" not in options else {}
    if suffix == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "surrogateescape"))
    elif suffix == "tif":
        options["exif"][700], options["exif"][33723] = xmp, iptc((92, "Upper town"))
    else:
        options["xmp"] = xmp
    options["exif"] = options["exif"].tobytes()  # with its inner directories, which are left out otherwise
    image.save(out, FORMATS[suffix], **options)
    return out.getvalue()


def exiftool(path: Path, *options: str) -> dict[str, str]:
    """Return what exiftool reads of a file, by group and tag as ``XMP-dc:Title``."""
    command = ["exiftool", "-a", "-G1", "-s", "-n", "-sep", "; ", *options, str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    found = {}
    for line in lines:
        head, _, value = line.partition(":")
        group, tag = head[1:].split("]")
        found.setdefault(f"{group.strip()}:{tag.strip()}", value.strip())
    return found
