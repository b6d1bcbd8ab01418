"""Captioned images from tables and COCO files, their split, and the cache of their features."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.unit.numbered_images import numbered_images
from tounum_tasks.datasets.captions import joined, load_captions, read_input
from tounum_tasks.datasets.feature_cache import SHARD_IMAGES, FeatureCache
from tounum_tasks.errors import ConfigurationError


def write_images(folder, names):
    for index, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (index, 0, 0)).save(path)


@pytest.fixture
def table(tmp_path):
    names = [f"images/{i}.png" for i in range(10)]
    write_images(tmp_path, names)
    lines = [f"{name}\t{'dev' if i % 5 == 0 else 'train'}\tcaption {n}\n" for i, name in enumerate(names) for n in "ab"]
    path = tmp_path / "captions.tsv"
    path.write_text("image\tsplit\tcaption\n" + "".join(lines))
    return path


def test_a_table_brings_its_own_split(table):
    data = load_captions(table)
    assert [image.name for image in data.split("dev")] == ["images/0.png", "images/5.png"]
    assert data.split("train")[0].captions == ("caption a", "caption b")
    assert load_captions(table.parent).fingerprint == data.fingerprint


def test_the_fingerprint_follows_captions_and_files(table):
    before = load_captions(table).fingerprint
    Image.new("RGB", (200, 100)).save(table.parent / "images/3.png")
    changed = load_captions(table).fingerprint
    table.write_text(table.read_text().replace("caption b", "caption c", 1))
    assert len({before, changed, load_captions(table).fingerprint}) == 3


def test_a_limit_takes_the_same_few_images_of_each_split(table):
    data = load_captions(table, limit=2, seed=1)
    assert (len(data.split("train")), len(data.split("dev"))) == (2, 2)
    assert data == load_captions(table, limit=2, seed=1)


def test_several_data_sets_become_one(table, tmp_path):
    other = tmp_path / "other" / "captions.tsv"
    write_images(other.parent, ["a.png", "z.png"])
    other.write_text("image\tsplit\tcaption\na.png\ttrain\ta zebra\nz.png\tdev\ta gnu\n")
    first, second = load_captions(table), load_captions(other)
    both = joined([first, second])
    assert [image.name for image in both.split("dev")] == ["images/0.png", "images/5.png", "z.png"]
    assert len(both.split("train")) == len(first.split("train")) + 1
    assert len({first.fingerprint, second.fingerprint, both.fingerprint}) == 3
    with pytest.raises(ConfigurationError, match=r"Two data sets have an image images/0\.png"):
        joined([first, first])


def test_an_image_in_two_splits_is_refused(table):
    table.write_text(table.read_text().replace("images/0.png\tdev", "images/0.png\ttrain", 1))
    with pytest.raises(ConfigurationError, match=r"images/0\.png is in two splits"):
        load_captions(table)


def test_a_missing_image_is_named(table):
    (table.parent / "images/7.png").unlink()
    with pytest.raises(ConfigurationError, match=r"images/7\.png"):
        load_captions(table)


def test_a_file_that_is_no_image_is_named(table):
    (table.parent / "images/7.png").write_bytes(b"no image")
    with pytest.raises(ConfigurationError, match=r"7\.png cannot be trained on"):
        read_input(table.parent / "images/7.png")


@pytest.mark.parametrize("content", ["", "a\tb\n1\t2\n", "image\tsplit\tcaption\n"])
def test_a_table_without_captions_is_refused(tmp_path, content):
    (tmp_path / "captions.tsv").write_text(content)
    with pytest.raises(ConfigurationError):
        load_captions(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no captions_"):
        load_captions(tmp_path)


def write_coco(root, split="train", count=10, **changes):
    """A miniature of MS-COCO: ``annotations/captions_{split}2014.json`` and ``{split}2014/*.jpg``."""
    names = [f"COCO_{split}2014_{i:012}.jpg" for i in range(count)]
    write_images(root / f"{split}2014", names)
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": i, "caption": f"caption {n}"} for i in range(count) for n in range(5)],
    }
    path = root / "annotations" / f"captions_{split}2014.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content | changes))
    return path


def test_coco_annotations_with_images_beside_them(tmp_path):
    path = write_coco(tmp_path)
    data = load_captions(tmp_path, seed=3)
    assert data.split("train") and data.split("dev") and len(data.images) == 10
    assert all(len(image.captions) == 5 and image.path.is_file() for image in data.images)
    assert load_captions(path, seed=4) == data
    assert len(load_captions(tmp_path, train_share=0.2).split("train")) < len(data.split("train"))
    assert len(load_captions(tmp_path, limit=3).split("train")) == 3


def test_the_two_files_of_coco_are_train_and_dev(tmp_path):
    train = write_coco(tmp_path, "train", 6)
    write_coco(tmp_path, "val", 3)
    data = load_captions(tmp_path)
    assert {image.name[:10] for image in data.split("train")} == {"COCO_train"}
    assert {image.name[:8] for image in data.split("dev")} == {"COCO_val"}
    assert (len(data.split("train")), len(data.split("dev"))) == (6, 3)
    assert len(load_captions(train).images) == 6
    write_coco(tmp_path, "other", 2)
    with pytest.raises(ConfigurationError, match=r"several annotation files .*, name one of them"):
        load_captions(tmp_path)


def test_images_without_captions_are_left_out(tmp_path):
    annotations = [{"image_id": 2, "caption": "a dog"}, {"image_id": 2, "caption": "a dog"}]
    write_coco(tmp_path, annotations=annotations)
    assert [image.captions for image in load_captions(tmp_path).images] == [("a dog", "a dog")]


def test_an_image_that_is_listed_but_not_there_is_named(tmp_path):
    write_coco(tmp_path)
    (tmp_path / "train2014" / "COCO_train2014_000000000004.jpg").unlink()
    with pytest.raises(ConfigurationError, match=r"names COCO_train2014_000000000004\.jpg, but .* does not exist"):
        load_captions(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]}, "two images have the id 1"),
        ({"annotations": [{"image_id": 77, "caption": "x"}]}, "a caption for the image 77, which it does not list"),
        ({"annotations": [{"image_id": 1}]}, "is no COCO captions file: KeyError"),
        ({"annotations": []}, "holds no captions"),
    ],
)
def test_what_is_wrong_with_a_coco_file_is_said(tmp_path, changes, sentence):
    write_coco(tmp_path, **changes)
    with pytest.raises(ConfigurationError, match=sentence):
        load_captions(tmp_path)


def test_images_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    write_images(tmp_path, ["one/1.png", "two/1.png"])
    path = tmp_path / "captions_mine.json"
    content = {"images": [{"id": 0, "file_name": "two/1.png"}], "annotations": [{"image_id": 0, "caption": "x"}]}
    path.write_text(json.dumps(content))
    assert load_captions(path).images[0].path == tmp_path / "two" / "1.png"
    path.write_text(json.dumps(content).replace("two/1.png", "1.png"))
    with pytest.raises(ConfigurationError, match=r"1\.png, which is there twice"):
        load_captions(path)


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": -3}, {"train_share": 0}, {"train_share": 1.5}])
def test_impossible_sizes_are_refused(table, options):
    with pytest.raises(ConfigurationError, match=r"at least 1|between 0 and 1"):
        load_captions(table, **options)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"image\tsplit\tcaption\na.png\ttrain\n", "line 2 has too few columns"),
        (b"image\tsplit\tcaption\na.png\ttrain\t\xff\n", "line 2 is not written in UTF-8"),
        (b"image\tsplit\tcaption\na.png\ttrain\tA man\twith a tab\n", "line 2 has too many columns"),
        (b'image\tsplit\tcaption\na.png\ttrain\t"A man\tand a dog"\n', "line 2 has too many columns"),
        (b"image\tcaption\tcaption\na.png\tA man\tTwo men\n", "the first line must be"),
        (b"image\tsplit\tcaption\na.png\ttrain\t\n", 'a caption of a.png is "", which has no words'),
        (b"image\tsplit\tcaption\na.png\ttrain\t ... \n", "which has no words"),
        (b"image\tsplit\tcaption\n\ttrain\tA man\n", "line 2 names no image"),
        (b"image\tsplit\tcaption\n" + b"a" * 300 + b".png\ttrain\tA man\n", "does not exist"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, content, sentence):
    (tmp_path / "captions.tsv").write_bytes(content)
    with pytest.raises(ConfigurationError, match=sentence):
        load_captions(tmp_path)


def test_a_split_that_lacks_in_one_line_is_refused_with_the_line(table):
    """Dealt anew, images of the test split would be trained on."""
    lines = table.read_text().splitlines(keepends=True)
    lines[5] = lines[5].replace("\ttrain\t", "\t  \t")
    lines[6] = lines[6].replace("\ttrain\t", "\t\t")
    table.write_text("".join(lines))
    with pytest.raises(ConfigurationError, match=r"line 6 has no split, while others have one"):
        load_captions(table)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le with a mark"])
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, encoding):
    write_images(tmp_path, ["größe.png"])
    text = "image\tsplit\tcaption\r\ngröße.png\ttrain\tein Hund läuft\r\n"
    content = text.encode(encoding) if " " not in encoding else "\ufeff".encode("utf-16-le") + text.encode("utf-16-le")
    (tmp_path / "captions.tsv").write_bytes(content)
    (image,) = load_captions(tmp_path).images
    assert (image.name, image.split, image.captions) == ("größe.png", "train", ("ein Hund läuft",))


@pytest.mark.parametrize("caption", [None, 5, ["a dog"]])
def test_a_coco_caption_that_is_no_text_is_refused_with_its_image(tmp_path, caption):
    write_images(tmp_path, ["1.png"])
    annotations = [{"image_id": 0, "caption": "a cat"}, {"image_id": 0, "caption": caption}]
    content = {"images": [{"id": 0, "file_name": "1.png"}], "annotations": annotations}
    (tmp_path / "captions_all.json").write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match=r"a caption of 1\.png is .*, which is no text"):
        load_captions(tmp_path)


@pytest.mark.parametrize("name", ["scans/1.tif", "scans/1.jp2", "scans/1.bmp", "scans/1.GIF"])
def test_coco_images_of_every_kind_are_found_below(tmp_path, name):
    write_images(tmp_path, [name])
    content = {"images": [{"id": 0, "file_name": name[6:]}], "annotations": [{"image_id": 0, "caption": "x"}]}
    (tmp_path / "captions_all.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    assert load_captions(tmp_path).images[0].path == tmp_path / name


def test_splits_by_karpathy_are_read(tmp_path):
    write_images(tmp_path, ["val2014/1.png", "val2014/2.png", "val2014/3.png"])
    images = [
        {"filepath": "val2014", "filename": f"{number}.png", "split": split, "sentences": [{"raw": "A dog."}]}
        for number, split in ((1, "restval"), (2, "val"), (3, "test"))
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    data = load_captions(tmp_path)
    assert [(image.name, image.split) for image in data.images] == [
        ("val2014/1.png", "train"), ("val2014/2.png", "dev"), ("val2014/3.png", "test"),
    ]  # fmt: skip
    assert data.images[0].captions == ("A dog.",)


def test_captions_of_flickr8k_are_read(tmp_path):
    write_images(tmp_path, ["Images/1.png", "Images/2.png"])
    lines = ["image,caption", '1.png,"A dog, a cat and a bird ."', "1.png,Two animals .", "2.png,A bird ."]
    (tmp_path / "captions.txt").write_text("\n".join(lines))
    data = load_captions(tmp_path, train_share=1)
    assert data.images[0].path == tmp_path / "Images" / "1.png"
    assert [image.captions for image in data.images] == [("A dog, a cat and a bird .", "Two animals ."), ("A bird .",)]


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nothing does not exist"):
        load_captions(tmp_path / "nothing")


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"images": [], "annotations": [{"image_id": 1}]}'])
def test_a_damaged_coco_file_is_refused(tmp_path, content):
    (tmp_path / "captions_val.json").write_text(content)
    with pytest.raises(ConfigurationError):
        load_captions(tmp_path)


def captioned(folder, names):
    """A table without splits, of images that differ by their names alone once these are given."""
    (folder / "captions.tsv").write_text("image\tcaption\n" + "".join(f"{name}\ta dog\n" for name in names))
    return {image.name: image.split for image in load_captions(folder).images}


def test_the_split_is_four_to_one_and_follows_the_bytes(tmp_path):
    names = [f"{i}.png" for i in range(200)]
    write_images(tmp_path, names)
    before = captioned(tmp_path, names)
    assert 140 < sum(split == "train" for split in before.values()) < 180
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for name in names[50:]:
        (tmp_path / name).rename(renamed / f"new-{name}")
    after = captioned(renamed, [f"new-{name}" for name in names[50:]])
    assert after == {f"new-{name}": before[name] for name in names[50:]}


def test_each_of_few_images_is_for_something(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"])
    assert sorted(captioned(tmp_path, ["a.png", "b.png"]).values()) == ["dev", "train"]


class Interrupted(Exception):
    """Raised by the extraction below."""


def test_an_interrupted_extraction_goes_on_where_it_was(tmp_path, table):
    images = list(load_captions(table).images) * 60
    calls = []

    def extract(members):
        calls.append(len(members))
        if len(calls) == 2:
            raise Interrupted
        return np.full((len(members), 2, 3), len(calls), np.float16)

    cache = FeatureCache(tmp_path / "cache", images, (2, 3))
    with pytest.raises(Interrupted):
        cache.fill(extract)
    FeatureCache(tmp_path / "cache", images, (2, 3)).fill(extract)
    assert calls == [SHARD_IMAGES, SHARD_IMAGES, SHARD_IMAGES, 600 - 2 * SHARD_IMAGES]
    assert [cache.read(shard)[0, 0, 0] for shard in range(3)] == [1, 3, 4]
    assert [len(cache.members(shard)) for shard in range(3)] == [len(cache.read(shard)) for shard in range(3)]
    assert not list((tmp_path / "cache").glob("*.part"))


def test_a_mended_image_costs_its_own_shard(tmp_path):
    images = numbered_images(tmp_path, [("a",)] * 3 * SHARD_IMAGES)
    made = []

    def extract(members):
        made.append(members[0].name)
        return np.ones((len(members), 2), np.float16)

    FeatureCache(tmp_path / "cache", images, (2,)).fill(extract)
    images[SHARD_IMAGES + 7].path.write_text("mended")
    FeatureCache(tmp_path / "cache", images, (2,)).fill(extract)
    assert made == ["0", f"{SHARD_IMAGES}", f"{2 * SHARD_IMAGES}", f"{SHARD_IMAGES}"]


def test_smaller_data_sets_come_more_often_but_never_oftener_than_the_largest(table, tmp_path):
    other = tmp_path / "other" / "captions.tsv"
    write_images(other.parent, ["a.png", "b.png", "z.png"])
    other.write_text("image\tsplit\tcaption\na.png\ttrain\ta zebra\nb.png\ttrain\ta gnu\nz.png\tdev\ta gnu\n")
    first, second = load_captions(table), load_captions(other)
    for balance, repeats in ((1, 1), (3, 3), (100, 4)):  # 8 training images against 2
        both = joined([first, second], balance=balance)
        assert {image.repeats for image in both.split("train") if image.source == 1} == {repeats}
        assert {image.repeats for image in both.images if image.source == 0 or image.split == "dev"} == {1}
    assert joined([first, second], balance=3).fingerprint != joined([first, second]).fingerprint


def test_views_of_repeated_images_alone_leave_the_other_shards_out(tmp_path):
    once = numbered_images(tmp_path, [("a",)] * SHARD_IMAGES)
    often = [replace(image, name=f"again {image.name}", repeats=2) for image in once[:3]]
    cache = FeatureCache(tmp_path / "cache", [*once, *often], (2,))
    cache.fill(lambda members: np.ones((len(members), 2), np.float16), repeated_only=True)
    assert (cache.has(0), cache.has(1)) == (False, True)


def test_an_image_with_two_names_is_refused(tmp_path):
    write_images(tmp_path, ["a.png"])
    table = tmp_path / "captions.tsv"
    table.write_text("image\tsplit\tcaption\na.png\ttrain\tA man\n./a.png\tdev\tA man\n")
    with pytest.raises(ConfigurationError, match=r"a\.png twice: as \./a\.png and as a\.png"):
        load_captions(table)


def test_lines_without_content_at_the_end_of_a_table_are_left_out(tmp_path):
    write_images(tmp_path, ["a.png"])
    (tmp_path / "captions.tsv").write_text("image\tsplit\tcaption\na.png\ttrain\tA man\n\t\t\n\n")
    assert [image.captions for image in load_captions(tmp_path).images] == [("A man",)]


def test_a_comma_outside_of_quotes_cuts_no_caption(tmp_path):
    write_images(tmp_path, ["Images/a.png"])
    (tmp_path / "captions.txt").write_text("image,caption\na.png,A man , in pink\n")
    with pytest.raises(ConfigurationError, match="line 2 has too many columns"):
        load_captions(tmp_path)


def test_an_image_is_in_one_split_by_karpathy_and_has_sentences(tmp_path):
    write_images(tmp_path, ["a.png", "b.png"])
    path = tmp_path / "dataset_mine.json"

    def image(name, split, *sentences):
        return {"filename": name, "split": split, "sentences": [{"raw": one} for one in sentences]}

    path.write_text(json.dumps({"images": [image("a.png", "train", "A man"), image("b.png", "test")]}))
    assert [one.name for one in load_captions(path).images] == ["a.png"]
    path.write_text(json.dumps({"images": [image("a.png", "train", "A man"), image("a.png", "test", "A dog")]}))
    with pytest.raises(ConfigurationError, match=r"a\.png is in two splits"):
        load_captions(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[" * 100_000, "is no JSON file"),
        ('{"images": [{"id": 0, "file_name": "a.png"}], "annotations": [{"image_id": [0], "caption": "x"}]}',
         r"a caption for the image \[0\], which it does not list"),
        ('{"images": [{"id": 0, "file_name": "a.png"}], "annotations": [{"image_id": 0, "caption": "\\ud800"}]}',
         "which is no text"),
        ('{"images": [{"id": 0, "file_name": "\\ud800.png"}], "annotations": [{"image_id": 0, "caption": "x"}]}',
         "does not exist"),
    ],
)  # fmt: skip
def test_what_json_allows_and_nobody_means_is_refused(tmp_path, content, sentence):
    write_images(tmp_path, ["a.png"])
    path = tmp_path / "captions_mine.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=sentence):
        load_captions(path)
