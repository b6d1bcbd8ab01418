"""Retraining the captioner."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.card import WEIGHTS_FILE, ModelCard
from tounum_tasks.models.registry import ModelVersion, Registry
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.retrain.data_set import read_caption_data
from tounum_tasks.retrain.plan import RetrainPlan, RetrainRequest
from tounum_tasks.retrain.training import DataSet, Row, group_label, initial_version
from tounum_tasks.retrain.work_folder import candidate_folder, work_folder
from tounum_tasks.settings import Settings

BYTES_PER_VIEW = 64 * 2048 * 2  # features of an image as it is, mirrored, or through a window: float16, uncompressed
EXAMPLES = 5
GREEDY = 1


class CaptionerTraining:
    """See :class:`~tounum_tasks.retrain.training.Training`."""

    default_epochs = 10.0
    trains_too: tuple[str, ...] = ("extractor",)

    def check(self, request: RetrainRequest, epochs: float) -> None:
        if epochs < 1 or epochs != int(epochs):
            raise ConfigurationError(f"Parameter epochs: {epochs:g} passes are no whole number from 1 on.")

    def initial(self, registry: Registry) -> ModelVersion:
        return registry.partner(registry.resolve("captioner"), "extractor")

    def read(self, name: str, settings: Settings, corrections: Path | None) -> DataSet:
        found = read_caption_data(name, settings, corrections)
        data = found.data
        counts = {split: len(data.split(split)) for split in ("train", "dev", "test")}
        pictures = [image.path for image in data.images]
        tests = [image.path for image in data.split("test")]
        return DataSet(data.fingerprint, counts, found.test_source, pictures, tests, found)

    def bytes_needed(self, plan: RetrainPlan) -> int:
        views = sum(plan.images.values()) + (1 + plan.windows) * plan.images["train"]
        return views * BYTES_PER_VIEW

    def train(self, plan: RetrainPlan, settings: Settings, data: DataSet) -> dict[str, Any]:
        from tounum_tasks.training.captioner import CURVES_FILE
        from tounum_tasks.training.captioner_run import train_captioner
        from tounum_tasks.training.captioner_settings import TrainingSettings

        initial = initial_version(plan, settings)
        out = work_folder(plan, settings)
        figures = train_captioner(
            data.content.data,
            out,
            TrainingSettings(
                seed=plan.seed,
                head_epochs=plan.extractor_epochs,
                decoder_epochs=int(plan.epochs),
                reward_epochs=plan.reward_epochs,
                windows=plan.windows,
            ),
            read_safetensors(initial.folder / WEIGHTS_FILE),
            version=plan.version,
            notes=plan.notes,
            extractor_digest=initial.digest,
        )
        curves = out / "work" / CURVES_FILE
        if curves.exists():  # copied to where it outlives the checkpoints
            shutil.copyfile(curves, out / curves.name)
        return {name: figure for name, figure in figures.items() if isinstance(figure, dict)}

    def measure(
        self, plan: RetrainPlan, settings: Settings, data: DataSet, card: ModelCard, production: ModelVersion
    ) -> dict[str, Any]:
        from tounum_tasks.evaluation.measure import measure_captioner

        images = data.content.data.split("test")
        beams = sorted({GREEDY, settings.beam})
        partner = Registry.of(settings).partner(production, "extractor")
        figures, said = {}, {}
        groups: dict[str, dict[str, Any]] = {
            origin: {"images": len(found), "figures": {}} for origin, found in data.content.groups.items()
        }
        for name, folder, extractor in (
            ("production", production.folder, partner.folder),
            ("candidate", candidate_folder(plan, settings), _own_extractor(plan, settings, card)),
        ):
            figures[name], captions = measure_captioner(folder, extractor, images, beams)
            said[name] = [caption.text for caption in captions[settings.beam]]
            for origin, found in data.content.groups.items():
                groups[origin]["figures"][name], _ = measure_captioner(folder, extractor, found, beams)
        return {
            "beam": settings.beam,
            "figures": figures,
            "groups": groups,
            "examples": [
                {"image": images[index].name, **{name: texts[index] for name, texts in said.items()}}
                for index in _spread(images)
            ],
        }

    def rows(self, evaluation: Mapping[str, Any]) -> Iterator[Row]:
        figures, beam = evaluation["figures"], evaluation["beam"]
        wide = "greedy" if beam == 1 else f"beam_{beam}"
        search = "greedy" if beam == 1 else f"beam {beam}"
        wanted = [(wide, "cider", f"CIDEr, {search}", 3)]
        wanted += [(wide, f"bleu_{n}", f"BLEU-{n}, {search}", 3) for n in (1, 2, 3, 4)]
        wanted += [(wide, "rouge_l", f"ROUGE-L, {search}", 3)]
        if beam > 1:
            wanted += [("greedy", "cider", "CIDEr, greedy", 3), ("greedy", "bleu_4", "BLEU-4, greedy", 3)]
        wanted += [
            (wide, "distinct_captions", "distinct captions", 0),
            (wide, "vocabulary_used", "words used", 0),
            (wide, "words_per_caption", "words per caption", 1),
            (wide, "share_with_repeated_bigram", "share with a repeated pair of words", 3),
        ]
        for way, figure, label, digits in wanted:
            yield Row(label, figures["production"][way][figure], figures["candidate"][way][figure], digits)
        for group, measured in evaluation.get("groups", {}).items():
            of = measured["figures"]
            for figure, name in (("cider", "CIDEr"), ("bleu_4", "BLEU-4")):
                label = group_label(group, measured["images"], f"{name}, {search}")
                yield Row(label, of["production"][wide][figure], of["candidate"][wide][figure])


def _own_extractor(plan: RetrainPlan, settings: Settings, card: ModelCard) -> Path:
    """Where the candidate's extractor lies: beside it if it was trained, or else the one that training began with."""
    trained = candidate_folder(plan, settings, "extractor")
    initial = initial_version(plan, settings)
    return initial.folder if card.partners.get("extractor") == initial.digest else trained


def _spread(images: Sequence[object]) -> list[int]:
    """Indices of a few images, from the first to the last."""
    count = min(EXAMPLES, len(images))
    return [index * (len(images) - 1) // max(count - 1, 1) for index in range(count)]
