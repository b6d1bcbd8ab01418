"""Metadata of originals live on in their enhanced pictures, and hostile ones cost nothing but themselves."""

import shutil
import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from tests.image_files import picture, png_chunk, saved, tiff_pages
from tests.metadata_files import FORMATS, TAKEN, TITLED, exif, exiftool, iptc, with_metadata, xmp_packet
from tounum_tasks.images.decode import open_image
from tounum_tasks.images.encode import encode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.metadata.embedded import Metadata, read_metadata
from tounum_tasks.metadata.fields import Fields, device_of, exif_date, iso_date
from tounum_tasks.metadata.xmp import NAMESPACES

RGB = picture()
needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool (libimage-exiftool-perl)")


def read(data: bytes, page: int = 1) -> tuple[np.ndarray, Metadata]:
    """The upright pixels and the metadata of a file."""
    with open_image(data) as file:
        image = file.decode(page)
        return image.rgb, file.metadata(image)


def enhanced(data: bytes, suffix: str) -> bytes:
    """What is written for other pixels of the same picture."""
    rgb, metadata = read(data)
    return encode(255 - rgb, format=FORMATS[suffix].lower(), metadata=metadata)


def with_iptc(jpeg: bytes, datasets: bytes) -> bytes:
    """A JPEG file with IPTC, as Photoshop writes it, among other resources."""
    resources = b"8BIM\x03\xed\0\0\0\0\0\x02\0\x01" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(datasets)) + datasets
    content = b"Photoshop 3.0\0" + resources + bytes(len(datasets) % 2)
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


@needs_exiftool
@pytest.mark.parametrize("suffix", FORMATS)
def test_exiftool_reads_what_the_original_said(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"enhanced.{suffix}"
    path.write_bytes(enhanced(with_metadata(RGB, suffix, orientation=6), suffix))
    said = exiftool(path)
    expected = {
        "IFD0:Make": "Canon", "IFD0:Copyright": "City archive", "ExifIFD:DateTimeOriginal": "1987:05:04 12:00:00",
        "GPS:GPSLatitudeRef": "N", "XMP-dc:Title": "Market", "XMP-dc:Title-de": "Markt", "XMP-xmp:Rating": "4",
        "XMP-dc:Identifier": "Inv 1923/5", "ICC_Profile:ProfileDescription": "sRGB built-in",
    }  # fmt: skip
    assert {tag: said.get(tag) for tag in expected} == expected
    of_these_pixels = {
        "IFD0:Orientation": "1", "ExifIFD:ColorSpace": "1", "ExifIFD:ExifImageWidth": "40",
        "ExifIFD:ExifImageHeight": "60", "Composite:ImageSize": "40 60",
    }  # fmt: skip
    assert {tag: said.get(tag) for tag in of_these_pixels} == of_these_pixels
    assert "XMP-tiff:Orientation" not in said and not any("Maker" in tag or "Thumbnail" in tag for tag in said)
    assert [tag for tag in said if tag.endswith(("Warning", "Error"))] == []


@needs_exiftool
@pytest.mark.parametrize(
    ("suffix", "place"), [("jpg", "IPTC:City"), ("png", "XMP-photoshop:City"), ("tif", "IPTC:City")]
)
def test_iptc_lives_on_where_the_format_has_a_place_and_in_xmp(suffix: str, place: str, tmp_path: Path) -> None:
    datasets = iptc((90, "Köln"), (25, "market"), (25, "war damage"), (5, "Heumarkt"), (55, "19450300"))
    if suffix == "jpg":
        data = with_iptc(saved(RGB, "JPEG"), datasets)
    elif suffix == "png":
        text = f"\niptc\n{len(datasets):8}\n{datasets.hex()}\n".encode()
        data = saved(RGB, "PNG")
        data = data[:33] + png_chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(text)) + data[33:]
    else:
        data = saved(RGB, "TIFF", tiffinfo={33723: datasets})
    path = tmp_path / f"enhanced.{suffix}"
    path.write_bytes(enhanced(data, suffix))
    said = exiftool(path)
    assert said[place] == said["XMP-photoshop:City"] == "Köln"
    assert said["XMP-dc:Subject"] == "market; war damage"
    fields = read(data)[1].fields
    assert (fields.title, fields.captured_at, fields.keywords) == ("Heumarkt", "1945-03", ("market", "war damage"))


