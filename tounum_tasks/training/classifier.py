"""Training of the classifier: a head on frozen features, then every layer, then calibration.

1. Training images are rendered in manners that data sets lack, and kinds that are none of the classes are drawn
   (:mod:`~tounum_tasks.training.rendered_sources`).
2. The features of each training image, and of damaged copies of it (:mod:`~tounum_tasks.training.augmentation`) where
   the recipe asks for them, are computed once with the layers as they came, and a linear head is fitted to them. That
   is also what leave-one-source-out validation uses: the head is fitted once for every source, without it, and tested
   there.
3. On request all layers are trained together at a very small learning rate, on damaged copies drawn anew, classes and
   sources balanced, until the validation loss no longer falls. That suits a new task; it costs accuracy on sources
   that were left out (docs/classifier.md has the figures). The network of the notebooks is trained in this way alone.
4. One temperature makes the probabilities honest.
5. If asked for, the version computes in int8: the ranges of activations are measured first
   (:mod:`~tounum_tasks.training.ranges`), and the head is fitted to features that are computed with them.

Features and checkpoints lie in the working folder; a training that was interrupted goes on from there.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.classify.classifier import (
    TEMPERATURE,
    class_probabilities,
    resize_inputs,
    softmax,
    temperature_of,
)
from tounum_tasks.classify.labels import CLASSES, PHOTO, UNKNOWN
from tounum_tasks.classify.network import (
    CHANNELS,
    RANGES,
    TAPS,
    TAPS_OF,
    WITH_ROOTS,
    WITH_SPREAD,
    architecture_of,
    build_network,
    get_weights,
    set_weights,
    weight_shapes,
)
from tounum_tasks.datasets.classes import LABELS, Example, balanced_weights, data_fingerprint, split
from tounum_tasks.datasets.lots import hashes_of_files
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.classifier import (
    evaluate,
    plot_confusion,
    plot_curve,
    plot_reliability,
    review_shares,
    source_rows,
    source_table,
)
from tounum_tasks.features.inception import weight_shapes as inception_shapes
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.models.card import ModelCard, write_card
from tounum_tasks.models.compute import best_precision, keras_policy
from tounum_tasks.models.trained_on import prefix_of, write_trained_on
from tounum_tasks.models.weights import check_weights, hashes_of, write_safetensors
from tounum_tasks.settings import load_settings
from tounum_tasks.training.checkpoint import Checkpoint
from tounum_tasks.training.classifier_recipe import Recipe
from tounum_tasks.training.curve import figures_of, write_curve
from tounum_tasks.training.features import features_of, prepared
from tounum_tasks.training.linear import (
    LinearHead,
    fit_linear_head,
    fit_temperature,
    main_axes,
    roots,
    scatter_of_sources,
)
from tounum_tasks.training.ranges import measure_ranges
from tounum_tasks.training.rendered_sources import MANNERS, UNKNOWN_KINDS, render_sources

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 32  # of scores: one shape is compiled once
WIDTHS = [CHANNELS[tap] for tap in TAPS] * 2  # means, then standard deviations
AXES = 400
LOADERS = 2
UNKNOWN_LABEL = LABELS.index(UNKNOWN)
CURVE_STEPS = 10
CHECKPOINT_STEPS = 50
VALIDATION_SAMPLE = 256
GAP_SAMPLE = 512
log = logging.getLogger(__name__)


def load_input(example: Example, architecture: str, seed: Sequence[int] | None) -> NDArray[np.uint8]:
    """One image as the network takes it: uint8 side x side x 3; damaged at random unless ``seed`` is None."""
    return resize_inputs(prepared(example, seed)[None], architecture)[0]


def batches(
    examples: Sequence[Example], seeds: Sequence[Sequence[int] | None], architecture: str, batch_size: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the examples' inputs in batches, decoded by a few threads while the previous batches are used."""
    with ThreadPoolExecutor(LOADERS) as pool:
        waiting: list[list[Future[NDArray[np.uint8]]]] = []
        for start in range(0, len(examples), batch_size):
            chunk = zip(examples[start : start + batch_size], seeds[start : start + batch_size], strict=True)
            waiting.append([pool.submit(load_input, example, architecture, seed) for example, seed in chunk])
            if len(waiting) > 2:
                yield np.stack([future.result() for future in waiting.pop(0)])
        for futures in waiting:
            yield np.stack([future.result() for future in futures])


