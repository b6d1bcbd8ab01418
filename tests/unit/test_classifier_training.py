"""Training of the classifier: folders, augmentation, head, resuming, the version that comes out."""

import argparse
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tounum_tasks.classify import graph
from tounum_tasks.classify.classifier import Classifier, softmax
from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.classify.network import DOUBTING, RANGES, TAPS, build_network, get_weights, set_weights, weight_shapes
from tounum_tasks.cli import train_classifier
from tounum_tasks.cli.main import main
from tounum_tasks.cli.train_classifier import training_of
from tounum_tasks.datasets.classes import LABELS, balanced_weights, data_fingerprint, load, read_class_folders, split
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.classifier import evaluate
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.card import read_version, write_card
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.runtime import OpenVinoNetwork
from tounum_tasks.models.trained_on import read_trained_on, write_trained_on
from tounum_tasks.models.weights import read_safetensors, write_safetensors
from tounum_tasks.training.archive_looks import light_on_dark, old_photograph, small_page
from tounum_tasks.training.augmentation import STEPS, augment, bitonal, without_bars
from tounum_tasks.training.classifier import (
    HeadFitter,
    fine_tune,
    leave_one_kind_out,
    leave_one_source_out,
    train,
    without_improvement,
)
from tounum_tasks.training.classifier_recipe import Recipe
from tounum_tasks.training.features import features_of, prepared
from tounum_tasks.training.linear import LinearHead, fit_temperature, main_axes, scatter_of_sources
from tounum_tasks.training.ranges import add_ranges
from tounum_tasks.training.rendered_sources import MANNERS, UNKNOWN_KINDS, render_sources
from tounum_tasks.training.renderings import engraved, painted, realistic_pencil, sketched, woodblock
from tounum_tasks.training.unknown_kinds import KINDS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five classes of plain colours with noise, two sources each, six images a source."""
    generator = np.random.default_rng(0)
    root = tmp_path / "data"
    for label, name in enumerate(CLASSES):
        for source in ("one", "two"):
            folder = root / name / source / "deeper"
            folder.mkdir(parents=True)
            for index in range(6):
                image = np.full((40, 50, 3), 50 * label, np.uint8) + generator.integers(0, 30, (40, 50, 3), np.uint8)
                cv2.imwrite(str(folder / f"{source}{index}.png"), image)
    (root / "Photo" / "notes.txt").write_text("no image")
    return root


def test_class_folders_are_read_at_any_depth_with_their_sources(data: Path) -> None:
    cv2.imwrite(str(data / "Text" / "loose.png"), np.zeros((20, 20, 3), np.uint8))
    examples = read_class_folders(data)
    assert len(examples) == 61
    assert {example.source for example in examples} >= {"Photo/one", "Photo/two", "Text/."}
    assert all(CLASSES[example.label] == example.source.split("/")[0] for example in examples)


def test_images_of_every_kind_that_is_read_are_examples_and_other_files_are_counted(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(read_class_folders(data))
    names = ("a.avif", "b.HEIC", "c.ppm", "d.dng", "e.jpe", "f.j2k", "g.pcx")
    for name in names:
        (data / "Photo" / name).write_bytes(b"image")
    (data / "Photo" / "Thumbs.db").write_bytes(b"")
    (data / "Photo" / "scan").write_bytes(b"")
    caplog.clear()
    assert len(read_class_folders(data)) == before + len(names)
    (told,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert "1 with .txt, 1 with no ending" in told and "Photo" in told


def test_folders_that_are_no_class_are_told(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("test/Photo", "Photos", "maps", ".git"):
        (data / name).mkdir(parents=True)
    assert len(read_class_folders(data)) == 60
    assert "folders that are no class are left out: Photos, maps; classes: Painting, Photo," in caplog.text


def test_limit_takes_the_same_images_every_time(data: Path) -> None:
    first = read_class_folders(data, limit_per_source=2)
    assert len(first) == 20
    assert first == read_class_folders(data, limit_per_source=2)
    assert set(first) < set(read_class_folders(data, limit_per_source=3))


def test_missing_class_is_named(data: Path) -> None:
    for path in (data / "Sketch").rglob("*.png"):
        path.unlink()
    with pytest.raises(ConfigurationError, match="Sketch"):
        read_class_folders(data)


def test_extra_source_of_unknown_class_is_refused(data: Path) -> None:
    with pytest.raises(ConfigurationError, match="Unknown class"):
        read_class_folders(data, extra=[("Cartoon", data / "Photo")])


def test_images_that_a_file_names_are_left_out(data: Path, tmp_path: Path) -> None:
    """Names of images that are not there are a mistake, not nothing."""
    listed = tmp_path / "left_out.txt"
    listed.write_text("# looked at\nPhoto/one/one3.png  # a drawing\n\nText/two/two0.png\n")
    examples, _, _ = training_of(classifier_arguments(data, "--leave-out-images", str(listed)))
    names = {f"{example.source}/{example.path.name}" for example in read_class_folders(data)}
    kept = {f"{example.source}/{example.path.name}" for example in examples}
    assert names - kept == {"Photo/one/one3.png", "Text/two/two0.png"}
    listed.write_text("Photo/one/one9.png\n")
    with pytest.raises(ConfigurationError, match=r"no image Photo/one/one9\.png"):
        training_of(classifier_arguments(data, "--leave-out-images", str(listed)))
    with pytest.raises(ConfigurationError, match="Cannot read the list"):
        training_of(classifier_arguments(data, "--leave-out-images", str(tmp_path / "none.txt")))


def classifier_arguments(data: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train_classifier.add_parser(parser.add_subparsers())
    return parser.parse_args(["classifier", "--data", str(data), *more])


def test_split_is_by_bytes_and_complete(data: Path) -> None:
    examples = read_class_folders(data)
    training, validation = split(examples, 0.3)
    assert sorted(training + validation, key=str) == sorted(examples, key=str)
    smaller, _ = split(examples[::2], 0.3)
    assert set(smaller) <= set(training)


def test_split_does_not_depend_on_the_limit(data: Path) -> None:
    """Every source is trained on, however few of its images are used."""
    training, validation = split(read_class_folders(data, limit_per_source=4), 0.15)
    assert len({example.source for example in training}) == 10
    assert len(validation) < 12


def test_every_class_weighs_the_same(data: Path) -> None:
    examples = [example for example in read_class_folders(data) if example.source != "Photo/two"]
    weights = balanced_weights(examples)
    for label in range(len(CLASSES)):
        assert weights[[example.label == label for example in examples]].sum() == pytest.approx(0.2)


@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_augmentation_takes_any_size_and_repeats_with_its_seed(height: int, width: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    first, second = (augment(rgb, np.random.default_rng(seed), ink_on_paper=True) for _ in range(2))
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3 and first.size
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("operation", [operation for _, operation in STEPS] + [bitonal], ids=lambda o: o.__name__)
def test_each_operation_leaves_its_input_alone(operation) -> None:  # type: ignore[no-untyped-def]
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    before = rgb.copy()
    result = operation(rgb, np.random.default_rng(1))
    assert result.dtype == np.uint8
    assert rgb.tobytes() == before.tobytes()


def test_an_image_that_is_there_twice_is_computed_once(data: Path, tmp_path: Path) -> None:
    """Also where two threads would write the same file at the same time; nothing else is left beside the files."""
    for name in CLASSES:
        picture = data / name / "one" / "deeper" / "one0.png"
        for number in range(20):
            shutil.copyfile(picture, picture.with_name(f"again{number}.png"))
    examples = [one for one in read_class_folders(data) if one.path.stem.startswith(("again", "one0"))]
    layers = read_safetensors(max(STARTERS.glob("classifier/*")) / "weights.safetensors")
    features = features_of(examples, layers, ["mixed0"], tmp_path / "features", views=2, seed=0)
    assert len(examples) == 21 * len(CLASSES)
    assert all(len(np.unique(view, axis=0)) == len(CLASSES) for view in features)


@pytest.mark.parametrize("same", [True, False])
def test_a_class_of_which_no_image_is_left_to_train_on_is_named(data: Path, tmp_path: Path, same: bool) -> None:
    """One image of each class, one of which is to be validated on; or one image that is everywhere."""
    pictures = {name: sorted((data / name).rglob("*.png")) for name in CLASSES}
    for name, (first, *others) in pictures.items():
        for path in others:
            path.unlink()
        if same and name != "Text":
            shutil.copyfile(pictures["Text"][0], first)
    with pytest.raises(ConfigurationError, match=r"No image of [\w, ]+ is left to train on, for \d+ are kept"):
        train(read_class_folders(data), {}, Recipe(architecture="notebook"), tmp_path / "out", version="test-1")


def test_a_training_of_all_layers_takes_one_step_at_least(data: Path, tmp_path: Path) -> None:
    recipe = Recipe(architecture="notebook", passes=0.01)
    card = train(read_class_folders(data), {}, recipe, tmp_path / "out", version="test-1")
    assert [row["step"] for row in card.curve] == [1]


def test_features_of_an_image_that_was_mended_are_not_those_that_it_had(data: Path) -> None:
    """The cache of features is found by what images show: not by their names, sizes or times."""
    examples = read_class_folders(data)
    before = data_fingerprint(examples)
    changed = examples[0].path
    content, status = changed.read_bytes(), changed.stat()
    other = next(one.path.read_bytes() for one in examples if one.path.read_bytes() != content)
    changed.write_bytes(other)
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert data_fingerprint(examples) != before
    changed.write_bytes(content)
    assert data_fingerprint(examples) == before


@pytest.mark.parametrize("architecture", DOUBTING)
def test_head_separates_what_is_separable(data: Path, architecture: str) -> None:
    examples = read_class_folders(data)
    labels = np.array([example.label for example in examples])
    features = np.abs(np.random.default_rng(0).normal(0, 0.3, (1, len(examples), 8))).astype(np.float16)
    features[0, np.arange(len(examples)), labels] += 3
    head = HeadFitter(features, examples, Recipe(l2=1e-3, architecture=architecture), [3, 5]).fit()
    assert (head.scores(features[0]).argmax(axis=1) == labels).all()
    halved = head.divided_by(0.5).scores(features[0])
    np.testing.assert_allclose(halved, 2 * head.scores(features[0]), rtol=1e-4, atol=1e-5)


def test_a_photograph_costs_more_than_other_classes(data: Path) -> None:
    examples = read_class_folders(data)
    features = np.abs(np.random.default_rng(0).normal(0, 1, (1, len(examples), 8))).astype(np.float16)
    free, dear = (
        HeadFitter(features, examples, Recipe(photo_cost=cost), [8]).fit().scores(features[0]) for cost in (0.0, 0.1)
    )
    np.testing.assert_allclose(free - dear, np.tile([0, 0.1, 0, 0, 0], (len(examples), 1)), atol=1e-5)


def test_averaged_heads_score_the_mean_and_what_one_does_not_read_counts_half() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(6, 8)).astype(np.float16)
    new = LinearHead(random.normal(size=(8, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    old = LinearHead(random.normal(size=(3, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    expected = (new.scores(features) + old.scores(features[:, :3])) / 2
    np.testing.assert_allclose(new.averaged_with(old).scores(features), expected, atol=1e-5)
    np.testing.assert_allclose(old.averaged_with(new).scores(features), expected, atol=1e-5)


def test_a_score_that_one_of_the_averaged_heads_lacks_is_that_of_the_other() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(6, 8)).astype(np.float16)
    new = LinearHead(random.normal(size=(8, 6)).astype(np.float32), random.normal(size=6).astype(np.float32))
    old = LinearHead(random.normal(size=(3, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    scores = new.averaged_with(old).scores(features)
    np.testing.assert_allclose(scores[:, 5], new.scores(features)[:, 5], atol=1e-5)
    np.testing.assert_allclose(
        scores[:, :5], (new.scores(features)[:, :5] + old.scores(features[:, :3])) / 2, atol=1e-5
    )


def test_a_head_of_roots_is_averaged_with_one_that_knows_none() -> None:
    random = np.random.default_rng(0)
    features = np.abs(random.normal(size=(6, 4))).astype(np.float16)
    of_values = LinearHead(random.normal(size=(4, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    old = LinearHead(random.normal(size=(2, 5)).astype(np.float32), random.normal(size=5).astype(np.float32))
    new = of_values.of_roots()
    fourth = (features.astype(np.float32) + 1e-3) ** 0.25
    np.testing.assert_allclose(new.scores(features), fourth @ of_values.kernel + of_values.bias, atol=1e-5)
    expected = (new.scores(features) + old.scores(features[:, :2])) / 2
    np.testing.assert_allclose(new.averaged_with(old).scores(features), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ("inception-mixed8", "its head reads other features"),
        ("notebook", "its head reads other features"),
        ("head alone", "its head reads other features"),
        ("no head", "lack scores/kernel"),
        ("kernel of one column", "scores/kernel has shape"),
    ],
)
def test_a_version_whose_head_reads_something_else_is_not_averaged_with(
    data: Path, tmp_path: Path, other: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = read_safetensors(max(STARTERS.glob("classifier/*")) / "weights.safetensors")
    shapes = weight_shapes("notebook" if other == "notebook" else "inception-mixed8")
    weights = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()} | {"temperature": np.ones(1)}
    if other == "inception-mixed8":  # up to mixed5 it is the same network
        weights |= {name: array for name, array in starter.items() if name.startswith("conv") and name in weights}
    elif other == "head alone":
        weights = {name: array for name, array in starter.items() if not name.startswith("conv")}
    elif other == "no head":
        weights = {name: array for name, array in starter.items() if name.startswith("conv")}
    elif other == "kernel of one column":
        weights = starter | {"scores/kernel": starter["scores/kernel"][:, :1]}
    write_safetensors(tmp_path / "other.safetensors", weights)
    few = ["--limit-per-source", "2", "--renderings", "0", "--unknown", "0", "--passes", "0"]
    command = ["train", "classifier", "--data", str(data), *few, "--out", str(tmp_path / "out")]
    assert main([*command, "--average-with", str(tmp_path / "other.safetensors")]) == 2
    error = capsys.readouterr().err
    assert told in error, error
    assert "Traceback" not in error


def test_scatter_is_that_of_the_means_of_sources_within_their_class() -> None:
    means = {0: [np.array([1.0, 0, 1]), np.array([-1.0, 0, 1])], 1: [np.array([7.0, 5, 1])]}
    expected = np.zeros((3, 3))
    expected[0, 0] = 0.5
    np.testing.assert_allclose(scatter_of_sources(means), expected)


def test_with_agreement_the_sources_of_a_class_score_alike(data: Path) -> None:
    """One feature tells the class in every source, another one in half of them."""
    examples = read_class_folders(data)
    labels = np.array([example.label for example in examples])
    in_both = np.array([example.source.endswith("one") for example in examples])
    features = np.abs(np.random.default_rng(0).normal(0, 0.3, (1, len(examples), 10)))
    features[0, np.arange(len(examples)), labels] += 1
    features[0, in_both, 5 + labels[in_both]] += 1
    apart = []
    for agreement in (0.0, 10.0):
        head = HeadFitter(features.astype(np.float16), examples, Recipe(agreement=agreement), [10]).fit()
        own = head.scores(features[0])[np.arange(len(examples)), labels]
        apart.append(abs(own[in_both].mean() - own[~in_both].mean()))
    assert apart[1] < apart[0] / 2


def test_what_is_of_no_class_is_told_by_a_sixth_score_and_left_out_by_kind(data: Path, tmp_path: Path) -> None:
    """Maps and stamps have a feature in common, blank pages one of their own, which nobody knows without them."""
    examples = read_class_folders(data)
    examples += render_sources(examples, UNKNOWN_KINDS[:3], 4, tmp_path / "drawn", seed=0)
    labels = np.array([example.label for example in examples])
    kinds = ["Unknown/rendered-map", "Unknown/rendered-stamp", "Unknown/rendered-blank"]
    features = np.abs(np.random.default_rng(0).normal(0, 0.1, (1, len(examples), 9))).astype(np.float16)
    features[0, np.arange(len(examples)), labels] += 1
    is_blank = [example.source == kinds[2] for example in examples]
    features[0, is_blank, 5] = 0
    features[0, is_blank, 8] += 2
    head = HeadFitter(features, examples, Recipe(l2=1e-3), [9]).fit()
    assert (head.scores(features[0]).argmax(axis=1) == labels).all()
    left_out = leave_one_kind_out(features, examples, Recipe(l2=1e-3), [9])
    assert list(left_out) == kinds
    assert (left_out[kinds[0]].argmax(axis=1) == 5).all()
    assert not (left_out[kinds[2]].argmax(axis=1) == 5).all()


def test_axes_have_the_spread_that_they_tell_and_leave_out_what_is_empty() -> None:
    values = np.random.default_rng(0).normal(3, 2, (200, 10)).astype(np.float16)
    values[:, 5:] = values[:, :5]
    axes = main_axes(values, np.full(200, 1 / 200), [5, 5], 9, 0)
    assert axes.axes.shape == (10, 5)
    np.testing.assert_allclose(axes.coordinates(values).std(axis=0), axes.spread, rtol=0.02)


def test_blocks_of_features_count_alike_however_wide() -> None:
    features = np.random.default_rng(0).normal(0, 5, (400, 12)).astype(np.float16)
    axes = main_axes(features, np.full(400, 1 / 400), [2, 10], 12, 0)
    assert (axes.spread**2).sum() == pytest.approx(2, abs=0.02)
    np.testing.assert_allclose(axes.spread[:2] ** 2, 0.5, atol=0.1)


def test_temperature_of_overconfident_scores_is_above_one() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, 2000)
    scores = np.zeros((2000, 5))
    claimed = np.where(generator.random(2000) < 0.7, labels, generator.integers(0, 5, 2000))
    scores[np.arange(2000), claimed] = 8.0
    assert fit_temperature(scores, labels, np.full(2000, 1 / 2000)) > 2


def test_a_source_that_is_left_out_is_not_trained_on(data: Path) -> None:
    """Features that only name the source tell nothing about a source that was never seen."""
    examples = read_class_folders(data)
    names = sorted({example.source for example in examples})
    features = np.zeros((1, len(examples), len(names)), np.float16)
    for index, example in enumerate(examples):
        features[0, index, names.index(example.source)] = 1
    rows, scores = leave_one_source_out(features, examples, Recipe(l2=1e-3, photo_cost=0), [features.shape[2]])
    assert len(rows) == 10
    assert softmax(scores).max() < 0.5


def test_the_only_source_of_a_class_is_not_left_out(data: Path) -> None:
    examples = [example for example in read_class_folders(data) if example.source != "Photo/two"]
    features = np.abs(np.random.default_rng(0).normal(size=(1, len(examples), 4))).astype(np.float16)
    rows, scores = leave_one_source_out(features, examples, Recipe(l2=1e-3), [4])
    assert len(rows) == 8
    photos = np.array([example.source == "Photo/one" for example in examples])
    assert (np.isnan(scores[:, 0]) == photos).all()


def test_what_was_rendered_from_a_source_is_left_out_with_it(data: Path, tmp_path: Path) -> None:
    """Features that only name the original's source tell nothing about it either."""
    examples = read_class_folders(data)
    manners = (*MANNERS, *UNKNOWN_KINDS)
    examples += render_sources(examples, manners, 4, tmp_path / "rendered", seed=0)
    names = sorted({example.source for example in examples})
    features = np.zeros((1, len(examples), len(names)), np.float16)
    for index, example in enumerate(examples):
        features[0, index, names.index(example.made_from or example.source)] = 1
    rows, scores = leave_one_source_out(features, examples, Recipe(l2=1e-3, photo_cost=0), [features.shape[2]])
    assert len(rows) == 10
    rendered = 4 * len(manners)
    assert np.isnan(scores[-rendered:]).all()
    assert softmax(scores[:-rendered]).max() < 0.5