def with_texts(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file with chunks before its pixels."""
    data = saved(RGB, "PNG")
    return data[:33] + b"".join(png_chunk(kind, content) for kind, content in chunks) + data[33:]


def text_chunk(kind: bytes, keyword: str, text: str) -> tuple[bytes, bytes]:
    head = keyword.encode("latin-1") + b"\0"
    if kind == b"tEXt":
        return kind, head + text.encode("latin-1")
    if kind == b"zTXt":
        return kind, head + b"\0" + zlib.compress(text.encode("latin-1"))
    return kind, head + b"\1\0de\0\0" + zlib.compress(text.encode())


@needs_exiftool
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_of_png_files_are_read_and_live_on(kind: bytes, tmp_path: Path) -> None:
    texts = {"Title": "Heumarkt Köln", "Description": "Two carts", "Copyright": "City archive", "Author": "A. Sander"}
    dated = {**texts, "Creation Time": "Mon, 04 May 1987 12:00:00 +0200", "Comment": "Created with GIMP"}
    data = with_texts(*(text_chunk(kind, keyword, text) for keyword, text in dated.items()))
    assert read(data)[1].fields == Fields(
        title="Heumarkt Köln",
        description="Two carts",
        copyright="City archive",
        digitised_at="1987-05-04T12:00:00+02:00",
    )
    path = tmp_path / "enhanced.png"
    path.write_bytes(enhanced(data, "png"))
    said = exiftool(path)
    names = ("Title", "Description", "Rights", "Creator")
    assert [said[f"XMP-dc:{name}"] for name in names] == list(texts.values())


def test_exif_in_png_may_begin_as_in_jpeg() -> None:
    plain = saved(RGB, "PNG")
    block = exif().tobytes()
    assert block.startswith(b"Exif\0\0")
    assert read(plain[:33] + png_chunk(b"eXIf", block) + plain[33:])[1].fields.device == "Canon EOS 5D"


def test_iptc_stands_behind_resources_of_other_programs() -> None:
    datasets = iptc((5, "Köln"))
    other = b"MeSa\x03\xed\0\0\0\0\0\x02ab"
    resources = b"Photoshop 3.0\0" + other + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(datasets)) + datasets + b"\0"
    jpeg = saved(RGB, "JPEG")
    segment = b"\xff\xed" + struct.pack(">H", len(resources) + 2) + resources
    assert read(jpeg[:2] + segment + jpeg[2:])[1].fields.title == "Köln"


def test_what_xmp_says_wins_over_texts() -> None:
    data = with_metadata(RGB, "png")
    data = data[:33] + png_chunk(*text_chunk(b"tEXt", "Title", "icon theme")) + data[33:]
    assert read(data)[1].fields.title == "Market"


@pytest.mark.parametrize(("name", "kind"), [("exif", b"zTXt"), ("APP1", b"zTXt"), ("exif", b"tEXt")])
def test_profiles_that_imagemagick_wrote_into_texts_are_read(name: str, kind: bytes) -> None:
    block = Image.Exif()
    block[271], block[272] = "NIKON CORPORATION", "NIKON D70"
    content = block.tobytes()
    text = f"\n{name}\n{len(content):8}\n" + "\n".join(content.hex()[at : at + 72] for at in range(0, 9999, 72)).strip()
    data = with_texts(text_chunk(kind, f"Raw profile type {name}", text))
    assert read(data)[1].fields.device == "NIKON D70"


@pytest.mark.parametrize("odd", ["\uffff", "\ufffe", "\x01"])
def test_what_xml_cannot_hold_costs_no_metadata(odd: str) -> None:
    of_png = read(with_texts(text_chunk(b"iTXt", "Title", f"Heu{odd}markt")))[1]
    of_jpeg = read(with_iptc(saved(RGB, "JPEG"), b"\x1c\x01\x5a\x00\x03\x1b%G" + iptc((5, f"Heu{odd}markt"))))[1]
    for metadata in (of_png, of_jpeg):
        assert (metadata.fields.title or "").startswith("Heu") and (metadata.fields.title or "").endswith("markt")
        assert metadata.left_out == ()


@pytest.mark.parametrize(
    "written", ["Mon, 04 May 99999999999999999999 12:00:00 +0200", "04 May 1987 12:00:00 +99999999999999999999", "May"]
)
def test_a_time_of_png_that_is_none_is_left_out(written: str) -> None:
    data = with_texts(text_chunk(b"tEXt", "Creation Time", written), text_chunk(b"tEXt", "Title", "Heumarkt"))
    fields = read(data)[1].fields
    assert (fields.title, fields.digitised_at) == ("Heumarkt", None)


def test_texts_that_unpack_to_gigabytes_are_not_unpacked() -> None:
    bomb = zlib.compress(bytes(16 << 20))
    chunks = [(b"zTXt", f"Comment {number}".encode() + b"\0\0" + bomb) for number in range(1000)]
    data = with_texts(*chunks, *[(b"zTXt", b"Title\0\0" + bomb)] * 1000, text_chunk(b"tEXt", "Author", "A. Sander"))
    with open_image(data, ImageLimits(page_seconds=3)) as file:  # unpacking all of them takes longer
        metadata = file.metadata(file.decode(1))
    assert metadata.left_out == ()
    assert b"A. Sander" in metadata.xmp


def test_a_damaged_text_costs_no_other() -> None:
    data = with_texts((b"zTXt", b"Description\0\0broken"), text_chunk(b"tEXt", "Title", "Heumarkt"))
    metadata = read(data)[1]
    assert metadata.fields.title == "Heumarkt"
    assert [sentence for sentence in metadata.left_out if sentence.startswith("a text of the PNG file: ")]


@pytest.mark.parametrize("suffix", FORMATS)
def test_pixels_and_their_metadata_survive_each_other(suffix: str) -> None:
    data = with_metadata(RGB, suffix, orientation=8)
    rgb, before = read(data)
    again, after = read(encode(rgb, format=FORMATS[suffix].lower(), metadata=before))
    assert np.abs(again.astype(int) - rgb).max() <= (16 if suffix == "jpg" else 0)
    assert (after.fields, after.exif, after.xmp, after.iptc) == (before.fields, before.exif, before.xmp, before.iptc)
    assert after.fields == Fields(
        captured_at="1987-05-04T12:00:00", device="Canon EOS 5D", title="Market", inventory_number="Inv 1923/5",
        copyright="City archive",
    )  # fmt: skip
    assert encode(rgb, format=FORMATS[suffix].lower(), metadata=before) == encode(
        rgb, format=FORMATS[suffix].lower(), metadata=before
    )


@needs_exiftool
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_resolution_is_that_of_the_pixels(suffix: str, tmp_path: Path) -> None:
    data = with_metadata(RGB, suffix, orientation=6, exif=exif(6, t282=300.0, t283=300.0, t296=2), dpi=(300, 300))
    with open_image(data) as file:
        image = file.decode()
        metadata = file.metadata(replace(image, dpi=200.0))
    path = tmp_path / f"enhanced.{suffix}"
    path.write_bytes(encode(image.rgb, format=image.format, dpi=200.0, metadata=metadata))
    said = exiftool(path)
    assert (said["IFD0:XResolution"], said["IFD0:YResolution"], said["IFD0:ResolutionUnit"]) == ("200", "200", "2")


def test_small_pictures_of_the_original_are_dropped() -> None:
    block = bytearray(exif().tobytes()[6:])
    count = struct.unpack_from("<H", block, 8)[0]
    thumbnail = saved(RGB, "JPEG")
    struct.pack_into("<I", block, 10 + 12 * count, len(block))  # the directory after the main one: the thumbnail's
    entries = struct.pack("<HHII", 513, 4, 1, len(block) + 30) + struct.pack("<HHII", 514, 4, 1, len(thumbnail))
    data = saved(RGB, "PNG", exif=bytes(block) + struct.pack("<H", 2) + entries + bytes(4) + thumbnail)
    assert thumbnail[:30] in data
    assert thumbnail[:30] not in enhanced(data, "png") and b"City archive" in enhanced(data, "png")


def test_camera_raw_is_read_as_tiff_is() -> None:
    metadata = read_metadata(with_metadata(RGB, "tif"), "raw", (60, 40))
    assert metadata.fields.device == "Canon EOS 5D" and metadata.fields.captured_at == "1987-05-04T12:00:00"


def test_without_a_profile_none_is_embedded_and_adobe_rgb_becomes_srgb() -> None:
    assert "icc_profile" not in Image.open(BytesIO(enhanced(saved(RGB, "PNG"), "png"))).info
    odd = b"\0" * 128 + b"not the profile of sRGB"
    profile = Image.open(BytesIO(enhanced(saved(RGB, "PNG", icc_profile=odd), "png"))).info["icc_profile"]
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))) == "sRGB built-in\n"


def test_big_endian_files_say_the_same() -> None:
    small = exif()
    small.endian = ">"
    data = saved(RGB, "PNG", exif=small.tobytes())
    assert b"MM\0*" in data
    metadata = read(data)[1]
    assert metadata.exif.startswith(b"II*\0") and metadata.fields.device == "Canon EOS 5D"
    assert metadata.exif == read(saved(RGB, "PNG", exif=exif()))[1].exif


def test_each_page_of_a_tiff_has_its_own() -> None:
    data = tiff_pages([RGB, RGB], description="plan", photometric="rgb")
    assert read(data, page=2)[1].fields.description == "plan"


HOSTILE_XMP = {
    "entities": b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + xmp_packet("<dc:title>&b;</dc:title>"),
    "files": b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + xmp_packet("<dc:title>&a;</dc:title>"),
    "no XML": b"<x:xmpmeta><rdf:RDF",
    "no XMP": b"<html/>",
    "too long": xmp_packet(f"<dc:title>{'x' * 60_000}</dc:title>"),
    "deep": xmp_packet("<dc:title>" * 5_000 + "</dc:title>" * 5_000),
}


@pytest.mark.parametrize("kind", HOSTILE_XMP)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_hostile_xmp_is_left_out_and_named(kind: str, suffix: str) -> None:
    rgb, metadata = read(with_metadata(RGB, suffix, xmp=HOSTILE_XMP[kind]))
    assert np.array_equal(rgb, RGB) or suffix == "webp"
    assert metadata.fields.title is None and metadata.fields.device == "Canon EOS 5D"
    assert any(sentence.startswith("XMP: ") for sentence in metadata.left_out)
    assert b"root:" not in metadata.xmp


def test_sixteen_bit_text_hides_no_entities() -> None:
    metadata = read(with_metadata(RGB, "webp", xmp=HOSTILE_XMP["entities"].decode().encode("utf-16")))[1]
    assert metadata.fields.title is None and "entities" in " ".join(metadata.left_out)


@pytest.mark.parametrize(
    "block",
    [
        b"II*\0\xff\xff\xff\x7f",  # a directory behind the end
        b"II*\0\x08\0\0\0\xff\xff",  # 65,535 entries
        b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\xff\x7f\x08\0\0\0\0\0\0\0",  # a text of 2 GB
        b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0",  # a directory that holds itself
        b"II*\0\x08\0\0\0\x01\0\x0f\x01\x63\0\x01\0\0\0\0\0\0\0\0\0\0\0",  # an unknown type
        b"nonsense",
        b"",
    ],
)
def test_damaged_exif_is_no_reason_for_a_failure(block: bytes) -> None:
    data = saved(RGB, "PNG")
    data = data[:33] + png_chunk(b"eXIf", block) + data[33:]
    rgb, metadata = read(data)
    assert np.array_equal(rgb, RGB) and metadata.fields == Fields()
    assert np.array_equal(read(enhanced(data, "png"))[0], 255 - RGB)


def test_long_tags_go_and_the_others_stay() -> None:
    texts = {f"t{tag}": "x" * 40_000 for tag in (270, 305, 315)}
    metadata = read(saved(RGB, "PNG", exif=exif(**texts)))[1]
    assert metadata.fields.device == "Canon EOS 5D" and metadata.fields.description is None
    assert len(metadata.exif) < 60_000 and "too long" in " ".join(metadata.left_out)
    assert read(enhanced(saved(RGB, "PNG", exif=exif(**texts)), "png"))[1].fields.copyright == "City archive"


def test_a_block_of_many_tags_that_no_segment_holds_is_left_out() -> None:
    entries = b"".join(struct.pack("<HHII", tag, 2, 900, 0) for tag in (*range(40_000, 40_500),))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 34_665, 4, 1, 26) + bytes(4)
    block += struct.pack("<H", 500) + entries + bytes(1_000)
    data = saved(RGB, "JPEG", exif=b"Exif\0\0" + block)
    assert read(data)[1].left_out == ("EXIF: it is too long",)
    assert read(enhanced(data, "jpg"))[0].shape == RGB.shape


def test_very_much_text_is_cut_and_still_read() -> None:
    keywords = "".join(f"<rdf:li>{number} {'ß' * 250}</rdf:li>" for number in range(90))
    xmp = xmp_packet(f"<dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject><dc:title>{'ß' * 3_000}</dc:title>")
    assert len(xmp) < 60_000
    metadata = read(with_metadata(RGB, "png", xmp=xmp))[1]
    assert metadata.left_out[1:] == () and len(metadata.fields.title or "") == 2_000
    assert len(metadata.fields.keywords) == 64 and len(metadata.fields.keywords[0]) == 200


@pytest.mark.parametrize("suffix", FORMATS)
@given(st.data())
@settings(max_examples=60)
def test_whatever_bytes_change_metadata_are_read_or_named(suffix: str, data: st.DataObject) -> None:
    content = bytearray(with_metadata(RGB, suffix))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[at] = data.draw(st.integers(0, 255))
    offset = None if suffix != "tif" else struct.unpack_from("<I", content, 4)[0]
    metadata = read_metadata(bytes(content), FORMATS[suffix].lower(), (60, 40), offset=offset)
    assert encode(RGB, format=FORMATS[suffix].lower(), metadata=metadata)


def test_text_of_old_programs_is_read_and_control_characters_are_shown() -> None:
    old = exif(t270="Größe\x1b[31m")
    fields = read(saved(RGB, "TIFF", exif=old))[1].fields
    assert fields.description in ("Größe\\u001b[31m", "Gr??e\\u001b[31m")
    datasets = b"\x1c\x02\x05\x00\x05" + "Größe".encode("cp1252")
    assert read(with_iptc(saved(RGB, "JPEG"), datasets))[1].fields.title == "Größe"


@pytest.mark.parametrize("encoding", ["mac_roman", "cp1252"])
@pytest.mark.parametrize(
    "title", ["Müller", "BÄCKEREI und Bäckerei", "Großer Garten", "un garçon", "pre–war", "Ÿ", "§ 5"]
)
def test_iptc_of_old_macs_is_told_from_that_of_windows(encoding: str, title: str) -> None:
    if encoding == "mac_roman" and title in ("pre–war", "Ÿ", "§ 5"):
        return  # nothing tells these
    value = title.encode(encoding)
    datasets = b"\x1c\x02\x05" + len(value).to_bytes(2, "big") + value
    assert read(with_iptc(saved(RGB, "JPEG"), datasets))[1].fields.title == title


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("1987:05:04 12:00:00", "1987-05-04T12:00:00"), ("1987-05-04 12:00:00", "1987-05-04T12:00:00"),
        ("1987:05:04", "1987-05-04"), ("2004/05/09 16:00:21", "2004-05-09T16:00:21"),
        ("1923:00:00 00:00:00", "1923"), ("1923:05:00 00:00:00", "1923-05"), ("1923:  :     :  :  ", "1923"),
        ("1923", "1923"), ("1923:05", "1923-05"), ("19230504", None), ("1923?", None),
        ("1911/12", None), ("1914 1918", None), ("1923 12", None), ("1914:1918", None), ("1923/00/00", "1923"),
        ("0000:00:00 00:00:00", None), ("    :  :     :  :  ", None),
        ("1987:13:04 12:00:00", None), ("1987:05:04 25:00:00", None), (None, None),
    ],
)  # fmt: skip
def test_dates_of_exif(written: str | None, read_as: str | None) -> None:
    assert exif_date(written) == read_as
    assert exif_date("1987:05:04 12:00:00", "+02:00") == "1987-05-04T12:00:00+02:00"


@pytest.mark.parametrize("date", ["1923", "1923-05", "1923-05-04", "1923-05-04T10:00", "1923-05-04T10:00:59.5Z"])
def test_dates_of_xmp_are_as_precise_as_they_were_written(date: str) -> None:
    assert iso_date(f" {date}\n") == date
    assert iso_date("1923-05-04T10:00:59+0200") == "1923-05-04T10:00:59+02:00"
    assert [iso_date(wrong) for wrong in ("0000", "1923-00", "1923-02-30", "May 1923", "19230504")] == [None] * 5


@pytest.mark.parametrize("name", ["photoshop:DateCreated", "exif:DateTimeOriginal"])
@pytest.mark.parametrize(
    ("written", "read_as"),
    [("1923-00-00", "1923"), ("1987:05:04", "1987-05-04"), ("1987-05-04 12:00:00", "1987-05-04T12:00:00")],
)
def test_dates_of_xmp_that_programs_wrote_as_in_exif_are_read(name: str, written: str, read_as: str) -> None:
    namespaces = " ".join(f'xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in ("photoshop", "exif"))
    packet = xmp_packet(f"<{name}>{written}</{name}>", namespaces=namespaces)
    assert read(with_metadata(RGB, "png", xmp=packet, exif=Image.Exif()))[1].fields.captured_at == read_as


@pytest.mark.parametrize(
    ("make", "model", "device"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"), ("NIKON CORPORATION", "NIKON D70", "NIKON D70"),
        ("EPSON", "Expression 12000XL", "EPSON Expression 12000XL"), (None, "i2S", "i2S"),
        ("Zeutschel", " ", "Zeutschel"),
        (None, None, None),
    ],
)  # fmt: skip
def test_a_device_names_its_maker_once(make: str | None, model: str | None, device: str | None) -> None:
    assert device_of(make, model) == device


# Formats whose enhanced pictures are stored in another one


def with_blocks(suffix: str) -> bytes:
    """A picture with XMP, and EXIF where the format has a place for it, as programs write them."""
    block = exif(t36867=TAKEN).tobytes()
    match suffix:
        case "avif":
            return saved(RGB, "AVIF", exif=block, xmp=TITLED)
        case "gif":
            data = saved(RGB, "GIF")
            trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
            extension = b"\x21\xff\x0bXMP DataXMP" + TITLED + trailer
            return data[:-1] + extension + data[-1:]
        case "jp2":
            told = ((b"JpgTiffExif->JP2", block.removeprefix(b"Exif\0\0")), (JP2_XMP, TITLED))
            boxes = [struct.pack(">I4s", 24 + len(content), b"uuid") + name + content for name, content in told]
            return saved(RGB, "JPEG2000") + b"".join(boxes)
    raise ValueError(suffix)


JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


@pytest.mark.parametrize("suffix", ["avif", "gif", "jp2"])
def test_other_formats_say_as_much(suffix: str) -> None:
    _, metadata = read(with_blocks(suffix))
    fields = metadata.fields
    assert (fields.title, fields.inventory_number) == ("Market", "Inv 1923/5")
    assert [sentence for sentence in metadata.left_out if "maker's notes" not in sentence] == []
    if suffix != "gif":
        assert (fields.device, fields.copyright) == ("Canon EOS 5D", "City archive")
        assert fields.captured_at == "1987-05-04T12:00:00"


@needs_exiftool
@pytest.mark.parametrize("suffix", ["avif", "gif", "jp2"])
def test_what_other_formats_say_stands_in_the_enhanced_png(suffix: str, tmp_path: Path) -> None:
    rgb, metadata = read(with_blocks(suffix))
    path = tmp_path / "enhanced.png"
    path.write_bytes(encode(255 - rgb, format="png", metadata=metadata))
    said = exiftool(path)
    assert said["XMP-dc:Title"] == "Market" and "XMP-tiff:Orientation" not in said


@pytest.mark.parametrize("suffix", ["avif", "gif", "jp2"])
def test_damaged_blocks_of_other_formats_cost_nothing_but_themselves(suffix: str) -> None:
    data = with_blocks(suffix).replace(b"<rdf:RDF", b"<rdf:RDX", 1)
    rgb, metadata = read(data)
    assert rgb.size == RGB.size and metadata.fields.title is None
    assert [sentence for sentence in metadata.left_out if sentence.startswith("XMP: ")]


def pdf(information: str) -> bytes:
    """A PDF file of one empty page with an information dictionary."""
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 30 40]>>",
        f"<<{information}>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 5\n0000000000 65535 f \n{table}trailer\n<</Size 5/Root 1 0 R/Info 4 0 R>>\nstartxref\n{len(out)}\n"
    return out + end.encode() + b"%%EOF\n"


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("D:20260105093000+01'00'", "2026-01-05T09:30:00+01:00"),
        ("D:20260105093000Z", "2026-01-05T09:30:00Z"),
        ("D:202601050930", "2026-01-05T09:30:00"),
        ("D:1998", "1998"),
        ("D:20261399", None),
        ("yesterday", None),
    ],
)
def test_a_pdf_file_says_what_its_information_does(written: str, date: str | None) -> None:
    said = f"/Title(Minutes)/Subject(Harbour board)/Keywords(harbour; board, coal)/CreationDate({written})"
    fields = read(pdf(said))[1].fields
    assert (fields.title, fields.description, fields.digitised_at) == ("Minutes", "Harbour board", date)
    assert fields.keywords == ("harbour", "board", "coal") and fields.captured_at is None
