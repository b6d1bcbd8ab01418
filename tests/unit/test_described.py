"""Tables and sidecars beside images: what they say stands in the manifest, and in the sidecars beside photographs."""

import datetime as dt
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.image_files import picture, tiff_pages
from tests.metadata_files import exiftool, with_metadata, xmp_packet
from tests.unit.published import DATE, Night, caption_all, pin, process
from tests.unit.published_s3 import S3Night, objects, to_archive
from tests.unit.reviews import a_review
from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.history.prune import prune
from tounum_tasks.history.restore import restore
from tounum_tasks.items import read_items
from tounum_tasks.metadata.table import mapping_of, read_table
from tounum_tasks.metadata.xmp import Xmp
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.sidecars import sidecar_content

COLUMNS = {"file": "Filename", "title": "Title", "inventory_number": "Inv.No.", "captured_at": "Date"}
needs_exiftool = pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool (libimage-exiftool-perl)")


class House(Night):
    """A batch ``Box`` of the given files; every readable image is a photograph of a dog, by models."""

    def __init__(self, folder: Path, files: dict[str, bytes], **settings: object) -> None:
        super().__init__(folder)
        shutil.rmtree(folder / "ingest")
        for path, content in {**files, "_READY": b""}.items():
            target = folder / "ingest" / "Box" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        self.set(metadata_columns=json.dumps(COLUMNS), **settings)

    def set(self, **settings: object) -> None:
        """Change settings; the next run reads them."""
        self.settings = self.settings.model_copy(update=settings)

    def run(self, run_id: str, caption: str = "a dog runs", **options: object) -> dict[str, dict]:
        """Work on the batch and return the rows of its manifest by path and page."""
        plan = self.plan(run_id, **options)
        caption_all(plan, self.settings, caption)
        self.outcome = self.publish(plan)["outcome"]
        return {f"{row['source_path']} {row['page']}": row for row in self.table(plan).to_pylist()}

    def photos(self) -> dict[str, bytes]:
        """What lies in lake/photos, by its path below the batch's folder."""
        folder = self.root / "lake" / "photos" / DATE / self.batch_id
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def say(self, path: str, mark: str, value: str) -> None:
        (item,) = [item for item in read_items(self.lake, DATE, self.batch_id) if item.source_path == path]
        where = {"image_id": item.image_id, "batch_id": item.batch_id, "source_path": path}
        ReviewStore(self.lake).add(a_review(mark, value, **where))  # type: ignore[arg-type]


def png(seed: int = 0) -> bytes:
    return cv2.imencode(".png", picture(seed=seed))[1].tobytes()


def csv(text: str, encoding: str = "utf-8") -> bytes:
    return text.encode(encoding)


# Tables


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "mac_roman"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_any_program_are_read(encoding: str, delimiter: str) -> None:
    text = '"filename"|Note|Title|Inv.No.|Date\r\na.tif|x|"Große |""Halle"""|Ä 7|1923\r\n'.replace("|", delimiter)
    table = read_table(csv(text, encoding), COLUMNS)
    assert table is not None and table.notes == []
    fields = table.rows["a.tif"]
    assert (fields.title, fields.inventory_number) == (
        f'Große {delimiter.strip()}"Halle"' if delimiter != "\t" else 'Große "Halle"',
        "Ä 7",
    )
    assert fields.captured_at == "1923"
    assert table.assumed == {"cp1252": "Windows-1252", "mac_roman": "Mac OS Roman"}.get(encoding)


@pytest.mark.parametrize("odd", ["BGB§a", "KŠeft"])
@pytest.mark.parametrize("name", ["Müller", "Straße", "Ärger", "BÄCKER", "André", "Größe"])
def test_one_odd_word_does_not_make_a_table_one_of_macs(odd: str, name: str) -> None:
    table = read_table(
        csv(f"Filename,Title\na.tif,{odd}\nb.tif,{name}\n", "cp1252"), {"file": "Filename", "title": "Title"}
    )
    assert table is not None and table.assumed == "Windows-1252"
    assert (table.rows["a.tif"].title, table.rows["b.tif"].title) == (odd, name)


