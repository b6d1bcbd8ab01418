"""The judge that chooses among captions, fitted to made-up features whose meaning is known."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.numbered_images import numbered_images
from tests.unit.test_captioner import features, make_captioner, store
from tounum_tasks.caption.captioner import JUDGE_FILE, SEARCH_FILE, Captioner, SearchOptions, sentence
from tounum_tasks.caption.judge import Judge
from tounum_tasks.caption.metrics import CiderD
from tounum_tasks.caption.vocabulary import PAD, SPECIAL, Vocabulary
from tounum_tasks.cli.main import main
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.captioner import score_by_source
from tounum_tasks.models.card import read_card, read_version, write_card
from tounum_tasks.models.registry import STARTERS, Registry
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.training import judge as judge_training
from tounum_tasks.training.judge import FEWEST_IMAGES, fit_judge
from tounum_tasks.training.search_choice import ScoredCandidates

COLOURS, ANIMALS, PLACES = ("red", "blue", "black"), ("dog", "cat"), ("grass", "snow", "sand", "water")
SCENES = list(itertools.product(COLOURS, ANIMALS, PLACES))
VOCABULARY = Vocabulary([*SPECIAL, "a", "on", *COLOURS, *ANIMALS, *PLACES])
WORDS = len(VOCABULARY) - len(SPECIAL)
POSITIONS, CHANNELS = 4, 16


def said_of(scene: tuple[str, str, str]) -> str:
    return "a {} {} on {}".format(*scene)


def looks(scene: tuple[str, str, str], seed: int) -> np.ndarray:
    """Features in which each colour, animal and place has a channel of its own, and some noise."""
    generator = np.random.default_rng(seed)
    image = generator.uniform(0, 0.1, (POSITIONS, CHANNELS))
    for number, word in enumerate((*COLOURS, *ANIMALS, *PLACES)):
        image[:, number] += word in scene
    return image.astype(np.float16)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureCache, dict[str, np.ndarray]]:
    scenes = [SCENES[number % len(SCENES)] for number in range(360)]
    images = numbered_images(tmp_path_factory.mktemp("images"), [(said_of(scene),) for scene in scenes])
    cache = FeatureCache(tmp_path_factory.mktemp("cache"), images, (POSITIONS, CHANNELS))
    cache.fill(lambda members: np.stack([looks(scenes[int(m.name)], int(m.name)) for m in members]))
    return cache, fit_judge(cache, VOCABULARY)


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_in_the_picture_is_worth_more_than_what_is_not(training, scene):
    judge = Judge(training[1])
    worth = judge.worth(looks(scene, 10_000), [VOCABULARY.encode(said_of(other)) for other in SCENES])
    assert SCENES[int(np.argmax(worth))] == scene
    wrong_colour = worth[SCENES.index((COLOURS[COLOURS.index(scene[0]) - 1], *scene[1:]))]
    assert worth[SCENES.index(scene)] > wrong_colour > worth.min()


def test_the_worth_is_about_the_cider_that_the_caption_gets(training):
    """Where the features say everything: the same scenes again, other noise."""
    cache, arrays = training
    scorer = CiderD([[caption.split() for caption in image.captions] for image in cache.images])
    judge = Judge(arrays)
    captions = [said_of(other) for other in SCENES]
    expected, scored = [], []
    for number, scene in enumerate(SCENES):
        expected += judge.worth(looks(scene, 20_000 + number), [VOCABULARY.encode(text) for text in captions]).tolist()
        scored += [scorer.score(number, text.split()) for text in captions]
    assert np.abs(np.subtract(expected, scored)).mean() < 1  # of 10
    assert np.corrcoef(expected, scored)[0, 1] > 0.9


@pytest.mark.parametrize("scene", SCENES[::5])
def test_few_groups_are_told_apart_as_well(few_groups, scene):
    """Three groups of words, where there are more features than that."""
    worth = few_groups.worth(looks(scene, 10_000), [VOCABULARY.encode(colour) for colour in COLOURS])
    of_four = [10 / 4 * (colour == scene[0]) for colour in COLOURS]  # of one, two, three and four words
    assert worth == pytest.approx(of_four, abs=0.4)


@pytest.fixture(scope="module")
def few_groups(training) -> Judge:
    cache, _ = training
    images = [replace(image, captions=(image.captions[0].split()[1],)) for image in cache.images]
    return Judge(fit_judge(FeatureCache(cache.folder, images, cache.shape), VOCABULARY))


def test_images_that_look_alike_say_what_no_linear_map_can(tmp_path):
    """Red where either of two lights is on, blue where none is or both are."""
    red, blue = (VOCABULARY.encode(f"a {colour} dog") for colour in ("red", "blue"))

    def lights(number: int, seed: int) -> np.ndarray:
        image = np.random.default_rng(seed).uniform(0, 0.1, (POSITIONS, CHANNELS))
        image[:, ::2] += number % 2
        image[:, 1::2] += number // 2 % 2
        return image.astype(np.float16)

    captions = [("a red dog" if number % 4 in (1, 2) else "a blue dog",) for number in range(240)]
    (tmp_path / "images").mkdir()
    images = numbered_images(tmp_path / "images", captions)
    cache = FeatureCache(tmp_path / "cache", images, (POSITIONS, CHANNELS))
    cache.fill(lambda members: np.stack([lights(int(m.name), int(m.name)) for m in members]))
    judge = Judge(fit_judge(cache, VOCABULARY))
    for number in range(4):
        worth_of_red, worth_of_blue = judge.worth(lights(number, 10_000 + number), [red, blue])
        right, wrong = (worth_of_red, worth_of_blue) if number in (1, 2) else (worth_of_blue, worth_of_red)
        assert right > wrong + 1


def test_of_very_many_images_the_judge_knows_some_with_what_was_said_of_them(training, monkeypatch):
    cache, _ = training
    monkeypatch.setattr(judge_training, "KNOWN_IMAGES", 12)
    arrays = fit_judge(cache, VOCABULARY)
    assert len(arrays["known"]) == len(arrays["known/ends"]) == 12
    everyone = training[1]
    starts, ends = [0, *everyone["known/ends"][:-1]], everyone["known/ends"]
    of_place = {
        (everyone["known"][number] * everyone["known/scale"]).round(4).tobytes(): everyone["known/groups"][start:end]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    }
    for number, (start, end) in enumerate(zip([0, *arrays["known/ends"][:-1]], arrays["known/ends"], strict=True)):
        place = (arrays["known"][number] * arrays["known/scale"]).round(4).tobytes()
        assert arrays["known/groups"][start:end].tolist() == of_place[place].tolist()


def test_strange_captions_are_worth_nothing(training):
    assert Judge(training[1]).worth(looks(SCENES[0], 0), [[], [len(SPECIAL)] * 30]).shape == (2,)
    assert Judge(training[1]).worth(looks(SCENES[0], 0), [[]])[0] == 0


def test_groups_of_few_images_and_unknown_words_are_not_listed(training, tmp_path):
    cache, _ = training
    rare = [replace(image, captions=("a red dog on moon",)) for image in cache.images[: FEWEST_IMAGES - 1]]
    common = [replace(image, captions=("a blue cat",)) for image in cache.images[FEWEST_IMAGES - 1 :]]
    few = FeatureCache(cache.folder, [*rare, *common], cache.shape)
    listed = {tuple(VOCABULARY.decode(row)) for row in fit_judge(few, VOCABULARY)["groups"].tolist()}
    assert listed == {("a",), ("blue",), ("cat",), ("a", "blue"), ("blue", "cat"), ("a", "blue", "cat")}


def judged(captioner: Captioner, wanted: int, judgement: float = 1000.0, candidates: int = 12) -> Captioner:
    """The captioner with a judge who likes one word."""
    words = len(captioner.vocabulary) - len(SPECIAL)
    arrays = judge_arrays(words) | {"groups/bias": (np.arange(words) == wanted).astype(np.float32)}
    options = replace(captioner.options, judgement=judgement, candidates=candidates)
    return captioner.with_options(options, Judge(arrays))


def judge_arrays(words: int) -> dict[str, np.ndarray]:
    """A judge of single words who likes none."""
    return {
        "groups": np.array([[len(SPECIAL) + number, 0, 0, 0] for number in range(words)], np.int32),
        "rarity": np.ones(words + 1, np.float32),
        "image/kernel": np.zeros((16, 1), np.float16),
        "image/bias": np.zeros(1, np.float32),
        "groups/kernel": np.zeros((words, 1), np.float16),
        "groups/bias": np.zeros(words, np.float32),
    }


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_beam_search_says_what_the_judge_prefers_and_greedy_search_does_not_ask(wanted):
    captioner, _ = make_captioner()
    images = features(6)
    found = judged(captioner, wanted).caption(images, beam=3)
    every = captioner.caption(images, beam=12)
    for caption, wide in zip(found, every, strict=True):
        shares = [text.lower().strip(".").split().count(f"w{wanted}") for text in (wide.text, *wide.alternatives)]
        assert (f"w{wanted}" in caption.words) == (max(shares) > 0)
        assert len(caption.alternatives) == 2
        assert {caption.text, *caption.alternatives} <= {wide.text, *wide.alternatives}
        assert caption.attention.sum(axis=1) == pytest.approx(1, abs=0.01)
        assert len(caption.attention) == len(caption.words)
    greedy = [caption.text for caption in judged(captioner, wanted).caption(images, beam=1)]
    assert greedy == [caption.text for caption in captioner.caption(images, beam=1)]


def test_a_judge_without_a_say_changes_nothing_but_the_width():
    captioner, _ = make_captioner()
    silent = judged(captioner, 0, judgement=0.0).caption(features(5), beam=3)
    wide = captioner.caption(features(5), beam=12)
    assert [caption.text for caption in silent] == [caption.text for caption in wide]


def test_of_captions_that_are_as_good_the_one_with_the_rarest_words_is_said():
    captioner, _ = make_captioner()
    words = len(captioner.vocabulary) - len(SPECIAL)
    base = judged(captioner, 0, judgement=0.0)
    arrays = {**judge_arrays(words), "rarity": np.arange(words + 1, dtype=np.float32)}  # w0 is in every caption
    options = replace(base.options, rarity=1000.0)
    for plain, rare in zip(
        base.caption(features(6), beam=12),
        base.with_options(options, Judge(arrays)).caption(features(6), beam=12),
        strict=True,
    ):
        found = [text.lower().strip(".").split() for text in (plain.text, *plain.alternatives)]
        rarest = [sorted({int(word[1:]) for word in said}, reverse=True)[:3] for said in found]
        said = sorted({int(word[1:]) for word in rare.words}, reverse=True)[:3]
        assert np.mean(said) == max(np.mean(numbers) for numbers in rarest if numbers)


def test_a_search_that_prefers_rare_words_finds_more_of_them_and_tells_the_same_log_probability():
    captioner, _ = make_captioner()
    words = len(captioner.vocabulary) - len(SPECIAL)
    rare = Judge({**judge_arrays(words), "rarity": np.arange(words + 1, dtype=np.float32)})
    base = captioner.with_options(replace(captioner.options, candidates=3), rare)
    bold = base.with_options(replace(base.options, search_rarity=1.0), rare)
    numbers = []
    for plain, found, every in zip(
        base.candidates(features(6), beam=3),
        bold.candidates(features(6), beam=3),
        base.candidates(features(6), beam=400),
        strict=True,
    ):
        numbers.append([np.mean([word for said in one.words for word in said]) for one in (plain, found)])
        known = {tuple(said): value for said, value in zip(every.words, every.log_probability, strict=True)}
        of_both = [number for number, said in enumerate(found.words) if tuple(said) in known]
        assert [float(found.log_probability[number]) for number in of_both] == pytest.approx(
            [float(known[tuple(found.words[number])]) for number in of_both], abs=1e-4
        )
        assert of_both
    shy, bolder = np.mean(numbers, axis=0)
    assert bolder > shy + 0.4


def test_a_judged_caption_does_not_depend_on_its_batch():
    captioner, _ = make_captioner()
    images = features(7)
    together = [caption.text for caption in judged(captioner, 1, judgement=1.0).caption(images)]
    alone = [judged(captioner, 1, judgement=1.0).caption(image[None])[0].text for image in images]
    assert together == alone


def test_a_stored_judge_is_asked_again(tmp_path, training):
    captioner, arrays = store_with_judge(tmp_path, training[1])
    loaded = Captioner.load(tmp_path, extractor_digest="e" * 64)
    assert loaded.options.judgement == 2.0
    images = features(4)
    expected = captioner.with_options(loaded.options, Judge(arrays)).caption(images)
    assert [caption.text for caption in loaded.caption(images)] == [caption.text for caption in expected]


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("rarity", None, "judge lacks rarity"),
        ("rarity", np.ones(2, np.float32), r"rarity has shape \(2,\)"),
        ("image/kernel", np.ones((6, 32), np.float16), "made for 3 channels, its network for 8"),
        ("image/kernel", np.ones((17, 32), np.float16), r"image/kernel has shape \(17, 32\), expected \(16, 32\)"),
        ("image/bias", np.float32(0), r"groups/kernel has shape \(76, 32\), expected \(76, 1\)"),
        ("rarity", np.full(77, np.nan, np.float32), "hold NaN or infinity in rarity"),
        ("known/ends", None, "judge lacks known/ends"),
        ("known", np.ones((3, 32), np.int8), r"known has shape \(3, 32\), expected \(360, 32\)"),
        ("known/ends", np.zeros(360, np.int32), "known/ends does not say which groups are of which image"),
        ("known/ends", np.zeros(360, np.float32), "known/ends does not say which groups are of which image"),
        ("phrases", np.zeros(3, np.float32), "phrases names groups that it does not list"),
        ("endings", np.ones(3, bool), "endings names groups that it does not list"),
        ("groups", np.ones((76, 4), np.float32), "groups are not groups of words, each of them once"),
        ("groups", np.full((76, 4), 7, np.int32), "groups are not groups of words, each of them once"),
        ("groups", -np.arange(1, 305).reshape(76, 4), "groups are not groups of words, each of them once"),
        (
            "groups",
            np.arange(1, 305).reshape(76, 4),
            "knows 305 words, its vocabulary has 15: it is another captioner's",
        ),
        ("rarity", np.full(77, 1e300), "rarity holds what is no number"),
    ],
)
def test_a_judge_that_does_not_fit_is_refused(tmp_path, training, name, array, sentence):
    _, arrays = store_with_judge(tmp_path, training[1])
    damaged = {key: value for key, value in arrays.items() if key != name} | ({} if array is None else {name: array})
    write_safetensors(tmp_path / JUDGE_FILE, damaged)
    describe(tmp_path)
    with pytest.raises(ConfigurationError, match=sentence):
        Captioner.load(tmp_path, extractor_digest="e" * 64)


def test_a_judge_that_the_card_tells_of_must_be_there(tmp_path, training):
    store_with_judge(tmp_path, training[1])
    (tmp_path / JUDGE_FILE).unlink()
    describe(tmp_path)
    with pytest.raises(ConfigurationError, match=f"incomplete: its card names no {JUDGE_FILE}"):
        Captioner.load(tmp_path, extractor_digest="e" * 64)


@pytest.mark.parametrize(
    "options",
    [
        {"judgement": -1.0},
        {"judgement": float("nan")},
        {"rarity": -1.0},
        {"search_rarity": float("inf")},
        {"candidates": 0},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SearchOptions(**options)


def store_with_judge(folder: Path, arrays: dict[str, np.ndarray]) -> tuple[Captioner, dict[str, np.ndarray]]:
    """A captioner of 8 channels, with a judge of as many; both know as many words."""
    captioner = store(folder, words=WORDS)
    kernel = np.zeros((16, arrays["groups/kernel"].shape[1]), np.float16)
    arrays = {**arrays, "image/kernel": kernel}
    write_safetensors(folder / JUDGE_FILE, arrays)
    describe(folder)
    return captioner, read_safetensors(folder / JUDGE_FILE)


def describe(folder: Path) -> None:
    """Writes the card anew, which tells of a judge, as the file beside it does."""
    captioner, network = make_captioner(words=WORDS)
    search = {"max_words": captioner.options.max_words, "length_power": 0.7, "judgement": 2.0, "candidates": 12}
    (folder / SEARCH_FILE).write_text(json.dumps(search))
    training = {"network": network.sizes.to_dict(), "search": search}
    write_card(folder, name="captioner", version="v1", training=training, partners={"extractor": "e" * 64})


def squares(folder: Path, train: int, dev: int) -> Path:
    """A data set of coloured squares."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    lines = ["image\tsplit\tcaption\n"]
    for number in range(train + dev):
        colour = ("red", "green", "blue")[number % 3]
        pixels = generator.integers(0, 60, (40, 40, 3), dtype=np.uint8)
        pixels[..., number % 3] += 180
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png\t{'dev' if number < dev else 'train'}\ta man in a {colour} shirt\n")
    (folder / "captions.tsv").write_text("".join(lines))
    return folder


