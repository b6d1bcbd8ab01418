"""What a delivery says of its own files is compared with what arrived, before ingest is emptied."""

import hashlib
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_take_in import House, png
from tounum_tasks.errors import ItemError
from tounum_tasks.fixity.lists import read_list
from tounum_tasks.fixity.statements import Statements, read_statements
from tounum_tasks.items import read_sidecars
from tounum_tasks.names import validate_image_id
from tounum_tasks.steps.originals import read_original
from tounum_tasks.store.open import open_storage

FILES = {"a.png": png(1), "deep/b.png": png(2)}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def sums(algorithm: str, files: dict[str, bytes], line: str = "{digest}  {path}\n") -> bytes:
    return "".join(
        line.format(digest=hashlib.new(algorithm, content).hexdigest(), path=path) for path, content in files.items()
    ).encode()


def sfv(files: dict[str, bytes]) -> bytes:
    return "".join(f"{path} {zlib.crc32(content):08X}\r\n" for path, content in files.items()).encode()


LISTS: dict[str, bytes] = {
    "md5sums.txt": sums("md5", FILES),
    "checksums": sums("sha256", FILES),
    "Prüfsummen.dat": sums("sha1", FILES, "{digest} *./{path}\r\n"),
    "list.sha512": sums("sha512", FILES, "{digest}\t{path}\n"),
    "from windows.md5": b"\xef\xbb\xbf" + sums("md5", FILES).upper().replace(b"/", b"\\").replace(b"\n", b"\r\n"),
    "utf16.txt": sums("md5", FILES).decode().encode("utf-16"),
    "bsd.txt": sums("sha256", FILES, "SHA256 ({path}) = {digest}\n"),
    "box.sfv": b"; made by a program\r\n" + sfv(FILES),
    "table.csv": b"file;md5\n" + sums("md5", FILES, "{path};{digest}\n"),
    "absolute.md5": sums("md5", FILES, "{digest}  D:\\export\\Box 7\\{path}\n").replace(b"deep/", b"deep\\"),
    "with the folder.md5": sums("md5", FILES, "{digest}  Box 7/{path}\n"),
    "sums/in a folder.md5": sums("md5", FILES, "{digest}  ../{path}\n"),
    "quoted.csv": b'"file","md5"\n' + sums("md5", FILES, '"{path}","{digest}"\n'),
    "droid.csv": b'"ID","URI","NAME","TYPE","MD5_HASH","PUID"\n"1","file:/D:/x/Box%207/","Box 7","Folder","",""\n'
    + sums("md5", FILES, '"2","file:/D:/x/Box%207/{path}","{path}","File","{digest}","fmt/11"\n'),
    "siegfried.csv": b"filename,filesize,md5,id,basis\n"
    + sums("md5", FILES, 'D:\\x\\{path},3,{digest},fmt/11,"extension match, byte match at 0, 8"\n'),
    "dam.csv": b"url,source,filename,md5,asset_key\n"
    + sums("md5", FILES, "https://x.org/{path},IMG.CR2,{path},{digest},0123456789abcdef0123456789abcdef\n"),
    "blank cells.csv": b"filename,title,md5\n" + sums("md5", FILES, "{path},Harbour,{digest}\n") + b"c.png,Ship,\n",
    "table.md": b"| file | md5 |\n|---|---|\n" + sums("md5", FILES, "| {path} | {digest} |\n"),
    "uri.md5": sums("md5", FILES, "{digest}  file:///D:/Box%207/{path}\n"),
    "size first.txt": sums("md5", FILES, "12 {digest} {path}\n"),
    "size between.txt": sums("md5", FILES, "{path} 12 {digest}\n"),
    "b2sum.txt": sums("blake2b", FILES),
    "columns.csv": b"record_id,file,size,md5\n"
    + sums("md5", FILES, "0123456789abcdef0123456789abcdef,{path},3,{digest}\n"),
    "powershell.csv": b'"Algorithm","Hash","Path"\r\n'
    + sums("sha256", FILES, '"SHA256","{digest}","C:\\x\\{path}"\r\n'),
    "powershell.txt": sums(
        "sha256",
        FILES,
        "\r\nAlgorithm : SHA256\r\nHash      : {digest}\r\nPath      : C:\\scans\\x\\\r\n            {path}\r\n\r\n",
    )
    .decode()
    .encode("utf-16"),
    "certutil.txt": sums(
        "md5", FILES, "MD5 hash of {path}:\r\n{digest}\r\nCertUtil: -hashfile command completed successfully.\r\n"
    ),
    "certutil deutsch.txt": sums(
        "sha1", FILES, "SHA1-Hash von {path}:\r\n{digest}\r\nCertUtil: -hashfile erfolgreich.\r\n"
    ),
    "dos.md5": sums("md5", FILES, "{digest} *{path}\r\n") + b"\x1a",
    "hashdeep": b"%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n## $ hashdeep -r .\n##\n"
    + sums("md5", FILES, "3,{digest},/x/{path}\n"),
    "blake.txt": sums("blake2b", FILES, "BLAKE2b ({path}) = {digest}\n"),
    "B2SUMS": sums("blake2b", FILES),
    "openssl.txt": sums("sha3_256", FILES, "SHA3-256({path})= {digest}\n"),
    "equals.txt": sums("md5", FILES, "{path} = {digest}\n"),
    "blanks.md5": sums("md5", FILES, "{digest}  {path}  \n"),
    "signed.asc": b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    + sums("md5", FILES)
    + b"-----BEGIN PGP SIGNATURE-----\n\niQEz\n=abcd\n-----END PGP SIGNATURE-----\n",
}