@pytest.mark.parametrize("odd", ["GALERÍA", "Être", "Graﬂk", "col·lecció", "„Mühle“", "L’Âge…"])
def test_one_odd_word_does_not_make_a_table_of_macs_one_of_windows(odd: str) -> None:
    text = f"Filename,Title\na.tif,{odd}\nb.tif,Müller und Söhne in Gärten\n"
    table = read_table(csv(text, "mac_roman"), {"file": "Filename", "title": "Title"})
    assert table is not None and table.assumed == "Mac OS Roman" and table.rows["a.tif"].title == odd


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "sep=;|", "|", "Box 7;;;|# of 2020|", '"Box 7;|photographs"||'])
def test_what_stands_before_the_names_of_columns_does_no_harm(before: str, end: str) -> None:
    text = before + 'Filename;"Title";Inv.No.;Date;|a.tif;Mill;7;1923;;|'
    table = read_table(text.replace("|", end).encode(), COLUMNS)
    assert table is not None and table.notes == []
    assert (table.rows["a.tif"].title, table.rows["a.tif"].captured_at) == ("Mill", "1923")


def test_a_column_may_have_a_name_of_two_lines() -> None:
    table = read_table(
        b'Filename,"Title\nof the picture"\na.tif,Mill\n', {"file": "Filename", "title": "Title of the picture"}
    )
    assert table is not None and table.rows["a.tif"].title == "Mill"


@pytest.mark.parametrize("content", [b"x" * 200_000 + b"\n", b"a\rb\r", b'"' + b"y" * 200_000, b"\0\0,\r\0"])
def test_a_file_that_is_no_table_stops_nothing(content: bytes) -> None:
    assert read_table(content, COLUMNS) is None


def test_a_table_of_another_kind_says_nothing() -> None:
    assert read_table(b"sha256,path\n0,a.tif\n", COLUMNS) is None
    assert read_table(b"", COLUMNS) is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"File,Title\na.tif,x\n", "has no column Filename: it has file, title"),
        (b"Filename,Titel\na.tif,x\n", "has no column Title: it has filename, titel"),
        (b'Filename,Title\na.tif,"x\n', "is damaged, or no table"),
    ],
)
def test_a_table_that_cannot_be_used_says_what_to_do(content: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_table(content, COLUMNS)


def test_lines_that_are_wrong_are_named_and_the_others_count() -> None:
    lines = "Filename,Title,Inv.No.,Date\na.tif,A,1,1923\na.tif,B,1,1923\n,C,2,\nb.tif,B,2,May\nc.tif,C,3,,5\n\nd.tif\n"
    table = read_table(lines.encode(), COLUMNS)
    assert table is not None and table.rows["a.tif"].title == "A" and set(table.rows) == {"a.tif", "b.tif", "d.tif"}
    told = " / ".join(table.notes)
    assert all(f"line {number}" in told for number in (3, 4, 5, 6)) and "line 2" not in told
    many = read_table(b"Filename,Title,Inv.No.,Date\n" + b",x,y,\n" * 100, COLUMNS)
    assert many is not None and len(many.notes) == 6 and many.notes[-1] == "has 95 more faults"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("{", "it is no JSON"),
        ("[1]", "the name of a column for each field"),
        ('{"file": 7, "title": "T"}', "the name of a column for each field"),
        ('{"file": "F", "author": "A"}', "there is no field author"),
        ('{"title": "T"}', "which column names the file"),
    ],
)
def test_a_mapping_that_is_wrong_is_refused(value: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"TOUNUM_METADATA_COLUMNS: .*{sentence}"):
        load_settings(metadata_columns=value)
    assert mapping_of("") == {}


