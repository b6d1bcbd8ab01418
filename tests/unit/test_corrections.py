"""Corrections as data sets: what people know of images, kept apart by how it was found, and for good dealt to tests."""

import contextlib
import json
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Request

from tests.s3_server import S3Server
from tests.unit.published import DATE, Night, drop_pages, process
from tests.unit.published_s3 import S3Night
from tests.unit.reviews import IMAGE, a_review, an_undo
from tounum_tasks.cli.main import main
from tounum_tasks.corrections.export import export
from tounum_tasks.corrections.truth import SPLITS, split_of, true_captions, true_classes
from tounum_tasks.datasets.captions import load_captions
from tounum_tasks.datasets.check import check_pictures
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.items import read_items
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import Mark, new_review_id
from tounum_tasks.reviews.sample import kept
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.threads import processors

PAGES = 12


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """Twelve pages and a broken file."""
    found = Night(tmp_path)
    drop_pages(found.settings, PAGES)
    plan = found.plan("first")
    process(plan, found.settings, "Text")
    found.publish(plan)
    return found


def say(night: Night, path: str, mark: Mark, value: str | None = None, **fields: object) -> str:
    (item,) = [item for item in read_items(night.lake, DATE, night.batch_id) if item.source_path == path]
    where = {"image_id": item.image_id, "batch_id": item.batch_id, "source_path": path}
    review = a_review(mark, value, **{**where, **fields})
    ReviewStore(night.lake).add(review)
    return item.image_id


def test_the_later_word_counts() -> None:
    label = a_review("label", "Sketch")
    good = a_review("good", old="Photo: a dog", review_id=new_review_id(after=label.review_id))
    assert [truth.value for truth in true_classes(Effective([label, good]))] == ["Photo"]
    assert [truth.value for truth in true_captions(Effective([label, good]))] == ["a dog"]
    later = a_review("label", "Text", review_id=new_review_id(after=good.review_id))
    assert [truth.value for truth in true_classes(Effective([label, good, later]))] == ["Text"]
    assert true_captions(Effective([label, good, later])) == []  # it is no photograph
    assert [truth.value for truth in true_classes(Effective([good, later, an_undo(later)]))] == ["Photo"]
    assert true_classes(Effective([a_review("scan_again"), a_review("caption", "a cat")])) == []


def test_a_caption_without_a_word_is_nothing_to_learn() -> None:
    said = [a_review("caption", "?"), a_review("caption", "a cat", image_id="b")]
    assert [truth.value for truth in true_captions(Effective(said))] == ["a cat"]


def test_what_was_chosen_by_lot_is_kept_apart() -> None:
    found = true_classes(Effective([a_review("label", "Sketch"), a_review("label", "Text", image_id="b", sample="s")]))
    assert {truth.image_id: truth.origin for truth in found} == {IMAGE: "hard", "b": "sample"}


@given(st.text("0123456789abcdef", min_size=8, max_size=64))
def test_an_image_is_for_one_thing_for_good(image_id: str) -> None:
    assert split_of(image_id) == split_of(image_id) in SPLITS


def test_two_of_ten_images_are_for_tests() -> None:
    dealt = Counter(split_of(f"{number:064x}") for number in range(4000))
    assert 720 < dealt["test"] < 880 and 320 < dealt["val"] < 480


def test_export_holds_every_corrected_and_confirmed_image(night: Night, tmp_path: Path) -> None:
    expected = {}
    for number in range(PAGES):
        sample = {"sample": "s"} if number % 2 else {}
        if number < 8:
            image_id = say(night, f"{number}.png", "label", "Photo", **sample)
            say(night, f"{number}.png", "caption", f"page {number}", **sample)
            expected[image_id] = ("Photo", f"page {number}", "sample" if sample else "hard", number)
        else:
            image_id = say(night, f"{number}.png", "good", old="Text", **sample)
            expected[image_id] = ("Text", None, "sample" if sample else "hard", number)
    out = tmp_path / "out"
    done = export(night.settings, out)
    assert done.classes.total() == PAGES and done.captions.total() == 8 and done.left_out == []
    found = {path.stem: path for path in (out / "classes").rglob("*.png")}
    assert set(found) == set(expected)
    for image_id, (label, _, origin, number) in expected.items():
        parts = found[image_id].relative_to(out / "classes").parts
        assert parts[-3:-1] == (label, origin)
        assert (parts[0] == "test") == (split_of(image_id) == "test")
        assert found[image_id].read_bytes() == original(night, number)
    data = load_captions(out / "captions")
    said = {image.path.stem: (image.captions, image.split, image.path.parent.name) for image in data.images}
    assert said == {
        image_id: ((caption,), {"val": "dev"}.get(split_of(image_id), split_of(image_id)), origin)
        for image_id, (_, caption, origin, _) in expected.items()
        if caption
    }
    before = sorted((str(path.relative_to(out)), path.read_bytes()) for path in out.rglob("*") if path.is_file())
    export(night.settings, out)
    assert before == sorted(
        (str(path.relative_to(out)), path.read_bytes()) for path in out.rglob("*") if path.is_file()
    )
    assert not list(tmp_path.glob("*.part"))


def original(night: Night, number: int) -> bytes:
    return night.lake.read_bytes(f"originals/{DATE}/{night.batch_id}/{number}.png")


def test_an_image_that_cannot_be_read_is_named_and_left_out(night: Night, tmp_path: Path) -> None:
    say(night, "0.png", "label", "Photo")
    say(night, "1.png", "label", "Photo")
    say(night, "broken.jpg", "label", "Text", image_id="somebody else's")
    night.lake.write_bytes(f"originals/{DATE}/{night.batch_id}/1.png", b"damaged")
    done = export(night.settings, tmp_path / "out")
    assert done.classes.total() == 1
    assert len(done.left_out) == 2 and all("is left out" in sentence for sentence in done.left_out)