def deliver(house: House, files: dict[str, bytes], batch: str = "Box 7") -> None:
    for path, content in files.items():
        house.drop(f"{batch}/{path}", content)
    house.ready(batch)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def taking(tmp_path: Path) -> House:
    return House(tmp_path, incomplete="take")


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_known_by_its_content_and_its_checksums_stand_with_the_files(house: House, name: str) -> None:
    deliver(house, {**FILES, name: LISTS[name]})
    taken = house.take()
    assert taken.waiting == ()
    items = house.items(taken)
    assert [item.source_path for item in items] == list(FILES)
    for item in items:
        assert item.checksum_source == name and item.checksum
        algorithm, _, digest = item.checksum.partition(":")
        content = FILES[item.source_path]
        crc = f"{zlib.crc32(content):08x}"
        assert digest == (crc if algorithm == "crc32" else hashlib.new(algorithm, content).hexdigest())
    assert [sidecar.source_path for sidecar in read_sidecars(house.lake, *taken.batches[0])] == [name]


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_differs_holds_the_batch_back_and_is_named(house: House, name: str) -> None:
    deliver(house, {**FILES, "a.png": png(9), name: LISTS[name]})
    taken = house.take()
    assert taken.batches == ()
    (sentence,) = taken.waiting
    assert "'a.png' is not what" in sentence and name in sentence and "b.png" not in sentence
    assert (house.ingest / "Box 7" / "a.png").read_bytes() == png(9)
    assert not any(house.lake.local_path("originals").rglob("*.png"))
    deliver(house, FILES)  # mended
    assert len(house.items(house.take())) == 2


@pytest.mark.parametrize("order", [("md5", "sha256"), ("sha256", "md5")])
def test_of_several_checksums_of_a_missing_file_the_strongest_is_kept(tmp_path: Path, order: tuple[str, ...]) -> None:
    for place, algorithm in enumerate(order):  # lists are read in the order of their names
        (tmp_path / f"{place}.list").write_bytes(sums(algorithm, FILES))
    storage = open_storage(str(tmp_path))
    found = read_statements(storage, "", {entry.name: entry.size for entry in storage.list_folder()})
    assert {path: said.algorithm for path, said in found.missing.items()} == dict.fromkeys(FILES, "sha256")


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_is_missing_holds_the_batch_back_until_it_comes(house: House, name: str) -> None:
    deliver(house, {"a.png": FILES["a.png"], name: LISTS[name]})
    sentence = house.take().waiting[0].replace("B.PNG", "b.png")
    assert "b.png' is missing" in sentence and name in sentence and "TOUNUM_INCOMPLETE" in sentence
    deliver(house, {"deep/b.png": FILES["deep/b.png"]})
    assert len(house.items(house.take())) == 2
    assert list(house.ingest.iterdir()) == []


