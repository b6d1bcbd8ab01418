"""The state of a training on disk, from which it goes on after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.files import whole_file

if TYPE_CHECKING:
    import keras


class Checkpoint:
    """Variables in their order, the best weights, the step reached, the curve."""

    def __init__(self, path: Path, variables: Sequence[keras.Variable]) -> None:
        self._path = path
        self._variables = variables

    def save(self, step: int, curve: Sequence[Mapping[str, Any]], best: Mapping[str, NDArray[np.float32]]) -> None:
        """Write the state whole or not at all; ``best`` are the weights to end with, as things stand."""
        from keras import ops

        arrays: dict[str, Any] = {
            f"v{index}": ops.convert_to_numpy(variable) for index, variable in enumerate(self._variables)
        }
        arrays |= {f"best/{name}": array for name, array in best.items()}
        with whole_file(self._path) as staged, staged.open("wb") as file:
            np.savez(file, step=np.array(step), curve=np.array(json.dumps(curve)), **arrays)

    def restore(self) -> tuple[int, list[dict[str, Any]], dict[str, NDArray[np.float32]]]:
        """Set the variables to the saved state; return step, curve and best weights, nothing where none is saved."""
        if not self._path.exists():
            return 0, [], {}
        with np.load(self._path, allow_pickle=False) as saved:
            for index, variable in enumerate(self._variables):
                variable.assign(saved[f"v{index}"])
            best = {name.removeprefix("best/"): saved[name] for name in saved.files if name.startswith("best/")}
            return int(saved["step"]), json.loads(str(saved["curve"])), best
