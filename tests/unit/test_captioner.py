"""Caption search on small random networks, against plain reckoning."""

import itertools
import json
import math

import numpy as np
import pytest

from tounum_tasks.caption.captioner import IMAGES_AT_ONCE, Captioner, SearchOptions, sentence, version_files
from tounum_tasks.caption.decoder import Decoder
from tounum_tasks.caption.network import CaptionNetwork
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.caption.vocabulary import END, PAD, SPECIAL, START, UNK, Vocabulary
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import CARD_FILE, read_card, write_card
from tounum_tasks.training.sampling import Sampling

WORDS = 3
MAX_WORDS = 4
POSITIONS = 4


def make_captioner(*, words=WORDS, length_power=0.7, seed=0, max_words=MAX_WORDS, looks_by_word=True):
    shape = NetworkShape(
        len(SPECIAL) + words, POSITIONS, channels=8, embedding=6, units=5, attention=3, looks_by_word=looks_by_word
    )
    network = CaptionNetwork(shape, seed=seed)
    network.build()
    generator = np.random.default_rng(seed)
    for variable in network.named_weights().values():
        variable.assign(generator.normal(0, 1.0, tuple(variable.shape)))
    return captioner_of(network, length_power=length_power, max_words=max_words), network


def captioner_of(network, *, length_power=0.7, max_words=MAX_WORDS):
    vocabulary = Vocabulary([*SPECIAL, *(f"w{i}" for i in range(network.sizes.vocabulary - len(SPECIAL)))])
    decoder = Decoder(network.sizes, network.weight_arrays(), precision="float32")
    return Captioner(decoder, vocabulary, digest="d", options=SearchOptions(max_words, length_power))


def features(count, seed=1):
    return np.random.default_rng(seed).normal(size=(count, POSITIONS, 8)).astype(np.float16)


def log_probability(network, image, ids):
    """Of one caption, step by step; unknown, padding and start cannot be said."""
    memory, state = network.encode(image[None].astype(np.float32))
    total, last = 0.0, START
    for word in ids:
        state, output, _ = network.step(np.array([last]), state, memory)
        scores = np.array(network.logits(output), np.float64)[0]
        scores[[PAD, START, UNK]] = -np.inf
        total += scores[word] - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
        last = word
    return total


def may_be_said(ids):
    pairs = list(itertools.pairwise(ids))
    return len(set(pairs)) == len(pairs) and all(a != b for a, b in pairs)


def log_probabilities(network, image):
    """Of all captions there can be; what they begin with is computed once."""
    memory, state = network.encode(image[None].astype(np.float32))
    begun, found = [((), state, 0.0)], {}
    for _ in range(MAX_WORDS):
        longer = []
        for ids, before, total in begun:
            state, output, _ = network.step(np.array([ids[-1] if ids else START]), before, memory)
            scores = np.array(network.logits(output), np.float64)[0]
            scores[[PAD, START, UNK]] = -np.inf
            totals = total + scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()
            found[(*ids, END)] = totals[END]
            words = range(len(SPECIAL), len(SPECIAL) + WORDS)
            longer += [((*ids, word), state, totals[word]) for word in words if may_be_said((*ids, word))]
        begun = longer
    return found | {ids: total for ids, _, total in begun}