def test_what_is_short_is_taken_with_a_row_for_each_file_if_the_setting_says_so(taking: House) -> None:
    deliver(taking, {"c.png": png(3), "a.png": png(9), "md5sums.txt": LISTS["md5sums.txt"]})
    taken = taking.take()
    items = {item.source_path: item for item in taking.items(taken)}
    assert {path: item.error_code for path, item in items.items()} == {
        "a.png": "checksum_differs",
        "c.png": None,
        "deep/b.png": "missing",
    }
    assert taking.lake.read_bytes(items["a.png"].original) == png(9)
    assert items["deep/b.png"].checksum == f"md5:{md5(FILES['deep/b.png'])}"
    assert "md5sums.txt" in (items["deep/b.png"].error_message or "")
    assert validate_image_id(items["deep/b.png"].image_id) != items["a.png"].image_id
    with pytest.raises(ItemError, match="not delivered"):
        read_original(taking.lake, items["deep/b.png"])
    assert not taking.lake.exists(items["deep/b.png"].original)
    assert list(taking.ingest.iterdir()) == []


def test_a_sidecar_that_differs_has_a_row_as_an_image_has(taking: House) -> None:
    said = {**FILES, "a.xmp": b"<x/>", "mets.xml": b"<mets/>"}
    deliver(taking, {**said, "mets.xml": b"<mots/>", "md5sums.txt": sums("md5", said)})
    taken = taking.take()
    rows = {item.source_path: item.error_code for item in taking.items(taken)}
    assert rows == {"a.png": None, "deep/b.png": None, "mets.xml": "checksum_differs"}
    beside = {sidecar.source_path for sidecar in read_sidecars(taking.lake, *taken.batches[0])}
    assert beside == {"a.xmp", "md5sums.txt"}
    assert taking.lake.read_bytes(next(i.original for i in taking.items(taken) if i.error_code)) == b"<mots/>"


def make_bag(folder: Path, change: Callable[[Path], object] = lambda bag: None) -> None:
    for path, content in FILES.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    bagit.make_bag(str(folder), checksums=["md5", "sha256"])
    change(folder)
    (folder / "_READY").touch()


def test_a_bag_is_compared_with_its_manifests(house: House) -> None:
    make_bag(house.ingest / "bag")
    taken = house.take()
    items = house.items(taken)
    assert [(item.source_path, item.error_code) for item in items] == [("data/a.png", None), ("data/deep/b.png", None)]
    assert {item.checksum_source for item in items} == {"manifest-sha256.txt"}
    assert items[0].checksum == f"sha256:{items[0].sha256}"
    assert {sidecar.source_path for sidecar in read_sidecars(house.lake, *taken.batches[0])} >= {
        "bagit.txt", "bag-info.txt", "manifest-md5.txt", "tagmanifest-sha256.txt",
    }  # fmt: skip
    assert list(house.ingest.iterdir()) == []


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


