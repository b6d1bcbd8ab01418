"""Keeps pandas out of the processes of commands and tasks, which use none themselves.

Where it is installed, pyarrow imports it before it makes its first array, only to ask whether what it was given is one
of pandas' columns: half a second of processor time and 49 MiB for every task of a night.
"""

import sys
from importlib.machinery import ModuleSpec


class _Absent:
    """Finds every module but pandas: nothing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("TouNum leaves pandas out of its own processes.", name=name)
        return None


def leave_pandas_out() -> None:
    """Make pandas count as not installed in this process, unless it is loaded already."""
    if "pandas" not in sys.modules and not any(isinstance(finder, _Absent) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Absent())
