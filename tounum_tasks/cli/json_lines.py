"""JSON Lines, as the commands write them: one object a line, to a file or to standard output."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tounum_tasks.errors import ConfigurationError


def write_json(values: Iterable[dict], target: str) -> None:
    """Write ``values`` to the file ``target``, or to standard output if it is ``-``.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    lines = (json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    if target == "-":
        sys.stdout.writelines(lines)
        return
    try:
        with Path(target).open("w", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror}.") from error