def test_renderings_come_evenly_from_the_sources_and_repeat(data: Path, tmp_path: Path) -> None:
    examples = read_class_folders(data)
    manners = (*MANNERS, *UNKNOWN_KINDS)
    rendered = render_sources(examples, manners, 2, tmp_path / "rendered", seed=0)
    by_source = {source: [one for one in rendered if one.source == source] for source in {r.source for r in rendered}}
    assert {source: len(found) for source, found in by_source.items()} == {
        f"{name}/rendered-{manner}": 2 for name, manner, _, _ in manners
    }
    assert all(LABELS[one.label] == one.source.split("/")[0] for one in rendered)
    painted = sorted(one.made_from for one in by_source["Painting/rendered-painted"])
    assert painted == ["Photo/one", "Photo/two"]
    more = render_sources(examples, [manner for manner in MANNERS if manner[1] == "sketched"], 4, tmp_path / "more", 0)
    assert len({one.made_from for one in more}) == 4
    content = [example.path.read_bytes() for example in rendered]
    again = render_sources(examples, manners, 2, tmp_path / "again", seed=0)
    assert [example.path.read_bytes() for example in again] == content


@pytest.mark.parametrize("rendering", [painted, sketched, realistic_pencil, engraved, light_on_dark])
def test_every_manner_of_rendering_keeps_the_shape(rendering) -> None:  # type: ignore[no-untyped-def]
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for seed in range(25):
        result = rendering(rgb, np.random.default_rng(seed))
        assert result.shape == rgb.shape and result.dtype == np.uint8


