"""The profile of an array's numbers, computed block by block."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from api.datasets.ingest.npy import NumberArray
from shared.dataset import ValueCount

MOST_VALUES = 1000


@dataclass
class Numbers:
    """The profile of the numbers so far. `lists_values`: count each distinct value, up to MOST_VALUES of them."""

    lists_values: bool
    minimum: float | None = None
    maximum: float | None = None
    non_finite: int = 0
    _counts: dict[Any, int] | None = field(default_factory=dict)

    def add(self, block: NumberArray) -> None:
        """Add the next block of numbers."""
        if block.dtype.kind == "f":
            finite = np.isfinite(block)
            self.non_finite += int(block.size - np.count_nonzero(finite))
            block = block if finite.all() else block[finite]
        if block.size:
            low, high = float(block.min()), float(block.max())
            self.minimum = low if self.minimum is None else min(self.minimum, low)
            self.maximum = high if self.maximum is None else max(self.maximum, high)
        if self.lists_values and self._counts is not None:
            self._count(block)

    @property
    def values(self) -> tuple[ValueCount, ...] | None:
        """The distinct values, sorted; None if they are not listed or are more than MOST_VALUES."""
        if not self.lists_values or self._counts is None:
            return None
        return tuple(ValueCount(value=value, rows=rows) for value, rows in sorted(self._counts.items()))

    def _count(self, block: NumberArray) -> None:
        assert self._counts is not None
        values, counts = np.unique(block, return_counts=True)
        if len(values) <= MOST_VALUES:
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                self._counts[value] = self._counts.get(value, 0) + count
        if len(values) > MOST_VALUES or len(self._counts) > MOST_VALUES:
            self._counts = None