@pytest.mark.parametrize("length_power", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_captions(length_power):
    captioner, network = make_captioner(length_power=length_power)
    images = features(3)
    for image, caption in zip(images, captioner.caption(images, beam=20), strict=True):
        totals = log_probabilities(network, image)
        best = max(totals, key=lambda ids: totals[ids] / len(ids) ** length_power)
        assert caption.words == tuple(captioner.vocabulary.decode(best))
        assert caption.log_probability == pytest.approx(totals[best], abs=1e-3)
        assert len(caption.alternatives) == 19


def test_greedy_search_takes_the_likeliest_word_each_time():
    captioner, network = make_captioner()
    images = features(5)
    for image, caption in zip(images, captioner.caption(images, beam=1), strict=True):
        ids = []
        while len(ids) < MAX_WORDS and (not ids or ids[-1] != END):
            options = [[*ids, word] for word in (END, *range(len(SPECIAL), len(SPECIAL) + WORDS))]
            options = [option for option in options if may_be_said(option)]
            ids = max(options, key=lambda option: log_probability(network, image, option))
        assert caption.words == tuple(captioner.vocabulary.decode(ids))
        assert caption.alternatives == ()


def test_attention_comes_with_every_word_and_sums_to_one():
    captioner, _ = make_captioner()
    for caption in captioner.caption(features(4), beam=3):
        assert caption.attention.shape == (len(caption.words), POSITIONS)
        assert caption.attention.dtype == np.float16
        assert caption.attention.sum(axis=1) == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("looks_by_word", [True, False])
def test_the_word_just_said_has_a_say_in_where_to_look_if_the_shape_says_so(looks_by_word):
    _, network = make_captioner(looks_by_word=looks_by_word)
    memory, state = network.encode(features(1).astype(np.float32))
    maps = [np.asarray(network.step(np.array([word]), state, memory)[2]) for word in range(len(SPECIAL), 7)]
    assert np.allclose(maps[0], maps[1]) != looks_by_word


@pytest.mark.parametrize("beam", [1, 3])
def test_a_caption_does_not_depend_on_its_batch_mates(beam):
    captioner, _ = make_captioner()
    images = features(IMAGES_AT_ONCE + 6)
    together = captioner.caption(images, beam=beam)
    for index in (0, 5, IMAGES_AT_ONCE - 1, IMAGES_AT_ONCE, IMAGES_AT_ONCE + 5):
        alone = captioner.caption(images[index : index + 1], beam=beam)[0]
        assert alone.text == together[index].text
        assert alone.log_probability == together[index].log_probability
        assert alone.alternatives == together[index].alternatives
        assert alone.attention.tobytes() == together[index].attention.tobytes()


def test_samples_are_the_same_for_the_same_seed_and_follow_the_distribution():
    captioner, network = make_captioner(max_words=1)
    image = features(1)[0]
    drawn = captioner.sample(np.repeat(image[None], 400, axis=0), samples=5, seed=3)
    again = captioner.sample(np.repeat(image[None], 70, axis=0), samples=5, seed=3)
    assert again == drawn[:70]
    for word in range(len(SPECIAL), len(SPECIAL) + WORDS):
        share = np.mean([words == (captioner.vocabulary.words[word],) for samples in drawn for words in samples])
        assert share == pytest.approx(math.exp(log_probability(network, image, [word])), abs=0.04)


def test_samples_come_with_their_log_probability():
    _, network = make_captioner()
    images = features(3).astype(np.float32)
    uniform = np.random.default_rng(0).random((3, 4, MAX_WORDS), np.float32)
    words, totals = Sampling(network, max_words=MAX_WORDS, samples=4).predict_on_batch((images, uniform))
    assert words.shape == (3, 4, MAX_WORDS)
    for image, rows, known in zip(images, words.tolist(), totals, strict=True):
        for row, total in zip(rows, known, strict=True):
            said = row[: row.index(END) + 1] if END in row else row
            assert may_be_said(said)
            assert total == pytest.approx(log_probability(network, image, said), abs=1e-3)


def test_unknown_words_are_never_said():
    _, network = make_captioner(words=8)
    network.named_weights()["output_bias"].assign(np.where(np.isin(np.arange(12), [PAD, START, UNK]), 50.0, 0.0))
    captioner = captioner_of(network)
    found = {word for caption in captioner.caption(features(8), beam=3) for word in caption.words}
    found |= {word for samples in captioner.sample(features(8), samples=2) for words in samples for word in words}
    assert not {"<unk>", "<pad>", "<start>"} & found


def test_no_images_give_no_captions():
    captioner, _ = make_captioner()
    assert captioner.caption(features(0)) == []


def test_sentences():
    assert sentence(("a", "dog")) == "A dog."
    assert sentence(()) == ""


def store(folder, *, without=(), **options):
    captioner, network = make_captioner(**options)
    described = version_files(folder, network.sizes, network.weight_arrays(), captioner.vocabulary, captioner.options)
    for name in without:
        del described["network"][name]
    write_card(folder, name="captioner", version="v1", training=described, partners={"extractor": "e" * 64})
    return captioner


def change_card(folder, part, **changes):
    path = folder / CARD_FILE
    card = json.loads(path.read_text())
    card["training"][part] |= changes
    path.write_text(json.dumps(card))


def write_card_again(folder):
    """For the files as they are now."""
    card = read_card(folder)
    write_card(folder, name=card.name, version=card.version, training=card.training, partners=card.partners)


@pytest.fixture
def stored(tmp_path):
    return tmp_path, store(tmp_path)


def test_a_captioner_made_before_words_had_a_say_is_read_as_it_was(tmp_path):
    store(tmp_path, looks_by_word=False, without=("looks_by_word", "word_dropout"))
    loaded = Captioner.load(tmp_path, extractor_digest="e" * 64)
    assert all(caption.words for caption in loaded.caption(features(4)))


def test_a_stored_captioner_says_the_same_up_to_rounding(stored):
    folder, captioner = stored
    loaded = Captioner.load(folder, extractor_digest="e" * 64)
    assert loaded.options == captioner.options
    images = features(IMAGES_AT_ONCE)
    pairs = zip(loaded.caption(images), captioner.caption(images), strict=True)
    assert np.mean([ours.words == theirs.words for ours, theirs in pairs]) > 0.8


def test_another_extractor_is_refused(stored):
    with pytest.raises(ConfigurationError, match=r"made for the extractor eeeeeeeeeeee, not for ffffffffffff"):
        Captioner.load(stored[0], extractor_digest="f" * 64)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("network", {"units": "many"}),
        ("network", {"vocabulary": 10**12}),
        ("network", {"surprise": 1}),
        ("network", {"looks_by_word": "yes"}),
        ("network", {"word_dropout": None}),
        ("network", {"dropout": 1.5}),
        ("search", {"max_words": 0}),
        ("search", {"length_power": None}),
        ("search", {"length_power": float("nan")}),
    ],
)
def test_a_card_with_impossible_sizes_is_refused(stored, part, changes):
    change_card(stored[0], part, **changes)
    with pytest.raises(ConfigurationError, match="does not describe its network"):
        Captioner.load(stored[0], extractor_digest="e" * 64)