@pytest.mark.parametrize("rendering", [old_photograph, woodblock, small_page])
def test_prints_and_pages_are_pictures_of_their_own_size(rendering) -> None:  # type: ignore[no-untyped-def]
    rgb = np.random.default_rng(0).integers(0, 256, (148, 164, 3), dtype=np.uint8)
    for seed in range(15):
        result = rendering(rgb, np.random.default_rng(seed))
        assert result.ndim == 3 and result.shape[2] == 3 and min(result.shape[:2]) >= 48
        assert result.dtype == np.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_of_unknown_kinds_differ_and_take_pictures_of_any_size(kind: str) -> None:
    for shape in ((60, 300, 3), (310, 80, 3)):
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        drawn = [KINDS[kind](picture, np.random.default_rng(seed)) for seed in range(12)]
        assert all(one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 for one in drawn)
        assert all(min(one.shape[:2]) >= 48 for one in drawn)
        assert len({one.tobytes() for one in drawn}) == 12
        again = KINDS[kind](picture, np.random.default_rng(3))
        assert again.tobytes() == drawn[3].tobytes()


def test_light_lines_lie_on_dark_ground() -> None:
    drawing = np.full((120, 160, 3), 245, np.uint8)
    cv2.circle(drawing, (80, 60), 40, (20, 20, 20), 2)
    is_line = drawing[..., 0] < 60
    for seed in range(25):
        grey = light_on_dark(drawing, np.random.default_rng(seed)).mean(axis=2)
        assert grey[is_line].mean() > grey[~is_line].mean() + 60


