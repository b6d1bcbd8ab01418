"""The lock is complete: whatever the code imports is written down by hand and pinned."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.conftest import REPOSITORY

OWN = {"tounum_tasks", "tounum_airflow", "tests"}
FOLDERS = ("tounum_tasks", "plugins", "dags", "tests", "benchmarks")


def test_every_imported_package_is_required() -> None:
    required = set(_names("requirements.in")) | {"markupsafe"}  # a part of jinja2
    distributions = packages_distributions()
    missing = {
        package: sorted(distributions.get(package, ["not installed"]))
        for package in _imported()
        if required.isdisjoint(_normal(name) for name in distributions.get(package, []))
        and package not in ("airflow", "pycocoevalcap")  # a namespace of many distributions; an option, large
    }
    assert missing == {}


def test_lock_pins_everything_and_names_no_index() -> None:
    text = (REPOSITORY / "requirements.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines and all(re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ;.*)?$", line) for line in lines)
    assert "://" not in text and "--" not in text
    assert set(_names("requirements.in")) <= set(_names("requirements.txt"))


def _names(file: str) -> Iterator[str]:
    for line in (REPOSITORY / file).read_text().splitlines():
        if match := re.match(r"[A-Za-z0-9._-]+", line):
            yield _normal(match[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported() -> set[str]:
    """Return the top-level packages that the code imports, but for the standard library and our own."""
    files = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    local = {path.stem for path in files if path.is_relative_to(REPOSITORY / "benchmarks")}
    found = {name.partition(".")[0] for path in files for name in _imports(path)}
    return found - set(sys.stdlib_module_names) - OWN - local


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