def test_what_a_table_says_of_each_file_stands_in_its_row(tmp_path: Path) -> None:
    table = "Filename;Title;Inv.No.;Date\nA.PNG;Market;1;1923\nsub\\b;Bridge;2;\nc.png;Twice;3;\nnowhere.png;x;9;\n"
    files = {"a.png": png(1), "sub/b.png": png(2), "sub/c.png": png(3), "c.png": png(4), "list.csv": csv(table)}
    rows = House(tmp_path, files).run("a")
    said = {key: (row["title"], row["inventory_number"], row["captured_at"]) for key, row in rows.items()}
    assert said == {
        "a.png 1": ("Market", "1", "1923"), "sub/b.png 1": ("Bridge", "2", None), "c.png 1": ("Twice", "3", None),
        "sub/c.png 1": (None, None, None),
    }  # fmt: skip
    assert {tuple(row["metadata_left_out"]) for row in rows.values()} == {()}


def test_a_name_that_lies_in_two_folders_needs_its_path(tmp_path: Path) -> None:
    files = {"x/c.png": png(3), "y/c.png": png(4), "list.csv": csv("Filename,Title,Inv.No.,Date\nc.png,Twice,3,\n")}
    rows = House(tmp_path, files).run("a")
    assert {row["title"] for row in rows.values()} == {None}
    assert (
        "list.csv names c.png, which lies in several folders: write its path" in rows["x/c.png 1"]["metadata_left_out"]
    )


@pytest.mark.parametrize(
    "path", ["D:\\scans\\Box\\tif\\a.png", "/mnt/box/tif/a.png", "Box/tif/a.png", "file:///D:/Box/tif/%61.png"]
)
def test_a_path_may_lead_through_the_folder_of_the_batch_wherever_it_lay(tmp_path: Path, path: str) -> None:
    table = csv(f"Filename,Title,Inv.No.,Date\n{path},Mill,1,\n")
    rows = House(tmp_path, {"tif/a.png": png(), "jpg/a.png": png(1), "list.csv": table}).run("a")
    assert [rows[f"{folder}/a.png 1"]["title"] for folder in ("tif", "jpg")] == ["Mill", None]


def test_zeros_before_a_number_that_were_kept_from_excel_are_kept() -> None:
    table = read_table(
        b'Filename,Inv.No.\na.tif,"=""0012"""\nb.tif,="0013"\n', {"file": "Filename", "inventory_number": "Inv.No."}
    )
    assert table is not None and [row.inventory_number for row in table.rows.values()] == ["0012", "0013"]


def test_a_table_that_names_none_of_the_images_is_named(tmp_path: Path) -> None:
    table = csv("Filename,Title,Inv.No.,Date\nD:\\scans\\box 8\\a.png,Mill,1,\n")
    row = House(tmp_path, {"a.png": png(), "list.csv": table}).run("a")["a.png 1"]
    (sentence,) = row["metadata_left_out"]
    assert "list.csv names none of the images; its first file is d:/scans/box 8/a.png" in sentence


def test_a_run_of_the_failed_images_understands_a_table_as_the_first_one_did(tmp_path: Path) -> None:
    """Which image a name means depends on all images of the batch, whichever of them are worked on."""
    table = csv("Filename,Title\n0001.png,Somebody\na/0001.png,Anna\n")
    house = House(tmp_path, {"a/0001.png": png(), "b/0001.png": png()[:-20], "titles.csv": table})
    rows = house.run("first")
    broken = rows["b/0001.png 1"]
    assert (broken["status"], broken["title"]) == ("quarantined", None)
    assert broken["metadata_left_out"][-1] == "titles.csv names 0001.png, which lies in several folders: write its path"
    assert house.run("again", items="failed") == rows and house.outcome == "unchanged"


