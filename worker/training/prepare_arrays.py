"""Read the arrays that a model takes, for a prediction: a standalone program that imports nothing from Fitstop.

The training process saves a copy as `prepare.py` next to the model, with `schema.json`: the inputs by name and
the shape of one row of each. predict.py calls `load`, `read`, `is_complete` and `transform`: keep their meaning.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """The same rows of each input."""

    arrays: Mapping[str, Array]

    def __len__(self) -> int:
        return min(map(len, self.arrays.values()))

    def __getitem__(self, rows: Any) -> "Rows":
        return Rows({name: array[rows] for name, array in self.arrays.items()})


@dataclass(frozen=True)
class Preparation:
    """The inputs by name, and the shape of one row of each."""

    shapes: Mapping[str, tuple[int, ...]]

    def read(self, path: Path) -> Rows:
        """Read the arrays of an .npz file, or of an .npy file if there is one input. Raises ValueError."""
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            if len(self.shapes) != 1:
                raise ValueError(f"is one array, expected an .npz file with {', '.join(self.shapes)}")
            found = dict.fromkeys(self.shapes, found)
        missing = [name for name in self.shapes if name not in found]
        if missing:
            raise ValueError(f"holds no {', '.join(missing)}; it holds {', '.join(found)}")
        arrays = {name: found[name] for name in self.shapes}
        for name, shape in self.shapes.items():
            if arrays[name].shape[1:] != shape:
                raise ValueError(f"{name} has rows of shape {arrays[name].shape[1:]}, expected {shape}")
        if len(set(map(len, arrays.values()))) > 1:
            raise ValueError("its arrays have different numbers of rows")
        return Rows(arrays)

    def is_complete(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """For each row, whether the model can predict it: always true."""
        return np.ones(len(rows), np.bool_)

    def transform(self, rows: Rows) -> Any:
        """The model's input: one array, or one for each name."""
        arrays = {name: _as_trained(array) for name, array in rows.arrays.items()}
        return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def _as_trained(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def describe(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The content of `schema.json`."""
    return json.dumps({"kind": "arrays", "shapes": {name: list(one) for name, one in shapes.items()}}).encode() + b"\n"


def load(folder: Path) -> Preparation:
    """The preparation whose files are in `folder`."""
    shapes = json.loads((folder / "schema.json").read_bytes())["shapes"]
    return Preparation({name: tuple(one) for name, one in shapes.items()})