def go_on(data: Path, out: Path, *options: str) -> int:
    lake = str(out.parent / "lake")
    known = ["--data", str(data), "--continue", "production", "--out", str(out), "--version", "v1", "--lake", lake]
    return main(["train", "captioner", *known, *options])


def test_a_trained_captioner_gets_a_judge_where_the_dev_split_says_that_it_pays(tmp_path):
    out = tmp_path / "out"
    data = squares(tmp_path / "data", train=40, dev=100)
    assert go_on(data, out, "--epochs", "0", "--no-mirror", "--max-words", "8") == 0
    card = read_version(out / "captioner" / "v1", name="captioner")
    tried = card.metrics["dev_by_judgement"]
    assert card.training["search"]["judgement"] > 0
    assert card.metrics["dev"]["beam_3"]["cider"] > tried["0.0"]["cider"] + 0.05
    assert JUDGE_FILE in card.files


def test_with_few_dev_images_a_captioner_keeps_its_judge(tmp_path, capsys):
    data, out = squares(tmp_path / "data", train=4, dev=2), tmp_path / "out"
    assert go_on(data, out, "--epochs", "0") == 2
    assert "A judge alone is fitted where the dev split has 100 images or more." in capsys.readouterr().err
    assert go_on(data, out, "--epochs", "1", "--no-mirror") == 0
    starter = Registry(str(tmp_path / "lake"), cache=tmp_path / "cache").resolve("captioner").folder
    before, after = (read_version(folder, name="captioner") for folder in (starter, out / "captioner" / "v1"))
    assert after.training["search"] == before.training["search"]
    assert after.files[JUDGE_FILE] == before.files[JUDGE_FILE]