def test_a_bad_table_is_named_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(tmp_path, {"a.png": png(), "list.csv": b"File,Title\na.png,x\n"})
    row = house.run("a")["a.png 1"]
    (sentence,) = row["metadata_left_out"]
    assert sentence.startswith("list.csv has no column Filename") and "TOUNUM_METADATA_COLUMNS" in sentence
    assert sentence in caplog.text and row["status"] == "ok"


def test_a_mapping_takes_effect_at_the_next_run_and_two_runs_change_nothing(tmp_path: Path) -> None:
    house = House(
        tmp_path, {"a.png": png(), "list.csv": csv("Filename,Title,Inv.No.,Date\na.png,Märkte,1,\n", "cp1252")}
    )
    house.set(metadata_columns="")
    assert house.run("a")["a.png 1"]["title"] is None
    house.set(metadata_columns=json.dumps(COLUMNS))
    assert house.run("b")["a.png 1"]["title"] == "Märkte" and house.outcome == "published"
    assert house.run("c")["a.png 1"]["title"] == "Märkte" and house.outcome == "unchanged"


# Sidecars that came with originals


def test_a_table_comes_before_a_sidecar_and_that_before_the_file(tmp_path: Path) -> None:
    sidecar = xmp_packet("<dc:title>by sidecar</dc:title><dc:identifier>by sidecar</dc:identifier>")
    files = {
        "a.png": with_metadata(picture(), "png"), "a.xmp": xmp_packet("<dc:rights>less precise</dc:rights>"),
        "a.png.xmp": sidecar, "list.csv": b"Filename,Title,Inv.No.,Date\na.png,by table,,\n",
    }  # fmt: skip
    row = House(tmp_path, files).run("a")["a.png 1"]
    assert (row["title"], row["inventory_number"]) == ("by table", "by sidecar")
    assert (row["copyright"], row["device"]) == ("City archive", "Canon EOS 5D")


def test_of_two_sidecars_the_one_beside_the_image_counts(tmp_path: Path) -> None:
    near, far = (xmp_packet(f"<dc:title>{title}</dc:title>") for title in ("near", "far"))
    row = House(tmp_path, {"img/a.png": png(), "img/a.xmp": near, "metadata/of the house/a.png.xmp": far}).run("a")[
        "img/a.png 1"
    ]
    assert row["title"] == "near"


def test_a_hostile_sidecar_is_named(tmp_path: Path) -> None:
    hostile = b'<!DOCTYPE r [<!ENTITY a "aaa">]>' + xmp_packet("<dc:title>&a;</dc:title>")
    house = House(tmp_path, {"a.png": png(), "a.xmp": hostile}, write_captions="sidecar")
    row = house.run("a")["a.png 1"]
    assert row["title"] is None and "a.xmp: it declares entities" in row["metadata_left_out"][0]
    assert Xmp.parse(house.photos()["a.png.xmp"]).text("dc:description") == "a dog runs"


@pytest.mark.parametrize(
    "doctype", [b"<!DOCTYPE x>", b'<!DOCTYPE rdf SYSTEM "http://localhost:9/xmp.dtd">', b"<!DOCTYPE x []>"]
)
def test_a_document_type_alone_is_no_reason_to_refuse_a_sidecar(tmp_path: Path, doctype: bytes) -> None:
    files = {"a.png": png(), "a.xmp": doctype + xmp_packet("<dc:title>Mill</dc:title>")}
    house = House(tmp_path, files, write_captions="sidecar")
    row = house.run("a")["a.png 1"]
    assert row["title"] == "Mill" and row["metadata_left_out"] == []
    assert b"DOCTYPE" not in house.photos()["a.png.xmp"]


def test_a_sidecar_that_is_gone_is_no_silent_loss(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png(), "a.xmp": xmp_packet("<dc:title>x</dc:title>")})
    house.run("a")
    next((tmp_path / "lake" / "originals").rglob("a.xmp")).unlink()
    with pytest.raises(EnvironmentFault, match=r"a\.xmp is gone: restore it"):
        house.run("b")


# Sidecars beside photographs


