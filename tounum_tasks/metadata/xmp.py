"""XMP packets (ISO 16684-1): read with every guard that hostile XML asks for, completed, and written.

A packet is one RDF description of one picture. Whatever it holds that is not known here stays as it is.
"""

import re
from collections.abc import Iterable
from typing import Any, Self

from lxml import etree

from tounum_tasks.metadata.fields import Fields, date_of, decoded, device_of, distinct, plain

MAX_BYTES = 60_000  # of an embedded packet: what a JPEG segment holds, with its head
MAX_SIDECAR_BYTES = 4 << 20

NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "tounum": "urn:tounum:xmp:1:",
}
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
# Encodings in which XML is written; Python knows others, some of which take for ever.
_DECLARED = re.compile(
    rb"<\?xml\b[^>]*\bencoding\s*=\s*[\"'](utf-8|utf-16|us-ascii|iso-8859-\d+|windows-\d+|cp\d+|macintosh|koi8-[ru]|shift_jis"
    rb"|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5)[\"']",
    re.IGNORECASE,
)
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# What is said of the original's pixels, and small pictures of them.
_OF_ORIGINAL = (
    "tiff:Orientation", "tiff:ImageWidth", "tiff:ImageLength", "tiff:BitsPerSample", "tiff:SamplesPerPixel",
    "tiff:PhotometricInterpretation", "tiff:Compression", "tiff:PlanarConfiguration", "tiff:XResolution",
    "tiff:YResolution", "tiff:ResolutionUnit", "exif:PixelXDimension", "exif:PixelYDimension", "exif:ColorSpace",
    "exif:MakerNote", "photoshop:ICCProfile", "photoshop:ColorMode", "xmp:Thumbnails",
)  # fmt: skip
_HEAD = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_FOOT = b'\n<?xpacket end="w"?>\n'


