"""The form of all data: rows of named inputs, targets and weights, in two parts.

The arrays may be memory-mapped: a batch reads its rows, and nothing copies them as a whole.
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
    """The rows to train on, or to validate on.

    `inputs` by name, each of shape (rows, …); `targets` of shape (rows, outputs); `weights` are the sample weights, of
    shape (rows,), None if all are 1. `selected` are the numbers of the rows that belong to the part, in its order; None
    where all rows of the arrays do. `augment` changes the only input, images, in each epoch. `dataset_rows` are the
    numbers of the part's rows in the dataset where they differ from those in the arrays.
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
        """Inputs, targets, and weights where there are some."""
        return (*self.inputs.values(), self.targets, *(() if self.weights is None else (self.weights,)))

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """The dtype that each array trains as: Keras computes with float32 for every float."""
        return [np.dtype(np.float32) if one.dtype.kind == "f" else one.dtype for one in self.arrays]

    @property
    def nbytes(self) -> int:
        """The bytes of all rows of the part, and of those that are mixed into them."""
        each = zip(self.arrays, self.dtypes, strict=True)
        copies = 2 if self.is_mixed else 1
        return copies * sum(len(self) * dtype.itemsize * int(np.prod(one.shape[1:])) for one, dtype in each)

    def numbers_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Row numbers in the arrays for rows of the part."""
        return rows if self.selected is None else self.selected[rows]

    def take(self, rows: npt.NDArray[Any] | slice) -> tuple[Array, ...]:
        """These rows of the part, of each array, in their training dtype."""
        chosen = rows if self.selected is None else self.selected[rows]
        pairs = zip(self.arrays, self.dtypes, strict=True)
        return tuple(np.ascontiguousarray(one[chosen], dtype) for one, dtype in pairs)

    @property
    def is_mixed(self) -> bool:
        """Whether another row is mixed into each row."""
        return bool(self.augment and self.augment.mixup)

    @property
    def first_row(self) -> tuple[Any, ...]:
        """A batch of one row, as Keras's step takes it."""
        return self.batch(self.take_changed(np.arange(1), self.draw(0, 0)))

    def take_changed(self, rows: npt.NDArray[Any], changes: Changes) -> tuple[Array, ...]:
        """What `batch` needs of these rows: each array, each array of their partners, and their numbers."""
        own = changes.of(rows)
        arrays = [array for which in (rows, *own.partners.T) for array in self.take(which)]
        return (*arrays, own.numbers) if self.augment else tuple(arrays)

    def draw(self, seed: int, epoch: int) -> Changes:
        """The changes of each row in an epoch (from 0)."""
        if self.augment is None:
            return unchanged(len(self))
        return draw(seed, epoch, len(self), self.x.shape[1:3], self.augment)

    def batch(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments of Keras's step:

        x, y and weights, from tensors of what `take_changed` returns.
        """
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
    """The rows of a run. `classes` are the target's values by number, None for a regression and for `positive`.

    `test` is used only to evaluate the best model; None if there is none.
    """

    train: Part
    validation: Part
    classes: tuple[Any, ...] | None = None
    dropped_rows: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    test: Part | None = None

    @property
    def features(self) -> int:
        """The number of numbers in one row of the inputs."""
        return sum(int(np.prod(one.shape[1:])) for one in self.train.inputs.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """For each input the shape of one row."""
        return {name: one.shape[1:] for name, one in self.train.inputs.items()}