def test_bars_are_cut_away_and_white_margins_stay() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    framed = cv2.copyMakeBorder(rgb, 0, 40, 0, 0, cv2.BORDER_CONSTANT, value=(124, 116, 104))
    assert without_bars(framed).tobytes() == rgb[:98].tobytes()
    on_white = cv2.copyMakeBorder(rgb, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    assert without_bars(on_white).shape == on_white.shape
    plain = np.zeros((60, 60, 3), np.uint8)
    assert min(without_bars(plain).shape[:2]) >= 32


def test_validations_since_the_best_one_are_counted() -> None:
    curve = [{"validation_loss": loss} if loss else {"training_loss": 1.0} for loss in (3.0, None, 1.0, None, 2.0)]
    assert without_improvement([]) == without_improvement(curve[:1]) == without_improvement(curve[:4]) == 0
    assert without_improvement(curve) == 1


def test_training_stops_early_and_keeps_the_best_weights(data: Path, tmp_path: Path) -> None:
    examples = read_class_folders(data)
    recipe = Recipe(architecture="notebook", passes=20, batch_size=6, learning_rate=0.3, patience=2)
    network = build_network("notebook", "float32")
    folder = tmp_path / "tuning"
    curve = fine_tune(network, examples, examples[::5], recipe, folder, checkpoint_steps=2)
    assert curve[-1]["step"] < 200
    assert without_improvement(curve) == 2
    weights = get_weights(network)
    again = fine_tune(network, examples, examples[::5], recipe, folder, checkpoint_steps=2)
    assert again == curve
    for name, array in get_weights(network).items():
        assert array.tobytes() == weights[name].tobytes()


def test_evaluation_counts_what_it_says() -> None:
    labels = np.array([0, 0, 1, 2])
    probabilities = np.eye(5)[[0, 1, 1, 2]] * 0.6 + 0.08
    measures = evaluate(probabilities, labels, ["a", "a", "b", "b"])
    assert measures["accuracy"] == 0.75
    assert measures["confusion"][0] == [1, 1, 0, 0, 0]
    assert measures["per_class"]["Photo"] == {"precision": 0.5, "recall": 1.0, "f1": 0.6667, "images": 1}
    assert measures["accuracy_per_source"] == {
        "a": {"images": 2, "accuracy": 0.5},
        "b": {"images": 2, "accuracy": 1.0},
    }
    assert measures["calibration_error"] == pytest.approx(abs(0.68 - 0.75), abs=1e-3)


def test_layers_below_roots_are_trained_though_most_values_are_nearly_zero(data: Path, tmp_path: Path) -> None:
    network = build_network("inception-roots", "float32")
    recipe = Recipe(passes=0.2, batch_size=4)
    before = get_weights(network)
    curve = fine_tune(network, read_class_folders(data), read_class_folders(data)[::20], recipe, tmp_path / "tuning")
    assert len(curve) and np.isfinite(curve[-1]["validation_loss"])
    weights = get_weights(network)
    assert all(np.isfinite(array).all() for array in weights.values())
    assert not np.array_equal(weights["conv2d/kernel"], before["conv2d/kernel"])


def test_interrupted_training_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    examples = read_class_folders(data)
    recipe = Recipe(architecture="notebook", passes=0.6, batch_size=6)
    network = build_network("notebook", "float32")
    start = get_weights(network)

    def restart() -> None:
        set_weights(network, start)

    whole = fine_tune(network, examples, examples[::5], recipe, tmp_path / "whole", checkpoint_steps=2)
    expected = get_weights(network)

    restart()
    drawn_last = np.random.default_rng(recipe.seed).choice(len(examples), 36, p=balanced_weights(examples))[-1]
    lost = examples[drawn_last].path
    content = lost.read_bytes()
    lost.write_bytes(b"damaged")
    with pytest.raises(ConfigurationError, match="Cannot read the training image"):
        fine_tune(network, examples, examples[::5], recipe, tmp_path / "halves", checkpoint_steps=2)
    lost.write_bytes(content)
    restart()
    halves = fine_tune(network, examples, examples[::5], recipe, tmp_path / "halves", checkpoint_steps=2)
    assert [row["step"] for row in halves] == [row["step"] for row in whole] == [2, 4, 6]
    for name, array in get_weights(network).items():
        np.testing.assert_allclose(array, expected[name], atol=1e-4)


def test_training_writes_a_version_that_can_be_loaded(data: Path, tmp_path: Path) -> None:
    recipe = Recipe(architecture="notebook", passes=1, batch_size=10, validation_share=0.3)
    card = train(read_class_folders(data), {}, recipe, tmp_path / "out", version="test-1", notes="colours")
    assert card.metrics["validation"]["images"] > 0
    assert {"step", "training_loss", "validation_loss"} <= set(card.curve[-1])
    assert {"gap_training_validation", "training_accuracy", "temperature"} <= set(card.metrics)
    classifier = Classifier.load(tmp_path / "out" / "classifier" / "test-1")
    assert classifier.predict(np.zeros((1, 299, 299, 3), np.uint8)).shape == (1, 5)
    for name in ("curve.csv", "curve.png", "confusion.png", "reliability.png"):
        assert (tmp_path / "out" / name).stat().st_size > 100
    assert json.loads((tmp_path / "out" / "validation.json").read_text())["accuracy_per_source"]


def test_a_version_of_an_earlier_release_is_given_ranges_and_stays_what_it_is(data: Path, tmp_path: Path) -> None:
    starter = max(path for path in (STARTERS / "classifier").iterdir() if path.is_dir())
    weights = read_safetensors(starter / "weights.safetensors")
    weights.pop(RANGES, None)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    write_safetensors(earlier / "weights.safetensors", weights)
    write_trained_on(earlier, [b"12345678"])
    write_card(earlier, name="classifier", version="earlier", metrics={"temperature": 1.5}, notes="kept")
    command = classifier_arguments(
        data, "--ranges-of", str(earlier), "--version", "later", "--out", str(tmp_path), "--limit-per-source", "2"
    )
    assert command.run(command) == 0
    later = tmp_path / "classifier" / "later"
    found = read_safetensors(later / "weights.safetensors")
    assert found.pop(RANGES).shape == (49,)
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in weights.items()
    }
    card = read_version(later, name="classifier")
    assert card.metrics == {"temperature": 1.5}
    assert card.notes == "kept earlier with ranges for int8; its figures were measured in float."
    assert read_trained_on(later) == {b"12345678"}


