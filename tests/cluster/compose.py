"""Reads docker-compose.yaml as Docker Compose does: variables from ``.env``, anchors, overriding files, profiles."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<word>[^{}]*))?\}|(?P<wrong>))"
)
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
SHARED_LISTS = ("command", "test")  # lists that an overriding file replaces as a whole


class ComposeError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class HealthCheck:
    """How to ask a container whether it is well; times in seconds."""

    test: tuple[str, ...]
    interval: float
    timeout: float


@dataclass(frozen=True)
class Mount:
    """What a container sees under ``target``: the named volume or the folder ``source``."""

    source: str
    target: str
    read_only: bool

    @property
    def is_volume(self) -> bool:
        return not self.source.startswith((".", "/", "~"))


@dataclass(frozen=True)
class Service:
    """One service, with every variable filled in."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    depends_on: Mapping[str, str]
    health: HealthCheck | None
    restart: str
    replicas: int
    working_dir: str | None
    profiles: tuple[str, ...]


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file with lines ``NAME=value``."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_documents(*files: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of the files, each laid over those before it, with variables filled in."""
    whole: dict[str, Any] = {}
    for file in files:
        whole = _merge(whole, interpolate(yaml.safe_load(file.read_text()), variables))
    return whole


def read_services(*files: Path, variables: Mapping[str, str], profiles: tuple[str, ...] = ()) -> dict[str, Service]:
    """Return the services that ``docker compose up`` starts with these files, variables and profiles."""
    document = read_documents(*files, variables=variables)
    services = {name: _service(name, entry, variables) for name, entry in document["services"].items()}
    return {
        name: service
        for name, service in services.items()
        if not service.profiles or set(service.profiles) & set(profiles)
    }


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Return ``value`` with the variables in all its texts filled in."""
    if isinstance(value, dict):
        return {name: interpolate(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [interpolate(part, variables) for part in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _value_of(match, variables), value)
    return value


def _value_of(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    name = match["plain"] or match["name"]
    if name is None:
        raise ComposeError(f"{match.string!r}: a single $ is written $$")
    how, word, value = match["how"] or "", match["word"] or "", variables.get(name)
    is_given = value is not None and not (how.startswith(":") and not value)
    if how.endswith("-"):
        return value if is_given else word  # type: ignore[return-value]
    if how.endswith("+"):
        return word if is_given else ""
    if how.endswith("?") and not is_given:
        raise ComposeError(f"{name} is not set: {word}")
    return value or ""


def _merge(below: Any, above: Any, name: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merge(below[key], above[key], key) if key in below else above[key] for key in above}}
    if isinstance(above, list) and name not in SHARED_LISTS:
        raise ComposeError(f"{name}: this reader does not lay one list over another")
    return above


def _service(name: str, entry: dict[str, Any], variables: Mapping[str, str]) -> Service:
    command = entry.get("command", [])
    if isinstance(command, str):
        raise ComposeError(f"{name}: write the command as a list")
    return Service(
        name=name,
        image=entry["image"],
        command=tuple(command),
        environment=dict(_environment(entry.get("environment", {}), variables)),
        mounts=tuple(_mount(text) for text in entry.get("volumes", [])),
        depends_on={other: how["condition"] for other, how in entry.get("depends_on", {}).items()},
        health=_health(entry["healthcheck"]) if "healthcheck" in entry else None,
        restart=entry.get("restart", "no"),
        replicas=int(entry.get("deploy", {}).get("replicas", 1)),
        working_dir=entry.get("working_dir"),
        profiles=tuple(entry.get("profiles", ())),
    )


def _environment(entries: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """An entry without a value takes it from the variables, and is left out if they have none."""
    for name, value in entries.items():
        if value is not None:
            yield name, str(value)
        elif name in variables:
            yield name, variables[name]


def _mount(text: str) -> Mount:
    source, target, *options = text.split(":")
    return Mount(source, target, "ro" in options)


def _health(entry: dict[str, Any]) -> HealthCheck:
    return HealthCheck(
        tuple(entry["test"]), seconds(entry.get("interval", "30s")), seconds(entry.get("timeout", "30s"))
    )


def seconds(text: str) -> float:
    """Return the length of a duration such as ``1m30s``."""
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise ComposeError(f"{text!r} is no duration such as 30s or 1m30s")
    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest
