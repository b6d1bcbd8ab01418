"""Which model versions a run uses: resolved once at its start, checked against each other, then loaded by digest."""

from functools import lru_cache
from pathlib import Path

from tounum_tasks.caption.captioner import Captioner
from tounum_tasks.classify.classifier import Classifier
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.models.registry import PRODUCTION, ModelVersion, Registry
from tounum_tasks.plan import ModelPin, RunRequest
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.restore.restorer import Restorer
from tounum_tasks.settings import Settings


def pin_models(request: RunRequest, settings: Settings) -> dict[str, ModelPin]:
    """Return the models of a run by name: classifier, extractor, captioner and restorer.

    The extractor is the one that the captioner was made for, unless the settings name a version.

    Raises:
        ConfigurationError: a version is missing or damaged, or captioner and extractor do not belong together.
    """
    registry = _registry(settings)
    captioner = registry.resolve("captioner", request.captioner)
    if settings.extractor == PRODUCTION:
        extractor = registry.partner(captioner, "extractor")
    else:
        extractor = registry.resolve("extractor", settings.extractor)
        if captioner.card.partners.get("extractor") != extractor.digest:
            raise ConfigurationError(
                f"Captioner {captioner.version} was not made for extractor {extractor.version}: "
                f"set TOUNUM_EXTRACTOR={PRODUCTION} to use the one that it was made for."
            )
    classifier = registry.resolve("classifier", request.classifier)
    restorer = registry.resolve("restorer", settings.restorer)
    return {version.name: _pin(version) for version in (classifier, extractor, captioner, restorer)}


def asked_of_production(request: RunRequest, settings: Settings) -> list[str]:
    """Return the names of the models for which a run asks for whatever is in production."""
    asked = {
        "classifier": request.classifier,
        "extractor": settings.extractor,
        "captioner": request.captioner,
        "restorer": settings.restorer,
    }
    return [name for name, version in asked.items() if version == PRODUCTION]


def load_classifier(pin: ModelPin, settings: Settings) -> Classifier:
    return _classifier(_folder(pin, settings))


def load_extractor(pin: ModelPin, settings: Settings) -> Extractor:
    return _extractor(_folder(pin, settings))


def load_captioner(pin: ModelPin, extractor: ModelPin, settings: Settings) -> Captioner:
    return _captioner(_folder(pin, settings), extractor.digest)


def load_restorer(pin: ModelPin, settings: Settings) -> Restorer:
    return _restorer(_folder(pin, settings))


def auto_engine(settings: Settings) -> tuple[ModelVersion, AutoEngine]:
    """The restorer that the settings name, and the engine of mode ``auto`` with it: loaded when a page needs it.

    Raises:
        ConfigurationError: the version is missing or damaged.
    """
    version = _registry(settings).resolve("restorer", settings.restorer)
    return version, AutoEngine(lambda: _restorer(version.folder))


# One process uses few versions: each is loaded once, and the last two are kept.
_classifier = lru_cache(maxsize=2)(Classifier.load)
_extractor = lru_cache(maxsize=2)(Extractor.load)
_restorer = lru_cache(maxsize=2)(Restorer.load)


@lru_cache(maxsize=2)
def _captioner(folder: Path, extractor_digest: str) -> Captioner:
    return Captioner.load(folder, extractor_digest=extractor_digest)


def _folder(pin: ModelPin, settings: Settings) -> Path:
    """The local folder of a pinned version.

    Raises:
        ConfigurationError: the version is not what it was when the run began.
    """
    found = _registry(settings).resolve(pin.name, pin.version)
    if found.digest != pin.digest:
        raise ConfigurationError(
            f"The {pin.name} {pin.version} was replaced since the run began ({pin.digest[:12]} then, "
            f"{found.digest[:12]} now): start a new run."
        )
    return found.folder


def _registry(settings: Settings) -> Registry:
    return Registry(settings.lake_root, cache=Path(settings.model_cache))


def _pin(version: ModelVersion) -> ModelPin:
    return ModelPin(name=version.name, version=version.version, digest=version.digest)
