"""The list of cases names every line once, and tests that there are."""

import ast
from collections import Counter

import pytest

from tests.cases import ALL_NODES, CASES, FAULTS, FIELD, main
from tests.conftest import REPOSITORY


def test_every_line_of_both_tables_is_there_once() -> None:
    assert [case.number for case in FAULTS] == [f"A{number}" for number in range(1, 49)]
    field = [*(f"B{number}" for number in range(1, 47)), "B46b", *(f"B{number}" for number in range(47, 60))]
    assert [case.number for case in FIELD] == field
    assert set(Counter(case.before for case in CASES)) == {"pass", "fail", "doubtful", "lacks"}


def test_a_line_has_a_test_or_says_that_it_has_none() -> None:
    assert [case.number for case in CASES if not case.tests and not case.gap.startswith("all")] == []


def test_every_test_that_is_named_is_there() -> None:
    missing = []
    for node in sorted(ALL_NODES):
        file, _, name = node.partition("::")
        path = REPOSITORY / file
        functions = {part.name for part in ast.walk(ast.parse(path.read_text())) if isinstance(part, ast.FunctionDef)}
        missing += [] if name in functions else [node]
    assert missing == []


def test_the_list_is_printed_without_running_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert "108 lines" in printed and "no test: all" in printed and "not run" in printed