def test_a_captioner_that_cannot_be_used_is_not_gone_on_with(tmp_path, capsys):
    folder = tmp_path / "lying"
    shutil.copytree(max(STARTERS.glob("captioner/*")), folder)
    judge = read_safetensors(folder / JUDGE_FILE)
    write_safetensors(folder / JUDGE_FILE, judge | {"groups": np.where(judge["groups"] > 0, judge["groups"] + 9000, 0)})
    card = read_card(folder)
    write_card(folder, name=card.name, version="lying-1", training=card.training, partners=card.partners)
    lake = ["--lake", str(tmp_path / "lake")]
    assert main(["models", "register", str(folder), *lake]) == 0
    command = ["train", "captioner", "--data", str(squares(tmp_path / "data", 3, 1)), "--continue", "lying-1", *lake]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "its vocabulary has 3548: it is another captioner's" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_where_no_group_of_words_is_frequent_the_judge_says_nothing(training):
    cache, _ = training
    few = FeatureCache(cache.folder, cache.images, cache.shape)
    few.images = [replace(image, captions=()) for image in few.images]
    worth = Judge(fit_judge(few, VOCABULARY)).worth(looks(SCENES[0], 0), [VOCABULARY.encode(said_of(SCENES[0]))])
    assert worth.tolist() == [0]


