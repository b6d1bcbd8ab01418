"""Retraining the restorer: clean pictures, which the training degrades itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tounum_tasks.datasets.classes import TEST_FOLDER
from tounum_tasks.datasets.lots import drawn, hashes_of_files
from tounum_tasks.datasets.pictures import Source, files_of, load_picture, load_pictures
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.models.card import WEIGHTS_FILE, ModelCard
from tounum_tasks.models.registry import ModelVersion, Registry
from tounum_tasks.models.trained_on import prefix_of, read_trained_on
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.retrain.data_set import (
    CORRECTIONS,
    TEST_SHARE,
    check_inside,
    datasets_folder,
    find_data_set,
)
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.training import DataSet, Row, initial_version
from tounum_tasks.retrain.work_folder import candidate_folder, work_folder
from tounum_tasks.settings import Settings

REDUCED_FOLDER = "reduced"
STEPS_OF_A_PASS = 1_000
LEARNING_RATE = 4e-4  # of weights that have learnt before; new ones take two and a half times as much
MOST_TESTS = 40  # each is degraded in nine ways and restored by both models
MEAN = "mean of the six"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pictures:
    """Clean pictures.

    Attributes:
        training: files to learn from; ``reduced`` are those that are brought to half their size first.
        test: files to measure on, as they are.
    """

    training: tuple[Path, ...]
    reduced: tuple[Path, ...]
    test: tuple[Path, ...]

    def without_tests(self, left_out: Set[Path]) -> Self:
        """Return the same without some test pictures.

        Raises:
            ConfigurationError: none is left.
        """
        test = tuple(path for path in self.test if path not in left_out)
        if not test:
            raise ConfigurationError("no other is left to test on, add some.")
        return replace(self, test=test)


class RestorerTraining:
    """See :class:`~tounum_tasks.retrain.training.Training`."""

    default_epochs = 10.0
    trains_too: tuple[str, ...] = ()

    def check(self, request: RetrainRequest, epochs: float) -> None:
        if request.extractor_epochs or request.reward_epochs or request.windows:
            raise ConfigurationError(
                "Parameters extractor_epochs, reward_epochs and windows are for the captioner: set them to 0."
            )
        if request.corrections or request.data == CORRECTIONS:
            raise ConfigurationError("Parameter corrections: people correct classes and captions, not pictures.")
        if epochs * STEPS_OF_A_PASS < 1:
            raise ConfigurationError(f"Parameter epochs: {epochs:g} passes of {STEPS_OF_A_PASS} steps are too few.")

    def initial(self, registry: Registry) -> ModelVersion:
        return registry.resolve("restorer")

    def read(self, name: str, settings: Settings, corrections: Path | None) -> DataSet:
        root = find_data_set(name, settings)
        files = files_of(Source(root))
        check_inside(datasets_folder(settings), files)
        test = [path for path in files if path.is_relative_to(root / TEST_FOLDER)]
        source = f"its folder {TEST_FOLDER}"
        if not test:
            hashes = hashes_of_files(path for path in files if not path.is_relative_to(root / REDUCED_FOLDER))
            held = drawn(hashes.values(), "test", TEST_SHARE)
            test = [path for path, sha256 in hashes.items() if sha256 in held]
            source = f"{TEST_SHARE:.0%} of its pictures, held out by their bytes"
        training = [path for path in files if path not in set(test)]
        if not training or not test:
            raise ConfigurationError(
                f"Data set '{name}' has no pictures to {'train' if test else 'test'} on: add some."
            )
        reduced = {path for path in training if path.is_relative_to(root / REDUCED_FOLDER)}
        content = Pictures(tuple(path for path in training if path not in reduced), tuple(sorted(reduced)), tuple(test))
        known = [[str(path.relative_to(root)), path.stat().st_size] for path in training]
        images = {"train": len(training), "test": len(test)}
        return DataSet(fingerprint(pictures=known), images, source, files, test, content)

    def bytes_needed(self, plan: RetrainPlan) -> int:
        return 0  # little beside what must be left free

    def train(self, plan: RetrainPlan, settings: Settings, data: DataSet) -> dict[str, Any]:
        from tounum_tasks.training.degradation import MARGIN
        from tounum_tasks.training.restorer import Recipe, train

        pictures: Pictures = data.content
        initial = initial_version(plan, settings).folder
        recipe = Recipe(
            steps=round(plan.epochs * STEPS_OF_A_PASS),
            learning_rate=LEARNING_RATE,
            checkpoint_steps=STEPS_OF_A_PASS // 2,
            seed=plan.seed,
        )
        root = find_data_set(plan.data, settings)
        files = (*pictures.training, *pictures.reduced)
        groups = (pictures.training, False), (pictures.reduced, True)
        card = train(
            load_pictures(
                [Source(root, len(group), reduced, group) for group, reduced in groups if group],
                smallest_side=recipe.patch + 2 * MARGIN,
                drawn_share=recipe.drawn_share,
            ),
            recipe,
            work_folder(plan, settings),
            version=plan.version,
            initial=read_safetensors(initial / WEIGHTS_FILE),
            trained_on=[*map(prefix_of, hashes_of_files(files).values()), *(read_trained_on(initial) or ())],
            notes=plan.notes,
        )
        return {"training_error": card.metrics["training_error"]}

    def measure(
        self, plan: RetrainPlan, settings: Settings, data: DataSet, card: ModelCard, production: ModelVersion
    ) -> dict[str, Any]:
        from tounum_tasks.evaluation.restorer import summary, treat_all
        from tounum_tasks.restore.auto import AutoEngine
        from tounum_tasks.restore.restorer import Restorer

        hashes = hashes_of_files(data.tests)
        chosen = sorted(data.tests, key=hashes.__getitem__)[:MOST_TESTS]
        figures = {}
        for name, folder in (("production", production.folder), ("candidate", candidate_folder(plan, settings))):
            engine, rows = AutoEngine(lambda folder=folder: Restorer.load(folder)), []  # type: ignore[misc]
            for number, path in enumerate(chosen):
                rows += treat_all(str(path), load_picture(path), number, methods=("untouched", "auto"), engine=engine)
                log.info("%s: %d of %d pictures", name, number + 1, len(chosen))
            figures[name] = summary(rows)
        return {"measured_on": len(chosen), "figures": figures}

    def rows(self, evaluation: Mapping[str, Any]) -> Iterator[Row]:
        production, candidate = (evaluation["figures"][name]["auto"] for name in ("production", "candidate"))
        names = {MEAN: "mean of six degradations"} | {kind: kind for kind in production if kind != MEAN}
        for kind, name in names.items():
            before, after = production[kind]["psnr"], candidate[kind]["psnr"]
            if before is not None and after is not None:
                yield Row(f"PSNR in dB, {name}", before, after, 2)
        yield Row("clean pictures changed", production["clean"]["touched"], candidate["clean"]["touched"], 0)
        yield Row("pictures made worse, of all degradations", _made_worse(production), _made_worse(candidate), 0)


def _made_worse(figures: Mapping[str, Any]) -> int:
    return sum(of_kind["worse"] for kind, of_kind in figures.items() if kind != MEAN)
