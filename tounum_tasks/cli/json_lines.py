"""JSON Lines, as the commands write them: one object a line, to a file or to standard output."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.files import finite
from tounum_tasks.visible import one_line


def write_json(values: Iterable[dict], target: str) -> None:
    """Write ``values`` to the file ``target``, or to standard output if it is ``-``.

    What is no number (NaN, infinity) becomes null. What cannot be seen in a name is written with JSON's own escapes
    (``\\u202e``; ``\\udcNN`` for a byte that is no UTF-8): a program reads the name as it is, a terminal shows it.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    lines = (_line(value) + "\n" for value in values)
    if target == "-":
        sys.stdout.writelines(lines)
        return
    try:
        with Path(target).open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from error


def _line(value: dict) -> str:
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
    if one_line(text) == text:
        return text
    return "".join(character if one_line(character) == character else json.dumps(character)[1:-1] for character in text)