def test_captioners_that_search_in_different_ways_are_different_versions(tmp_path):
    digests = []
    for length_power in (0.5, 0.7):
        folder = tmp_path / str(length_power)
        folder.mkdir()
        store(folder, length_power=length_power)
        digests.append(read_version(folder, name="captioner").digest)
    assert digests[0] != digests[1]


def test_ways_to_choose_are_scored_as_the_captions_that_they_choose(tmp_path):
    captioner, _ = make_captioner()
    captioner = judged(captioner, 1, judgement=1.0)
    (tmp_path / "images").mkdir()
    images = [
        replace(image, source=number % 2)
        for number, image in enumerate(numbered_images(tmp_path / "images", [("w1 w2 w3", "w2 w2 w4")] * 7))
    ]
    found = list(captioner.candidates(features(7), beam=3))
    scored = ScoredCandidates(found, images, captioner.vocabulary)
    for power, judgement in ((0.0, 0.0), (0.8, 1.0), (1.7, 1000.0)):
        way = replace(captioner.options, length_power=power, judgement=judgement)
        chosen = [candidates.words[candidates.ranked(way)[0]] for candidates in found]
        captions = [sentence(tuple(captioner.vocabulary.decode(words))) for words in chosen]
        assert scored.figures(way) == pytest.approx(score_by_source(captions, images), abs=1e-4)