class HeadFitter:
    """Fits heads to the features of some sources or of all, classes and sources balanced.

    Attributes:
        outputs: of the heads: five, and a sixth where some examples are of none of the classes.
    """

    def __init__(
        self,
        features: NDArray[np.float16],
        examples: Sequence[Example],
        recipe: Recipe,
        blocks: Sequence[int] = WIDTHS,
    ) -> None:
        """Take views x N x D features of N examples of all classes; they consist of blocks of so many columns."""
        self.outputs = len(CLASSES) + any(example.label == UNKNOWN_LABEL for example in examples)
        self._examples, self._recipe, self._views = examples, recipe, len(features)
        self._has_roots = recipe.architecture in WITH_ROOTS
        self._axes = main_axes(
            features[0], balanced_weights(examples), blocks, AXES, recipe.seed, of_roots=self._has_roots
        )
        self._groups: dict[tuple[str, str], list[int]] = {}
        for index, example in enumerate(examples):
            self._groups.setdefault((example.source, example.made_from), []).append(index)
        self._moments = {group: self._moments_of(features[:, chosen]) for group, chosen in self._groups.items()}

    def _seen(self, features: NDArray[np.float16]) -> NDArray[Any]:
        return roots(features) if self._has_roots else features

    def _moments_of(self, features: NDArray[np.float16]) -> NDArray[np.float64]:
        """Second moments of the coordinates with a one behind them: (A + 1) x (A + 1)."""
        coordinates = self._axes.coordinates(self._seen(features.reshape(-1, features.shape[-1])))
        values = np.column_stack([coordinates, np.ones(len(coordinates), np.float32)])
        return (values.T @ values).astype(np.float64)

    def fit(self, *, without: str | None = None) -> LinearHead:
        """Head fitted to every image that is not of the source ``without`` nor made from it."""
        kept = {group: chosen for group, chosen in self._groups.items() if without not in group}
        members = [index for chosen in kept.values() for index in chosen]
        shares = dict(zip(members, balanced_weights([self._examples[index] for index in members]), strict=True))
        left = np.zeros_like(next(iter(self._moments.values())))
        right = np.zeros((len(left), self.outputs))
        for group, chosen in kept.items():
            part = self._moments[group] * shares[chosen[0]] / self._views
            left += part
            right[:, self._examples[chosen[0]].label] += part[-1]
        left += self._recipe.agreement * scatter_of_sources(self._means_of_sources(kept))
        head = fit_linear_head(left, right, self._axes, l2=self._recipe.l2)
        head.bias[CLASSES.index(PHOTO)] -= self._recipe.photo_cost
        return head.of_roots() if self._has_roots else head

    def _means_of_sources(self, kept: Mapping[tuple[str, str], Sequence[int]]) -> dict[int, list[NDArray[np.float64]]]:
        """By class, the means of the coordinates, and of the one behind them, of each source of some groups."""
        sums: dict[tuple[int, str], NDArray[np.float64]] = {}
        for group, chosen in kept.items():
            name = (self._examples[chosen[0]].label, group[0])
            sums[name] = sums.get(name, 0) + self._moments[group][-1]
        means: dict[int, list[NDArray[np.float64]]] = {}
        for (label, _), of_source in sums.items():
            means.setdefault(label, []).append(of_source / of_source[-1])
        return means