BAG_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda bag: (bag / "data/a.png").unlink(), "'data/a.png' is missing"),
    "different": (lambda bag: write(bag / "data/a.png", png(9)), "'data/a.png' is not what 'manifest-"),
    "extra": (lambda bag: write(bag / "data/c.png", png(3)), "'data/c.png' is in the payload of a bag and in none"),
    "tag file": (
        lambda bag: write(bag / "bag-info.txt", b"Title: other\n"),
        "'bag-info.txt' is not what 'tagm",
    ),
    "no manifest": (
        lambda bag: [path.unlink() for path in bag.glob("manifest-*")],
        "cannot be read: it has no manifest of its payload",
    ),
    "path out": (lambda bag: write(bag / "manifest-md5.txt", sums("md5", {"../../x": b""})), "is unsafe"),
    "contradiction": (
        lambda bag: write(
            bag / "manifest-md5.txt", 2 * sums("md5", {"data/a.png": b"1"}) + sums("md5", {"data/a.png": b"2"})
        ),
        "cannot be read: md5 manifest lists data/a.png",
    ),
    "line": (
        lambda bag: write(bag / "manifest-md5.txt", b"data/a.png\n" + (bag / "manifest-md5.txt").read_bytes()),
        "'manifest-md5.txt' is damaged: line 1 is no checksum",
    ),
    "kind": (
        lambda bag: write(bag / "manifest-tiger.txt", b"0123456789abcdef  data/a.png\n"),
        "'manifest-tiger.txt' has checksums of a kind that is not known",
    ),
    "other spelling": (
        lambda bag: write(bag / "manifest-SHA-512.txt", sums("sha512", {"data/a.png": b"other"})),
        "'data/a.png' is not what 'manifest-SHA-512.txt' says",
    ),
    "size": (
        lambda bag: [
            (bag / "tagmanifest-md5.txt").unlink(),
            (bag / "tagmanifest-sha256.txt").unlink(),
            write(bag / "bag-info.txt", b"Payload-Oxum: 185.3\n"),
        ],
        "the bag '.' says that its payload has 3 files, and its manifests list 2",
    ),
    "fetch": (lambda bag: write(bag / "fetch.txt", b"http://elsewhere/a.png 1 data/x.png\n"), "fetch.txt"),
}


@pytest.mark.parametrize("fault", BAG_FAULTS)
def test_a_bag_that_is_not_what_it_says_waits_and_the_reason_is_told(house: House, fault: str) -> None:
    change, reason = BAG_FAULTS[fault]
    make_bag(house.ingest / "bag", change)
    taken = house.take()
    assert taken.batches == () and reason in taken.waiting[0]
    assert (house.ingest / "bag" / "bagit.txt").exists()


@pytest.mark.parametrize(
    ("version", "name", "line"),
    [
        ("1.0", "data/100%.png", "data/100%25.png"),
        ("1.0", "data/100%.png", "data/100%.png"),
        ("0.97", "data/100%25.png", "data/100%25.png"),
        ("0.97", "data/deep/a.png", "data\\deep\\a.png"),
        ("1.0", "data/ä.png", "data/Ä.png"),
    ],
)
def test_names_in_a_bag_are_found_however_they_are_encoded(house: House, version: str, name: str, line: str) -> None:
    declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    manifest = sums("md5", {line: png(1)})
    deliver(house, {name: png(1), "bagit.txt": declaration, "manifest-md5.txt": manifest})
    taken = house.take()
    assert taken.waiting == ()
    (item,) = house.items(taken)
    assert (item.source_path, item.checksum_source) == (name, "manifest-md5.txt")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("box.md5", b"", "'box.md5' is called a checksum list, and no checksums can be read in it"),
        ("box.md5", bytes(200), "'box.md5' is called a checksum list, and no checksums can be read in it"),
        ("box.sha1", b"see the mail\n", "'box.sha1' is called a checksum list"),
        ("box.txt", sums("md5", FILES, "TIGER128 ({path}) = {digest}\n"), "kind that is not known: TIGER128"),
    ],
)
def test_a_list_that_says_nothing_is_no_proof(house: House, name: str, content: bytes, sentence: str) -> None:
    deliver(house, {**FILES, name: content})
    taken = house.take()
    assert taken.batches == () and sentence in taken.waiting[0]


@pytest.mark.parametrize(
    ("version", "info"), [("0.93", "package-info.txt"), ("0.96", "bag-info.txt"), ("0.97", "bag-info.txt")]
)
def test_tag_files_of_old_bags_are_compared_too(house: House, version: str, info: str) -> None:
    declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    manifest = sums("md5", {"data/a.png": png(1)})
    tags = sums("md5", {info: b"Title: Box\n", "manifest-md5.txt": manifest})
    bag = {"data/a.png": png(1), "bagit.txt": declaration, "manifest-md5.txt": manifest, "tagmanifest-md5.txt": tags}
    deliver(house, {**bag, info: b"Title: Other\n"})
    assert f"'{info}' is not what 'tagmanifest-md5.txt' says" in house.take().waiting[0]
    deliver(house, {info: b"Title: Box\n"})
    assert len(house.items(house.take())) == 1


