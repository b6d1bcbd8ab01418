"""What the commands on files share."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from tounum_tasks.cli.items import ItemWriter, find_files, read_items, row
from tounum_tasks.errors import ConfigurationError, ErrorCode, FailureRateExceeded, ItemError
from tounum_tasks.images.limits import ImageLimits


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "in"
    (root / "b" / "deeper").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("c.png", "b/deeper/a.png", ".hidden/x.png", ".y.png"):
        Image.new("RGB", (8, 6), "red").save(root / name)
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue", "green")]
    frames[0].save(root / "b" / "pages.tiff", save_all=True, append_images=frames[1:])
    (root / "b" / "junk.png").write_bytes(b"junk")
    return root


def names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_folders_are_searched_to_any_depth_in_order_without_hidden_files(folder):
    found = names(find_files([str(folder)]), folder)
    assert found == ["c.png", "b/junk.png", "b/pages.tiff", "b/deeper/a.png"]


def test_links_inside_folders_are_not_followed(folder, tmp_path):
    (folder / "link.png").symlink_to(folder / "c.png")
    (folder / "loop").symlink_to(folder)
    assert len(find_files([str(folder)])) == 4


def test_a_file_that_is_named_is_taken_whatever_its_name(folder):
    assert find_files([str(folder / ".y.png")]) == [folder / ".y.png"]


def test_nothing_to_do_is_wrong_usage(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        find_files([str(tmp_path / "absent")])
    with pytest.raises(ConfigurationError, match="no files"):
        find_files([str(tmp_path)])


def test_every_page_comes_once_and_a_bad_file_as_an_error(folder):
    items = list(read_items(find_files([str(folder)]), ImageLimits(), 2**20))
    assert [(item.path.name, item.page, item.error is None) for item in items] == [
        ("c.png", 1, True),
        ("junk.png", 1, False),
        ("pages.tiff", 1, True),
        ("pages.tiff", 2, True),
        ("pages.tiff", 3, True),
        ("a.png", 1, True),
    ]
    assert items[1].error.code is ErrorCode.NOT_AN_IMAGE
    assert items[3].rgb[0, 0].tolist() == [0, 0, 255]


def test_a_file_that_vanished_is_an_error_of_that_file(tmp_path):
    (item,) = read_items([tmp_path / "gone.png"], ImageLimits(), 2**20)
    assert item.error.code is ErrorCode.INTERNAL


def test_a_page_above_the_pixel_limit_is_an_error_of_that_page(folder):
    (item,) = read_items([folder / "c.png"], ImageLimits(max_pixels=40), 2**20)
    assert item.error.code is ErrorCode.TOO_MANY_PIXELS


def test_rows_have_all_columns_and_null_where_they_do_not_apply(tmp_path, capsys):
    path = tmp_path / "out.json"
    strange = os.fsdecode("b\u2028\u65e5本".encode() + b"\xff")
    with ItemWriter(str(path)) as writer:
        writer.write(row(tmp_path / strange, 2, label="Photo", confidence=0.5))
        writer.write(row(tmp_path / "x", 1, ItemError(ErrorCode.CORRUPT, "broken")))
    first, second = (json.loads(line) for line in path.read_text().split("\n")[:-1])
    columns = (
        "path page label confidence probabilities needs_review review_reasons caption caption_confidence words "
        "error_code error_message"
    )
    assert list(first) == list(second) == columns.split()
    assert first["path"] == str(tmp_path / strange)
    assert (second["error_code"], second["error_message"], second["label"]) == ("corrupt", "broken", None)
    assert capsys.readouterr().out == ""


def test_standard_output_holds_json_lines_and_nothing_else(capsys):
    with ItemWriter("-") as writer:
        writer.write(row("a.png", 1, label="Text", confidence=0.25))
    assert json.loads(capsys.readouterr().out)["label"] == "Text"


def test_without_json_lines_are_for_people(capsys):
    with ItemWriter(None) as writer:
        writer.write(row("a\n.png", 2, label="Photo", confidence=0.987, caption="A dog."))
        writer.write(row("b.png", 1, ItemError(ErrorCode.EMPTY_FILE, "the file is empty")))
    assert capsys.readouterr().out.split("\n") == [
        "a\\u000a.png (page 2): Photo 0.99  A dog.",
        "b.png: empty_file: the file is empty",
        "",
    ]


def test_too_many_failures_are_reported_after_writing():
    with ItemWriter("-") as writer:
        writer.check(0.0)
        writer.write(row("a", 1, ItemError(ErrorCode.CORRUPT, "broken")))
        writer.write(row("b", 1, label="Photo", confidence=1.0))
        writer.check(0.5)
        with pytest.raises(FailureRateExceeded, match="1 of 2 items failed"):
            writer.check(0.2)


def test_a_file_that_cannot_be_written_is_wrong_usage(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        ItemWriter(str(tmp_path / "absent" / "out.json"))


def test_captioning_files_gives_a_row_for_every_page(folder, tmp_path, capsys):
    from tounum_tasks.cli.main import main

    noise = np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    arguments = ["caption", str(folder), "--caption-all", "--json", "-", "--lake", str(tmp_path / "lake")]
    assert main([*arguments, "--beam", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 7
    for found in rows:
        if found["error_code"]:
            assert found["path"].endswith("junk.png")
            assert found["caption"] is found["label"] is None
        else:
            assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-4)
            assert found["confidence"] == max(found["probabilities"].values())
            assert found["caption"].lower().rstrip(".").split() == found["words"]


def test_a_pipe_or_too_large_a_file_is_one_item_with_its_reason(folder):
    os.mkfifo(folder / "pipe.png")
    errors = [item.error for item in read_items([folder / "pipe.png", folder / "c.png"], ImageLimits(), 10)]
    assert [error.code for error in errors if error] == ["unsupported", "file_too_large"]


@pytest.mark.parametrize("command", ["caption", "evaluate captioner --json x --data"])
@pytest.mark.parametrize("width", ["0", "-1", "21", "2.5", "wide", "3" * 5000])
def test_a_beam_that_cannot_be_is_told_by_what_it_can_be(folder, capsys, command, width):
    from tounum_tasks.cli.main import main

    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), str(folder), "--beam", width])
    assert stopped.value.code == 2
    assert "argument --beam: a beam is 1 to 20 wide, not" in capsys.readouterr().err
