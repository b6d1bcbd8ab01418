"""The models that a run uses: one row each, and nothing that is slow to import."""

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
        name: in the registry, in a plan, and the setting that asks for a version.
        column: of a manifest, which names the version that made a row.
        loader: class that reads a version, ``module:Class``; its method ``load`` takes the folder of a version and, if
            it has a partner, that one's digest, as ``PARTNER_digest``.
        partner: the model that a version was made for.
    """

    name: str
    column: str
    loader: str
    partner: str | None = None

    def load(self) -> Any:
        """Import and return the class that reads a version."""
        module, _, name = self.loader.partition(":")
        return getattr(importlib.import_module(f"tounum_tasks.{module}"), name)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("extractor", "extractor_version", "features.extractor:Extractor"),
        Kind("captioner", "captioner_version", "caption.captioner:Captioner", partner="extractor"),
        Kind("classifier", "classifier_version", "classify.classifier:Classifier"),
        Kind("restorer", "restorer_version", "restore.restorer:Restorer"),
    )
}