@pytest.mark.parametrize("version", ["0.97", "1.0"])
def test_since_version_1_each_manifest_of_a_bag_lists_all_of_its_payload(house: House, version: str) -> None:
    declaration = f"BagIt-Version: {version}\nTag-File-Character-Encoding: UTF-8\n".encode()
    payload = {"data/a.png": png(1), "data/b.png": png(2)}
    manifests = {
        "manifest-md5.txt": sums("md5", payload),
        "manifest-sha256.txt": sums("sha256", {"data/a.png": png(1)}),
    }
    deliver(house, {**payload, "bagit.txt": declaration, **manifests})
    waiting = " ".join(house.take().waiting)
    assert ("'data/b.png' is not in 'manifest-sha256.txt'" in waiting) == (version == "1.0") == bool(waiting)


def test_lists_in_a_folder_of_their_own_are_of_the_images_elsewhere(house: House) -> None:
    lists = {
        f"md5/{name}.md5": f"{md5(content)} *{name}\r\n".encode()
        for name, content in {"a.tif": b"a", "b.tif": b"b"}.items()
    }
    deliver(house, {"tif/a.tif": b"a", "tif/b.tif": b"b", **lists})
    assert {item.source_path: item.checksum_source for item in house.items(house.take())} == {
        "tif/a.tif": "md5/a.tif.md5",
        "tif/b.tif": "md5/b.tif.md5",
    }


def told_of(house: House, files: dict[str, bytes]) -> Statements:
    """What the lists of a batch say."""
    for path, content in files.items():
        house.drop(f"Box 7/{path}", content)
    return read_statements(
        open_storage(str(house.ingest)), "Box 7", {name: len(content) for name, content in files.items()}
    )


def test_a_list_of_a_folder_that_is_missing_is_not_held_against_another(house: House) -> None:
    near = md5(png(2)).encode() + b"  0001.png\n"
    files = {"vol1.md5": md5(png(1)).encode() + b"  0001.png\n", "vol2/0001.png": png(2), "vol2/x.md5": near}
    told = told_of(house, files)
    assert [said.source for said in told.of["vol2/0001.png"]] == ["vol2/x.md5"]
    assert [said.source for said in told.missing.values()] == ["vol1.md5"]


def test_a_checksum_of_no_file_is_named(house: House) -> None:
    told = told_of(house, {"0001.png": png(1), "x.md5": sums("md5", {"0001.png": png(1), "C:\\": b"", "/": b""})})
    assert told.of["0001.png"]
    assert len(told.broken) == 2 and "has a checksum of 'C:" in told.broken[0]


@pytest.mark.parametrize("heading", ["filename,md5,thumbnail", "Fichier,MD5,Pixels"])
def test_other_columns_of_a_table_hide_no_checksums(house: House, heading: str) -> None:
    row = f"0001.png,{md5(png(2))},0001_t.jpg\n"
    assert told_of(house, {"0001.png": png(1), "inventory.csv": f"{heading}\n{row}".encode()}).of["0001.png"]


def test_a_shelf_mark_does_not_make_blake2_of_sha512(house: House) -> None:
    told = told_of(house, {"0001.png": png(1), "Lot B2.sha512": sums("sha512", {"0001.png": png(1)})})
    assert [said.algorithm for said in told.of["0001.png"]] == ["sha512"]


@pytest.mark.parametrize("content", [b"", b"; made by a program\r\n"])
def test_a_list_of_short_checksums_that_has_none_is_told(house: House, content: bytes) -> None:
    assert told_of(house, {"0001.png": png(1), "box.sfv": content}).silent == ["box.sfv"]


def test_a_checksum_alone_is_that_of_the_master(house: House) -> None:
    told = told_of(house, {"0001.tif": b"II", "0001.jpg": b"JPEG", "0001.md5": md5(b"II").encode()})
    assert list(told.of) == ["0001.tif"]
    assert not told.missing


