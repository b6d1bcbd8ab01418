"""The models that there are: one row each, and the settings of their versions. Nothing here is slow to import."""

import importlib
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field


class ModelVersions(BaseModel):
    """The part of the settings that says which version of each model runs use."""

    classifier: str = Field("production", description="Version of the classifier, or production")
    captioner: str = Field("production", description="Version of the captioner, or production")
    extractor: str = Field(
        "production", description="Version of the feature extractor; production is the one the captioner was made for"
    )
    restorer: str = Field("production", description="Version of the restorer of mode auto, or production")


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
        name: in the registry, in a plan, and the setting that asks for a version.
        loader: class that reads a version, ``module:Class``; its method ``load`` takes the folder of a version and, if
            it has a partner, that one's digest, as ``PARTNER_digest``.
        column: of a manifest, which names the version that made a row; None for a model that no step uses: it can be
            registered and promoted, and runs need no version of it.
        partner: the model that a version was made for.
    """

    name: str
    loader: str
    column: str | None = None
    partner: str | None = None

    def load(self) -> Any:
        """Import and return the class that reads a version."""
        module, _, name = self.loader.partition(":")
        return getattr(importlib.import_module(f"tounum_tasks.{module}"), name)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("extractor", "features.extractor:Extractor", "extractor_version"),
        Kind("captioner", "caption.captioner:Captioner", "captioner_version", partner="extractor"),
        Kind("classifier", "classify.classifier:Classifier", "classifier_version"),
        Kind("restorer", "restore.restorer:Restorer", "restorer_version"),
    )
}
