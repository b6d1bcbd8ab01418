"""Data sets of a retraining: only what lies below the root, and test images that no training sees."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.datasets.classes import Example
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.retrain.data_set import find_data_set, read_caption_data, read_class_data
from tounum_tasks.settings import Settings, load_settings


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    return load_settings(datasets_root=str(root), training_root=str(tmp_path / "training"))


def write_image(path: Path, number: int = 0) -> None:
    """A grey picture of its own for every number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((20, 20, 3), 100, np.uint8)
    picture[0, 0] = (number % 256, number // 256, 0)
    cv2.imwrite(str(path), picture)


def write_captions(folder: Path, splits: dict[str, str]) -> None:
    lines = ["image\tsplit\tcaption\n"]
    for number, (name, split) in enumerate(splits.items()):
        write_image(folder / name, number)
        lines.append(f"{name}\t{split}\ta grey square\n")
    (folder / "captions.tsv").write_text("".join(lines))


def write_classes(root: Path, count: int) -> None:
    for label, name in enumerate(CLASSES):
        for index in range(count):
            write_image(root / name / "source" / f"page {index}.png", 1000 * label + index)


def paths(examples: Sequence[Example]) -> list[Path]:
    return [example.path for example in examples]


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc", "..", "../secret", "photos/../../secret", "./photos", "photos//x", "a\\b", "a\0b", "x" * 2000],
)
def test_names_that_could_leave_the_root_are_refused(root: Path, settings: Settings, name: str) -> None:
    write_captions(root / "photos", {"a.png": "train"})
    with pytest.raises(ConfigurationError, match="is no data set") as caught:
        find_data_set(name, settings)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


def test_the_sentence_names_what_is_there(root: Path, settings: Settings) -> None:
    write_captions(root / "photos", {"a.png": "train"})
    with pytest.raises(ConfigurationError, match=r"There is no data set 'fotos' in .*; there are: photos"):
        find_data_set("fotos", settings)


def test_missing_root_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TOUNUM_DATASETS_ROOT"):
        find_data_set("photos", load_settings(datasets_root=str(tmp_path / "nowhere")))


def test_links_may_not_leave_the_root(tmp_path: Path, root: Path, settings: Settings) -> None:
    write_captions(tmp_path / "secret", {"a.png": "train"})
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ConfigurationError, match="leads out of"):
        find_data_set("link", settings)
    write_captions(root / "photos", {"a.png": "train"})
    (root / "alias").symlink_to(root / "photos")
    assert find_data_set("alias", settings).is_dir()
    assert find_data_set("photos/", settings) == root / "photos"


def test_images_may_not_leave_the_root_either(tmp_path: Path, root: Path, settings: Settings) -> None:
    write_image(tmp_path / "secret.png")
    write_captions(root / "named", {"../../secret.png": "train", "b.png": "test"})
    write_captions(root / "linked", {"a.png": "train", "b.png": "test"})
    (root / "linked" / "a.png").unlink()
    (root / "linked" / "a.png").symlink_to(tmp_path / "secret.png")
    for name in ("named", "linked"):
        with pytest.raises(ConfigurationError, match="leads out of"):
            read_caption_data(name, settings)


def test_captions_keep_their_own_test_images(root: Path, settings: Settings) -> None:
    write_captions(root / "photos", {"a.png": "train", "b.png": "dev", "c.png": "test"})
    found = read_caption_data("photos", settings)
    assert [image.name for image in found.data.split("test")] == ["c.png"]
    assert [image.name for image in found.data.split("dev")] == ["b.png"]


def test_half_of_dev_is_tested_on_where_there_is_no_test_split(root: Path, settings: Settings) -> None:
    splits = {f"{index}.png": "train" if index < 10 else "dev" for index in range(20)}
    write_captions(root / "photos", splits)
    data = read_caption_data("photos", settings).data
    dev, test = ({image.name for image in data.split(name)} for name in ("dev", "test"))
    assert dev and test and len(dev | test) == 10 and not dev & test
    assert {image.name for image in data.split("train")} == {f"{index}.png" for index in range(10)}
    assert {image.name for image in read_caption_data("photos", settings).data.split("test")} == test


def test_captions_without_images_to_test_on_are_refused(root: Path, settings: Settings) -> None:
    write_captions(root / "photos", {"a.png": "train", "b.png": "train"})
    with pytest.raises(ConfigurationError, match="'photos' has no images to test on"):
        read_caption_data("photos", settings)


def test_classes_hold_images_back_by_their_bytes_alone(root: Path, settings: Settings) -> None:
    write_classes(root / "archive", 40)
    before = read_class_data("archive", settings)
    assert not set(before.training) & set(before.test)
    assert len(before.training) + len(before.test) == 200
    assert 10 < len(before.test) < 60
    write_classes(root / "archive", 60)
    after = read_class_data("archive", settings)
    assert set(before.test) <= set(after.test) and set(before.training) <= set(after.training)
    assert before.fingerprint != after.fingerprint
    for path in (root / "archive").rglob("*.png"):
        path.rename(path.with_name(f"renamed {path.name}"))
    renamed = read_class_data("archive", settings)
    assert {path.name for path in paths(renamed.test)} == {f"renamed {path.name}" for path in paths(after.test)}


def test_classes_in_a_test_folder_are_tested_on(root: Path, settings: Settings) -> None:
    write_classes(root / "archive", 3)
    write_classes(root / "archive" / "test", 2)
    data = read_class_data("archive", settings)
    assert (len(data.training), len(data.test)) == (15, 10)
    assert all("test" in example.path.parts for example in data.test)


def test_class_without_images_is_named(root: Path, settings: Settings) -> None:
    write_classes(root / "archive", 1)
    with pytest.raises(ConfigurationError, match=f"no images of class {', '.join(CLASSES)} to train on"):
        read_class_data("archive", settings)
    write_classes(root / "few" / "test", 1)
    for name in CLASSES:
        write_image(root / "few" / name / "not validated on.png")
    with pytest.raises(ConfigurationError, match=r"no images (to validate on|of class .* to train on)"):
        read_class_data("few", settings)
    (root / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="no images of class Painting, Photo"):
        read_class_data("empty", settings)


def test_training_reads_folders_only() -> None:
    with pytest.raises(ConfigurationError, match=r"TOUNUM_DATASETS_ROOT: .* mount the bucket"):
        load_settings(datasets_root="s3://bucket/data")