def test_a_list_with_a_line_that_is_none_says_which(house: House) -> None:
    deliver(
        house, {"a.png": FILES["a.png"], "a.png.md5": f"{md5(FILES['a.png'])} *a.png\n1 file(s) checked\n".encode()}
    )
    assert "'a.png.md5' is damaged: line 2 is no checksum" in house.take().waiting[0]


def test_files_of_other_batches_in_a_list_are_named(house: House) -> None:
    deliver(house, {"a.png": FILES["a.png"], "sums.md5": sums("md5", {"a.png": png(1), "../Box 8/c.png": png(3)})})
    assert "'sums.md5' lists '../Box 8/c.png', outside of the batch" in house.take().waiting[0]


def test_a_log_with_checksums_is_no_list(house: House) -> None:
    log = sums("md5", FILES, "2026-01-05 12:30:00 written {path} {digest}\n")
    deliver(house, {**FILES, "scanner.log": log})
    taken = house.take()
    assert taken.waiting == () and len(house.items(taken)) == 2


IDS = [f"{number:012x}4abc9{number:015x}" for number in range(3)]
NO_LISTS = {
    "titles.csv": f"ObjectID,file,title\n{IDS[0]},a.png,Ship\n{IDS[1]},deep/b.png,Harbour\n",
    "keys.csv": f"file;Signatur\na.png;{IDS[0]}\ndeep/b.png;{IDS[1]}\n",
    "uuids.csv": "".join(f"{name},{id}\n" for name, id in zip(("a.png", "deep/b.png", "c.png"), IDS, strict=True)),
    "looks.csv": f"file,title,phash\na.png,Ship,{IDS[0]}\ndeep/b.png,Harbour,{IDS[1]}\n",
    "scan.txt": f"session: {IDS[0]}\n",
    "scanner.ini": f"[scan]\nuuid={IDS[0]}\nkey={IDS[1]}\n",
    "version.txt": f"commit {IDS[0]}deadbeef\n",
    "plants.txt": "a.png Fabaceae\ndeep/b.png Fabaceae\n",
}


@pytest.mark.parametrize("name", NO_LISTS)
def test_ids_keys_and_words_that_look_like_checksums_are_none(house: House, name: str) -> None:
    deliver(house, {**FILES, name: NO_LISTS[name].encode()})
    taken = house.take()
    assert taken.waiting == () and [item.checksum for item in house.items(taken)] == [None, None]


def test_a_list_beside_the_folders_of_images_may_name_them_without_their_folder(house: House) -> None:
    deliver(house, {"tif/a.tif": b"a", "md5.txt": sums("md5", {"a.tif": b"a"})})
    deliver(
        house, {"tif/a.tif": b"b", "md5.csv": b"file,md5\n" + sums("md5", {"a.tif": b"a"}, "{path},{digest}\n")}, "8"
    )
    (sentence,) = house.take().waiting
    assert "'tif/a.tif' is not what 'md5.csv' says" in sentence


def test_what_b2sum_wrote_is_told_from_sha512_by_the_file(house: House) -> None:
    deliver(house, {**FILES, "list.txt": sums("blake2b", FILES)})
    assert {str(item.checksum).partition(":")[0] for item in house.items(house.take())} == {"blake2b"}


def test_a_path_of_very_many_folders_is_looked_for_at_once(house: House) -> None:
    deliver(house, {"a.png": png(1), "a.md5": md5(b"").encode() + b"  " + b"/a" * 30_000})
    started = time.process_time()
    assert len(house.take().waiting) == 1 and time.process_time() - started < 2


def test_files_are_never_fetched_whatever_the_setting(taking: House) -> None:
    make_bag(taking.ingest / "bag", BAG_FAULTS["fetch"][0])
    taken = taking.take()
    assert taken.batches == () and "never fetched" in taken.waiting[0]


def test_a_bag_with_files_that_systems_leave_is_whole(house: House) -> None:
    folder = house.ingest / "bag"
    write(folder / "Thumbs.db", b"x")
    write(folder / "deep" / ".DS_Store", b"x")
    make_bag(folder)
    assert len(house.items(house.take())) == 2


