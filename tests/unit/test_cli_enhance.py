"""The enhance command on files and folders."""

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from tests.metadata_files import with_metadata
from tests.unit.degraded import blurred, psnr, with_noise
from tounum_tasks.cli.main import main

FORMATS = ["png", "jpg", "tif", "webp", "bmp", "jp2"]


@pytest.fixture
def clean():
    return skimage.data.coffee()[50:290, 100:420]


def save(path, rgb, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".jpg", ".webp"):
        options = {"quality": 97} | options
    Image.fromarray(rgb).save(path, **options)
    return path


def load(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def enhance(*arguments):
    return main(["enhance", *map(str, arguments)])


def test_a_folder_keeps_its_structure(tmp_path, clean, capsys):
    source, target = tmp_path / "in", tmp_path / "out"
    untouched = save(source / "clean.png", clean)
    save(source / "a" / "b" / "noisy.png", with_noise(clean, 12))
    save(source / "a" / "soft £ 文.jpg", blurred(clean, 1.2))
    assert enhance(source, target) == 0
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == ["a", "a/b", "a/b/noisy.png", "a/soft £ 文.jpg", "clean.png"]
    assert (target / "clean.png").read_bytes() == untouched.read_bytes()
    assert psnr(clean, load(target / "a/b/noisy.png")) > psnr(clean, with_noise(clean, 12)) + 3
    assert psnr(clean, load(target / "a/soft £ 文.jpg")) > psnr(clean, blurred(clean, 1.2)) + 0.5
    said = capsys.readouterr()
    assert said.out == "2 improved, 1 copied as they are (0 of them reverted), 0 not read.\n"
    assert "noisy.png: denoise" in said.err


@pytest.mark.parametrize("ending", FORMATS)
def test_formats_are_kept(tmp_path, clean, ending):
    options = {"dpi": (300, 300)} if ending in ("png", "jpg", "tif", "bmp") else {}
    source = save(tmp_path / f"in.{ending}", with_noise(clean, 15), **options)
    target = tmp_path / f"out.{ending}"
    assert enhance(source, target) == 0
    with Image.open(source) as before, Image.open(target) as after:
        assert (after.format, after.size) == (before.format, before.size)
        if options:
            assert round(after.info["dpi"][0]) == 300
    assert target.read_bytes() != source.read_bytes()


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_what_a_file_says_of_itself_is_kept(tmp_path, clean, ending):
    options = {"quality": 97} if ending in ("jpg", "webp") else {}
    (tmp_path / f"in.{ending}").write_bytes(with_metadata(with_noise(clean, 12), ending, orientation=3, **options))
    assert enhance(tmp_path / f"in.{ending}", tmp_path / f"out.{ending}") == 0
    out = (tmp_path / f"out.{ending}").read_bytes()
    assert out != (tmp_path / f"in.{ending}").read_bytes()
    assert b"City archive" in out and b"Market" in out
    assert Image.open(tmp_path / f"out.{ending}").getexif()[274] == 1


def test_pages_of_a_tiff_are_judged_one_by_one(tmp_path, clean):
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    pages = [Image.fromarray(page) for page in (clean, with_noise(clean, 12), clean[:100])]
    pages[0].save(source, save_all=True, append_images=pages[1:], dpi=(200, 200))
    assert enhance(source, target) == 0
    with Image.open(target) as file:
        assert file.n_frames == 3
        assert (np.asarray(file) == clean).all()
        file.seek(1)
        assert psnr(clean, np.asarray(file)) > psnr(clean, with_noise(clean, 12)) + 3
        file.seek(2)
        assert (np.asarray(file) == clean[:100]).all()
        assert file.info["dpi"] == (200, 200)


def test_a_tiff_without_a_page_to_improve_is_copied(tmp_path, clean):
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    Image.fromarray(clean).save(source, save_all=True, append_images=[Image.fromarray(clean[::-1].copy())])
    assert enhance(source, target) == 0
    assert target.read_bytes() == source.read_bytes()


def test_classic_treats_every_photograph(tmp_path, clean):
    source = save(tmp_path / "in.png", clean)
    assert enhance(source, tmp_path / "out.png", "--method", "classic") == 0
    assert (load(tmp_path / "out.png") != clean).any()


@pytest.mark.parametrize("kind", ["transparent", "16 bit", "cmyk", "gif", "pdf"])
def test_what_the_result_could_not_hold_is_copied(tmp_path, clean, kind):
    noisy = with_noise(clean, 15)
    if kind == "transparent":
        source = tmp_path / "in.png"
        Image.fromarray(np.dstack([noisy, np.full(noisy.shape[:2], 100, np.uint8)])).save(source)
    elif kind == "16 bit":
        source = tmp_path / "in.png"
        cv2.imwrite(str(source), noisy.astype(np.uint16) * 257)
    else:
        source = tmp_path / {"cmyk": "in.jpg", "gif": "in.gif", "pdf": "in.pdf"}[kind]
        image = Image.fromarray(noisy)
        (image.convert("CMYK") if kind == "cmyk" else image).save(source)
    for method in ("auto", "classic"):
        target = tmp_path / f"{method}{source.suffix}"
        assert enhance(source, target, "--method", method) == 0
        assert target.read_bytes() == source.read_bytes()


def test_files_that_cannot_be_read(tmp_path, clean, capsys):
    source, target = tmp_path / "in", tmp_path / "out"
    for number in range(4):
        save(source / f"{number}.png", clean)
    (source / "text.png").write_text("no image")
    assert enhance(source, target) == 0
    assert not (target / "text.png").exists()
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if "text.png" in line] == [
        f"{source}/text.png: not_an_image: the content is no image of a known format"
    ]
    assert "1 not read" in said.out

    data = (source / "0.png").read_bytes()
    (source / "0.png").write_bytes(data[: len(data) // 2])
    assert enhance(source, target) == 1
    assert enhance(source, target, "--max-failure-rate", "0.5") == 0
    assert "2 of 5 files failed" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["in", "in/sub", ".", "link"])
def test_results_never_fall_among_the_originals(tmp_path, clean, target, capsys):
    source = save(tmp_path / "in" / "clean.png", clean)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert enhance(tmp_path / "in", tmp_path / target) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list((tmp_path / "in").iterdir()) == [source]


@pytest.mark.parametrize("target", ["in.png", ".", "link.png", "hard.png"])
def test_a_file_is_never_overwritten_by_its_result(tmp_path, clean, target, capsys):
    source = save(tmp_path / "in.png", with_noise(clean, 15))
    (tmp_path / "link.png").symlink_to(source)
    (tmp_path / "hard.png").hardlink_to(source)
    data = source.read_bytes()
    assert enhance(source, tmp_path / target) == 2
    assert source.read_bytes() == data
    assert "never overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["missing", "out"], "missing"),
        (["in.png", "out.jpg"], ".png"),
        (["folder", "in.png"], "no folder"),
        (["empty", "out"], "no files"),
        (["in.png", "out.png", "--max-failure-rate", "2"], "MAX_FAILURE_RATE"),
    ],
)
def test_wrong_usage(tmp_path, clean, monkeypatch, capsys, arguments, hint):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.png", clean)
    save(tmp_path / "folder" / "in.png", clean)
    (tmp_path / "empty").mkdir()
    assert enhance(*arguments) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert len(said.splitlines()) == 1


