"""What commands write: nothing in it steers a terminal, and JSON is JSON."""

import json
import os
from pathlib import Path

import pytest

from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.cli.main import main


@pytest.mark.parametrize("hostile", ["\x1b]0;owned\x07\x1b[2J", "\u202egnp", "\x9b2J", os.fsdecode(b"\xfc\xe4")])
def test_no_message_steers_the_terminal(hostile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = tmp_path / f"lake {hostile}"
    lake.mkdir()
    assert main(["show", "--lake", str(lake)]) == 2
    with pytest.raises(SystemExit) as ended:  # as a shell expands a pattern to the name of a file
        main(["classify", "a.png", f"--{hostile}.png"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "No manifest lies in" in said and "unrecognized arguments: --" in said
    assert all(line.isprintable() for line in said.splitlines())


def test_json_is_json_and_names_in_it_are_whole(tmp_path: Path) -> None:
    name = "a\u202e\x1b\u200f\U000e0041 " + os.fsdecode(b"\xff")
    value = {"path": name, "confidence": float("nan"), "probabilities": {"Photo": float("inf")}, "words": ["写真"]}
    write_json([value], str(tmp_path / "out.json"))
    text = (tmp_path / "out.json").read_bytes().decode()
    assert text.rstrip("\n").isprintable() and "写真" in text

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse) == {
        "path": name, "confidence": None, "probabilities": {"Photo": None}, "words": ["写真"],
    }  # fmt: skip