def test_a_checksum_alone_is_that_of_the_file_that_its_name_names(house: House) -> None:
    deliver(house, {"a.png": png(1), "a.png.md5": md5(png(1)).encode(), "b.png": png(2), "b.png.sha1": b"0" * 40})
    (sentence,) = house.take().waiting
    assert "'b.png' is not what 'b.png.sha1' says" in sentence and "'a.png'" not in sentence


def test_a_checksum_alone_may_leave_out_the_suffix_of_its_image(house: House) -> None:
    files = {"deep/b.md5": md5(FILES["deep/b.png"]).encode(), "deep/b.xmp": b"<x/>"}
    deliver(house, {**FILES, **files})
    assert {item.source_path: item.checksum_source for item in house.items(house.take())} == {
        "a.png": None,
        "deep/b.png": "deep/b.md5",
    }
    deliver(house, {**FILES, **files, "deep/b.png": png(9)}, "Box 8")
    assert "'deep/b.png' is not what 'deep/b.md5' says" in house.take().waiting[0]


def test_a_list_that_has_itself_is_not_held_against_it(house: House) -> None:
    deliver(house, {**FILES, "md5sums.txt": LISTS["md5sums.txt"] + md5(b"").encode() + b"  ./md5sums.txt\n"})
    assert house.take().waiting == ()


def test_a_list_of_which_lines_are_lost_is_damaged(house: House) -> None:
    deliver(house, {**FILES, "md5sums.txt": LISTS["md5sums.txt"] + b"71c1e6b2\n"})
    assert "'md5sums.txt' is damaged: line 3" in house.take().waiting[0]


def test_an_image_that_no_list_names_is_taken_and_named(house: House, caplog: pytest.LogCaptureFixture) -> None:
    deliver(house, {**FILES, "c.png": png(3), "c.xmp": b"<x/>", "md5sums.txt": LISTS["md5sums.txt"]})
    assert len(house.items(house.take())) == 3
    assert "1 files are in none of its checksum lists: c.png." in caplog.text


def test_numbers_at_the_end_of_lines_are_no_checksums(house: House) -> None:
    deliver(house, {**FILES, "inventory.txt": b"Harbour 19210534\nMarket square 19340001\n", "notes.txt": b"a b\nc d"})
    assert house.take().waiting == ()


def test_names_are_found_whatever_their_normal_form_case_and_bytes(house: House) -> None:
    files = {"Gro\u0308\u00dfe.PNG": png(1), "b\udcff.png": png(2)}
    for path, content in files.items():
        house.drop(f"box/{path}", content)
    named = {"Gr\u00f6\u00dfe.png": png(1), "b\udcff.png": png(2)}
    text = "".join(f"{md5(content)}  {path}\n" for path, content in named.items())
    house.drop("box/sums.md5", text.encode("utf-8", "surrogateescape"))
    house.ready("box")
    taken = house.take()
    assert taken.waiting == () and all(item.checksum for item in house.items(taken))


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], exclude_characters='"\\'), min_size=1)


@given(st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=5), st.sampled_from(["md5", "sha256"]))
def test_every_line_of_a_list_is_read_as_it_was_written(files: dict[str, bytes], algorithm: str) -> None:
    found = read_list(sums(algorithm, files), "list.txt")
    assert found is not None and not found.unread
    assert [(line.path, line.digest) for line in found.lines] == [
        (path, hashlib.new(algorithm, content).hexdigest()) for path, content in files.items()
    ]


@given(st.binary(max_size=300))
def test_no_content_is_too_odd_to_be_looked_at(content: bytes) -> None:
    read_list(content, "x.md5")


@pytest.mark.parametrize("unit", [" ", "\t", " ,", "a ", ") = "])
@pytest.mark.parametrize("head", ["a", "x" * 31, "MD5 ("])
def test_a_text_with_a_long_line_is_told_at_once(head: str, unit: str) -> None:
    for times in (6_000, 300_000):
        started = time.process_time()
        assert read_list((head + unit * times + "b").encode(), "notes.txt") is None
        assert time.process_time() - started < 2