def leave_one_source_out(
    features: NDArray[np.float16],
    examples: Sequence[Example],
    recipe: Recipe,
    blocks: Sequence[int] = WIDTHS,
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Fit the head once for every source, without that source, and test it there on the undamaged images.

    The only real source of a class cannot be left out and is not tested; neither are rendered ones.

    Returns:
        One row per tested source (source, images, accuracy, and how its images were classified), and the scores
        (float32 N x 5 or 6) that each image got when its source was left out; not a number where it was not tested.
    """
    fitter = HeadFitter(features, examples, recipe, blocks)
    sources = np.array([example.source for example in examples])
    classes = {example.source: example.label for example in examples if not example.made_from}
    scores = np.full((len(examples), fitter.outputs), np.nan, np.float32)
    rows = []
    for source, label in classes.items():
        if list(classes.values()).count(label) == 1:
            continue
        inside = sources == source
        scores[inside] = fitter.fit(without=source).scores(features[0, inside])
        count = int(inside.sum())
        rows += source_rows(scores[inside, : len(CLASSES)], [source] * count, np.full(count, label))
    return rows, scores


def leave_one_kind_out(
    features: NDArray[np.float16],
    examples: Sequence[Example],
    recipe: Recipe,
    blocks: Sequence[int] = WIDTHS,
) -> dict[str, NDArray[np.float32]]:
    """Scores (float32 N x 6) of what was drawn of each kind that is no class, by a head that was fitted without it."""
    fitter = HeadFitter(features, examples, recipe, blocks)
    sources = np.array([example.source for example in examples])
    kinds = dict.fromkeys(example.source for example in examples if example.label == UNKNOWN_LABEL)
    return {kind: fitter.fit(without=kind).scores(features[0, sources == kind]) for kind in kinds}


def fine_tune(
    network: keras.Model,
    examples: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    *,
    checkpoint_steps: int = CHECKPOINT_STEPS,
) -> list[dict[str, Any]]:
    """Train all layers of ``network`` on damaged copies, drawn so that classes and sources are balanced.

    A checkpoint is written to ``folder`` every ``checkpoint_steps``, and training goes on from it; with the same
    folder, examples and recipe the draws are the same as if it had never stopped. Training stops early once the
    validation loss has not fallen for ``recipe.patience`` checkpoints, and ends with the weights of the lowest.

    Returns:
        The curve: one row per ten steps with ``step``, ``images``, ``training_loss``, ``training_accuracy`` (on the
        damaged copies) and, at each checkpoint, ``validation_loss`` and ``validation_accuracy`` (on undamaged images).
    """
    import keras

    from tounum_tasks.training.schedule import warmed_up_cosine

    steps = max(1, round(recipe.passes * len(examples) / recipe.batch_size))
    warm_up = max(steps // 10, 1)
    schedule = warmed_up_cosine(recipe.learning_rate, steps, warm_up=warm_up)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    network.compile(optimizer, loss=loss, metrics=["accuracy"])
    optimizer.build(network.trainable_variables)
    checkpoint = Checkpoint(folder / "fine_tuning.npz", [*network.trainable_variables, *optimizer.variables])
    first, curve, best = checkpoint.restore()
    generator = np.random.default_rng(recipe.seed)
    draws = generator.choice(len(examples), steps * recipe.batch_size, p=balanced_weights(examples))
    seeds = [(recipe.seed, 1_000_000 + position) for position in range(len(draws))]
    targets = np.eye(network.output_shape[-1], dtype=np.float32)[[examples[index].label for index in draws]]
    if without_improvement(curve) >= recipe.patience:
        steps = first
    rest = draws[first * recipe.batch_size : steps * recipe.batch_size]
    loader = batches(
        [examples[index] for index in rest],
        seeds[first * recipe.batch_size : steps * recipe.batch_size],
        recipe.architecture,
        recipe.batch_size,
    )
    for step, inputs in enumerate(loader, start=first + 1):
        wanted = targets[(step - 1) * recipe.batch_size : step * recipe.batch_size]
        measured = network.train_on_batch(inputs.astype(np.float32), wanted, return_dict=True)
        is_checkpoint = step % checkpoint_steps == 0 or step == steps
        if step % CURVE_STEPS == 0 or is_checkpoint:
            row: dict[str, Any] = {"step": step, "images": step * recipe.batch_size}
            row |= {f"training_{name}": round(float(measured[name]), 5) for name in ("loss", "accuracy")}
            network.reset_metrics()
            if is_checkpoint:
                row |= _validate(network, validation, recipe)
            curve.append(row)
            log.info("step %d of %d: %s", step, steps, row)
        if is_checkpoint:
            if without_improvement(curve) == 0:
                best = get_weights(network)
            checkpoint.save(step, curve, best)
            if without_improvement(curve) >= recipe.patience:
                log.info("stopped early: the validation loss was lowest %d checkpoints ago", recipe.patience)
                break
    if best:
        set_weights(network, best)
    return curve


def _validate(network: keras.Model, validation: Sequence[Example], recipe: Recipe) -> dict[str, float]:
    """Loss and accuracy on undamaged validation images, every class alike; a fixed choice where there are many."""
    weights = balanced_weights(validation)
    size = min(VALIDATION_SAMPLE, int((weights > 0).sum()))
    chosen = np.random.default_rng(recipe.seed).choice(len(validation), size, replace=False, p=weights)
    sample = [validation[index] for index in chosen]
    scores = predict_scores(network, sample, recipe.architecture)
    probabilities = softmax(scores)[np.arange(size), [example.label for example in sample]]
    hits = scores.argmax(axis=1) == [example.label for example in sample]
    return {
        "validation_loss": round(float(-np.log(probabilities + 1e-12).mean()), 5),
        "validation_accuracy": round(float(hits.mean()), 5),
    }


def predict_scores(network: keras.Model, examples: Sequence[Example], architecture: str) -> NDArray[np.float32]:
    """Scores of undamaged examples: float32 N x 5."""
    outputs = []
    for batch in batches(examples, [None] * len(examples), architecture, BATCH_SIZE):
        padded = np.zeros((BATCH_SIZE, *batch.shape[1:]), np.float32)
        padded[: len(batch)] = batch
        outputs.append(np.asarray(network.predict_on_batch(padded))[: len(batch)])
    return np.concatenate(outputs)


def without_improvement(curve: Sequence[Mapping[str, Any]]) -> int:
    """How many validations ago the validation loss was lowest; 0 before the first one."""
    losses = [row["validation_loss"] for row in curve if "validation_loss" in row]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


def prepare_features(
    examples: Sequence[Example],
    initial: Mapping[str, NDArray[Any]],
    recipe: Recipe,
    out: Path,
    names: Sequence[str] = TAPS,
    ranges: NDArray[np.float16] | None = None,
) -> tuple[NDArray[np.float16], list[Example]]:
    """Features (float16 views x N x D) of the examples, of renderings of those to be trained on and of unknown kinds.

    The features are the means of the layers ``names``, then their standard deviations. All are kept in ``out``.
    Renderings are made from training images only: none shows what validation is to judge.

    Args:
        ranges: of activations, to compute the features in int8.
    """
    folder = out / f"rendered-{fingerprint(data=data_fingerprint(examples), seed=recipe.seed)[:16]}"
    training, _ = split(examples, recipe.validation_share)
    rendered = render_sources(training, MANNERS, recipe.renderings, folder, recipe.seed)
    unknown = render_sources(training, UNKNOWN_KINDS, recipe.unknown, folder, recipe.seed)
    examples = [*examples, *rendered, *unknown]
    layers = {name: initial[name] for name in inception_shapes(names[-1])}
    features = features_of(
        examples, layers, names, out / "features", views=recipe.views, seed=recipe.seed, ranges=ranges
    )
    return features, examples


def train(
    examples: Sequence[Example],
    initial: Mapping[str, NDArray[Any]],
    recipe: Recipe,
    out: Path,
    *,
    version: str,
    data_licence: str = "",
    notes: str = "",
    validate_sources: bool = False,
    average_with: Mapping[str, NDArray[Any]] | None = None,
    trained_before: Iterable[bytes] = (),
) -> ModelCard:
    """Train a classifier and write it, with its card, to ``out/classifier/VERSION``.

    Also written to ``out``: ``curve.csv`` and ``.png``, ``validation.json``, ``confusion.png``, ``reliability.png``
    and, with ``validate_sources``, ``leave_one_source_out.json`` and ``.md``. Run again with the same arguments after
    an interruption, training goes on where it was.

    Args:
        initial: weights to start from, by name; those of the head are not used. Ignored by ``notebook``.
        out: working folder of this training.
        validate_sources: do leave-one-source-out validation of the head first. Unless all layers
            are trained after that, the temperature is taken from it: scores of sources that were trained on are surer
            than those of a new donor's scans.
        average_with: weights of an earlier version on the same layers: the new head's scores are averaged with its, for
            two that were fitted to different images err less together than either does (Wortsman et al. 2022).
            Leave-one-source-out validation speaks of the new head alone.
        trained_before: images that the weights to start from had learnt (:mod:`~tounum_tasks.models.trained_on`).

    Raises:
        ConfigurationError: an image cannot be read, a class has too few, the initial weights are incomplete, or no
            class has two sources to leave one out.
    """
    out.mkdir(parents=True, exist_ok=True)
    training, validation = _divided(examples, recipe.validation_share)
    seen = hashes_of_files(example.path for example in training).values()
    data = data_fingerprint(examples)
    metrics, learnt, ranges = dict[str, Any](), None, dict[str, NDArray[np.float16]]()
    if recipe.architecture in WITH_SPREAD:
        layers = _layers(initial)
        older = None if average_with is None else _head_on_the_same(layers, average_with)
        ranges = _ranges(layers, training, recipe)
        features, examples = prepare_features(examples, layers, recipe, out, ranges=ranges.get(RANGES))
        is_validation = np.isin(np.arange(len(examples)), _positions(validation, examples))
        training = [example for example, held_out in zip(examples, is_validation, strict=True) if not held_out]
        temperature = None
        if validate_sources:
            metrics["leave_one_source_out"], temperature = _validate_sources(features, examples, recipe, out)
        learnt = _train_head(features, is_validation, training, validation, layers, recipe, temperature, older)
    sources = _sources(examples)
    log.info("%d training and %d validation images of %d sources", len(training), len(validation), len(sources))
    if learnt is None or recipe.passes > 0:
        state = fingerprint(data=data, initial=hashes_of(initial), recipe=asdict(recipe))[:16]
        begun = learnt.weights if learnt else {}
        learnt = _train_all_layers(training, validation, begun, recipe, out / f"tuning-{state}")
        ranges = _ranges(learnt.weights, training, recipe)
    metrics |= _measure(learnt, validation, out)
    folder = out / "classifier" / version
    folder.mkdir(parents=True, exist_ok=True)
    weights = learnt.weights | {TEMPERATURE: np.array([learnt.temperature], np.float32)} | ranges
    write_safetensors(folder / "weights.safetensors", weights)
    write_trained_on(folder, [*map(prefix_of, seen), *trained_before])
    return write_card(
        folder,
        name="classifier",
        version=version,
        metrics=metrics,
        curve=figures_of(learnt.curve),
        data_fingerprint=data,
        training=asdict(recipe) | {"images": len(training), "sources": sources},
        data_licence=data_licence,
        notes=notes,
    )


def _divided(examples: Sequence[Example], validation_share: float) -> tuple[list[Example], list[Example]]:
    """Training and validation images.

    Raises:
        ConfigurationError: there is a class without an image to train on.
    """
    training, validation = split(examples, validation_share)
    lacking = [name for label, name in enumerate(CLASSES) if label not in {example.label for example in training}]
    if lacking:
        raise ConfigurationError(
            f"No image of {', '.join(lacking)} is left to train on, for {len(validation)} are kept back by their bytes "
            "to be validated on: add other images."
        )
    return training, validation


@dataclass(frozen=True)
class _Learnt:
    """What a training came to.

    Attributes:
        weights: float16, by name.
        scores: of the validation images, float32 N x 5.
        training_accuracy: on images that it was trained on.
        temperature: that makes probabilities of the scores honest.
        curve: of the training of all layers; empty without it.
    """

    weights: dict[str, NDArray[Any]]
    scores: NDArray[np.float32]
    training_accuracy: float
    temperature: float = 1.0
    curve: Sequence[Mapping[str, Any]] = ()


def _train_head(
    features: NDArray[np.float16],
    is_validation: NDArray[np.bool_],
    training: Sequence[Example],
    validation: Sequence[Example],
    layers: Mapping[str, NDArray[Any]],
    recipe: Recipe,
    temperature: float | None,
    older: LinearHead | None,
) -> _Learnt:
    """Fit the head, divide it by its temperature, and average it with an ``older`` one, if there is one.

    Args:
        features: views x N x D of all images, those of ``training`` and ``validation`` in this order among themselves.
        is_validation: N, which of them are only validated on.
        temperature: if it is known; else it is the one that suits the validation images.
    """
    head = HeadFitter(features[:, ~is_validation], training, recipe).fit()
    if temperature is None:
        frozen = head.scores(features[0, is_validation])
        temperature = fit_temperature(frozen[:, : len(CLASSES)], _labels(validation), balanced_weights(validation))
    head = head.divided_by(temperature)
    if older is not None:
        head = head.averaged_with(older)
    weights = _rounded({**layers, "scores/kernel": head.kernel, "scores/bias": head.bias})
    head = LinearHead(weights["scores/kernel"].astype(np.float32), weights["scores/bias"].astype(np.float32))
    seen = head.scores(features[0, ~is_validation])
    return _Learnt(weights, head.scores(features[0, is_validation]), _accuracy(seen, training))


def _train_all_layers(
    training: Sequence[Example],
    validation: Sequence[Example],
    begun_with: Mapping[str, NDArray[Any]],
    recipe: Recipe,
    folder: Path,
) -> _Learnt:
    """Train every layer, from the weights ``begun_with`` if there are any; ``folder`` holds the checkpoints."""
    architecture = architecture_of(begun_with) if begun_with else recipe.architecture
    network = build_network(architecture, keras_policy(best_precision()))
    if begun_with:
        set_weights(network, begun_with)
    curve = fine_tune(network, training, validation, recipe, folder)
    weights = _rounded(get_weights(network))
    set_weights(network, weights)
    scores = predict_scores(network, validation, recipe.architecture)
    temperature = fit_temperature(scores, _labels(validation), balanced_weights(validation))
    some = np.random.default_rng(recipe.seed).permutation(len(training))[:GAP_SAMPLE]
    sample = [training[index] for index in some]
    accuracy = _accuracy(predict_scores(network, sample, recipe.architecture), sample)
    return _Learnt(weights, scores, accuracy, temperature, curve)


def _measure(learnt: _Learnt, validation: Sequence[Example], out: Path) -> dict[str, Any]:
    """Write figures and pictures of a training to ``out``; return the figures that its card shows."""
    probabilities = class_probabilities(learnt.scores / learnt.temperature)
    measures = evaluate(probabilities, _labels(validation), [example.source for example in validation])
    (out / "validation.json").write_text(json.dumps(measures, indent=2) + "\n", encoding="utf-8")
    plot_confusion(measures, out / "confusion.png")
    plot_reliability(measures, out / "reliability.png")
    _write_curve(learnt.curve, out)
    return {
        "validation": _figures(measures),
        "training_accuracy": round(learnt.training_accuracy, 4),
        "gap_training_validation": round(learnt.training_accuracy - measures["accuracy"], 4),
        "temperature": round(learnt.temperature, 4),
    }


def _accuracy(scores: NDArray[np.float32], examples: Sequence[Example]) -> float:
    """Of the examples of classes."""
    labels = _labels(examples)
    hits = scores[:, : len(CLASSES)].argmax(axis=1) == labels
    return float(hits[labels != UNKNOWN_LABEL].mean())


def _head_on_the_same(layers: Mapping[str, NDArray[Any]], weights: Mapping[str, NDArray[Any]]) -> LinearHead:
    """The head of another version.

    Raises:
        ConfigurationError: its layers are others, so the heads do not read the same; or it has no head.
    """
    architecture, stored = architecture_of(weights), _rounded(layers)
    is_alike = all(name in weights and np.array_equal(weights[name], array) for name, array in stored.items())
    if TAPS_OF.get(architecture) != TAPS or not is_alike:
        raise ConfigurationError(
            "The version of --average-with has other layers, or looks at other ones: its head reads other features. "
            "Give one that was trained from the same --initial."
        )
    check_weights(weights, weight_shapes(architecture), model="classifier")
    head = LinearHead(weights["scores/kernel"].astype(np.float32), weights["scores/bias"].astype(np.float32))
    return head.divided_by(temperature_of(weights))


def _layers(initial: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The weights of the layers below the head.

    Raises:
        ConfigurationError: some are missing or have the wrong shape.
    """
    shapes = inception_shapes(TAPS[-1])
    layers = {name: initial[name] for name in shapes if name in initial}
    check_weights(layers, shapes, model="classifier")
    return layers


def _ranges(
    weights: Mapping[str, NDArray[Any]], training: Sequence[Example], recipe: Recipe
) -> dict[str, NDArray[np.float16]]:
    """The ranges of activations, if they are asked for and the architecture has them."""
    architecture = architecture_of(weights)
    if not recipe.int8 or architecture not in TAPS_OF:
        return {}
    return {RANGES: measure_ranges(weights, architecture, training, seed=recipe.seed)}


def _rounded(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array.astype(np.float16) for name, array in weights.items()}


def _positions(some: Sequence[Example], examples: Sequence[Example]) -> list[int]:
    wanted = set(some)
    return [index for index, example in enumerate(examples) if example in wanted]


def _labels(examples: Sequence[Example]) -> NDArray[np.int64]:
    return np.array([example.label for example in examples])


def _sources(examples: Sequence[Example]) -> dict[str, int]:
    return dict(Counter(example.source for example in examples))


def _figures(measures: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an evaluation that a card shows."""
    names = ("images", "accuracy", "macro_f1", "per_class", "confusion", "calibration_error")
    return {name: measures[name] for name in names}


def _validate_sources(
    features: NDArray[np.float16], examples: Sequence[Example], recipe: Recipe, out: Path
) -> tuple[dict[str, Any], float]:
    """Leave out one source after the other, then one unknown kind, and write the results as JSON and Markdown.

    Returns:
        The figures for the card, and the temperature that makes the probabilities of unseen sources honest.

    Raises:
        ConfigurationError: no class has two sources.
    """
    rows, scores = leave_one_source_out(features, examples, recipe)
    if not rows:
        raise ConfigurationError("Leaving one source out needs a class with two sources (sub-folders of its folder).")
    is_tested = ~np.isnan(scores[:, 0])
    tested = [example for example, wanted in zip(examples, is_tested, strict=True) if wanted]
    scores = scores[is_tested]
    temperature = fit_temperature(scores[:, : len(CLASSES)], _labels(tested), balanced_weights(tested))
    probabilities = class_probabilities(scores / temperature)
    measures = evaluate(probabilities, _labels(tested))
    limit = load_settings().review_confidence
    review = review_shares(probabilities, _labels(tested), limit, balanced_weights(tested))
    doubted = {
        kind.partition("-")[2]: round(float((class_probabilities(of / temperature).max(axis=1) < limit).mean()), 4)
        for kind, of in leave_one_kind_out(features, examples, recipe).items()
    }
    mean = round(float(np.mean([row["accuracy"] for row in rows])), 4)
    content = {"sources": rows, "all_images": measures, "review": review, "temperature": round(temperature, 4)}
    content["unknown_in_review"] = doubted
    (out / "leave_one_source_out.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / "leave_one_source_out.md").write_text(source_table(rows, measures, review, doubted), encoding="utf-8")
    figures = {
        "mean_accuracy": mean,
        "macro_f1": measures["macro_f1"],
        "calibration_error": measures["calibration_error"],
        "review": review,
        "unknown_in_review": doubted,
        "accuracy_per_source": {row["source"]: row["accuracy"] for row in rows},
    }
    return figures, temperature


def _write_curve(curve: Sequence[Mapping[str, Any]], out: Path) -> None:
    if not curve:
        return
    write_curve(out / "curve.csv", curve)
    plot_curve(curve, out / "curve.png")
