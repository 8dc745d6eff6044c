"""The rows that a job uses of its dataset: how many are left, the profile of the target, and the rows of each part."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.dataset import MOST_LISTED_VALUES, Column, DatasetInfo, ValueCount
from shared.features import is_categorical
from shared.rows import (
    FLOAT32_MAX,
    CannotSplit,
    Columns,
    Rows,
    Selection,
    complete_rows,
    first_beyond_float32,
    select_rows,
)
from shared.spec import TableSpec
from shared.task import MOST_CATEGORIES, MOST_CLASSES, TaskKind, task_of_column

_KEPT_ANSWERS = 64


@dataclass(frozen=True)
class Parts:
    """The parts of the rows that are left.

    The class rows are counts by class number, empty for a regression. `distinct` counts the different values of an
    input in the training part: for categories, and for numbers if there could be 0 or 1 (2 stands for more).
    `beyond_float32` maps each input with numbers that are too large for float32 to one of them.
    """

    train_class_rows: tuple[int, ...]
    validation_class_rows: tuple[int, ...]
    test_class_rows: tuple[int, ...] = ()
    distinct: Mapping[str, int] = field(default_factory=dict)
    beyond_float32: Mapping[str, float] = field(default_factory=dict)

    @property
    def class_rows(self) -> list[int]:
        """The number of rows of each class in all parts together."""
        parts = (self.train_class_rows, self.validation_class_rows, self.test_class_rows)
        return [sum(rows) for rows in zip_longest(*parts, fillvalue=0)]

    @property
    def train_classes(self) -> int:
        """The number of classes that have a row in the training part."""
        return sum(rows > 0 for rows in self.train_class_rows)


@dataclass(frozen=True)
class RowFacts:
    """The number of rows left, the target's profile in them, and their parts; None if they cannot be split."""

    left: int
    target: Column
    parts: Parts | None


def inputs_of(spec: TableSpec, data: DatasetInfo) -> list[Column]:
    """The input columns of the model."""
    left_out = {spec.target, *spec.drop_columns}
    return [column for column in data.columns if column.name not in left_out]


