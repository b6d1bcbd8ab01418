"""Which model versions a run uses: resolved once at its start, checked against each other, then loaded by digest."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.manifest.models import MODEL_COLUMNS
from tounum_tasks.model_kinds import KINDS
from tounum_tasks.models.registry import PRODUCTION, ModelVersion, Registry
from tounum_tasks.plan import ModelPin, RunRequest
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.settings import Settings


def pin_models(request: RunRequest, settings: Settings) -> dict[str, ModelPin]:
    """Return the models of a run by name: those that steps use.

    A model that another one was made for, as the extractor for the captioner, is the one that this one names, unless a
    version was asked for.

    Raises:
        ConfigurationError: a version is missing or damaged, or two models do not belong together.
    """
    registry, asked = Registry.of(settings), _asked(request, settings)
    found: dict[str, ModelVersion] = {}
    used = [KINDS[name] for name in MODEL_COLUMNS]
    for kind in sorted(used, key=lambda kind: kind.partner is None):  # who names another model comes first
        if kind.name not in found:
            found[kind.name] = registry.resolve(kind.name, asked[kind.name])
        if kind.partner:
            found[kind.partner] = _partner(registry, found[kind.name], kind.partner, asked[kind.partner])
    return {name: ModelPin(name=name, version=one.version, digest=one.digest) for name, one in found.items()}


def asked_of_production(request: RunRequest, settings: Settings) -> list[str]:
    """Return the names of the models for which a run asks for whatever is in production."""
    return [name for name, version in _asked(request, settings).items() if version == PRODUCTION]


def load_model(name: str, pins: Mapping[str, ModelPin], settings: Settings) -> Any:
    """Return a pinned model: a ``Classifier``, ``Extractor``, ``Captioner`` or ``Restorer``.

    Raises:
        ConfigurationError: the version is not what it was when the run began.
    """
    partner = KINDS[name].partner
    return _load(name, _folder(pins[name], settings), pins[partner].digest if partner else None)


def auto_engine(settings: Settings) -> tuple[ModelVersion, AutoEngine]:
    """Return the restorer that the settings name, and the engine of mode ``auto``, which loads it when a page needs it.

    Raises:
        ConfigurationError: the version is missing or damaged.
    """
    version = Registry.of(settings).resolve("restorer", settings.restorer)
    return version, AutoEngine(lambda: _load("restorer", version.folder, None))


def engine_named(restorer: str, settings: Settings) -> AutoEngine:
    """Return the engine of mode ``auto`` with the restorer that a manifest names.

    Args:
        restorer: as :func:`tounum_tasks.manifest.models.version_of` writes it.

    Raises:
        ConfigurationError: that restorer is not in the registry, or another one has its name now.
    """
    version, _, digest = restorer.partition("@")
    found = Registry.of(settings).resolve("restorer", version)
    if not found.digest.startswith(digest):
        raise ConfigurationError(f"The restorer {version} is another one now ({found.digest[:12]}, not {digest}).")
    return AutoEngine(lambda: _load("restorer", found.folder, None))


def forget_models() -> None:
    """Let go of the models that were loaded: their memory is free once nobody else holds them."""
    _load.cache_clear()


@lru_cache(maxsize=2 * len(KINDS))  # one process uses few versions
def _load(name: str, folder: Path, partner_digest: str | None) -> Any:
    kind = KINDS[name]
    made_for = {f"{kind.partner}_digest": partner_digest} if kind.partner else {}
    return kind.load().load(folder, **made_for)


def _asked(request: RunRequest, settings: Settings) -> dict[str, str]:
    """The versions that a run asks for, by model."""
    return {name: request.models.get(name) or getattr(settings, name) for name in MODEL_COLUMNS}


def _partner(registry: Registry, version: ModelVersion, name: str, asked: str) -> ModelVersion:
    if asked == PRODUCTION:
        return registry.partner(version, name)
    partner = registry.resolve(name, asked)
    if version.card.partners.get(name) != partner.digest:
        raise ConfigurationError(
            f"{version.name.capitalize()} {version.version} was not made for {name} {partner.version}: "
            f"set TOUNUM_{name.upper()}={PRODUCTION} to use the one that it was made for."
        )
    return partner


def _folder(pin: ModelPin, settings: Settings) -> Path:
    """The local folder of a pinned version.

    Raises:
        ConfigurationError: the version is not what it was when the run began.
    """
    found = Registry.of(settings).find(pin.name, pin.version)
    if found.digest != pin.digest:
        raise ConfigurationError(
            f"The {pin.name} {pin.version} was replaced since the run began ({pin.digest[:12]} then, "
            f"{found.digest[:12]} now): start a new run."
        )
    return found.folder
