"""A model version on disk: its files and the card (``model.json``) that describes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tounum_tasks import __version__
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.files import finite, write_json
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.visible import display_name

CARD_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_VERSION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class FileEntry(BaseModel):
    """Hash and size of one file of a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class ModelCard(BaseModel):
    """What ``model.json`` says about a version.

    Attributes:
        files: by name; every file of the version but the card itself.
        digest: identity of the model, see :func:`digest_of`.
        partners: digests of the models that this one was made for, by name (a captioner names its extractor).
        metrics: figures of the evaluation.
        curve: figures that were measured while it was trained, a row for each time; none in cards of earlier releases.
        data_fingerprint: of the data that it was trained on.
        training: settings that it was trained with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    version: str
    files: dict[str, FileEntry]
    digest: str
    partners: dict[str, str] = {}
    metrics: dict[str, Any] = {}
    curve: list[dict[str, float]] = []
    data_fingerprint: str = ""
    training: dict[str, Any] = {}
    code_version: str = ""
    data_licence: str = ""
    notes: str = ""

    @field_validator("name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        return validate_name(value)

    @field_validator("version")
    @classmethod
    def _plain_version(cls, value: str) -> str:
        return validate_version(value)

    @field_validator("files")
    @classmethod
    def _plain_files(cls, value: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name == CARD_FILE:
                raise ValueError(f"{name!r} is no name for a file of a model")
        return value


def validate_name(name: str) -> str:
    """Returns a model's name unchanged.

    Raises:
        ValueError: it could not be a folder's name everywhere.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a model")
    return name


def validate_version(version: str) -> str:
    """Returns a version unchanged.

    Raises:
        ValueError: it could not be a folder's name everywhere, or begins with the word ``production``, which the
            registry needs for itself.
    """
    if not _VERSION.fullmatch(version) or version.startswith("production"):
        raise ValueError(f"{version!r} is no version; use lower-case letters, digits, dots and hyphens")
    return version


def digest_of(files: Mapping[str, FileEntry]) -> str:
    """Identity of a model: sha256 (hex) over the canonical JSON of its files' hashes."""
    return fingerprint(**{name: entry.sha256 for name, entry in files.items()})


def write_card(folder: Path, *, name: str, version: str, **described: Any) -> ModelCard:
    """Describes the files that lie in a folder; the card is written last, which makes the version complete.

    Args:
        described: the fields of :class:`ModelCard` that cannot be seen from the files. Figures that are no numbers
            become null, and are left out of the curve.
    """
    files = {
        path.name: FileEntry(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
        if path.name != CARD_FILE
    }
    described.setdefault("code_version", __version__)
    told = finite(described)
    told["curve"] = [{name: value for name, value in row.items() if value is not None} for row in told.get("curve", [])]
    card = ModelCard(name=name, version=version, files=files, digest=digest_of(files), **told)
    write_json(folder / CARD_FILE, card.model_dump())
    return card


def parse_card(content: bytes, where: str) -> ModelCard:
    """Reads a card.

    Raises:
        ConfigurationError: it is damaged.
    """
    try:
        card = ModelCard.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = display_name(".".join(str(part) for part in first["loc"]))
        raise ConfigurationError(
            f"The model card {where} is damaged: {f'{place}: ' if place else ''}{first['msg']}."
        ) from error
    if card.digest != digest_of(card.files):
        raise ConfigurationError(f"The model card {where} is damaged: its digest does not match its files.")
    return card


def read_version(folder: Path, *, name: str | None = None) -> ModelCard:
    """Return the card of a version folder, after every file of it was compared with its hash.

    Args:
        name: the model that it should be.

    Raises:
        ConfigurationError: the version is incomplete, damaged, or of another model.
    """
    card = read_card(folder, name=name)
    for file in card.files:
        _read_file(folder, card, file)
    return card


def read_files(folder: Path, *, name: str) -> tuple[ModelCard, dict[str, bytes]]:
    """Return the card of a version folder and its files by name, each read once and compared with its hash.

    Raises:
        ConfigurationError: the version is incomplete, damaged, or of another model.
    """
    card = read_card(folder, name=name)
    return card, {file: _read_file(folder, card, file) for file in card.files}


def read_card(folder: Path, *, name: str | None = None) -> ModelCard:
    """Return the card of a version folder; its files are not looked at.

    Args:
        name: the model that it should be.

    Raises:
        ConfigurationError: the card is missing, damaged, or of another model.
    """
    path = folder / CARD_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{folder} holds no complete model: {CARD_FILE} cannot be read.") from error
    card = parse_card(content, str(path))
    if name is not None and card.name != name:
        raise ConfigurationError(f"{folder} holds a model of the kind {card.name}, not {name}.")
    if WEIGHTS_FILE not in card.files:
        raise ConfigurationError(f"The model {folder} is incomplete: its card names no {WEIGHTS_FILE}.")
    return card


def _read_file(folder: Path, card: ModelCard, file: str) -> bytes:
    path, entry = folder / file, card.files[file]
    try:
        if not path.is_file():  # reading a pipe or a device would never end
            raise ConfigurationError(f"The model {folder} is incomplete: {file} is no file that can be read.")
        if path.stat().st_size != entry.bytes:
            raise ConfigurationError(
                f"The model {folder} is damaged: {file} has {path.stat().st_size:,} bytes, not {entry.bytes:,}."
            )
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The model {folder} is incomplete: {file} cannot be read.") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ConfigurationError(f"The model {folder} is damaged: {file} does not match its hash.")
    return content
