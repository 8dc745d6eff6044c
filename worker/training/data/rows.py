"""The common form of all data: rows of named inputs, targets and sample weights, in parts.

The arrays may be memory-mapped: a batch reads its own rows, and no code copies a whole array.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.spec import AugmentSpec
from worker.training.data.augment import Changes, augment, draw, mix, unchanged

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Part:
    """The training, validation or test rows.

    `inputs`: arrays by name, each of shape (rows, …). `targets`: shape (rows, outputs). `weights`: sample weights of
    shape (rows,), None if all are 1. `selected`: row numbers in the arrays, in the order of the part; None if the part
    has all rows. `augment`: random changes in each epoch, for parts whose only input is images. `dataset_rows`: row
    numbers in the dataset; None if they are those in the arrays.
    """

    inputs: Mapping[str, Array]
    targets: Array
    weights: Array | None = None
    selected: npt.NDArray[np.int64] | None = None
    augment: AugmentSpec | None = None
    dataset_rows: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.targets if self.selected is None else self.selected)

    @property
    def x(self) -> Array:
        """The only input."""
        (only,) = self.inputs.values()
        return only

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The inputs, the targets, and the sample weights if there are any."""
        return (*self.inputs.values(), self.targets, *(() if self.weights is None else (self.weights,)))

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """The dtype of each array in training: float32 for every float, as Keras computes."""
        return [np.dtype(np.float32) if one.dtype.kind == "f" else one.dtype for one in self.arrays]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows of the part in their training dtype; twice as many with mixup."""
        each = zip(self.arrays, self.dtypes, strict=True)
        copies = 2 if self.is_mixed else 1
        return copies * sum(len(self) * dtype.itemsize * int(np.prod(one.shape[1:])) for one, dtype in each)

    def numbers_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Convert row numbers of the part to row numbers in the arrays."""
        return rows if self.selected is None else self.selected[rows]

    def take(self, rows: npt.NDArray[Any] | slice) -> tuple[Array, ...]:
        """These rows of each array, in its training dtype."""
        chosen = rows if self.selected is None else self.selected[rows]
        pairs = zip(self.arrays, self.dtypes, strict=True)
        return tuple(np.ascontiguousarray(one[chosen], dtype) for one, dtype in pairs)

    @property
    def is_mixed(self) -> bool:
        """Whether mixup is on: another row is mixed into each row."""
        return bool(self.augment and self.augment.mixup)

    @property
    def first_row(self) -> tuple[Any, ...]:
        """The first row as a batch, in the form that a Keras step takes."""
        return self.batch(self.take_changed(np.arange(1), self.draw(0, 0)))

    def take_changed(self, rows: npt.NDArray[Any], changes: Changes) -> tuple[Array, ...]:
        """The argument of `batch` for the rows: each array, with mixup each array of the partners, and the changes."""
        own = changes.of(rows)
        arrays = [array for which in (rows, *own.partners.T) for array in self.take(which)]
        return (*arrays, own.numbers) if self.augment else tuple(arrays)

    def draw(self, seed: int, epoch: int) -> Changes:
        """The augmentation of each row in an epoch (from 0)."""
        if self.augment is None:
            return unchanged(len(self))
        return draw(seed, epoch, len(self), self.x.shape[1:3], self.augment)

    def batch(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The argument of a Keras step, (x, y) or (x, y, sample weights), from what `take_changed` returns."""
        count = len(self.inputs)
        if self.augment:
            *arrays, numbers = arrays
            if self.is_mixed:
                arrays = mix(arrays[: len(self.arrays)], arrays[len(self.arrays) :], numbers)
            arrays[0] = augment(arrays[0], numbers, self.augment)
        x = arrays[0] if count == 1 else dict(zip(self.inputs, arrays, strict=False))
        return (x, *arrays[count:])


@dataclass(frozen=True)
class Data:
    """The parts of a run's data. `test` only evaluates the best model; None if there is no test part.

    `classes`: the target's values by class number; None for a regression, and for a target with a positive class.
    `facts`: what the "data" event reports in addition.
    """

    train: Part
    validation: Part
    classes: tuple[Any, ...] | None = None
    dropped_rows: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    test: Part | None = None

    @property
    def features(self) -> int:
        """Number of values in one row of all inputs."""
        return sum(int(np.prod(one.shape[1:])) for one in self.train.inputs.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """For each input the shape of one row."""
        return {name: one.shape[1:] for name, one in self.train.inputs.items()}
