"""How good a caption is likely to be."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_captioner import features, make_captioner
from tounum_tasks.caption.captioner import Candidates, Captioner, SearchOptions, version_files
from tounum_tasks.caption.confidence import BEAM, EVIDENCE, GREEDY, Confidence, evidence, load, review_reasons, save
from tounum_tasks.caption.decoder import Decoder
from tounum_tasks.cli.main import main
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.confidence import LIMITS, by_limit, told_apart
from tounum_tasks.models.card import write_card
from tounum_tasks.sample.photos import photographs
from tounum_tasks.training.confidence import fit_confidence

HUGE = '{"greedy": {"weights": [0, 0, 0, 0, 0, 0], "bias": 1' + "0" * 400 + "}}"
SIMPLE = Confidence((0.0, 0.1, 0.0, 0.0, 0.0, 0.0), 0.5)


def candidates(log_probability: list[float], words: list[list[int]], worth: list[float]) -> Candidates:
    lengths = np.array([len(said) + 1 for said in words], np.float32)
    attention = [np.zeros((len(said), 64), np.float32) for said in words]
    figures = [np.array(values, np.float32) for values in (log_probability, worth)]
    return Candidates(words, figures[0], lengths, attention, figures[1], np.zeros(len(words), np.float32))


def test_the_evidence_is_what_the_search_found():
    found = candidates([-2.0, -2.0], [[4, 5, 6], [4, 5, 7]], [1.0, 0.2])
    known = dict(zip(EVIDENCE, evidence(found, 0), strict=True))
    assert known["log_probability_per_word"] == -0.5
    assert known["mean_worth"] == pytest.approx(0.6)
    assert known["agreement"] == pytest.approx((1 + 2 / 4) / 2)  # with itself, and with the other one


def drawn(count: int, seed: int) -> tuple[list[Candidates], list[float]]:
    """Searches whose captions are the better, the likelier they are and the more the judge expects of them."""
    generator = np.random.default_rng(seed)
    quality = generator.gamma(1.0, 0.6, count)
    searches = []
    for value in quality:
        length = int(generator.integers(4, 10))
        total = (value - 2 + generator.normal(0, 0.5)) * length
        worth = value + generator.normal(0, 0.5)
        words = [list(range(4, 4 + length)), list(range(5, 5 + length))]
        searches.append(candidates([total, total - 1], words, [worth, worth / 2]))
    return searches, quality.tolist()


def test_good_captions_are_told_from_bad_ones_that_it_was_not_fitted_to():
    found, quality = drawn(200, seed=1)
    estimate, told = fit_confidence(found, [0] * len(found), quality)
    others, truth = drawn(200, seed=2)
    order = np.argsort([estimate.of(one, 0) for one in others])
    worse, better = np.array(truth)[order[:100]].mean(), np.array(truth)[order[100:]].mean()
    assert better > 1.5 * worse
    assert told["rank_correlation"] > 0.5
    assert told["better_half"] / told["other_half"] == pytest.approx(better / worse, rel=0.5)


def test_the_estimate_is_right_on_average():
    found, quality = drawn(400, seed=3)
    estimate, _ = fit_confidence(found, [0] * len(found), quality)
    expected = [value / (1 + value) for value in quality]
    assert np.mean([estimate.of(one, 0) for one in found]) == pytest.approx(np.mean(expected), abs=0.02)


def test_a_small_data_set_counts_as_much_as_a_large_one_and_is_told_apart():
    found, quality = drawn(440, seed=5)
    quality = [*quality[:400], *(value / 4 for value in quality[400:])]  # a world in which captions are worse
    large, small = list(range(400)), list(range(400, 440))
    alike, told = fit_confidence(found, [0] * len(found), quality, [large, small])
    by_image, _ = fit_confidence(found, [0] * len(found), quality)

    def of_small(estimate: Confidence) -> float:
        return float(np.mean([estimate.of(one, 0) for one in found[400:]]))

    expected = float(np.mean([value / (1 + value) for value in quality[400:]]))
    assert abs(of_small(alike) - expected) < abs(of_small(by_image) - expected)
    assert told["data_set_1"]["better_half"] > 1.5 * told["data_set_2"]["better_half"]
    assert told["data_set_2"]["rank_correlation"] > 0.3


def test_evidence_that_is_always_the_same_says_nothing():
    found, quality = drawn(120, seed=4)
    alone = [replace(one, words=one.words[:1], log_probability=one.log_probability[:1],
                     lengths=one.lengths[:1], worth=np.zeros(1, np.float32)) for one in found]  # fmt: skip
    estimate, told = fit_confidence(alone, [0] * len(alone), quality)
    weights = dict(zip(EVIDENCE, estimate.weights, strict=True))
    assert (weights["worth"], weights["mean_worth"], weights["agreement"]) == (0, 0, 0)
    assert told["rank_correlation"] > 0.3


def test_captions_that_are_all_alike_are_not_told_apart():
    found, quality = drawn(120, seed=4)
    same, alone = list(range(119)), [119]
    _, told = fit_confidence(found, [0] * len(found), [0.0] * len(found))
    assert (told["rank_correlation"], told["better_half"]) == (None, 0)
    _, told = fit_confidence(found, [0] * len(found), quality, [same, alone])
    assert (told["data_set_2"]["rank_correlation"], told["data_set_2"]["better_half"]) == (None, None)


def test_a_card_is_json_whatever_was_measured(tmp_path):
    write_card(tmp_path, name="captioner", version="v1", metrics={"dev": [{"cider": float("nan")}, float("inf")]})
    assert json.loads((tmp_path / "model.json").read_text())["metrics"] == {"dev": [{"cider": None}, None]}


@given(st.floats(-1e6, 1e6), st.floats(-5, 5))
def test_a_confidence_lies_between_nothing_and_all(weight, bias):
    found = candidates([-3.0], [[4, 5]], [0.5])
    assert 0 <= Confidence((0.0, weight, 0.0, 0.0, 0.0, 0.0), bias).of(found, 0) <= 1


def test_captions_come_with_the_confidence_of_their_search():
    captioner, network = make_captioner()
    assert captioner.caption(features(2))[0].confidence is None
    estimates = {GREEDY: SIMPLE, BEAM: replace(SIMPLE, bias=0.9)}
    decoder = Decoder(network.sizes, network.weight_arrays(), precision="float32")
    knowing = Captioner(decoder, captioner.vocabulary, digest="d", options=captioner.options, estimates=estimates)
    for beam, bias in ((1, 0.5), (3, 0.9)):
        caption = knowing.caption(features(2), beam=beam)[0]
        length = min(len(caption.words) + 1, captioner.options.max_words)
        assert caption.confidence == pytest.approx(bias + 0.1 * caption.log_probability / length, abs=1e-6)


def test_a_stored_captioner_keeps_its_confidence(tmp_path):
    captioner, network = make_captioner()
    estimates = {GREEDY: SIMPLE, BEAM: SIMPLE}
    weights, options = network.weight_arrays(), SearchOptions(4, 0.7)
    training = version_files(tmp_path, network.sizes, weights, captioner.vocabulary, options, None, estimates)
    write_card(tmp_path, name="captioner", version="v1", training=training, partners={"extractor": "e" * 64})
    assert Captioner.load(tmp_path, extractor_digest="e" * 64).caption(features(1))[0].confidence is not None


@pytest.mark.parametrize("content", ["{", "{}", '{"greedy": {"weights": [1], "bias": 0}}', "[" * 100_000, HUGE])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    save(tmp_path / "confidence.json", {GREEDY: SIMPLE, BEAM: SIMPLE})
    assert load(tmp_path / "confidence.json") == {GREEDY: SIMPLE, BEAM: SIMPLE}
    (tmp_path / "confidence.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"confidence\.json cannot be read"):
        load(tmp_path / "confidence.json")


@pytest.mark.parametrize(
    ("confidence", "reasons"), [(None, []), (0.2, []), (0.19, ["caption"]), (float("nan"), ["caption"])]
)
def test_doubtful_captions_are_to_be_read(confidence, reasons):
    assert review_reasons(confidence, 0.2) == reasons


def test_a_limit_says_what_it_flags():
    estimated, quality = np.array([0.1, 0.25, 0.27, 0.5]), np.array([0.0, 0.1, 0.9, 1.5])
    found = {row["limit"]: row for row in by_limit(estimated, quality)}
    assert found[0.26] == {
        "limit": 0.26,
        "in_review": 0.5,
        "bad_in_review": 1.0,
        "cider_in_review": 0.05,
        "cider_of_others": 1.2,
    }
    assert found[0.2]["bad_in_review"] == 0.5
    assert by_limit(estimated, quality + 1)[0]["bad_in_review"] is None  # there are no bad ones
    assert by_limit(estimated + 1, quality)[0]["cider_in_review"] is None  # nothing is in review


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 10)), min_size=2, max_size=50))
def test_a_higher_limit_never_flags_less(pairs: list[tuple[float, float]]):
    estimated, quality = np.array(pairs).T
    shares = [row["in_review"] for row in by_limit(estimated, quality)]
    assert shares == sorted(shares) and len(shares) == len(LIMITS)


def test_captions_that_are_all_alike_have_no_correlation():
    assert told_apart(np.full(30, 0.3), np.arange(30.0))["rank_correlation"] is None


def test_evaluation_says_how_well_the_confidence_tells_captions_apart(tmp_path: Path):
    lines = ["image\tsplit\tcaption"]
    for number, (name, pixels) in enumerate([*photographs().items(), *[*photographs().items()][:4]]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        lines.append(f"{number}.png\tdev\ta photograph of a {name}")
    table, file = tmp_path / "captions.tsv", tmp_path / "found.json"
    table.write_text("\n".join(lines), encoding="utf-8")
    assert main(["evaluate", "captioner", "--data", str(table), "--json", str(file), "--beam", "3"]) == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    told, captions = found["confidence"]["beam_3"], found["captions"]
    order = np.argsort([-one["beam_3_confidence"] for one in captions], kind="stable")[: len(captions) // 2]
    assert told["better_half"] == pytest.approx(np.mean([captions[row]["beam_3_cider"] for row in order]), abs=1e-3)
    assert found["figures"]["beam_3"]["cider"] == pytest.approx(
        np.mean([one["beam_3_cider"] for one in captions]), abs=1e-3
    )
    assert [row["limit"] for row in told["by_limit"]] == list(LIMITS)
