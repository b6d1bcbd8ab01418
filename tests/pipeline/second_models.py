"""Second versions of the starter models, in seconds: they do something else, and visibly so."""

import json
import shutil
from pathlib import Path

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.models.card import ModelCard, read_version, write_card
from tounum_tasks.models.registry import Registry
from tounum_tasks.models.weights import read_safetensors, write_safetensors

VERSION = "second-1"


def register_second_captioner(lake: Path, version: str = VERSION, *, ending: str = "x") -> str:
    """Register a captioner that says ``ax dogx`` where the starter says ``a dog``; return its version."""
    folder, card = _copy_of_starter(lake, "captioner", version)
    path = folder / "vocabulary.json"
    words = json.loads(path.read_text())
    path.write_text(json.dumps([*words[:4], *(word + ending for word in words[4:])]))
    return _register(lake, folder, card, version)


def register_second_classifier(lake: Path) -> str:
    """Register a classifier that takes photographs for texts and texts for photographs; return its version."""
    folder, card = _copy_of_starter(lake, "classifier", VERSION)
    path = folder / "weights.safetensors"
    weights = read_safetensors(path)
    order = [{"Photo": "Text", "Text": "Photo"}.get(name, name) for name in CLASSES]
    swapped = [CLASSES.index(name) for name in order]
    weights["scores/kernel"], weights["scores/bias"] = (
        weights["scores/kernel"][:, swapped],
        weights["scores/bias"][swapped],
    )
    write_safetensors(path, weights)
    return _register(lake, folder, card, VERSION)


def _copy_of_starter(lake: Path, name: str, version: str) -> tuple[Path, ModelCard]:
    registry = Registry(str(lake))
    starter = next(known.version for known in registry.versions(name) if known.is_starter)
    folder = lake.parent / "trained" / name / version
    shutil.copytree(registry.resolve(name, starter).folder, folder)
    return folder, read_version(folder)


def _register(lake: Path, folder: Path, card: ModelCard, version: str) -> str:
    described = card.model_dump(exclude={"name", "version", "files", "digest"})
    write_card(folder, name=card.name, version=version, **described)
    Registry(str(lake)).register(folder)
    return version
