"""The words that the captioner knows."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.caption.vocabulary import END, PAD, SPECIAL, START, UNK, Vocabulary, normalise
from tounum_tasks.errors import ConfigurationError


def test_normalise_keeps_letters_and_digits_of_every_script():
    assert normalise("Größe: 3 m,\tпривет_мир -- don't!") == ["größe", "3", "m", "привет", "мир", "don", "t"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Gro\u0308\u00dfe in Zu\u0308rich", ["größe", "in", "zürich"]),  # as macOS writes it
        ("सड़क पर कुत्ता।", ["सड़क", "पर", "कुत्ता"]),
        ("நாய் ஓடுகிறது", ["நாய்", "ஓடுகிறது"]),
        ("مُدَرِّسٌ هنا", ["مُدَرِّسٌ", "هنا"]),
        ("می\u200cرود", ["می\u200cرود"]),
        ("Tie\u0302\u0301ng Vie\u0323\u0302t", ["tiếng", "việt"]),
        ("ที่นี่ มีหมา", ["ที่นี่", "มีหมา"]),
    ],
)
def test_marks_are_part_of_words_and_letters_are_composed(text, words):
    assert normalise(text) == [unicodedata.normalize("NFC", word) for word in words]


def test_most_frequent_words_come_first_and_ties_by_alphabet():
    vocabulary = Vocabulary.build(["b a b", "c a b"], size=6)
    assert vocabulary.words == (*SPECIAL, "b", "a")
    assert vocabulary.encode("A cat, b") == [5, UNK, 4]


@given(st.lists(st.text(max_size=20), max_size=10), st.integers(4, 30))
def test_decoding_gives_the_known_words_back(texts, size):
    vocabulary = Vocabulary.build(texts, size)
    assert len(vocabulary) <= size
    for text in texts:
        ids = vocabulary.encode(text)
        known = [word for word, index in zip(normalise(text), ids, strict=True) if index != UNK]
        assert vocabulary.decode([START, *(i for i in ids if i != UNK), END, 5, PAD]) == known


def test_saved_and_loaded_it_is_the_same(tmp_path):
    vocabulary = Vocabulary.build(["ein Hund läuft", "собака"], 10)
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json").words == vocabulary.words


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1, 2]",
        '["a", "b"]',
        '["<pad>", "<start>", "<end>", "<unk>", "a", "a"]',
        '["<pad>", "<start>", "<end>", "<unk>", ""]',
        '["<pad>", "<start>", "<end>", "<unk>", "a\\n"]',
        '["<pad>", "<start>", "<end>", "<unk>", "\\ud800"]',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="vocabulary"):
        Vocabulary.load(path)


def test_new_words_stand_behind_the_known_ones_if_enough_images_have_them():
    known = Vocabulary([*SPECIAL, "a", "dog"])
    images = [["a zebra", "a zebra zebra"], ["a zebra on grass"], ["grass, grass, grass", "a gnu gnu gnu"]]
    assert known.extended(images, fewest_images=2).words == (*known.words, "grass", "zebra")