@pytest.mark.skipif(processors() < 2, reason="one processor does one thing at a time")
def test_images_are_read_and_decoded_side_by_side(s3: S3Server, tmp_path: Path) -> None:
    night = S3Night(tmp_path)
    plan = night.plan("first")
    process(plan, night.settings, "Text")
    night.publish(plan)
    for name in ("0.png", "1.png"):
        say(night, name, "label", "Photo")
    both = threading.Barrier(2)

    def wait_for_the_other(request: Request, done: bool) -> None:
        if "/originals/" in request.path and not done:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=20)

    with s3.disturbed(wait_for_the_other):
        assert export(night.settings, tmp_path / "out").classes.total() == 2
    assert not both.broken


def test_a_quarantined_file_that_got_a_class_with_many_others_stops_no_training(tmp_path: Path) -> None:
    night = Night(tmp_path)
    drop_pages(night.settings)
    box = Path(night.settings.ingest_root.removeprefix("file://"), "Box")
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8))[1].tobytes()
    (box / "half.jpg").write_bytes(whole[: len(whole) // 2])
    plan = night.plan("first")
    process(plan, night.settings, "Text")
    night.publish(plan)
    for number in range(3):
        say(night, f"{number}.png", "label", "Photo")
    for broken in ("broken.jpg", "half.jpg"):
        say(night, broken, "label", "Photo")
    done = export(night.settings, tmp_path / "out")
    assert done.classes.total() == 3
    assert sorted(sentence.partition(" of ")[0] for sentence in done.left_out) == ["broken.jpg", "half.jpg"]
    check_pictures([path for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".jpg")])


def test_command_writes_says_and_refuses(night: Night, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake, out = ["--lake", str(tmp_path / "lake")], str(tmp_path / "out")
    assert main(["reviews", "export", *lake, out]) == 2
    assert "Nobody has corrected" in capsys.readouterr().err
    assert main(["reviews", "list", *lake]) == 0
    assert "Nobody has reviewed" in capsys.readouterr().out
    say(night, "0.png", "label", "Photo", old="Text")
    say(night, "0.png", "caption", "a line")
    assert main(["reviews", "export", *lake, out]) == 0
    assert "1 image with a class (1 hard" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    assert main(["reviews", "export", *lake, str(tmp_path / "mine")]) == 2
    assert "holds something else" in capsys.readouterr().err and (tmp_path / "mine" / "letter.txt").exists()


def test_list_shows_what_is_in_force(night: Night, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ["--lake", str(tmp_path / "lake")]
    say(night, "0.png", "label", "Photo", old="Text")
    (first,) = ReviewStore(night.lake).all()
    ReviewStore(night.lake).add(an_undo(first, author="eve"))
    say(night, "1.png", "scan_again")
    assert main(["reviews", "list", *lake]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("*") for line in lines[1:]] == [False, False, True]
    assert "undo of label" in lines[2] and "eve" in lines[2] and "scan again" in lines[3] and "1.png" in lines[3]
    assert main(["reviews", "list", *lake, "--json", "-"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["in_force"] for one in found] == [False, False, True] and found[0]["value"] == "Photo"
    assert main(["reviews", "list", *lake, "--batch", "other"]) == 0
    assert "Nobody" in capsys.readouterr().out


def test_export_of_an_empty_lake_is_refused(night: Night, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to export"):
        export(night.settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sample_of_a_batch_is_drawn_kept_and_told(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOUNUM_LAKE_ROOT", str(night.root / "lake"))
    ask = ["reviews", "sample", "--batch", night.batch_id]
    assert main([*ask, "--within", "5"]) == 0
    told = capsys.readouterr().out
    assert "12 of 12 images, chosen by lot" in told and "12 images of 12 left to look at" in told
    assert main([*ask, "--size", "5"]) == 0
    first = capsys.readouterr().out
    assert "5 images of 5 left" in first and "Nobody has looked at a class" in first
    sample = next(one for one in kept(night.lake) if len(one.items) == 5)
    assert sample.sample_id == f"{night.batch_id}-v1-5" and sample.population == PAGES
    say(night, sample.items[0].source_path, "good", old="Text", sample=sample.sample_id)
    say(night, sample.items[1].source_path, "label", "Sketch", sample=sample.sample_id)
    assert main([*ask, "--size", "5"]) == 0
    told = capsys.readouterr().out
    assert "3 images of 5 left" in told and "1 of 2 have a wrong class" in told
    paths = [item.source_path for item in sample.items]
    first_words = [line.split()[0] for line in told.splitlines() if line]
    assert [path for path in paths if path in first_words] == paths[2:]
    assert main([*ask, "--size", "0"]) == main([*ask, "--within", "70"]) == 2
    assert "at least one" in capsys.readouterr().err


def test_a_page_of_a_longer_file_is_exported_as_that_page(tmp_path: Path) -> None:
    night = Night(tmp_path)
    pages = [np.full((40, 60, 3), level, np.uint8) for level in (10, 250)]
    cv2.imwritemulti(str(tmp_path / "ingest" / "Box" / "two.tif"), pages)
    plan = night.plan("first")
    process(plan, night.settings, "Text")
    night.publish(plan)
    second = next(item for item in read_items(night.lake, DATE, night.batch_id) if item.page == 2)
    where = {"image_id": second.image_id, "batch_id": second.batch_id, "source_path": "two.tif", "page": 2}
    ReviewStore(night.lake).add(a_review("label", "Sketch", **where))
    export(night.settings, tmp_path / "out")
    (path,) = (tmp_path / "out" / "classes").rglob("*.png")
    assert path.stem == second.image_id and cv2.imread(str(path)).mean() == 250
