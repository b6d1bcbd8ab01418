"""``models``: versions in the registry, and which of them is in production."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.model_kinds import KINDS
from tounum_tasks.models.card import CARD_FILE
from tounum_tasks.models.registry import ModelVersion, Registry
from tounum_tasks.settings import load_settings
from tounum_tasks.visible import display_name


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command and its actions."""
    parser = commands.add_parser(
        "models", help="list, register, promote and roll back models", description="The registry of models."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text)
        added.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
        added.set_defaults(run=function)
        return added

    listing = action("list", list_versions, "all versions; a star marks those in production")
    listing.add_argument("name", nargs="?", choices=KINDS, metavar="MODEL", help=", ".join(KINDS))
    showing = action("show", show, "the card of a version, after checking its files")
    showing.add_argument("name", choices=KINDS, metavar="MODEL", help=", ".join(KINDS))
    showing.add_argument("version", nargs="?", default="production", metavar="VERSION", help="default: production")
    registering = action("register", register, "copy trained versions into the registry, not yet in production")
    registering.add_argument("folder", metavar="FOLDER", help="a version folder, or what train --out wrote")
    promoting = action("promote", promote, "put a version into production")
    promoting.add_argument("name", choices=KINDS, metavar="MODEL", help=", ".join(KINDS))
    promoting.add_argument("version", metavar="VERSION")
    rolling = action("rollback", rollback, "go back to the version that was in production before")
    rolling.add_argument("name", choices=KINDS, metavar="MODEL", help=", ".join(KINDS))


def _registry(arguments: argparse.Namespace) -> Registry:
    settings = load_settings(lake_root=arguments.lake)
    return Registry.of(settings)


def list_versions(arguments: argparse.Namespace) -> int:
    """Prints one line per version.

    Raises:
        ConfigurationError: which version is in production cannot be told; the versions have been printed.
    """
    registry = _registry(arguments)
    names = [arguments.name] if arguments.name else KINDS
    for name in names:
        for found in registry.versions(name):
            mark = "*" if found.in_production else " "
            origin = "starter" if found.is_starter else "lake"
            digest = found.problem or (found.card.digest[:12] if found.card else "")
            print(f"{mark} {name:<10} {display_name(found.version):<16} {origin:<8} {digest}")
    for name in names:
        registry.production(name)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Prints the card of one version."""
    found = _registry(arguments).resolve(arguments.name, arguments.version)
    print(json.dumps(found.card.model_dump(), indent=2, ensure_ascii=False))
    return 0


def register(arguments: argparse.Namespace) -> int:
    """Registers every version in a folder, extractors first, because captioners name them.

    Raises:
        ConfigurationError: there is none, or one is damaged or taken.
    """
    registry = _registry(arguments)
    folders = [path.parent for path in sorted(Path(arguments.folder).rglob(CARD_FILE))]
    if not folders:
        raise ConfigurationError(f"{arguments.folder} holds no model: there is no {CARD_FILE} in it.")
    for folder in sorted(folders, key=lambda path: "extractor" not in path.parts):
        found = registry.register(folder)
        print(f"registered {found.name} {found.version} ({found.digest[:12]})")
    return 0


def promote(arguments: argparse.Namespace) -> int:
    """Promotes one version, after it was loaded once as a run loads it.

    Raises:
        ConfigurationError: it cannot be used; what was in production stays there.
    """
    registry = _registry(arguments)
    _require_loadable(registry, registry.resolve(arguments.name, arguments.version))
    found = registry.promote(arguments.name, arguments.version)
    print(f"{found.name} {found.version} ({found.digest[:12]}) is in production")
    return 0


def _require_loadable(registry: Registry, version: ModelVersion) -> None:
    """Raise ConfigurationError for a version that a run could not load, because its card or its files are wrong."""
    kind = KINDS[version.name]
    if kind.column is None:  # no run loads it
        return
    made_for = {f"{kind.partner}_digest": registry.partner(version, kind.partner).digest} if kind.partner else {}
    kind.load().load(version.folder, **made_for)


def rollback(arguments: argparse.Namespace) -> int:
    """Goes back one promotion."""
    found = _registry(arguments).rollback(arguments.name)
    print(f"{found.name} {found.version} ({found.digest[:12]}) is in production again")
    return 0
