"""Training the restorer: what it is shown, and the command from folders to a version."""

import json

import cv2
import numpy as np
import pytest
import skimage.data

from tests.unit.degraded import psnr
from tounum_tasks.cli.main import main
from tounum_tasks.datasets.pictures import Source, drawn_pages, load_pictures, patch_of, read_stems
from tounum_tasks.evaluation.restorer import DEGRADATIONS, DEGRADED, degraded
from tounum_tasks.models.card import read_version
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.training.degradation import KINDS, MARGIN, degrade

SMALL = ["--steps", "6", "--batch-size", "2", "--patch", "32", "--checkpoint-steps", "3"]


@pytest.fixture
def folder(tmp_path):
    """Two photographs and a text file."""
    made = tmp_path / "clean"
    (made / "deep").mkdir(parents=True)
    for name, rgb in (("cat", skimage.data.chelsea()), ("deep/cup", skimage.data.coffee())):
        cv2.imwrite(str(made / f"{name}.png"), rgb[:200, :240, ::-1])
    (made / "notes.txt").write_text("not a picture")
    return made


def test_what_is_given_is_worse_than_what_is_wanted_but_not_another_picture():
    clean = skimage.data.coffee()[100:260, 200:360]
    for seed in range(80):
        pair = degrade(clean, np.random.default_rng(seed))
        assert pair.given.shape == pair.wanted.shape == (160 - 2 * MARGIN, 160 - 2 * MARGIN, 3)
        assert pair.given.dtype == np.uint8
        assert not is_print(pair, clean) or pair.blur == 0
        assert psnr(pair.given, np.rint(pair.wanted)) > 14
        assert 0 <= pair.blur < 4


def is_print(pair, clean):
    """Whether a pair wants another picture than the one that was degraded: its print, its weave, its grain."""
    return psnr(clean[MARGIN:-MARGIN, MARGIN:-MARGIN], np.rint(pair.wanted)) < 20


def test_prints_are_to_stay_as_they_are():
    clean = skimage.data.coffee()[100:260, 200:360]
    pairs = [degrade(clean, np.random.default_rng(seed)) for seed in range(400)]
    prints = [pair for pair in pairs if is_print(pair, clean)]
    assert 0.02 < len(prints) / len(pairs) < 0.1
    untouched = [pair for pair in prints if np.array_equal(pair.given, np.rint(pair.wanted))]
    assert 0.3 < len(untouched) / len(prints) < 0.9
    assert all(psnr(pair.given, np.rint(pair.wanted)) > 18 for pair in prints)  # the others were compressed a little


def test_softness_stays_where_the_network_is_told_of_no_blur():
    clean = skimage.data.coffee()[100:260, 200:360]
    pairs = [degrade(clean, np.random.default_rng(seed)) for seed in range(300)]
    inner = clean[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float32)
    told = [pair for pair in pairs if pair.blur > 0]
    assert 0.25 < len(told) / len(pairs) < 0.5
    assert all(np.array_equal(pair.wanted, inner) for pair in told)
    assert any(not np.array_equal(pair.wanted, inner) for pair in pairs if pair.blur == 0)
    assert sum(share for share, _ in KINDS) == pytest.approx(1)


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_degradations_for_measuring_repeat_themselves(kind):
    clean = skimage.data.coffee()
    once, again = degraded(clean, kind, 3), degraded(clean, kind, 3)
    assert np.array_equal(once, again)
    assert (psnr(clean, once) == np.inf) == (kind == "clean")
    if kind != "clean":
        assert 17 < psnr(clean, once) < 38


def test_pictures_are_weighted_by_share_and_size(folder):
    pictures = load_pictures([Source(folder, 3.0)], smallest_side=64, leave_out=["cat"], drawn_share=1.0)
    assert pictures[0].name == "deep/cup.png"
    assert pictures[0].weight == pytest.approx(0.75)
    assert sum(picture.weight for picture in pictures) == pytest.approx(1)
    reduced = load_pictures([Source(folder, reduced=True)], smallest_side=64)
    assert {picture.rgb.shape for picture in reduced} == {(100, 120, 3)}


def test_patches_are_pages_too():
    rng = np.random.default_rng(0)
    for page in drawn_pages():
        assert page.dtype == np.uint8
        assert patch_of(page, 112, rng).shape == (112, 112, 3)


