"""Retraining the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tounum_tasks.classify.network import RANGES
from tounum_tasks.datasets.classes import Example
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import WEIGHTS_FILE, ModelCard
from tounum_tasks.models.registry import ModelVersion, Registry
from tounum_tasks.models.trained_on import read_trained_on
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.retrain.data_set import read_class_data
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.training import DataSet, Row, group_label, initial_version
from tounum_tasks.retrain.work_folder import candidate_folder, work_folder
from tounum_tasks.settings import Settings


class ClassifierTraining:
    """See :class:`~tounum_tasks.retrain.training.Training`."""

    default_epochs = 0.5
    trains_too: tuple[str, ...] = ()

    def check(self, request: RetrainRequest, epochs: float) -> None:
        if request.extractor_epochs or request.reward_epochs or request.windows:
            raise ConfigurationError(
                "Parameters extractor_epochs, reward_epochs and windows are for the captioner: set them to 0."
            )

    def initial(self, registry: Registry) -> ModelVersion:
        return registry.resolve("classifier")

    def read(self, name: str, settings: Settings, corrections: Path | None) -> DataSet:
        found = read_class_data(name, settings, corrections)
        counts = {"train": len(found.training), "test": len(found.test)}
        pictures = [example.path for example in (*found.training, *found.test)]
        tests = [example.path for example in found.test]
        return DataSet(found.fingerprint, counts, found.test_source, pictures, tests, found)

    def bytes_needed(self, plan: RetrainPlan) -> int:
        return 0  # little beside what must be left free

    def train(self, plan: RetrainPlan, settings: Settings, data: DataSet) -> dict[str, Any]:
        from tounum_tasks.training.classifier import train
        from tounum_tasks.training.classifier_recipe import Recipe

        initial = initial_version(plan, settings).folder
        weights = read_safetensors(initial / WEIGHTS_FILE)
        card = train(
            data.content.training,
            weights,
            Recipe(passes=plan.epochs, seed=plan.seed, int8=RANGES in weights),  # nights take as long as before
            work_folder(plan, settings),
            version=plan.version,
            notes=plan.notes,
            trained_before=read_trained_on(initial) or (),
        )
        validation = card.metrics["validation"]
        return {name: validation[name] for name in ("images", "accuracy", "macro_f1")}

    def measure(
        self, plan: RetrainPlan, settings: Settings, data: DataSet, card: ModelCard, production: ModelVersion
    ) -> dict[str, Any]:
        from tounum_tasks.evaluation.measure import measure_classifier

        folders = {"production": production.folder, "candidate": candidate_folder(plan, settings)}

        def figures(examples: Sequence[Example]) -> dict[str, Any]:
            return {name: measure_classifier(folder, examples) for name, folder in folders.items()}

        groups = {
            origin: {"images": len(found), "figures": figures(found)} for origin, found in data.content.groups.items()
        }
        return {"figures": figures(data.content.test), "groups": groups}

    def rows(self, evaluation: Mapping[str, Any]) -> Iterator[Row]:
        production, candidate = (evaluation["figures"][name] for name in ("production", "candidate"))
        yield Row("macro F1", production["macro_f1"], candidate["macro_f1"])
        yield Row("accuracy", production["accuracy"], candidate["accuracy"])
        for name, of_production in production["per_class"].items():
            for figure in ("precision", "recall"):
                yield Row(f"{name}: {figure}", of_production[figure], candidate["per_class"][name][figure])
        label = "calibration error (lower is better)"
        yield Row(label, production["calibration_error"], candidate["calibration_error"])
        for group, measured in evaluation.get("groups", {}).items():
            of = measured["figures"]
            label = group_label(group, measured["images"], "accuracy")
            yield Row(label, of["production"]["accuracy"], of["candidate"]["accuracy"])
