"""BLEU, ROUGE-L and CIDEr against figures of the reference implementation."""

import random
import shutil

import pytest

from tounum_tasks.caption.metrics import bleu, cider, repeats_a_bigram, rouge_l
from tounum_tasks.cli.main import main
from tounum_tasks.evaluation.captioner import cider_of_each, score
from tounum_tasks.evaluation.java_metrics import ptb_words

CANDIDATES = ["a dog runs on the grass", "two men play football", "a a a a a a a"]
REFERENCES = [
    ["a brown dog runs across the grass", "the dog is running"],
    ["two men are playing football in a park", "men play football"],
    ["a child", "a small child on a swing in a park"],
]
RECORDED = {
    "bleu": [0.6275363049163668, 0.4463686429489957, 0.2525226864341832, 3.657458750507344e-05],
    "rouge_l": 0.7021816168354894,
    "cider": [1.879227129640716, 3.851369834488248, 0.0],
}


def words(texts):
    return [text.split() for text in texts]


def test_a_perfect_caption_scores_one():
    references = [["a dog runs on the grass"], ["two men play football"]]
    figures = score([texts[0] for texts in references], references)
    assert figures["bleu_4"] == figures["rouge_l"] == 1
    assert figures["cider"] == 10


def test_punctuation_and_case_do_not_count():
    assert score(["A dog, running."], [["a dog running"]])["bleu_1"] == 1


def test_a_short_caption_pays_the_brevity_penalty():
    exact, short = bleu([["a", "b"]], [[["a", "b"]]])[0], bleu([["a"]], [[["a", "b"]]])[0]
    assert exact == pytest.approx(1)
    assert short == pytest.approx(0.3678794, rel=1e-6)  # exp(1 - 2/1)


def test_distinct_captions_and_repeats_are_counted():
    figures = score(["a dog", "a dog", "a b a b"], [["x"], ["y"], ["z"]])
    assert (figures["distinct_captions"], figures["vocabulary_used"]) == (2, 3)
    assert figures["share_with_repeated_bigram"] == pytest.approx(1 / 3, abs=1e-4)
    assert not repeats_a_bigram(["a", "b", "c"])


def test_figures_are_those_of_pycocoevalcap():
    """Recorded with pycocoevalcap 1.2 on these captions."""
    references = [words(texts) for texts in REFERENCES]
    assert bleu(words(CANDIDATES), references) == pytest.approx(RECORDED["bleu"], abs=1e-9)
    assert rouge_l(words(CANDIDATES), references) == pytest.approx(RECORDED["rouge_l"], abs=1e-9)
    assert cider(words(CANDIDATES), references) == pytest.approx(RECORDED["cider"], abs=1e-9)


def test_figures_agree_with_an_installed_pycocoevalcap():
    bleu_module = pytest.importorskip("pycocoevalcap.bleu.bleu")
    cider_module = pytest.importorskip("pycocoevalcap.cider.cider")
    rouge_module = pytest.importorskip("pycocoevalcap.rouge.rouge")
    generator = random.Random(0)
    vocabulary = ["a", "the", "dog", "cat", "runs", "sits", "on", "in", "grass", "house", "red", "small", "two"]

    def text():
        return " ".join(generator.choices(vocabulary, k=generator.randint(1, 12)))

    references = [[text() for _ in range(generator.randint(1, 5))] for _ in range(50)]
    candidates = [generator.choice([text(), generator.choice(known)]) for known in references]
    known = dict(enumerate(references))
    said = {index: [candidate] for index, candidate in enumerate(candidates)}
    ours = [words(texts) for texts in references]
    assert bleu(words(candidates), ours) == pytest.approx(bleu_module.Bleu(4).compute_score(known, said, verbose=0)[0])
    assert rouge_l(words(candidates), ours) == pytest.approx(rouge_module.Rouge().compute_score(known, said)[0])
    assert cider(words(candidates), ours) == pytest.approx(list(cider_module.Cider().compute_score(known, said)[1]))


def test_cider_of_each_caption_has_the_corpus_figure_as_its_mean():
    each = cider_of_each(CANDIDATES, REFERENCES)
    assert sum(each) / 3 == pytest.approx(score(CANDIDATES, REFERENCES)["cider"], abs=1e-4)


def test_java_metrics_say_what_is_missing(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    for option in (["--tokenizer", "ptb"], ["--meteor"]):
        assert main(["evaluate", "captioner", "--data", "x", "--json", "x", *option]) == 2
        assert "need Java" in capsys.readouterr().err


def test_java_metrics_where_they_are_installed():
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("no Java")
    assert ptb_words(["A dog's tail,\nwagging!", "", "two men."]) == [
        ["a", "dog", "'s", "tail", "wagging"],
        [],
        ["two", "men"],
    ]
    figures = score(CANDIDATES, REFERENCES, tokenizer=ptb_words, with_meteor=True)
    assert figures["bleu_1"] == pytest.approx(RECORDED["bleu"][0], abs=1e-4)
    assert 0.3 < figures["meteor"] < 0.5
