"""Whatever files and folders are called: each file has its row and its places, and a second run changes nothing."""

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from tests.hostile_names import HARD, HASHED, NAMES, NOTES
from tests.s3_server import BUCKET, S3Server
from tests.unit.published import DATE, caption_all, plan_for, process, small_settings
from tounum_tasks.history.restore import restore
from tounum_tasks.intake.take_in import take_in
from tounum_tasks.items import read_items, read_sidecars
from tounum_tasks.publish import stage as publish
from tounum_tasks.settings import Settings
from tounum_tasks.store.open import open_storage
from tounum_tasks.visible import display_name

PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)


def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (9, 7), number).save(out, "PNG")
    return out.getvalue()


def tiff(number: int) -> bytes:
    out = io.BytesIO()
    pages = [Image.new("L", (9, 7), number), Image.new("L", (9, 7), number + 1)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()


def half_tiff(number: int) -> bytes:
    """Two pages, of which the second cannot be decoded."""
    out = io.BytesIO()
    pages = [Image.new("L", (9, 7), number), Image.new("L", (9, 7), number + 1)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate")
    content = bytearray(out.getvalue())
    with Image.open(io.BytesIO(content)) as image:
        image.seek(1)
        (start,), (length,) = image.tag_v2[273], image.tag_v2[279]
    content[start : start + length] = bytes(length)
    return bytes(content)


CONTENTS = {"png": png, "tiff": tiff, "half": half_tiff, "junk": lambda number: b"no image %d" % number}
TREES = st.lists(st.tuples(PATHS, st.sampled_from(sorted(CONTENTS))), min_size=1, max_size=8)


def drop(settings: Settings, tree: Sequence[tuple[Sequence[bytes], str]]) -> dict[str, bytes]:
    """Deliver a marked batch; return the files that were made by their shown path."""
    box = os.path.join(os.fsencode(settings.ingest_root.removeprefix("file://")), b"box")  # noqa: PTH118
    made = {}
    for number, (path, content) in enumerate(tree):
        target = os.path.join(box, *path)  # noqa: PTH118
        if path[0] == b"_READY" or any(name.startswith(b".") for name in path):
            continue
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            with open(target, "xb") as file:  # noqa: PTH123
                file.write(CONTENTS[content](10 * number))
        except OSError:  # a file has the name of the folder, or the other way round
            continue
        made[display_name(os.fsdecode(b"/".join(path)))] = CONTENTS[content](10 * number)
    if made:
        Path(os.fsdecode(box), "_READY").touch()
    return made


def everything(folder: Path) -> dict[str, str]:
    """All files in the buckets, with a hash of what they hold."""
    roots = (folder / "lake" / "photos", folder / "non_photos", folder / "quarantine")
    files = [path for root in roots for path in root.rglob("*") if path.is_file() and ".tmp" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(settings: Settings, run_id: str, label: str, version: str = "1") -> list[dict]:
    plan = plan_for(settings, run_id, beam=int(version))
    if label == "Photo":
        caption_all(plan, settings, "a dog")
    else:
        process(plan, settings, label=label)
    return publish.run(plan, settings)["batches"]


def assert_all_lie_where_the_manifest_says(settings: Settings, batch_id: str, files: dict[str, bytes]) -> None:
    rows = publish.read_version(open_storage(settings.lake_root), DATE, batch_id, 1).to_pylist()
    lake = open_storage(settings.lake_root)
    sidecars = {
        sidecar.source_path: lake.read_bytes(sidecar.original) for sidecar in read_sidecars(lake, DATE, batch_id)
    }
    assert sidecars == {path: files[path] for path in sidecars}
    assert {row["source_path"] for row in rows} == files.keys() - sidecars.keys()
    items = read_items(lake, DATE, batch_id)
    assert [(row["source_path"], row["page"]) for row in rows] == [item.key for item in items]
    seen: dict[str, str] = {}
    for row in rows:
        assert row["status"] in ("ok", "quarantined") and row["error_code"] != "internal", row
        content = Path(row["destination_uri"].removeprefix("file://")).read_bytes()
        if row["pages"] == 1 or row["label"] != "Photo":
            assert content == files[row["source_path"]]
        else:
            with Image.open(io.BytesIO(content)) as page, Image.open(io.BytesIO(files[row["source_path"]])) as whole:
                whole.seek(row["page"] - 1)
                assert page.convert("L").getpixel((0, 0)) == whole.getpixel((0, 0))
        owner = f"{row['source_path']} {row['page']}" if row["label"] == "Photo" else row["source_path"]
        assert seen.setdefault(row["destination_uri"], owner) == owner, "two images in one place"


def assert_every_quarantined_file_has_its_note(settings: Settings, rows: list[dict]) -> None:
    quarantine = Path(settings.quarantine_root.removeprefix("file://"))
    notes = []
    for path in quarantine.rglob("*.reason.json"):
        if path.is_file() and path.read_bytes().startswith(b"{"):
            notes.append(json.loads(path.read_bytes()))
    assert sorted((note["source_path"], note["page"]) for note in notes) == sorted(
        (row["source_path"], row["page"]) for row in rows if row["status"] == "quarantined"
    )


@hypothesis_settings(max_examples=12, deadline=None)
@given(tree=TREES, label=st.sampled_from(["Text", "Photo"]))
@example(tree=[([b"a.png"], "junk"), ([b"a.png.reason.json", b"a.png"], "junk")], label="Text")
@example(tree=[([b"a.tif"], "tiff"), ([b"a.tif.p0002.png", b"a"], "png")], label="Photo")
@example(tree=[([b"a.tif"], "tiff"), ([b"a.tif.p0001"], "junk"), ([b"a.tif.p0002"], "png")], label="Photo")
@example(tree=[([b"a.tif"], "half"), ([b"a.tif.p0002"], "junk")], label="Text")
@example(tree=[([name], "junk") for name in map(os.fsencode, [*NOTES, *HASHED, "a", "a.png", "a.p0001"])], label="Text")
@example(tree=[([name, name], "png") for name in HARD], label="Photo")
def test_every_file_of_a_hostile_tree_has_its_row_and_its_place(
    tmp_path_factory: pytest.TempPathFactory, tree: Sequence[tuple[Sequence[bytes], str]], label: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    settings = small_settings(folder, shard_size=3)
    files = drop(settings, tree)
    if not files:
        return
    batches = run(settings, "first", label)
    if not batches:  # none of the files is an image, or as good as one
        assert all(path.endswith(".json") for path in files)
        return
    (batch,) = batches
    assert_all_lie_where_the_manifest_says(settings, batch["batch_id"], files)
    rows = publish.read_version(open_storage(settings.lake_root), DATE, batch["batch_id"], 1).to_pylist()
    assert_every_quarantined_file_has_its_note(settings, rows)
    assert not any((folder / "ingest").rglob("*"))
    before = everything(folder)
    (again,) = run(settings, "second", label)
    assert again["outcome"] == "unchanged" and everything(folder) == before

    for path in before:  # whatever happens to the copies: going back puts all of them right
        if "/photos/" in path:
            Path(path).write_bytes(b"damage")
        elif path.endswith(".reason.json"):
            Path(path).unlink()
    restore(settings, DATE, batch["batch_id"], 1)
    assert everything(folder) == before


def test_a_file_and_a_folder_of_one_name_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    """Object stores can have both; the lake may lie in a folder, which cannot."""
    settings = small_settings(tmp_path).model_copy(update={"ingest_root": f"s3://{BUCKET}/ingest"})
    ingest = open_storage(settings.ingest_root)
    for name, content in {"a.png": png(1), "a.png/b.png": png(2), "_READY": b""}.items():
        ingest.write_bytes(f"box/{name}", content)
    lake = open_storage(settings.lake_root)
    ((date, batch_id),) = take_in(ingest, lake, DATE, settings).batches
    items = {item.source_path: item for item in read_items(lake, date, batch_id)}
    assert {path: item.error_code for path, item in items.items()} == {"a.png": "name_refused", "a.png/b.png": None}
    assert "also that of a folder" in (items["a.png"].error_message or "")
    assert lake.read_bytes(items["a.png"].original) == png(1) and ingest.list_folder() == []


@pytest.mark.parametrize("name", [b"fotos \xfc", b"x\x1b]0;owned\x07\x1b[2J", "\u202e\u200f\u00ad".encode()])
def test_an_unreadable_folder_deep_in_a_batch_is_named_in_text_that_can_go_anywhere(
    tmp_path: Path, name: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(tmp_path)
    shut = Path(os.fsdecode(b"%s/ingest/closed/deep/%s" % (os.fsencode(tmp_path), name)))
    shut.mkdir(parents=True)
    drop(settings, [([b"a.png"], "png")])
    ingest = open_storage(settings.ingest_root)
    really = type(ingest).list_folder

    def list_folder(self: object, path: str = "") -> list:
        if path.endswith(os.fsdecode(name)):  # a user without rights; tests may run as one who has all
            with self._faults(path):  # type: ignore[attr-defined]
                raise PermissionError(13, "Permission denied")
        return really(self, path)  # type: ignore[arg-type]

    monkeypatch.setattr(type(ingest), "list_folder", list_folder)
    taken = take_in(ingest, open_storage(settings.lake_root), DATE, settings)
    assert len(taken.batches) == 1
    (fault,) = taken.faults
    assert fault.isprintable() and json.loads(json.dumps(fault).encode()) == fault
    assert "closed/deep/" in fault and display_name(os.fsdecode(name)) in fault and "mend the permissions" in fault
    assert "\\\\" not in fault, "escaped once"