def test_none_are_written_unless_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png()})
    house.run("a")
    assert set(house.photos()) == {"a.png"}


@needs_exiftool
def test_exiftool_reads_the_caption_the_class_and_their_source(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png(), "list.csv": csv("Filename,Title,Inv.No.,Date\na,Platz Ä,7,1923-05\n")})
    house.set(write_captions="sidecar")
    house.run("a")
    path = tmp_path / "a.xmp"
    path.write_bytes(house.photos()["a.png.xmp"])
    said = exiftool(path)
    assert said["XMP-dc:Description"] == said["XMP-iptcCore:AltTextAccessibility"] == "a dog runs"
    assert (said["XMP-dc:Title"], said["XMP-dc:Identifier"], said["XMP-dc:Subject"]) == ("Platz Ä", "7", "Photo")
    assert said["XMP-photoshop:DateCreated"] == "1923:05"
    assert (
        said["XMP-photoshop:Source"].startswith("TouNum: class by model test-1")
        and "caption by model" in said["XMP-photoshop:Source"]
    )
    assert not any("Warning" in tag or "Error" in tag for tag in said)


def test_a_delivered_sidecar_is_merged_and_never_overwritten(tmp_path: Path) -> None:
    delivered = xmp_packet(
        "<dc:description>Our words</dc:description><dc:subject><rdf:Bag><rdf:li>market</rdf:li></rdf:Bag></dc:subject>"
        "<photoshop:Source>Estate of A. B.</photoshop:Source>"
        "<lr:hierarchicalSubject>Places|Köln</lr:hierarchicalSubject>",
        namespaces='xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"',
    )
    house = House(tmp_path, {"a.png": png(), "a.xmp": delivered}, write_captions="sidecar")
    house.run("a")
    written = house.photos()["a.png.xmp"]
    xmp = Xmp.parse(written)
    assert (xmp.text("dc:description"), xmp.text("photoshop:Source")) == ("Our words", "Estate of A. B.")
    assert xmp.texts("dc:subject") == ["market", "Photo"]
    assert xmp.text("Iptc4xmpCore:AltTextAccessibility") == xmp.text("tounum:Caption") == "a dog runs"
    assert "lr:hierarchicalSubject>Places|Köln<".encode() in written
    (original,) = (tmp_path / "lake" / "originals").rglob("a.xmp")
    assert original.read_bytes() == delivered


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-16-le", "utf-8"])
def test_a_sidecar_is_read_in_the_encoding_that_it_declares(encoding: str) -> None:
    packet = xmp_packet("<dc:title>Köln</dc:title><dc:rights>Haus Müller</dc:rights>").decode().partition("?>")[2]
    delivered = f'<?xml version="1.0" encoding="{encoding.removesuffix("-le")}"?>{packet}'.encode(encoding)
    written = Xmp.parse(sidecar_content({"label": "Photo", "title": "x"}, delivered))
    assert (written.text("dc:title"), written.text("dc:rights")) == ("Köln", "Haus Müller")


def test_a_sidecar_without_a_declared_encoding_may_be_of_an_old_program() -> None:
    packet = xmp_packet("<dc:title>Köln</dc:title>").decode().partition("?>")[2].rpartition("<?")[0]
    assert Xmp.parse(packet.encode("cp1252")).text("dc:title") == "Köln"


def test_comments_and_qualifiers_in_a_sidecar_cost_nothing() -> None:
    delivered = xmp_packet(
        "<dc:subject><!-- ours --><rdf:Bag><rdf:li>market</rdf:li></rdf:Bag></dc:subject>"
        "<dc:description>Old <!-- or new? -->mill</dc:description>"
        '<dc:title rdf:parseType="Resource"><rdf:value>Mill</rdf:value><xmp:Rating>3</xmp:Rating></dc:title>'
    )
    written = sidecar_content({"label": "Photo", "title": "x", "description": "x"}, delivered)
    xmp = Xmp.parse(written)
    assert xmp.texts("dc:subject") == ["market", "Photo"]
    assert (xmp.text("dc:title"), xmp.text("dc:description")) == ("Mill", "Old mill")
    assert b"<!-- ours -->" in written and b"<xmp:Rating>3</xmp:Rating>" in written