class DatasetRows:
    """The rows of one dataset. The last answers are cached, since the trials of a sweep ask for the same.

    Reads only the columns that an answer depends on: those with missing values, the target if it has classes,
    categories, and numbers that could be constant or too large.
    """

    def __init__(self, path: Path, data: DatasetInfo) -> None:
        self._columns = Columns(path, data.rows)
        self._data = data
        self._cached = lru_cache(_KEPT_ANSWERS)(self._facts)

    def facts(self, spec: TableSpec, kind: TaskKind | None) -> RowFacts:
        """The rows left for `spec`, whose columns all exist. If `kind` is None, the target decides the task."""
        return self._cached(spec, kind)

    def _facts(self, spec: TableSpec, kind: TaskKind | None) -> RowFacts:
        target = self._data.column(spec.target)
        assert target is not None
        used = [target] if spec.missing == "impute" else [target, *inputs_of(spec, self._data)]
        kept = complete_rows(self._columns, [one.name for one in used if one.missing], self._data.rows)
        if len(kept) < self._data.rows:
            target = self._profile(target, kept)
        kind = kind or task_of_column(target)
        if kind == "multiclass" and target.distinct > MOST_CLASSES:
            return RowFacts(len(kept), target, None)
        try:
            rows = select_rows(self._columns, spec, kept, has_classes=kind != "regression")
        except CannotSplit:
            return RowFacts(len(kept), target, None)
        return RowFacts(len(kept), target, self._parts(spec, kept, rows))

    def _profile(self, column: Column, kept: Rows) -> Column:
        """The profile of a column in the rows `kept`, all of which have a value."""
        values, counts = self._value_counts(column, kept)
        numbers = {} if column.kind == "text" or not len(kept) else {"minimum": values[0], "maximum": values[-1]}
        listed = zip(values, counts, strict=True) if len(values) <= MOST_LISTED_VALUES else None
        if column.kind == "text" and column.values is None and column.distinct <= MOST_LISTED_VALUES:
            listed = None  # too long to be listed
        update = {
            "missing": 0,
            "distinct": len(values),
            "values": None if listed is None else tuple(ValueCount(value=one, rows=rows) for one, rows in listed),
            **{name: float(number) for name, number in numbers.items()},
        }
        return column.model_copy(update=update)

    def _value_counts(self, column: Column, kept: Rows) -> tuple[list[Any], list[int]]:
        if column.kind in {"integer", "float"}:
            values, counts = np.unique(self._columns.numbers(column.name)[kept], return_counts=True)
            return values.tolist(), counts.tolist()
        codes = self._columns.codes(column.name)
        rows_of = np.bincount(codes.numbers[kept], minlength=len(codes.values))
        left = np.flatnonzero(rows_of)
        return [codes.values[number] for number in left], rows_of[left].tolist()

    def _parts(self, spec: TableSpec, kept: Rows, rows: Selection) -> Parts:
        inputs = inputs_of(spec, self._data)
        distinct = ((column.name, self._distinct(column, spec, rows.train)) for column in inputs)
        beyond = ((column.name, self._beyond_float32(column, spec, kept, rows.train)) for column in inputs)
        return Parts(
            tuple(rows.class_rows(rows.train)),
            tuple(rows.class_rows(rows.validation)),
            tuple(rows.class_rows(rows.test)),
            {name: count for name, count in distinct if count is not None},
            {name: number for name, number in beyond if number is not None},
        )

    def _distinct(self, column: Column, spec: TableSpec, train: Rows) -> int | None:
        if column.kind in {"text", "boolean"} or is_categorical(column, spec):
            if column.distinct > MOST_CATEGORIES:
                return None  # slow to read, and the number of features does not depend on it
            numbers = self._columns.codes(column.name).numbers[train]
            return int(np.count_nonzero(np.bincount(numbers + 1, minlength=1)[1:]))
        if column.kind not in {"integer", "float"}:
            return None
        if len(train) - column.missing > _most_of_one_value(column, self._data.rows):
            return None
        present = train[~self._columns.is_missing(column.name)[train]] if column.missing else train
        numbers = self._columns.numbers(column.name)[present]
        return min(len(numbers), 1 + int(numbers.min() != numbers.max()) if len(numbers) else 0)

    def _beyond_float32(self, column: Column, spec: TableSpec, kept: Rows, train: Rows) -> float | None:
        ends = [abs(one) for one in (column.minimum, column.maximum) if one is not None]
        if max(ends, default=0.0) <= FLOAT32_MAX or is_categorical(column, spec):
            return None
        numbers = self._columns.numbers(column.name).astype(np.float64)
        if first_beyond_float32(_scaled(numbers, numbers[train], spec.scaling)[kept]) is None:
            return None
        return first_beyond_float32(numbers[kept])


def _most_of_one_value(column: Column, rows: int) -> int:
    """The maximum number of `rows` that can have one value of the column."""
    if column.values is not None:
        return max((one.rows for one in column.values), default=0)
    return rows - column.missing - column.distinct + 1


def _scaled(numbers: npt.NDArray[np.float64], train: npt.NDArray[np.float64], scaling: str) -> npt.NDArray[np.float64]:
    """The numbers after scaling that is fitted on the training part; unchanged if it cannot be fitted."""
    low, middle, high = np.percentile(train, [25, 50, 75])
    with np.errstate(all="ignore"):
        centre, width = {
            "standard": (train.mean(), train.std()),
            "minmax": (train.min(), train.max() - train.min()),
            "robust": (middle, high - low),
            "none": (0.0, 1.0),
        }[scaling]
        return np.asarray((numbers - centre) / (width or 1.0)) if np.isfinite(width) else numbers


def squares_fit_float32(number: float) -> bool:
    """Whether sums of squares of numbers of this size are finite as float32."""
    return abs(number) <= math.sqrt(FLOAT32_MAX) / 16