def test_the_command_trains_and_goes_on_after_an_interruption(folder, tmp_path, monkeypatch):
    (tmp_path / "kept_back.txt").write_text("cat\n")
    command = ["train", "restorer", "--data", f"{folder}=2", "--reduced", str(folder), *SMALL]
    command += ["--validate-on", str(tmp_path / "kept_back.txt"), "--data-licence", "made up"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0

    from tounum_tasks.training import restorer

    save = restorer.Checkpoint.save

    def save_and_stop(self, step, *rest):
        save(self, step, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(restorer.Checkpoint, "save", save_and_stop)
    assert main([*command, "--out", str(tmp_path / "stopped")]) == 130
    monkeypatch.setattr(restorer.Checkpoint, "save", save)
    assert main([*command, "--out", str(tmp_path / "stopped")]) == 0

    versions = [tmp_path / name / "restorer" / "trained-1" for name in ("whole", "stopped")]
    cards = [read_version(version, name="restorer") for version in versions]
    weights = [read_safetensors(version / "weights.safetensors") for version in versions]
    assert all(np.allclose(weights[0][name], weights[1][name], atol=2e-3) for name in weights[0])
    assert {array.dtype for array in weights[0].values()} == {np.dtype(np.float16)}
    card = json.loads((versions[0] / "model.json").read_text())
    assert card["data_licence"] == "made up"
    assert card["training"]["steps"] == 6
    assert cards[0].metrics["validation"]["psnr"] == pytest.approx(cards[1].metrics["validation"]["psnr"], abs=0.1)
    assert len((tmp_path / "whole" / "curve.csv").read_text().splitlines()) == 3
    assert len(DEGRADED) == 6


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "nowhere"], "expected an existing folder"),
        (["--data", "{folder}=none"], "expected an existing folder"),
        (["--data", "{folder}=0"], "with a share above 0"),
        (["--data", "{folder}=inf"], "with a share above 0"),
        (["--data", "{folder}", "--seed", "-1"], "--seed -1: give a whole number from 0"),
        (["--data", "{folder}", "--validate-on", "{names}"], "names no picture of --data: give names without folder"),
        (["--data", "{folder}/deep", "--patch", "400"], "holds no images of at least 432 pixels"),
        (["--data", "{folder}", "--patch", "50"], "give a multiple of 4"),
        (["--data", "{folder}", "--steps", "0"], "--steps 0: give a whole number from 1 on"),
        (["--data", "{folder}", "--checkpoint-steps", "-3"], "--checkpoint-steps -3: give a whole number from 1 on"),
        (["--data", "{folder}", "--learning-rate", "nan"], "give a number above 0"),
        (["--data", "{folder}", "--validate-on", "nowhere"], "cannot be read as text"),
        (["--data", "{empty}"], "holds no images"),
    ],
)
def test_wrong_usage_is_one_sentence(folder, tmp_path, capsys, arguments, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "names.txt").write_text("cat.png\n")
    places = {"folder": folder, "empty": tmp_path / "empty", "names": tmp_path / "names.txt"}
    filled = [text.format(**places) for text in arguments]
    assert main(["train", "restorer", *filled, "--out", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


@pytest.fixture
def pages(tmp_path):
    """Pictures of the same name in two folders: a photograph and a blank page."""
    for folder, rgb in (("photos", skimage.data.chelsea()[:64, 60:124]), ("blank", np.zeros((64, 64, 3), np.uint8))):
        (tmp_path / "pages" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "pages" / folder / "0001.png"), rgb[..., ::-1])
    return tmp_path / "pages"


def test_pictures_of_the_same_name_are_each_compared_with_themselves(pages, tmp_path):
    assert main(["evaluate", "restorer", "--data", str(pages), "--json", str(tmp_path / "both.json")]) == 0
    untouched = json.loads((tmp_path / "both.json").read_text())["methods"]["untouched"]
    assert [untouched[kind]["pictures"] for kind in DEGRADED] == [2] * 6
    assert {untouched[kind][count] for kind in DEGRADED for count in ("worse", "better")} == {0}


def test_a_blank_page_can_be_measured(pages, tmp_path):
    assert main(["evaluate", "restorer", "--data", str(pages / "blank"), "--json", str(tmp_path / "out.json")]) == 0
    untouched = json.loads((tmp_path / "out.json").read_text())["methods"]["untouched"]
    assert untouched["blur 1"]["psnr"] is None and untouched["mean of the six"]["psnr"] > 0


def test_a_picture_that_is_too_small_is_named(pages, tmp_path, capsys):
    cv2.imwrite(str(pages / "dot.png"), np.zeros((5, 90, 3), np.uint8))
    assert main(["evaluate", "restorer", "--data", str(pages), "--json", str(tmp_path / "out.json")]) == 2
    assert "dot.png is 90 x 5 pixels: take it out" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_no_pictures_cannot_be_measured(pages, tmp_path, capsys, limit):
    command = ["evaluate", "restorer", "--data", str(pages), "--json", str(tmp_path / "out.json"), "--limit", limit]
    assert main(command) == 2
    assert f"--limit {limit}: give a whole number from 1 on" in capsys.readouterr().err


def test_a_name_that_is_kept_back_may_hold_blanks(tmp_path):
    (tmp_path / "names.txt").write_text("box 17 page 3\n\n cat \n")
    assert read_stems(tmp_path / "names.txt") == {"box 17 page 3", "cat"}