def test_properties_that_are_attributes_are_kept_and_known() -> None:
    """Lightroom writes simple properties in this way; an empty title is none."""
    delivered = xmp_packet(
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default"/></rdf:Alt></dc:title>',
        namespaces='xmp:Rating="3" photoshop:DateCreated="1923" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"',
    )
    row = {"label": "Photo", "caption": "a & b <c> \x01", "title": "Mill", "captured_at": "1924", "image_id": "1"}
    written = sidecar_content(row, delivered)
    xmp = Xmp.parse(written)
    assert (xmp.text("xmp:Rating"), xmp.text("photoshop:DateCreated"), xmp.text("dc:title")) == ("3", "1923", "Mill")
    assert xmp.text("dc:description") == "a & b <c> \\u0001"
    assert sidecar_content(row, written) == written


def test_the_sidecar_says_what_people_said_from_the_next_run_on(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png()}, write_captions="sidecar")
    house.run("a")
    house.say("a.png", "caption", "two dogs on a bridge")
    assert b"two dogs" not in house.photos()["a.png.xmp"]
    house.run("b")
    xmp = Xmp.parse(house.photos()["a.png.xmp"])
    assert xmp.text("dc:description") == "two dogs on a bridge"
    assert "caption by a person" in (xmp.text("photoshop:Source") or "")
    house.say("a.png", "label", "Text")
    house.run("c")
    assert house.photos() == {}


def test_two_runs_change_nothing_and_what_is_lost_or_changed_is_made_again(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png(), "b.gif": cv2.imencode(".gif", picture(seed=2))[1].tobytes()})
    house.set(write_captions="sidecar")
    house.run("a")
    before = house.photos()
    assert set(before) == {"a.png", "a.png.xmp", "b.gif", "b.gif.xmp"}
    house.run("b")
    assert (house.outcome, house.photos()) == ("unchanged", before)
    (sidecar,) = (tmp_path / "lake" / "photos").rglob("a.png.xmp")
    sidecar.unlink()
    (other,) = (tmp_path / "lake" / "photos").rglob("b.gif.xmp")
    other.write_bytes(other.read_bytes().replace(b"a dog runs", b"something"))
    house.run("c")
    assert house.photos() == before
    house.set(write_captions="off")
    house.run("d")
    assert set(house.photos()) == {"a.png", "b.gif"}


def test_every_page_has_one(tmp_path: Path) -> None:
    pages = tiff_pages([picture(seed=1), picture(seed=2)], photometric="rgb", description="plans of a mill")
    house = House(tmp_path, {"a.tif": pages}, write_captions="sidecar")
    rows = house.run("a")
    assert [row["description"] for row in rows.values()] == ["plans of a mill"] * 2
    assert set(house.photos()) == {
        "a.tif.p0001.png", "a.tif.p0001.png.xmp", "a.tif.p0002.png", "a.tif.p0002.png.xmp",
    }  # fmt: skip


@pytest.mark.parametrize("left", [b"", bytes(500)], ids=["nothing", "zeros"])
def test_a_sidecar_of_which_a_power_failure_left_nothing_is_written_again(tmp_path: Path, left: bytes) -> None:
    house = House(tmp_path, {"a.png": png()}, write_captions="sidecar")
    house.run("first")
    before = house.photos()
    next((tmp_path / "lake" / "photos").rglob("a.png.xmp")).write_bytes(left)
    house.run("again")
    assert house.photos() == before


