"""What the code imports is written down by hand, in the file of the use that it is for, and the lock pins all of it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

OWN = {"tounum_tasks", "tounum_airflow", "tests", "benchmarks"}
# Which files of requirements/ each folder may rely on.
USES = {
    "tounum_tasks": {"run", "formats", "measure", "train"},
    "plugins": {"run", "airflow"},
    "dags": {"run", "airflow"},
    "tests": {"run", "formats", "airflow", "cluster", "read", "measure", "train", "dev"},
    "benchmarks": {"run", "airflow", "cluster", "read", "measure", "train", "dev"},
}
EXTRAS = ("formats", "airflow", "cluster", "read", "measure", "train", "dev")
ONLY_FOR_TESTS = {"playwright", "moto", "mypy", "ruff", "pytest", "hypothesis"}
OPTIONS = ("pycocoevalcap", "cleanvision", "onnxruntime")  # measured beside ours where somebody installs them
NOT_AT_WORK = {"tensorflow", "keras", "matplotlib", "celery", "apache-airflow", "pandas", *ONLY_FOR_TESTS}


@pytest.mark.parametrize("folder", USES)
def test_every_imported_package_is_required(folder: str) -> None:
    required = {"markupsafe"}.union(*(_names(f"requirements/{use}.in") for use in USES[folder]))  # a part of jinja2
    distributions = packages_distributions()
    missing = {
        package: sorted(distributions.get(package, ["not installed"]))
        for package in _imported(folder)
        if required.isdisjoint(_normal(name) for name in distributions.get(package, []))
        and package not in ("airflow", *OPTIONS)  # a namespace of many distributions
    }
    assert missing == {}, f"{folder}/ imports what none of requirements/{{{','.join(sorted(USES[folder]))}}}.in names"


def test_lock_pins_everything_and_names_no_index() -> None:
    text = (REPOSITORY / "requirements.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert lines and all(re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+( ;.*)?$", line) for line in lines)
    assert "://" not in text and "--" not in text
    files = sorted((REPOSITORY / "requirements").glob("*.in"))
    assert {name for file in files for name in _names(f"requirements/{file.name}")} <= set(_names("requirements.txt"))


def test_every_file_is_locked_and_is_what_installing_the_package_brings() -> None:
    files = {f"requirements/{path.name}" for path in (REPOSITORY / "requirements").glob("*.in")}
    assert set(re.findall(r"^-r (.+)$", (REPOSITORY / "requirements.in").read_text(), re.MULTILINE)) == files
    dynamic = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    assert dynamic["dependencies"]["file"] == ["requirements/run.in"]
    extras = {name: {"file": [f"requirements/{name}.in"]} for name in EXTRAS}
    assert dynamic["optional-dependencies"] == extras
    assert files == {"requirements/run.in", *(f"requirements/{name}.in" for name in EXTRAS)}


def test_what_runs_is_lean_and_only_development_brings_test_tools() -> None:
    assert NOT_AT_WORK.isdisjoint(_names("requirements/run.in"))
    assert set(_names("requirements/dev.in")) >= ONLY_FOR_TESTS
    for path in (REPOSITORY / "requirements").glob("*.in"):
        assert path.name == "dev.in" or ONLY_FOR_TESTS.isdisjoint(_names(f"requirements/{path.name}"))


def _names(file: str) -> Iterator[str]:
    for line in (REPOSITORY / file).read_text().splitlines():
        if match := re.match(r"[A-Za-z0-9._-]+", line):
            yield _normal(match[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(folder: str) -> set[str]:
    """Return the top-level packages that a folder's code imports, but for the standard library and our own."""
    files = list((REPOSITORY / folder).rglob("*.py"))
    local = {path.stem for path in files} if folder == "benchmarks" else set()
    return _packages(files) - set(sys.stdlib_module_names) - OWN - local


def _packages(files: Iterable[Path]) -> set[str]:
    return {name.partition(".")[0] for path in files for name in _imports(path)}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
