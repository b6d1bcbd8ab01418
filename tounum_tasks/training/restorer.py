"""Training of the restorer on clean pictures that are degraded anew for every step.

The loss is the root mean square error of a patch, the mean over the patches: between the squared error, which noise
would rule, and decibels, which even patches would. Adam with a cosine of learning rates; the weights that are kept are
a running mean of those of the last steps. A checkpoint is written every few minutes, and training goes on from it with
the same draws as if it had never stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.datasets.pictures import Picture, fingerprint_of, patch_of
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.models.card import ModelCard, write_card
from tounum_tasks.models.compute import best_precision, keras_policy
from tounum_tasks.models.trained_on import write_trained_on
from tounum_tasks.models.weights import hashes_of, write_safetensors
from tounum_tasks.restore.network import build_network, get_weights, set_weights
from tounum_tasks.training.checkpoint import Checkpoint
from tounum_tasks.training.curve import figures_of, write_curve
from tounum_tasks.training.degradation import MARGIN, Pair, degrade
from tounum_tasks.training.prefetch import prefetched
from tounum_tasks.training.restorer_recipe import Recipe

UNJUDGED = 4
"""Outer pixels of a patch that do not count: the network sees too little of their surroundings."""

AVERAGE_EVERY = 10
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """``given`` and ``wanted``: float32 N x side x side x 3, 0 to 255; ``blur``: float32 N x 1."""

    given: NDArray[np.float32]
    wanted: NDArray[np.float32]
    blur: NDArray[np.float32]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Batch:
        given = np.stack([pair.given for pair in pairs]).astype(np.float32)
        return cls(given, np.stack([pair.wanted for pair in pairs]), np.array([[pair.blur] for pair in pairs], "f4"))


def draw_batch(pictures: Sequence[Picture], borders: NDArray[np.float64], recipe: Recipe, step: int) -> Batch:
    """The batch of a step; ``borders`` are the running sums of the pictures' weights."""
    rng = np.random.default_rng([recipe.seed, step])
    chosen = np.searchsorted(borders, rng.random(recipe.batch_size) * borders[-1])
    side = recipe.patch + 2 * MARGIN
    return Batch.of([degrade(patch_of(pictures[index].rgb, side, rng), rng) for index in chosen])


def batches(pictures: Sequence[Picture], recipe: Recipe, first: int) -> Iterator[Batch]:
    """Yield the batches of the steps after ``first``, made by another thread while the network learns."""
    borders = np.cumsum([picture.weight for picture in pictures])
    return prefetched(draw_batch(pictures, borders, recipe, step) for step in range(first, recipe.steps))


def patch_error(wanted: Any, restored: Any) -> Any:
    """Root mean square error of each patch, in grey levels: N x side x side x 3 -> N."""
    from keras import ops

    inside = slice(UNJUDGED, -UNJUDGED)
    difference = (restored - wanted)[:, inside, inside]
    # A patch that is right to a fifth of a grey level is right: the root must not be taken of nothing.
    return ops.sqrt(ops.mean(ops.square(difference), axis=(1, 2, 3)) + 0.04)