A, MAN, DOG, IN, SNOW = range(4, 9)


def judge_of(often: dict[int, float]) -> Judge:
    """A judge to which all images look alike: it expects words so often, whatever is there."""
    rarity = {(A,): 0.05, (MAN,): 1.0, (DOG,): 2.0, (IN,): 0.5, (SNOW,): 2.0}
    groups = [*rarity, (A, MAN), (A, DOG), (IN, SNOW), (MAN, IN, SNOW)]
    expected = [often.get(group[0], 0.0) * rarity[group] if len(group) == 1 else 0.0 for group in groups]
    return Judge(
        {
            "groups": np.array([[*group, *[PAD] * (4 - len(group))] for group in groups], np.int32),
            "rarity": np.array([*[rarity.get(group, 3.0) for group in groups], 3.0], np.float32),
            "image/kernel": np.zeros((2 * CHANNELS, 1), np.float16),
            "image/bias": np.zeros(1, np.float32),
            "groups/kernel": np.zeros((len(groups), 1), np.float16),
            "groups/bias": np.array(expected, np.float32),
            "phrases": np.array([groups.index((A, MAN)), groups.index((A, DOG))], np.int32),
            "endings": np.array([groups.index((IN, SNOW))], np.int32),
        }
    )


@pytest.mark.parametrize(
    ("often", "captions", "said"),
    [
        ({DOG: 0.06, MAN: 0.03}, [[SNOW]], (A, DOG)),
        ({DOG: 0.06, MAN: 0.03}, [[A, MAN], [A, MAN]], (A, MAN)),  # the captions say so, too
        ({DOG: 0.02, MAN: 0.03}, [[SNOW]], ()),  # nothing is sure
        ({DOG: 0.02, MAN: 0.01}, [[A, MAN], [A, MAN]], ()),  # all captions say so, but the judge does not expect it
        ({DOG: 0.02, MAN: 0.06, IN: 0.1, SNOW: 0.05}, [[A]], (A, MAN, IN, SNOW)),
        ({DOG: 0.02, MAN: 0.06, IN: 0.1, SNOW: 0.04}, [[A]], (A, MAN)),  # the snow is not sure
        ({DOG: 0.06, MAN: 0.02, IN: 0.1, SNOW: 0.1}, [[A]], (A, DOG)),  # nobody says "dog in snow"
    ],
)
def test_a_short_caption_says_what_is_sure_and_no_more(often, captions, said):
    likely = np.full(len(captions), -3.0, np.float32)
    assert judge_of(often).surest(np.zeros((POSITIONS, CHANNELS), np.float16), captions, likely) == said


def test_the_word_of_an_unlikely_caption_makes_nothing_sure():
    judge, image = judge_of({DOG: 0.02, MAN: 0.03}), np.zeros((POSITIONS, CHANNELS), np.float16)
    assert judge.surest(image, [[A, MAN], [SNOW]], np.array([-1.0, -9.0], np.float32)) == (A, MAN)
    assert judge.surest(image, [[A, MAN], [SNOW]], np.array([-9.0, -1.0], np.float32)) == ()