class Xmp:
    """One packet. Properties are named as ``dc:title``, with the prefixes of ``NAMESPACES``."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._rdf = next(root.iter(_name("rdf:RDF")))

    @classmethod
    def empty(cls) -> Self:
        """Return a packet that says nothing yet."""
        root = etree.Element(_name("x:xmpmeta"), nsmap={"x": NAMESPACES["x"]})
        etree.SubElement(root, _name("rdf:RDF"), nsmap={"rdf": NAMESPACES["rdf"]})
        return cls(root)

    @classmethod
    def parse(cls, content: bytes, most: int = MAX_BYTES) -> Self:
        """Read a packet or the file of a sidecar.

        Raises:
            ValueError: it has more than ``most`` bytes, declares entities, or is no XMP; the message says which.
        """
        if len(content) > most:
            raise ValueError(f"it has more than {most} bytes")
        text = _text(content).strip("\ufeff\0 \t\r\n")
        if "<!ENTITY" in text:
            raise ValueError("it declares entities, which no program that writes XMP does")
        text = re.sub(r"\A<\?xml\b[^>]*\?>", "", text)  # the encoding that it names was undone
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True)
        try:
            root = etree.fromstring(text.encode(), parser)
        except etree.XMLSyntaxError as error:
            raise ValueError(f"it is no XML ({plain(str(error))})") from error
        if next(root.iter(_name("rdf:RDF")), None) is None:
            raise ValueError("it is XML, but no XMP")
        return cls(root)

    def text(self, name: str) -> str | None:
        """Return a property as plain text: the default language or the first entry, if there are several."""
        return next(iter(self._values(name)), None)

    def texts(self, name: str) -> list[str]:
        """Return all entries of a property."""
        return self._values(name)

    def inner_text(self, name: str) -> str | None:
        """Return the first value of a property that stands inside another, however deep."""
        qualified = _name(name)
        for element in self._rdf.iter(etree.Element):
            if element.tag == qualified and (found := plain(element.text)):
                return found
            if found := plain(element.get(qualified)):
                return found
        return None

    def set_text(self, name: str, value: str) -> None:
        """Give a property one value, in place of what it was."""
        self.remove(name)
        self._add(name).text = _storable(value)

    def set_alternative(self, name: str, value: str) -> None:
        """Give a property one value for every language, in place of what it was."""
        self.remove(name)
        entry = etree.SubElement(etree.SubElement(self._add(name), _name("rdf:Alt")), _name("rdf:li"))
        entry.set(_XML_LANG, "x-default")
        entry.text = _storable(value)

    def add_to_list(self, name: str, values: Iterable[str], kind: str) -> None:
        """Add values to a list, those that it does not have yet.

        Args:
            kind: of a list that is not there yet, ``Bag`` or ``Seq``.
        """
        there = self._values(name)
        new = [value for value in distinct(values) if value not in there]
        if not new:
            return
        element = next(self._elements(name), None)
        entries = next(element.iterchildren("*"), None) if element is not None else None
        if entries is None:  # none, or one value that is no list
            self.remove(name)
            entries, new = etree.SubElement(self._add(name), _name(f"rdf:{kind}")), [*there, *new]
        for value in new:
            etree.SubElement(entries, _name("rdf:li")).text = _storable(value)

    def remove(self, name: str) -> None:
        """Take a property out, wherever it stands."""
        for element in list(self._elements(name)):
            element.getparent().remove(element)
        for description in self._descriptions():
            description.attrib.pop(_name(name), None)

    def without_original_pixels(self, *, turned: bool) -> list[str]:
        """Take out what holds for the original's pixels alone; return sentences for what a person may miss of it.

        Args:
            turned: the pixels were turned upright, so that regions do not fit them.
        """
        for name in _OF_ORIGINAL:
            self.remove(name)
        if turned and any(self._elements("mwg-rs:Regions")):
            self.remove("mwg-rs:Regions")
            return ["XMP: regions, which were drawn before the picture was turned upright"]
        return []

    def to_bytes(self) -> bytes:
        """Return the packet; what says nothing gives nothing."""
        about = {_name("rdf:about")}
        if not any(len(found) or set(found.attrib) - about for found in self._descriptions()):
            return b""
        etree.indent(self._root, " ")
        return _HEAD + etree.tostring(self._root, encoding="utf-8") + _FOOT

    def _descriptions(self) -> list[Any]:
        return list(self._rdf.iterchildren(_name("rdf:Description")))

    def _elements(self, name: str) -> Any:
        return (element for description in self._descriptions() for element in description.iterchildren(_name(name)))

    def _values(self, name: str) -> list[str]:
        for element in self._elements(name):
            entries = list(element.iter(_name("rdf:li")))
            entries.sort(key=lambda entry: entry.get(_XML_LANG) != "x-default")
            found = [text for text in map(_said, entries or [element]) if text]
            if found:
                return found
        attributes = (plain(description.get(_name(name))) for description in self._descriptions())
        return [text for text in attributes if text][:1]

    def _add(self, name: str) -> Any:
        """An element for a property, in a description of its own namespace if its prefix means another one here."""
        prefix = name.partition(":")[0]
        about = next((description.get(_name("rdf:about")) for description in self._descriptions()), "") or ""
        for description in self._descriptions():
            if description.nsmap.get(prefix) == NAMESPACES[prefix]:
                return etree.SubElement(description, _name(name))
        description = etree.SubElement(self._rdf, _name("rdf:Description"), nsmap={prefix: NAMESPACES[prefix]})
        description.set(_name("rdf:about"), about)
        return etree.SubElement(description, _name(name))


def xmp_fields(xmp: Xmp) -> Fields:
    """Return what a packet says in words."""
    taken, digitised = xmp.text("exif:DateTimeOriginal"), xmp.text("exif:DateTimeDigitized")
    return Fields(
        captured_at=date_of(taken) or date_of(xmp.text("photoshop:DateCreated")),
        digitised_at=date_of(digitised) or date_of(xmp.text("xmp:CreateDate")),
        device=device_of(xmp.text("tiff:Make"), xmp.text("tiff:Model")),
        title=xmp.text("dc:title") or xmp.text("photoshop:Headline"),
        description=xmp.text("dc:description"),
        inventory_number=xmp.inner_text("Iptc4xmpExt:AOSourceInvNo")
        or xmp.text("dc:identifier")
        or xmp.text("photoshop:TransmissionReference"),
        copyright=xmp.text("dc:rights"),
        keywords=distinct(xmp.texts("dc:subject")),
    )


def _text(content: bytes) -> str:
    """The text of a packet or sidecar: in the encoding that it declares, else UTF-8, else Windows-1252."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if content[:4] in (b"<\0?\0", b"\0<\0?"):
        return content.decode("utf-16-le" if content[1] == 0 else "utf-16-be", "replace")
    declared = _DECLARED.match(content.lstrip(b"\xef\xbb\xbf\0 \t\r\n"))
    try:
        return content.decode(declared[1].decode() if declared else "utf-8")
    except (LookupError, UnicodeDecodeError):
        return decoded(content)


def _said(element: Any) -> str | None:
    """The text of a value, without comments in it; qualifiers may stand beside it."""
    value = next(element.iter(_name("rdf:value")), element)
    return plain("".join([value.text or "", *(part.tail or "" for part in value)]))


def _storable(text: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", text)


def _name(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"