def test_a_head_is_trained_on_features_that_are_computed_once(data: Path, tmp_path: Path) -> None:
    """Plain colours are told apart by the version that was trained on them, and nothing is computed twice."""
    starter = max(path for path in (STARTERS / "classifier").iterdir() if path.is_dir())
    layers = read_safetensors(starter / "weights.safetensors")
    examples = read_class_folders(data, limit_per_source=3)
    recipe = Recipe(renderings=1, unknown=1, validation_share=0.2, passes=0, int8=True)
    out = tmp_path / "out"
    card = train(examples, layers, recipe, out, version="test-1", validate_sources=True)
    assert set(card.metrics["leave_one_source_out"]["accuracy_per_source"]) == {one.source for one in examples}
    table = (out / "leave_one_source_out.md").read_text()
    assert "In review (" in table and "screenshot" in table
    assert set(card.metrics["leave_one_source_out"]["unknown_in_review"]) == set(KINDS)
    kept = {path: path.stat().st_mtime_ns for path in (out / "features").rglob("*.npy")}
    again = train(examples, layers, recipe, out, version="test-2", validate_sources=True)
    assert {path: path.stat().st_mtime_ns for path in (out / "features").rglob("*.npy")} == kept
    assert again.metrics == card.metrics
    folder = out / "classifier" / "test-1"
    weights = read_safetensors(folder / "weights.safetensors")
    ranges = weights[RANGES]
    assert ranges.shape == (49,) and ranges.dtype == np.float16 and (ranges > 0).all()
    in_int8 = OpenVinoNetwork(lambda: graph.pooled(weights, TAPS, ranges), precision="float32")
    computed = in_int8(prepared(examples[0], None)[None])[0][0].astype(np.float16)
    assert any(np.array_equal(np.load(path), computed) for path in kept)
    with pytest.raises(ConfigurationError, match="takes no ranges"):
        add_ranges(folder, examples, recipe, out, version="test-3")
    classifier = Classifier.load(folder)
    assert classifier.architecture == "inception-roots-unknown"
    inputs = np.stack([to_model_input(load(example)) for example in examples])
    hits = classifier.predict(inputs).argmax(axis=1) == [example.label for example in examples]
    assert hits.mean() > 0.8