def test_an_unknown_method_is_refused(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        enhance(tmp_path, tmp_path / "out", "--method", "magic")
    assert stopped.value.code == 2


def test_a_target_that_cannot_be_written(tmp_path, clean, capsys):
    source = save(tmp_path / "in" / "a" / "clean.png", clean)
    save(tmp_path / "out" / "a", clean, format="PNG")
    assert enhance(source.parent.parent, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "Traceback" not in said


def test_resume_leaves_out_what_is_there(tmp_path, clean, capsys):
    source, target = tmp_path / "in", tmp_path / "out"
    save(source / "a.png", with_noise(clean, 12))
    save(source / "b.png", with_noise(clean, 12))
    save(target / "a.png", clean)
    finished = (target / "a.png").read_bytes()
    assert enhance(source, target, "--resume") == 0
    assert (target / "a.png").read_bytes() == finished
    assert capsys.readouterr().out.startswith("1 improved, 0 copied")
    assert enhance(source, target) == 0
    assert (target / "a.png").read_bytes() == (target / "b.png").read_bytes() != finished


def test_a_file_goes_into_an_existing_folder(tmp_path, clean):
    source = save(tmp_path / "in.png", clean)
    (tmp_path / "out").mkdir()
    assert enhance(source, tmp_path / "out") == 0
    assert enhance(source, f"{tmp_path}/new/") == 0
    assert (tmp_path / "out" / "in.png").read_bytes() == (tmp_path / "new" / "in.png").read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["in.png"]


def test_the_same_input_gives_the_same_bytes(tmp_path, clean):
    source = save(tmp_path / "in.jpg", with_noise(clean, 12))
    assert enhance(source, tmp_path / "1.jpg") == enhance(source, tmp_path / "2.jpg") == 0
    assert (tmp_path / "1.jpg").read_bytes() == (tmp_path / "2.jpg").read_bytes()