def test_a_card_that_tells_of_another_search_than_the_file_beside_it_is_refused(stored):
    change_card(stored[0], "search", length_power=0.1)
    with pytest.raises(ConfigurationError, match=r"The search\.json of .* something else .*: take the model from"):
        Captioner.load(stored[0], extractor_digest="e" * 64)
    (stored[0] / "search.json").write_text("{")
    write_card_again(stored[0])
    with pytest.raises(ConfigurationError, match=r"The search\.json of .* is damaged"):
        Captioner.load(stored[0], extractor_digest="e" * 64)


def test_a_card_that_tells_of_another_network_than_the_weights_is_refused(stored):
    change_card(stored[0], "network", looks_by_word=False)
    with pytest.raises(ConfigurationError, match="no word has a say in where to look, its weights say that one has"):
        Captioner.load(stored[0], extractor_digest="e" * 64)


@pytest.mark.parametrize("beam", [1, 3])
def test_features_of_another_shape_are_refused_in_one_sentence(stored, beam):
    change_card(stored[0], "network", positions=9)
    captioner = Captioner.load(stored[0], extractor_digest="e" * 64)
    with pytest.raises(ConfigurationError, match=r"made for features of the shape \(9, 8\), these have \(4, 8\)"):
        captioner.caption(features(1), beam=beam)


@pytest.mark.parametrize("beam", [1, 3])
def test_what_is_no_number_gives_no_caption(beam):
    captioner, network = make_captioner()
    weights = network.weight_arrays() | {"output_bias": np.full(len(SPECIAL) + WORDS, np.nan, np.float32)}
    decoder = Decoder(network.sizes, weights, precision="float32")
    with pytest.raises(ConfigurationError, match="The captioner gives no numbers"):
        Captioner(decoder, captioner.vocabulary, digest="d").caption(features(3), beam=beam)


def test_a_captioner_without_a_vocabulary_is_incomplete(stored):
    (stored[0] / "vocabulary.json").unlink()
    write_card_again(stored[0])
    with pytest.raises(ConfigurationError, match=r"incomplete: its card names no vocabulary\.json"):
        Captioner.load(stored[0], extractor_digest="e" * 64)


def test_another_vocabulary_is_refused(stored):
    Vocabulary([*SPECIAL, "x", "y", "z"]).save(stored[0] / "vocabulary.json")
    with pytest.raises(ConfigurationError, match=r"damaged: vocabulary\.json has"):
        Captioner.load(stored[0], extractor_digest="e" * 64)


def test_a_vocabulary_of_another_size_is_refused():
    _, network = make_captioner()
    with pytest.raises(ConfigurationError, match="made for 7 words"):
        decoder = Decoder(network.sizes, network.weight_arrays(), precision="float32")
        Captioner(decoder, Vocabulary(SPECIAL), digest="d")
