"""The HTML page of an evaluation of captions: its figures, its examples, what hostile texts do to it."""

import datetime as dt
import html.parser

import numpy as np
import pytest
from PIL import Image

from tounum_tasks.caption.captioner import Caption
from tounum_tasks.datasets.captions import CaptionedImage
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.attention import attention_in_fog
from tounum_tasks.evaluation.caption_examples import places, ranking
from tounum_tasks.evaluation.caption_page import Evaluated, render, write_page
from tounum_tasks.evaluation.captioner import cider_of_each, score

ABOUT = Evaluated("v1", "d" * 64, "e" * 64, "captions.tsv", "f" * 64, "dev", "plain")
HOSTILE = "<script>alert(1)</script> \" onerror='x' {{ 7 * 7 }} \u202e\x07"


class Elements(html.parser.HTMLParser):
    """Collects tags and attributes, and fails when tags are not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def caption(text):
    words = tuple(text.split())
    maps = np.random.default_rng(0).dirichlet(np.ones(64), len(words)).astype(np.float16)
    return Caption(text, words, -1.0, (), maps)


@pytest.fixture
def images(tmp_path):
    found = []
    for index in range(60):
        path = tmp_path / f"{index:02}.png"
        Image.new("RGB", (60, 40), (4 * index, 0, 0)).save(path)
        references = (f"a dog number{index} runs", "two dogs", "grass", "one animal", "nothing at all")
        found.append(CaptionedImage(path.name, path, "dev", references))
    return found


def page_of(images, texts, greedy=None):
    captions = {"greedy": [caption(text) for text in greedy or texts], "beam_3": [caption(text) for text in texts]}
    references = [image.captions for image in images]
    figures = {
        name: score([c.text for c in found], references) | {"captions_per_second": 12.0}
        for name, found in captions.items()
    }
    scores = cider_of_each(texts, references)
    now = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    return render(ABOUT, figures, images, captions, scores, search="beam_3", made_at=now), figures


def test_the_page_has_the_figures_and_the_best_ordinary_and_worst_captions(images):
    texts = [f"a dog number{i} runs" if i < 30 else "a cat" for i in range(60)]
    page, figures = page_of(images, texts, greedy=["a dog"] * 60)
    elements = Elements(page)
    for name in ("greedy", "beam_3"):
        assert f"{figures[name]['cider']:.3f}" in elements.text
        assert f"{figures[name]['bleu_4']:.3f}" in elements.text
    assert len(elements.all("article")) == 20 + 10 + 20
    assert len(elements.all("img")) == 50 + sum(len(texts[i].split()) for i in shown(60, texts, images))
    assert "greedy: “a dog”" in elements.text
    assert "place 60 of 60" in elements.text


def shown(count, texts, images):
    order = ranking(cider_of_each(texts, [image.captions for image in images]))
    return [order[place] for group in places(count) for place in group]


def test_the_page_needs_nothing_from_outside_and_every_picture_is_described(images):
    elements = Elements(page_of(images, ["a dog runs"] * 60)[0])
    assert not {tag for tag, _ in elements.found} & {"script", "link", "iframe", "object", "form"}
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in elements.all("img"))
    targets = {attributes["href"].removeprefix("#") for attributes in elements.all("a")}
    assert targets <= {attributes.get("id") for _, attributes in elements.found}


def test_hostile_texts_are_shown_and_do_nothing(images):
    hostile = [CaptionedImage(HOSTILE, image.path, "dev", (HOSTILE,)) for image in images[:2]]
    page, _ = page_of(hostile, [HOSTILE, "a dog"])
    elements = Elements(page)
    assert not elements.all("script")
    assert all("onerror" not in attributes for _, attributes in elements.found)
    assert "<script>alert(1)</script>" in elements.text and "{{ 7 * 7 }}" in elements.text
    assert "\u202e" not in page and "\x07" not in page


@pytest.mark.parametrize("count", [1, 2, 3, 39, 40, 41, 60, 1000])
def test_no_image_is_shown_twice(count):
    best, ordinary, worst = places(count)
    chosen = [*best, *ordinary, *worst]
    assert len(set(chosen)) == len(chosen) == min(count, 50)
    assert list(worst)[:1] in ([count - 1], [])


def test_captions_without_words_and_very_few_images_are_no_trouble(images):
    for texts in (["", "a dog"], [""]):
        Elements(page_of(images[: len(texts)], texts)[0])


def test_an_image_that_is_gone_is_named(images):
    images[3].path.unlink()
    with pytest.raises(ConfigurationError, match=r"03\.png cannot be shown"):
        page_of(images, ["a dog"] * 60)


def test_the_page_goes_into_a_file_or_a_folder(tmp_path):
    assert write_page(tmp_path / "new" / "page.html", "x").read_text() == "x"
    assert write_page(tmp_path, "x") == tmp_path / "captions.html"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_page(tmp_path / "captions.html" / "page.html", "x")


def test_what_was_looked_at_is_clear_and_the_rest_grey():
    pixels = np.zeros((80, 80, 3), np.uint8)
    weights = np.zeros(64, np.float16)
    weights[0] = 1
    drawn = attention_in_fog(pixels, weights)
    assert drawn[2, 2].max() < 20
    assert drawn[70, 70].min() == 96
