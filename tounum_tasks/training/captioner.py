"""Training of the captioner, and of the extractor underneath it.

The phases; 1, 2 and 5 are optional, and none is needed to give a captioner that was trained before a new judge:

1. ``head``: the output of ``mixed8`` is computed once and kept on disk; the blocks above it learn together with the
   decoder. This is where kernels that the initial weights lack come to life.
2. ``full``: every layer of InceptionV3 learns, from pixels (mirrored at random), at a small rate.
3. The extractor is rounded to float16, as it will be stored, and the features of all images are computed with it.
4. ``decoder``: the captioner alone learns on exactly these features, and on those of the mirrored images.
5. ``reward``: it is rewarded for captions that resemble the references as a whole, rather than word by word
   (:mod:`~tounum_tasks.training.reward`), beside the words of people if wanted, so that rare ones are not forgotten.

The last two phases are scored on the dev split after every pass, with averaged weights; the best pass is kept, and a
phase ends early when ``patience`` passes brought nothing better.

Everything is in one work folder: caches, checkpoints, curves. A run that was killed goes on at its last checkpoint.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.captioner import SearchOptions
from tounum_tasks.caption.confidence import Confidence
from tounum_tasks.caption.network import CaptionNetwork, set_weights
from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.caption.vocabulary import END, SPECIAL, UNK, Vocabulary, normalise
from tounum_tasks.datasets.captions import CaptionData, CaptionedImage, read_input
from tounum_tasks.datasets.feature_cache import FeatureCache
from tounum_tasks.datasets.views import FIRST_WINDOW, MIRRORED, WHOLE
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.evaluation.captioner import score_by_source
from tounum_tasks.features import inception
from tounum_tasks.features import network as extractor_network
from tounum_tasks.features.extractor import Extractor, block_network
from tounum_tasks.features.passage import with_passages
from tounum_tasks.files import write_json
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.models.compute import best_precision, keras_policy
from tounum_tasks.models.weights import hashes_of, read_safetensors, write_safetensors
from tounum_tasks.training.captioner_model import ScaledAdam, TrainingModel, captioner_of, staircase, teacher_forcing
from tounum_tasks.training.captioner_settings import TrainingSettings
from tounum_tasks.training.curve import read_curve, write_curve
from tounum_tasks.training.prefetch import prefetched
from tounum_tasks.training.reward import CaptionReward, advantages
from tounum_tasks.training.sampling import Sampling
from tounum_tasks.training.schedule import warmed_up_cosine

CUT = "mixed8"
CUT_SHAPE = (8, 8, 1280)
FEATURE_SHAPE = (inception.POSITIONS, inception.CHANNELS)
CHECKPOINT_SECONDS = 300.0
FEWEST_IMAGES_OF_A_NEW_WORD = 3
READ_AT_ONCE = 64
REFERENCES_BESIDE_REWARDS = 2
"""Captions of people, for each image, whose likelihood counts beside the rewards, if it does."""
GOING_ON = 0.4  # share of the learning rate that is right for a captioner that was trained before
CURVES_FILE = "curves.csv"
CACHE_FOLDER = "cache"
CURVES = ("phase", "pass", "train_loss", "train_reward", "dev_loss", "seconds", "bleu_4", "cider")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Phase:
    """One phase: what its images come in as, how long it lasts, and how fast which weights move."""

    name: Literal["head", "full", "decoder", "reward"]
    epochs: int
    learning_rate: float
    batch_images: int
    drawn_factor: float = 1.0
    known_factor: float = 1.0

    @property
    def has_features(self) -> bool:
        """Whether the extractor is finished: the captioner learns alone, is averaged and scored after every pass."""
        return self.name in ("decoder", "reward")


Outputs = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""What a network makes of pixels, N x 299 x 299 x 3."""

Thing = TypeVar("Thing")
Batch = tuple[list[CaptionedImage], NDArray[Any]]


