"""The registry of models: immutable versions in the lake, and which of them is in production.

::

    lake/models/NAME/VERSION/model.json, weights.safetensors, ...
    lake/models/NAME/production.json          {"version": ..., "previous": [...]}, replaced in one step

Starter models come with the package. They are versions like any other, and in production until another is promoted.
Those that a promotion relies on are copied into the lake: the package may bring others after an upgrade.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.model_kinds import KINDS
from tounum_tasks.models.card import (
    CARD_FILE,
    ModelCard,
    parse_card,
    read_card,
    read_version,
    validate_name,
    validate_version,
)
from tounum_tasks.models.weights import check_files
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.store.folder import FolderStorage
from tounum_tasks.store.open import open_storage

PRODUCTION = "production"
LOCK_SECONDS = 30.0
STARTERS = Path(__file__).parent / "starter"


@dataclass(frozen=True)
class ModelVersion:
    """A version in a local folder."""

    name: str
    version: str
    digest: str
    folder: Path
    card: ModelCard


@dataclass(frozen=True)
class ListedVersion:
    """One line of a list; ``problem`` says what is wrong with a version that cannot be used."""

    name: str
    version: str
    in_production: bool
    is_starter: bool
    card: ModelCard | None
    problem: str | None = None


class Registry:
    """The models below one lake.

    Args:
        lake: folder or URL of the lake, or its storage.
        cache: folder for local copies of versions that lie in an object store.
        starters: folder of the packaged versions.
    """

    def __init__(self, lake: str | Storage, *, cache: Path | None = None, starters: Path = STARTERS) -> None:
        self._lake = open_storage(lake) if isinstance(lake, str) else lake
        self._cache = cache or Path(tempfile.gettempdir()) / "tounum_models"
        self._starters = starters

    @classmethod
    def of(cls, settings: Settings) -> Registry:
        """Return the registry in the configured lake."""
        return cls(settings.lake_root, cache=Path(settings.model_cache))

    # Reading

    def resolve(self, name: str, version: str = PRODUCTION) -> ModelVersion:
        """Find a version and check all its files.

        Raises:
            ConfigurationError: there is no such version, or it is incomplete or damaged.
        """
        found = self.find(name, version)
        read_version(found.folder, name=name)
        return found

    def find(self, name: str, version: str = PRODUCTION) -> ModelVersion:
        """Find a version by its card; who loads it compares its files with their hashes.

        Raises:
            ConfigurationError: there is no such version, or its card is damaged.
        """
        _checked(validate_name, name)
        if version == PRODUCTION:
            version = self.production(name)
        _checked(validate_version, version)
        folder = self._local_folder(name, version)
        card = read_card(folder, name=name)
        if card.version != version:
            raise ConfigurationError(f"{folder} says that it is version {card.version}, not {version}.")
        return ModelVersion(name, version, card.digest, folder, card)

    def production(self, name: str) -> str:
        """The version in production: the one promoted last, or else the newest starter.

        Raises:
            ConfigurationError: there is neither, or ``production.json`` is damaged.
        """
        promoted = self._promoted(name)
        if promoted:
            return promoted[-1]
        starters = self._starter_versions(name)
        if not starters:
            raise ConfigurationError(f"There is no {name}: train one and promote it (tounum_tasks models promote).")
        return starters[-1]

    def versions(self, name: str) -> list[ListedVersion]:
        """All versions of a model, starters first; damaged ones with what is wrong with them (files are not hashed).

        None is in production if there is no version, or if ``production.json`` is damaged.
        """
        _checked(validate_name, name)
        starters = self._starter_versions(name)
        published = [v for v in self._published_versions(name) if v not in starters]
        try:
            current = self.production(name)
        except ConfigurationError:
            current = None  # who asks for the version in production is told why; the versions are there all the same
        rows = []
        for version in [*starters, *published]:
            is_starter = version in starters
            card, problem = None, None
            try:
                card = self._card(name, version, is_starter)
            except ConfigurationError as error:
                problem = str(error)
            rows.append(ListedVersion(name, version, version == current, is_starter, card, problem))
        return rows

    def partner(self, version: ModelVersion, name: str) -> ModelVersion:
        """The version of another model that this one was made for.

        Raises:
            ConfigurationError: it names no such partner, or the partner is not here.
        """
        digest = version.card.partners.get(name)
        if digest is None:
            raise ConfigurationError(f"The {version.name} {version.version} does not say which {name} it was made for.")
        for row in self.versions(name):
            if row.card is not None and row.card.digest == digest:
                return self.resolve(name, row.version)
        raise ConfigurationError(
            f"The {version.name} {version.version} was made for the {name} {digest[:12]}, which is not in the registry:"
            " register it. If it was a starter, it lies in an earlier release, in tounum_tasks/models/starter."
        )

    # Writing

    def register(self, folder: Path) -> ModelVersion:
        """Copies a version folder into the lake under the version that its card names; it never changes again.

        Registering the same content again changes nothing, so that an interrupted call can be repeated.

        Raises:
            ConfigurationError: the folder is damaged or of no known kind, its weights are no numbers, or the version
                exists with other content.
        """
        card = read_version(folder)
        if card.name not in KINDS:
            raise ConfigurationError(f"{folder} holds a model of the kind {card.name}; known are {', '.join(KINDS)}.")
        check_files(folder, card.files)
        if card.version in self._starter_versions(card.name):
            if read_version(self._starters / card.name / card.version).digest != card.digest:
                raise _taken(card)
        else:
            self._copy(folder, card)
        return self.resolve(card.name, card.version)

    def promote(self, name: str, version: str) -> ModelVersion:
        """Puts a version into production, in one step. Runs that have begun keep the version that they resolved.

        Starters among this version, its partners and the version that it replaces are copied into the lake.

        Raises:
            ConfigurationError: the version cannot be used, or a partner of it is missing.
        """
        chosen = self.resolve(name, version)
        check_files(chosen.folder, chosen.card.files)
        for partner in chosen.card.partners:
            self.partner(chosen, partner)
        starters = self._starter_versions(name)
        with self._one_at_a_time(name):
            while True:
                found = self._list_version(name)
                try:
                    promoted = self._promoted(name)
                except ConfigurationError:
                    promoted = []  # a damaged list is replaced: this is how it is mended
                before = promoted or [version for version in starters[-1:] if version != chosen.version]
                for replaced in before[-1:]:
                    if replaced in starters:
                        self._keep_starters(self.resolve(name, replaced))
                self._keep_starters(chosen)
                if promoted[-1:] == [chosen.version] or self._install(name, [*before, chosen.version], found):
                    return chosen

    def rollback(self, name: str) -> ModelVersion:
        """Puts the version back into production that was there before the last promotion.

        Raises:
            ConfigurationError: nothing was promoted, or the version before it cannot be used.
        """
        _checked(validate_name, name)
        with self._one_at_a_time(name):
            while True:
                found = self._list_version(name)
                promoted = self._promoted(name)
                if len(promoted) < 2:
                    raise ConfigurationError(f"There is no version of the {name} to go back to.")
                previous = self.resolve(name, promoted[-2])
                if self._install(name, promoted[:-1], found):
                    return previous

    def _one_at_a_time(self, name: str) -> AbstractContextManager[None]:
        """Two promotions at the same moment must not forget one of them.

        Object stores have no locks: there, a list that somebody else has replaced meanwhile is read again.
        """
        return self._lake.lock(f"models/{name}/production.lock", LOCK_SECONDS)

    def _keep_starters(self, version: ModelVersion) -> None:
        """Copies a version and its partners into the lake, if they are starters that it has not yet."""
        for partner in version.card.partners:
            self._keep_starters(self.partner(version, partner))
        files = self._lake.list_folder(f"models/{version.name}/{version.version}")
        if not any(entry.name == CARD_FILE for entry in files):
            self._copy(version.folder, version.card)

    def _copy(self, folder: Path, card: ModelCard) -> None:
        """Copies a version into the lake, its card last."""
        base = f"models/{card.name}/{card.version}"
        for file, entry in card.files.items():
            path = f"{base}/{file}"
            is_new = self._lake.create_exclusively(path, (folder / file).read_bytes())
            if not is_new and self._lake.sha256(path) != entry.sha256:
                raise _taken(card)
        content = (folder / CARD_FILE).read_bytes()
        path = f"{base}/{CARD_FILE}"
        if not self._lake.create_exclusively(path, content) and self._lake.read_bytes(path) != content:
            raise _taken(card)

    # Where things lie

    def _list_version(self, name: str) -> str:
        """What the store calls the content of the list of promotions; empty if there is none, and for folders."""
        try:
            return self._lake.entry(f"models/{name}/production.json").version
        except FileNotFoundError:
            return ""

    def _install(self, name: str, versions: list[str], found: str) -> bool:
        """Write the list of promotions if it is what was ``found`` still; return whether it was."""
        content = json.dumps({"version": versions[-1], "previous": versions[:-1]}, indent=2) + "\n"
        return self._lake.replace_version(f"models/{name}/production.json", content.encode(), found)

    def _promoted(self, name: str) -> list[str]:
        """Versions that were promoted, the one in production last; empty before the first promotion."""
        path = f"models/{name}/production.json"
        try:
            content = json.loads(self._lake.read_bytes(path))
            previous = content.get("previous", [])
            if not isinstance(previous, list) or content.keys() - {"version", "previous"}:
                raise TypeError("it is not what was written")
            return [validate_version(version) for version in [*previous, content["version"]]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigurationError(f"{self._lake.url(path)} is damaged; promote a version again.") from error

    def _starter_versions(self, name: str) -> list[str]:
        folder = self._starters / name
        found = [entry.parent.name for entry in folder.glob(f"*/{CARD_FILE}")]
        return sorted(found, key=version_order)

    def _published_versions(self, name: str) -> list[str]:
        entries = self._lake.list_folder(f"models/{name}")
        return sorted((entry.name for entry in entries if entry.kind == "folder"), key=version_order)

    def _card(self, name: str, version: str, is_starter: bool) -> ModelCard:
        if is_starter:
            path = self._starters / name / version / CARD_FILE
            return parse_card(path.read_bytes(), str(path))
        remote = f"models/{name}/{version}/{CARD_FILE}"
        try:
            return parse_card(self._lake.read_bytes(remote), self._lake.url(remote))
        except FileNotFoundError as error:
            raise ConfigurationError(f"The {name} {version} is incomplete: it has no {CARD_FILE}.") from error

    def _local_folder(self, name: str, version: str) -> Path:
        if version in self._starter_versions(name):
            return self._starters / name / version
        base = f"models/{name}/{version}"
        if version not in self._published_versions(name):
            known = ", ".join([*self._starter_versions(name), *self._published_versions(name)]) or "none"
            raise ConfigurationError(f"There is no version {version} of the {name}; there are: {known}.")
        if isinstance(self._lake, FolderStorage):
            return self._lake.local_path(base)
        return self._downloaded(base, self._card(name, version, is_starter=False))

    def _downloaded(self, base: str, card: ModelCard) -> Path:
        """A local copy of a version; copies are known by digest, made in a temporary folder and then renamed."""
        target = self._cache / card.name / f"{card.version}-{card.digest[:16]}"
        if target.is_dir():
            try:
                read_version(target, name=card.name)
                return target
            except ConfigurationError:
                shutil.rmtree(target)  # a damaged copy is made again
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as temporary:
            staged = Path(temporary) / "version"
            staged.mkdir()
            for file in [*card.files, CARD_FILE]:
                try:
                    (staged / file).write_bytes(self._lake.read_bytes(f"{base}/{file}"))
                except FileNotFoundError as error:
                    raise ConfigurationError(f"The model {base} is incomplete: {file} is missing.") from error
            read_version(staged, name=card.name)
            try:
                staged.rename(target)
            except OSError:
                if not target.is_dir():  # another process may have been faster
                    raise
        return target


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which ``2026.11.20-10`` follows ``2026.11.20-9``."""
    parts = re.findall(r"\d+|\D+", version)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def next_version(date: str, taken: Iterator[str] | list[str]) -> str:
    """The first free version of a day (``date`` YYYY-MM-DD): ``2026.11.20-1``, ``2026.11.20-2``, ..."""
    used = set(taken)
    stem = date.replace("-", ".")
    number = 1
    while f"{stem}-{number}" in used:
        number += 1
    return f"{stem}-{number}"


def _taken(card: ModelCard) -> ConfigurationError:
    return ConfigurationError(f"{card.name} {card.version} exists already with other content; choose another version.")


def _checked(validate: object, value: str) -> None:
    try:
        validate(value)  # type: ignore[operator]
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from error