@pytest.mark.parametrize("setting", ["off", "sidecar"])
def test_sidecars_that_other_programs_wrote_there_stay(tmp_path: Path, setting: str) -> None:
    house = House(tmp_path, {"a.png": png()}, write_captions=setting)
    house.set(write_captions="off")
    house.run("a")
    (photo,) = (tmp_path / "lake" / "photos").rglob("a.png")
    foreign = xmp_packet("<xmp:Rating>5</xmp:Rating>")
    photo.with_name("a.png.xmp").write_bytes(foreign)
    house.set(write_captions=setting)
    house.run("b")
    assert house.photos()["a.png.xmp"] == foreign
    house.say("a.png", "label", "Text")
    house.run("c")
    assert house.photos() == {"a.png.xmp": foreign}


def test_a_restore_brings_them_back_and_prune_leaves_them(tmp_path: Path) -> None:
    house = House(tmp_path, {"a.png": png()}, write_captions="sidecar")
    house.run("a")
    before = house.photos()
    house.run("b", caption="a cat", captioner={"name": "captioner", "version": "2", "digest": "2"})
    assert b"a cat" in house.photos()["a.png.xmp"]
    restore(house.settings, DATE, house.batch_id, 1)
    assert house.photos() == before
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=200)
    list(prune(house.lake, keep_days=30, now=later, remove=True))
    assert house.photos() == before


def test_in_a_bucket_it_is_the_same(s3: object, tmp_path: Path) -> None:
    night = S3Night(tmp_path)
    night.settings = night.settings.model_copy(update={"write_captions": "sidecar"})
    Path(tmp_path, "ingest", "Box", "0.xmp").write_bytes(xmp_packet("<dc:title>Mill</dc:title>"))
    plan = night.plan("a")
    caption_all(plan, night.settings, "a dog runs")
    night.publish(plan)
    sidecars = {path: version for path, version in objects().items() if path.endswith(".png.xmp")}
    assert {path.rpartition("/")[2] for path in sidecars} == {"0.png.xmp", "1.png.xmp", "2.png.xmp"}
    (first,) = (path for path in sidecars if path.endswith("/0.png.xmp"))
    assert Xmp.parse(night.lake.read_bytes(first.removeprefix("lake/"))).text("dc:title") == "Mill"
    again = night.plan("b")
    caption_all(again, night.settings, "a dog runs")
    assert night.publish(again)["outcome"] == "unchanged"
    assert {path: version for path, version in objects().items() if path.endswith(".png.xmp")} == sidecars


@pytest.mark.parametrize("label", ["Photo", "Text"])
def test_a_sidecar_that_a_rule_of_the_bucket_moved_to_an_archive_keeps_no_batch_from_being_published(
    s3: object, tmp_path: Path, label: str
) -> None:
    """It stays: nobody can tell whether a person's program wrote it."""
    night = S3Night(tmp_path)
    night.settings = night.settings.model_copy(update={"write_captions": "sidecar"})
    plan = night.plan("a")
    caption_all(plan, night.settings, "a dog runs")
    night.publish(plan)
    (archived,) = (path for path in objects() if path.endswith("/0.png.xmp"))
    to_archive(archived)
    version = objects()[archived]
    plan = night.plan("b", captioner=pin("captioner", "2"), classifier=pin("classifier", "2"))
    if label == "Photo":
        caption_all(plan, night.settings, "a cat")
    else:
        process(plan, night.settings, label)
    assert night.publish(plan)["outcome"] == "published"
    left = {path: version for path, version in objects().items() if path.endswith(".xmp")}
    assert left[archived] == version and len(left) == (3 if label == "Photo" else 1)


def test_enhanced_photographs_keep_what_the_file_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    house = House(tmp_path, {"a.tif": with_metadata(noise, "tif", orientation=6)})
    row = house.run("a", enhancement="classic")["a.tif 1"]
    assert row["enhancement_accepted"] and (row["title"], row["exif_orientation"]) == ("Market", 6)
    content = house.photos()["a.tif"]
    assert b"Market" in content and b"City archive" in content and b"Upper town" in content