@dataclass(frozen=True)
class TrainedCaptioner:
    """A captioner to go on with.

    Attributes:
        weights: by name (see ``CaptionNetwork.named_weights``).
        judge: arrays of its judge; none without one.
        estimates: of its captions' confidence, by kind of search; none without them.
        trained_on: the images that it has learnt (:mod:`~tounum_tasks.models.trained_on`).
    """

    vocabulary: Vocabulary
    shape: NetworkShape
    weights: Mapping[str, NDArray[Any]]
    options: SearchOptions
    judge: Mapping[str, NDArray[Any]]
    estimates: Mapping[str, Confidence] = field(default_factory=dict)
    trained_on: frozenset[bytes] = frozenset()


class CaptionerTraining:
    """One training in one work folder."""

    def __init__(
        self,
        data: CaptionData,
        work: Path,
        settings: TrainingSettings,
        initial: inception.Weights,
        captioner: TrainedCaptioner | None = None,
    ) -> None:
        """Makes the networks.

        Args:
            initial: weights of the extractor to begin with; kernels that it lacks are drawn at random if a phase
                teaches them, and else replaced by a passage (:mod:`~tounum_tasks.features.passage`).
            captioner: of features of that extractor, to go on with: it keeps its vocabulary and learns more slowly.

        Raises:
            ConfigurationError: the work folder belongs to another training, the data has no ``train`` images, or the
                extractor lacks kernels that would stay random.
        """
        self.data = data
        self.work = work
        self.settings = settings
        self.train_images = data.split("train")
        self.dev_images = data.split("dev")
        if not self.train_images:
            raise ConfigurationError("The data set has no images in its train split.")
        last_layer = inception.last_layer_of(initial)
        if not (settings.head_epochs or settings.full_epochs):
            initial = with_passages(initial)  # nothing will learn what they lack
        names = inception.weight_names(last_layer)
        self.drawn = [name for name in names if name.endswith("kernel") and name not in initial]
        self._check_that_the_drawn_learn()
        self.initial = extractor_network.fill_missing_kernels(initial, settings.seed)
        captions = [caption for image in self.train_images for caption in image.captions]
        if captioner and settings.fewest_images:
            captioner = without_rare_words(captioner, self.train_images, settings.fewest_images)
        self.begun_with = captioner
        self.vocabulary = self._vocabulary()
        lengths = [min(len(self.vocabulary.encode(caption)), settings.max_words) for caption in captions]
        self._lengths = lengths
        work.mkdir(parents=True, exist_ok=True)
        self._claim_work_folder()
        keras.utils.set_random_seed(settings.seed)
        self.policy = keras_policy(best_precision())
        shape = captioner.shape if captioner else NetworkShape(len(self.vocabulary), looks_by_word=True)
        shape = replace(
            shape, vocabulary=len(self.vocabulary), dropout=settings.dropout, word_dropout=settings.word_dropout
        )
        self.captioner = CaptionNetwork(shape, policy=self.policy, seed=settings.seed)
        self.captioner.build()
        if captioner:
            set_weights(self.captioner, with_new_words(captioner.weights, self.captioner.weight_arrays()))
        self.unrewarded: dict[str, NDArray[np.float32]] = {}
        self.network = extractor_network.build_network(self.policy, last_layer=last_layer)
        extractor_network.set_weights(self.network, self.initial)

    def run(self) -> None:
        """Runs every phase that is not done yet.

        Afterwards ``network`` and ``captioner`` hold the result, and ``unrewarded`` the captioner's weights before the
        phase of rewards, if there was one.
        """
        s = self.settings
        slower = GOING_ON if self.begun_with else 1.0
        if s.head_epochs:
            self._phase(Phase("head", s.head_epochs, slower * s.head_learning_rate, s.batch_images, 0.5, 0.1))
        if s.full_epochs:
            self._phase(Phase("full", s.full_epochs, slower * s.full_learning_rate, s.batch_images, 0.1, 0.05))
        if s.decoder_epochs:
            self._phase(Phase("decoder", s.decoder_epochs, slower * s.decoder_learning_rate, s.batch_images))
        if s.reward_epochs:
            self.unrewarded = self.captioner.weight_arrays()
            self._phase(Phase("reward", s.reward_epochs, s.reward_learning_rate, 2 * s.batch_images))

    def finished_features(self, name: str) -> FeatureCache:
        """Features of the ``train`` or the ``dev`` images as they are, of the finished extractor."""
        outputs = self._finished_extractor().extract
        return self._cache("features", name, *self._wanted()[name], FEATURE_SHAPE, outputs)

    def _finished_extractor(self) -> Extractor:
        return Extractor(self.extractor_weights(), digest="in training")

    def extractor_weights(self) -> dict[str, NDArray[np.float16]]:
        """The extractor's weights as they are stored."""
        return {name: array.astype(np.float16) for name, array in extractor_network.get_weights(self.network).items()}

    def _vocabulary(self) -> Vocabulary:
        """The most frequent words of the captions; or those of the captioner that is gone on with, and new ones."""
        settings = self.settings
        by_image = [image.captions for image in self.train_images]
        if not self.begun_with and settings.fewest_images:
            known = Vocabulary(SPECIAL).extended(by_image, fewest_images=settings.fewest_images)
            return Vocabulary(known.words[: settings.vocabulary_size])
        if not self.begun_with:
            return Vocabulary.build(
                [caption for captions in by_image for caption in captions], settings.vocabulary_size
            )
        if not (settings.decoder_epochs or settings.reward_epochs):  # nothing would learn when to say them
            return self.begun_with.vocabulary
        fewest = settings.fewest_images or FEWEST_IMAGES_OF_A_NEW_WORD
        return self.begun_with.vocabulary.extended(by_image, fewest_images=fewest)

    def _check_that_the_drawn_learn(self) -> None:
        """Refuses weights that are not those of an InceptionV3, or half of them: nothing would ever learn the rest."""
        settings = self.settings
        never = set(inception.weight_names(CUT if settings.head_epochs else "mixed10"))
        noise = [] if settings.full_epochs else [name for name in self.drawn if name in never]
        if noise:
            others = f" and {len(noise) - 1} other kernels" if len(noise) > 1 else ""
            raise ConfigurationError(
                f"The extractor's weights lack {noise[0]}{others}, which would stay random: give complete weights, or "
                "passes in which the extractor learns them."
            )

    def _claim_work_folder(self) -> None:
        weights = hashes_of({**self.initial, **(self.begun_with.weights if self.begun_with else {})})
        settings = asdict(self.settings)
        for later in ("windows", "views_of_repeated", "images_per_pass", "reward_likelihood", "fewest_images"):
            if not settings[later]:  # a training that began before there was this goes on
                del settings[later]
        identity = fingerprint(data=self.data.fingerprint, settings=settings, initial=weights)
        path = self.work / "training.json"
        if path.exists() and json.loads(path.read_text(encoding="utf-8"))["identity"] != identity:
            raise ConfigurationError(
                f"{self.work} holds a training with other data or settings: choose another folder, or delete it."
            )
        content = {"identity": identity, "settings": asdict(self.settings)}
        write_json(path, content)

    # Phases

    def _phase(self, phase: Phase) -> None:
        result = self.work / f"{phase.name}.safetensors"
        if result.exists():
            self._restore(read_safetensors(result))
            return
        front: keras.Model | None
        if phase.name == "head":
            _, front = extractor_network.split_network(self.network, CUT)
        elif phase.name == "full":
            front = self.network
        else:
            front = None
            extractor_network.set_weights(self.network, self.extractor_weights())
        caches = self._caches(phase)
        captions = phase.batch_images * self.settings.captions_per_image
        if phase.name == "reward" and self.settings.reward_likelihood:
            captions += phase.batch_images * REFERENCES_BESIDE_REWARDS
        rows = staircase(self._lengths, captions, self.settings.max_words)
        smoothing = 0.0 if phase.name == "reward" else self.settings.label_smoothing
        model = TrainingModel(self.captioner, front, rows, label_smoothing=smoothing)
        steps = -(-images_of_a_pass(self.train_images, self.settings.images_per_pass) // phase.batch_images)
        optimizer = self._optimizer(phase, model, steps * phase.epochs)
        model.compile(optimizer=optimizer)
        optimizer.build(model.trainable_variables)
        loop = _RewardLoop if phase.name == "reward" else _Loop
        loop(self, phase, model, caches, rows, steps).run()
        write_safetensors(result, self._snapshot())

    def _optimizer(self, phase: Phase, model: TrainingModel, steps: int) -> keras.optimizers.Optimizer:
        warm_up = min(200, steps // 10)
        schedule = warmed_up_cosine(phase.learning_rate, steps, warm_up=warm_up, first=0.05, last=0.02)
        factors = {}
        for name, layer in extractor_network.convolutions(self.network).items():
            factor = phase.drawn_factor if f"{name}/kernel" in self.drawn else phase.known_factor
            factors.update({layer.kernel.path: factor, layer.bias.path: factor})
        averaging = {"use_ema": True, "ema_momentum": 0.995} if phase.has_features else {}
        return ScaledAdam(schedule, factors, global_clipnorm=5.0, **averaging)

    def _caches(self, phase: Phase) -> dict[str, FeatureCache]:
        """Filled caches of the features that the phase learns from; none for the one that learns from pixels."""
        if phase.name == "full":
            return {}
        if phase.name == "head":
            below = block_network(extractor_network.get_weights(self.network), CUT, precision=best_precision())
            return self._filled(CUT, CUT_SHAPE, lambda pixels: np.stack(below.each(pixels)))
        return self._filled("features", FEATURE_SHAPE, self._finished_extractor().extract)

    def _filled(self, kind: str, shape: tuple[int, ...], outputs: Outputs) -> dict[str, FeatureCache]:
        return {name: self._cache(kind, name, *view, shape, outputs) for name, view in self._wanted().items()}

    def _cache(
        self,
        kind: str,
        name: str,
        images: Sequence[CaptionedImage],
        number: int,
        shape: tuple[int, ...],
        outputs: Outputs,
    ) -> FeatureCache:
        """The filled cache of what a network makes of one view of some images."""
        network = fingerprint(weights=hashes_of(extractor_network.get_weights(self.network)))[:16]
        cache = FeatureCache(self.work / CACHE_FOLDER / f"{kind}-{network}" / name, images, shape)
        cache.fill(
            partial(extract, outputs, number=number),
            repeated_only=number != WHOLE and self.settings.views_of_repeated,
        )
        return cache

    def _wanted(self) -> dict[str, tuple[list[CaptionedImage], int]]:
        """What has a cache of its own, by name: some images and which view of them."""
        settings = self.settings
        wanted = {"train": (self.train_images, WHOLE), "dev": (self.dev_images, WHOLE)}
        if settings.mirrored:
            wanted["mirrored"] = (self.train_images, MIRRORED)
        step = 1 if settings.mirrored else 2  # the odd views are mirrored
        for number in range(FIRST_WINDOW, FIRST_WINDOW + step * settings.windows, step):
            wanted[f"window-{number:02}"] = (self.train_images, number)
        return wanted

    # State

    def _snapshot(self) -> dict[str, NDArray[Any]]:
        arrays = {f"captioner/{i:03}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.captioner.variables)}
        return arrays | {
            f"extractor/{name}": array for name, array in extractor_network.get_weights(self.network).items()
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for index, variable in enumerate(self.captioner.variables):
            variable.assign(arrays[f"captioner/{index:03}"])
        prefix = "extractor/"
        extractor_network.set_weights(
            self.network, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        )


class _Best:
    """Weights of the best pass so far, by CIDEr on the dev split, and how many passes ago that was."""

    def __init__(self) -> None:
        self.cider = -1.0
        self.waited = 0
        self.weights: list[NDArray[Any]] = []

    def offer(self, cider: float | None, model: TrainingModel) -> None:
        """Takes the model's weights if they are the best; without a figure nothing is ever better or worse."""
        if cider is None:
            return
        self.waited += 1
        if cider > self.cider:
            self.cider, self.waited = cider, 0
            self.weights = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a checkpoint."""
        state = {"best_cider": np.array(self.cider), "best_waited": np.array(self.waited)}
        return state | {f"best/{index:04}": array for index, array in enumerate(self.weights)}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """From a checkpoint."""
        self.cider, self.waited = float(arrays["best_cider"].item()), int(arrays["best_waited"].item())
        self.weights = [arrays[name] for name in sorted(arrays) if name.startswith("best/")]


class _Loop:
    """The passes of one phase, with checkpoints."""

    figure = "train_loss"

    def __init__(
        self,
        training: CaptionerTraining,
        phase: Phase,
        model: TrainingModel,
        caches: Mapping[str, FeatureCache],
        rows: Sequence[int],
        steps: int,
    ) -> None:
        self.training = training
        self.phase = phase
        self.model = model
        self.caches = caches
        self.rows = rows
        self.steps = steps
        self.checkpoint = training.work / f"{phase.name}.checkpoint.safetensors"
        self.best = _Best()

    def run(self) -> None:
        """Runs the passes that are still to do; afterwards the network has the weights of the best one."""
        done = self._load_checkpoint()
        for epoch in range(done // self.steps, self.phase.epochs):
            if self.best.waited >= self.training.settings.patience:
                log.info("%s: nothing better in %d passes, so it ends here", self.phase.name, self.best.waited)
                break
            started = time.monotonic()
            figure = self._train_epoch(epoch, done - epoch * self.steps)
            done = (epoch + 1) * self.steps
            current = self._average()
            figures = {self.figure: figure, "dev_loss": self._dev_loss(), **self._dev_scores()}
            self.best.offer(figures.get("cider"), self.model)
            self._set_weights(current)
            figures["seconds"] = time.monotonic() - started
            told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            log.info("%s pass %d of %d: %s", self.phase.name, epoch + 1, self.phase.epochs, told)
            self._record(epoch, **figures)
            self._save_checkpoint(done)
        if self.best.weights:
            self._set_weights(self.best.weights)
        else:
            self._average()
        self.checkpoint.unlink(missing_ok=True)

    def _average(self) -> list[NDArray[Any]]:
        """Puts the averaged weights into the network, where the phase keeps them; returns those that were there."""
        current = [keras.ops.convert_to_numpy(variable) for variable in self.model.trainable_variables]
        if self.phase.has_features:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        return current

    def _set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        for variable, array in zip(self.model.trainable_variables, weights, strict=True):
            variable.assign(array)

    def _train_epoch(self, epoch: int, first_step: int) -> float:
        """Mean figure of the steps that were still to do."""
        saved = time.monotonic()
        found: list[float] = []
        for step, (images, features) in prefetched(self._batches(epoch, first_step)):
            generator = np.random.default_rng([self.training.settings.seed, *self.phase.name.encode(), epoch, step])
            self.model.reset_metrics()
            found.append(self._train_step(images, features, generator))
            if step % 20 == 19:
                log.info("%s pass %d, step %d of %d: %s %.4f", self.phase.name, epoch + 1, step + 1, self.steps,
                         self.figure, np.mean(found[-20:]))  # fmt: skip
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._save_checkpoint(epoch * self.steps + step + 1)
                saved = time.monotonic()
        return float(np.mean(found)) if found else float("nan")

    def _train_step(
        self, images: Sequence[CaptionedImage], features: NDArray[Any], generator: np.random.Generator
    ) -> float:
        """Loss of one step."""
        return float(self.model.train_on_batch(self._inputs(images, features, generator)))

    def _dev_loss(self) -> float:
        """Loss per word on the dev split, neither dropout nor smoothing; NaN without dev images."""
        total = weight = 0.0
        generator = np.random.default_rng(0)
        for images, features in self._dev_batches():
            inputs = self._inputs(images, features, generator)
            self.model.reset_metrics()
            words = float(inputs["weights"].sum())
            total += float(self.model.test_on_batch(inputs)) * words
            weight += words
        return total / weight if weight else float("nan")

    def _dev_batches(self) -> Iterator[tuple[Sequence[CaptionedImage], NDArray[Any]]]:
        """Images of the dev split and what the phase takes of them; each shard of a cache ends with a batch."""
        size = self.phase.batch_images
        if not self.caches:
            images = self.training.dev_images
            for start in range(0, len(images), size):
                part = images[start : start + size]
                yield part, np.stack([read_input(image.path) for image in part])
            return
        cache = self.caches["dev"]
        for shard in range(cache.shards):
            members, features = cache.members(shard), cache.read(shard)
            for start in range(0, len(members), size):
                yield members[start : start + size], features[start : start + size]

    def _inputs(
        self, images: Sequence[CaptionedImage], features: NDArray[Any], generator: np.random.Generator
    ) -> dict[str, NDArray[Any]]:
        settings = self.training.settings
        encode = self.training.vocabulary.encode
        captions: list[list[int]] = []
        owners: list[int] = []
        for index, image in enumerate(images):
            chosen = generator.permutation(len(image.captions))[: settings.captions_per_image]
            captions += [encode(image.captions[i])[: settings.max_words] for i in chosen]
            owners += [index] * len(chosen)
        missing = self.rows[0] - len(captions)
        inputs = teacher_forcing(captions + [[]] * missing, owners + [0] * missing, self.rows)
        padded = np.zeros((self.phase.batch_images, *features.shape[1:]), np.float32)
        padded[: len(features)] = features
        return {"features": padded, **inputs}

    def _batches(self, epoch: int, first_step: int) -> Iterator[tuple[int, Batch]]:
        """Batches of one pass, in an order that depends on seed, phase and pass only."""
        generator = np.random.default_rng([self.training.settings.seed, *self.phase.name.encode(), epoch])
        source = self._pixel_batches(generator) if not self.caches else self._cached_batches(generator)
        for step, (images, load) in enumerate(source):
            if step >= first_step:
                yield step, (images, load())

    def _pixel_batches(self, generator: np.random.Generator) -> Iterator[tuple[list[CaptionedImage], Any]]:
        every = [image for image in self.training.train_images for _ in range(image.repeats)]
        images = _at_most(every, lambda image: image.source, self.training.settings.images_per_pass, generator)
        order = generator.permutation(len(images))
        numbers = np.where(generator.random(len(images)) < 0.5, MIRRORED, WHOLE)
        size = self.phase.batch_images
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield (
                [images[i] for i in chosen],
                lambda chosen=chosen: np.stack([read_input(images[i].path, numbers[i]) for i in chosen]),
            )

    def _cached_batches(self, generator: np.random.Generator) -> Iterator[tuple[list[CaptionedImage], Any]]:
        """Two shards at a time are mixed; rows that do not fill a batch wait for the next pair.

        Which view of its images is taken, is drawn for each shard, and anew each time that it comes.
        """
        cache = self.caches["train"]
        views = [cache for name, cache in self.caches.items() if name != "dev"]
        pool: list[tuple[int, int]] = []
        kept: dict[int, NDArray[np.float16]] = {}
        size = self.phase.batch_images
        rows_of = shards_of_a_pass(cache, self.training.settings.images_per_pass, generator)
        order = generator.permutation(len(rows_of))
        drawn = [generator.choice(sum(view.has(shard) for view in views)) for shard, _ in rows_of]
        for start in range(0, len(order), 2):
            pair = order[start : start + 2]
            fresh = [(int(turn), row) for turn in pair for row in rows_of[turn][1]]
            pool = [fresh[i] for i in generator.permutation(len(fresh))] + pool
            is_last = start + 2 >= len(order)
            while len(pool) >= size or (is_last and pool):
                # The oldest rows are at the end, so that no shard is needed for long.
                chosen, pool = pool[-size:], pool[:-size]
                needed = {turn for turn, _ in pool} | {turn for turn, _ in chosen}

                def load(chosen: list[tuple[int, int]] = chosen, needed: set[int] = needed) -> NDArray[np.float16]:
                    for turn in set(kept) - needed:
                        del kept[turn]
                    for turn, _ in chosen:
                        if turn not in kept:
                            shard = rows_of[turn][0]
                            kept[turn] = [view for view in views if view.has(shard)][drawn[turn]].read(shard)
                    return np.stack([kept[turn][row] for turn, row in chosen])

                yield [cache.members(rows_of[turn][0])[row] for turn, row in chosen], load

    def _dev_scores(self) -> dict[str, float]:
        """BLEU-4 and CIDEr of greedy captions on the dev split, in the phases in which features are given."""
        training = self.training
        if not self.phase.has_features or not training.dev_images:
            return {}
        cache = self.caches["dev"]
        captioner = captioner_of(training.captioner, training.vocabulary)
        captions = [c.text for i in range(cache.shards) for c in captioner.caption(cache.read(i), beam=1)]
        figures = score_by_source(captions, training.dev_images)
        return {name: figures[name] for name in ("bleu_4", "cider")}

    def _record(self, epoch: int, **figures: float) -> None:
        """Adds one row to the table of the passes, in place of one that a run left there that was killed just then."""
        path = self.training.work / CURVES_FILE
        this = {"phase": self.phase.name, "pass": str(epoch + 1)}
        rows = [row for row in read_curves(self.training.work) if {**row, **this} != row]
        rows.append({**this, **{name: f"{value:.4f}" for name, value in figures.items()}})
        write_curve(path, rows, CURVES)

    def _save_checkpoint(self, done: int) -> None:
        arrays = {f"model/{i:04}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.model.variables)}
        arrays |= {
            f"optimizer/{i:04}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self.model.optimizer.variables)
        }
        arrays |= {"done": np.array(done, np.int64), **self.best.arrays()}
        write_safetensors(self.checkpoint, arrays)

    def _load_checkpoint(self) -> int:
        """Number of steps already done."""
        if not self.checkpoint.exists():
            return 0
        arrays = read_safetensors(self.checkpoint)
        for kind, variables in (("model", self.model.variables), ("optimizer", self.model.optimizer.variables)):
            for index, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}/{index:04}"].reshape(variable.shape))
        self.best.restore(arrays)
        done = int(arrays["done"].item())
        log.info("%s goes on after step %d", self.phase.name, done)
        return done


class _RewardLoop(_Loop):
    """Captions are drawn from the captioner itself and rewarded by CIDEr-D, compared with one another.

    With ``reward_likelihood`` some captions of people are learnt beside them, word by word: rewards alone keep to the
    words that many images share, and the others would be forgotten.
    """

    figure = "train_reward"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        training = self.training
        encode = training.vocabulary.encode
        self._reward = CaptionReward({i.name: [encode(text) for text in i.captions] for i in training.train_images})
        settings = training.settings
        # The captioner that learns must be the one that drew the captions.
        training.captioner.dropout.rate = training.captioner.word_dropout.rate = 0.0
        self._sampling = Sampling(
            training.captioner, max_words=settings.max_words, temperature=1.0, samples=settings.captions_per_image
        )
        self.best.offer(self._dev_scores().get("cider"), self.model)

    def _train_step(
        self, images: Sequence[CaptionedImage], features: NDArray[Any], generator: np.random.Generator
    ) -> float:
        """Mean reward of the captions that were drawn."""
        settings = self.training.settings
        padded = np.zeros((self.phase.batch_images, *features.shape[1:]), np.float32)
        padded[: len(features)] = features
        shape = (len(padded), settings.captions_per_image, settings.max_words)
        drawn = self._sampling.predict_on_batch((padded, generator.random(shape, dtype=np.float32)))[0]
        captions = [[caption[: _end(caption)].tolist() for caption in rows] for rows in drawn[: len(images)]]
        rewards = np.array(
            [[self._reward(image.name, text) for text in rows] for image, rows in zip(images, captions, strict=True)]
        )
        said = [text for rows in captions for text in rows]
        owners = [index for index, rows in enumerate(captions) for _ in rows]
        worth = advantages(rewards).ravel()
        if settings.reward_likelihood:
            encode = self.training.vocabulary.encode
            for index, image in enumerate(images):
                for number in generator.permutation(len(image.captions))[:REFERENCES_BESIDE_REWARDS]:
                    said.append(encode(image.captions[number])[: settings.max_words])
                    owners.append(index)
            worth = np.append(worth, np.full(len(said) - len(worth), settings.reward_likelihood))
        missing = self.rows[0] - len(said)
        inputs = teacher_forcing(
            said + [[]] * missing, owners + [0] * missing, self.rows, worth=np.append(worth, np.zeros(missing))
        )
        self.model.train_on_batch({"features": padded, **inputs})
        return float(rewards.mean())


def images_of_a_pass(images: Sequence[CaptionedImage], most: int) -> int:
    """How many images one pass takes: all, as often as they are repeated, or at most so many of each data set."""
    counts: Counter[int] = Counter()
    for image in images:
        counts[image.source] += image.repeats
    return sum(min(count, most or count) for count in counts.values())


def shards_of_a_pass(cache: FeatureCache, most: int, generator: np.random.Generator) -> list[tuple[int, list[int]]]:
    """The shards that one pass takes, each with the rows that come: those of repeated images come in several.

    Args:
        most: images that come of each data set, at most; 0: all of them.
        generator: draws which.
    """
    every = [
        (shard, turn, row)
        for shard in range(cache.shards)
        for row, image in enumerate(cache.members(shard))
        for turn in range(image.repeats)
    ]
    chosen = _at_most(every, lambda place: cache.members(place[0])[place[2]].source, most, generator)
    rows: dict[tuple[int, int], list[int]] = {}
    for shard, turn, row in sorted(chosen):
        rows.setdefault((shard, turn), []).append(row)
    return [(shard, of_turn) for (shard, _), of_turn in rows.items()]


def _at_most(
    things: Sequence[Thing], source_of: Callable[[Thing], int], most: int, generator: np.random.Generator
) -> list[Thing]:
    """At most so many things of each source, drawn at random; all of them if ``most`` is 0."""
    if not most:
        return list(things)
    left: Counter[int] = Counter()
    chosen = []
    for index in generator.permutation(len(things)):
        source = source_of(things[index])
        if left[source] < most:
            left[source] += 1
            chosen.append(things[index])
    return chosen


def _end(caption: NDArray[np.integer]) -> int:
    """Number of words before the end."""
    ends = np.flatnonzero(caption == END)
    return int(ends[0]) if len(ends) else len(caption)


def without_rare_words(captioner: TrainedCaptioner, images: Sequence[CaptionedImage], fewest: int) -> TrainedCaptioner:
    """Return a captioner that has forgotten the words that are in the captions of fewer than ``fewest`` images.

    Its judge and its estimates, which were made for all of them, are gone.
    """
    found = Counter(word for image in images for word in {word for text in image.captions for word in normalise(text)})
    words = captioner.vocabulary.words
    kept = [row for row, word in enumerate(words) if word in SPECIAL or found[word] >= fewest]
    weights = {
        name: array[kept] if name in ("words/embeddings", "output_bias") else array
        for name, array in captioner.weights.items()
    }
    return TrainedCaptioner(
        Vocabulary([words[row] for row in kept]),
        replace(captioner.shape, vocabulary=len(kept)),
        weights,
        replace(captioner.options, judgement=0.0),
        judge={},
    )


def with_new_words(
    weights: Mapping[str, NDArray[Any]], drawn: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[Any]]:
    """Return weights of a captioner that knows more words, which stand behind the known ones.

    A new word is embedded as it was drawn, and as unlikely to be said as the unlikeliest of the known words.
    """
    known = weights["words/embeddings"].shape[0]
    bias = weights["output_bias"].astype(np.float32)
    new = np.full(len(drawn["output_bias"]) - known, bias[UNK + 1 :].min(initial=0.0), np.float32)
    words = np.concatenate([weights["words/embeddings"], drawn["words/embeddings"][known:]])
    return {**weights, "words/embeddings": words, "output_bias": np.concatenate([bias, new])}


def read_curves(work: Path) -> list[dict[str, str]]:
    """Rows of the table of the passes that a training keeps in its work folder."""
    return read_curve(work / CURVES_FILE)


def extract(outputs: Outputs, images: Sequence[CaptionedImage], *, number: int = WHOLE) -> NDArray[np.float16]:
    """Outputs of a network for one view (its number, see ``views``) of images on disk, float16."""
    found = []
    for start in range(0, len(images), READ_AT_ONCE):
        pixels = np.stack([read_input(image.path, number) for image in images[start : start + READ_AT_ONCE]])
        found.append(outputs(pixels).astype(np.float16))
    return np.concatenate(found)