def train(
    pictures: Sequence[Picture],
    recipe: Recipe,
    out: Path,
    *,
    version: str,
    validation: Sequence[Pair] = (),
    initial: Mapping[str, NDArray[Any]] | None = None,
    trained_on: Iterable[bytes] = (),
    data_licence: str = "",
    notes: str = "",
) -> ModelCard:
    """Train a restorer and write it, with its card, to ``out/restorer/VERSION``; the curve to ``out/curve.csv``.

    Run again with the same arguments after an interruption, training goes on where it was; with other
    ``steps``, it goes on from there towards the new end.

    Args:
        validation: degraded pictures, sides multiples of 4, on which each checkpoint is measured.
        initial: weights to go on with; None: new ones.
        trained_on: the files that were learnt (:mod:`~tounum_tasks.models.trained_on`), those of ``initial`` included.
        out: working folder of this training.
    """
    network = _compiled(recipe, initial)
    # Other steps are another end of the same training: it may be cut short, or go on.
    begun_with = {"initial": hashes_of(initial)} if initial else {}
    state = fingerprint(data=fingerprint_of(pictures), recipe=asdict(recipe) | {"steps": None}, **begun_with)
    variables = [*network.variables, *network.optimizer.variables]
    checkpoint = Checkpoint(out / f"training-{state[:16]}" / "state.npz", variables)
    first, curve, average = checkpoint.restore()
    average = average or get_weights(network)
    began, losses = time.monotonic(), []
    for step, batch in enumerate(batches(pictures, recipe, first), start=first + 1):
        losses.append(float(network.train_on_batch([batch.given, batch.blur], batch.wanted)))
        network.reset_metrics()
        if step % AVERAGE_EVERY == 0:
            # At the beginning the mean is over few steps, later over many.
            kept = min(recipe.average, step / (step + 10 * AVERAGE_EVERY))
            latest = get_weights(network)
            average = {name: kept * array + (1 - kept) * latest[name] for name, array in average.items()}
        if step % recipe.checkpoint_steps == 0 or step == recipe.steps:
            row = {"step": step, "training_error": round(float(np.mean(losses)), 4)}
            row |= _validate(network, average, validation)
            curve.append(row)
            log.info(
                "step %d of %d, %.1f a second: %s", step, recipe.steps, len(losses) / (time.monotonic() - began), row
            )
            checkpoint.save(step, curve, average)
            began, losses = time.monotonic(), []

    folder = out / "restorer" / version
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: array.astype(np.float16) for name, array in average.items()}
    write_safetensors(folder / "weights.safetensors", weights)
    write_trained_on(folder, trained_on)
    write_curve(out / "curve.csv", curve)
    set_weights(network, weights)
    return write_card(
        folder,
        name="restorer",
        version=version,
        metrics={"validation": _validate(network, weights, validation), "training_error": curve[-1]["training_error"]},
        curve=figures_of(curve),
        data_fingerprint=fingerprint_of(pictures),
        training=asdict(recipe) | {"pictures": len(pictures)},
        data_licence=data_licence,
        notes=notes,
    )


def _compiled(recipe: Recipe, initial: Mapping[str, NDArray[Any]] | None) -> Any:
    """The network at the beginning of a training, with what will teach it."""
    import keras

    from tounum_tasks.training.schedule import warmed_up_cosine

    keras.utils.set_random_seed(recipe.seed)  # of the first weights
    network = build_network(keras_policy(best_precision()))
    if initial:
        set_weights(network, initial)
    warm_up = min(500, max(recipe.steps // 10, 1))
    schedule = warmed_up_cosine(recipe.learning_rate, recipe.steps, warm_up=warm_up)
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.99, global_clipnorm=10.0)
    network.compile(optimizer, loss=patch_error)
    optimizer.build(network.trainable_variables)
    return network


def _validate(network: Any, weights: Mapping[str, NDArray[Any]], validation: Sequence[Pair]) -> dict[str, float]:
    """PSNR of the restored and of the untouched pictures in dB, the means over the pictures."""
    if not validation:
        return {}
    latest = get_weights(network)
    set_weights(network, weights)
    decibels = []
    for pair in validation:
        given = pair.given[None].astype(np.float32)
        restored = network.predict_on_batch([given, np.array([[pair.blur]], np.float32)])
        errors = [np.mean((np.clip(np.rint(made), 0, 255) - pair.wanted) ** 2) for made in (restored, given)]
        decibels.append([10 * np.log10(255**2 / max(error, 1e-2)) for error in errors])
    set_weights(network, latest)
    restored_mean, given_mean = np.mean(decibels, axis=0)
    return {"psnr": round(float(restored_mean), 3), "psnr_untouched": round(float(given_mean), 3)}
