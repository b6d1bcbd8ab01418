"""A function fits on a screen: whoever reads it sees it whole."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

MOST_LINES = 74
FOLDERS = ("tounum_tasks", "plugins", "dags", "benchmarks")


def test_every_function_fits_on_a_screen() -> None:
    files = [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    found = [
        f"{path.relative_to(REPOSITORY)}: {name} has {lines} lines, {MOST_LINES} are the most: split it."
        for path in files
        for name, lines in _functions(path)
        if lines > MOST_LINES
    ]
    assert len(files) > 100 and not found, "\n".join(found)


def test_decorators_and_inner_functions_count(tmp_path: Path) -> None:
    path = tmp_path / "file.py"
    path.write_text(
        "@first\n@second(\n    1\n)\nasync def outer():\n    def inner():\n        pass\n\n    return inner\n"
    )
    assert sorted(_functions(path)) == [("inner", 2), ("outer", 9)]


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function of a file with its lines, decorators included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield node.name, (node.end_lineno or first) - first + 1
