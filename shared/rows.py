"""Which rows of a dataset a job trains on and validates on, and the classes of its target.

The API checks a posted job with this code, and the training process trains with it, so that both choose the same rows.
The split is that of scikit-learn's `train_test_split`, bit for bit. It is written here since neither side may depend on
the version of scikit-learn, and the API does not load it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.parquet_files import open_parquet
from shared.problems import FitstopError
from shared.spec import Positive, TableSpec

Rows = npt.NDArray[np.int64]
Value = int | float | bool | str

FLOAT32_MAX = float(np.finfo(np.float32).max)
# Rows read at once to find the missing values of a column.
_BATCH = 1 << 17


class CannotSplit(FitstopError):
    """The rows cannot be split as the spec asks."""

    code = "cannot_split"


@dataclass(frozen=True)
class Codes:
    """A column as indices of its different values: `numbers` is int32 of shape (rows,), -1 if a value is missing."""

    values: tuple[Value, ...]
    numbers: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Selection:
    """The rows of the parts by their numbers in the dataset, in the order of training. `test` may be empty.

    `codes` are the target's classes by number, 0 and 1 with `positive`; None for a regression.
    """

    train: Rows
    validation: Rows
    codes: Codes | None
    test: Rows = field(default_factory=lambda: np.empty(0, np.int64))

    def class_rows(self, part: Rows) -> list[int]:
        """The number of rows of each class in one part; empty for a regression."""
        if self.codes is None:
            return []
        return [int(rows) for rows in np.bincount(self.codes.numbers[part], minlength=len(self.codes.values))]


class Columns:
    """The columns of a dataset's Parquet file, each read when it is needed.

    `rows` is the number of rows, if it is known. Raises UnusableDocument if the file is damaged or not of that
    dataset, OSError if the volume fails.
    """

    def __init__(self, path: Path, rows: int | None = None) -> None:
        self._path = path
        self._rows = rows

    def is_missing(self, name: str) -> npt.NDArray[np.bool_]:
        """Which rows have no value, of shape (rows,). Never holds a whole text column in memory."""
        with open_parquet(self._path, rows=self._rows, dictionary=[name]) as file:
            batches = file.iter_batches(batch_size=_BATCH, columns=[name], use_threads=False)
            masks = [_mask(batch.column(name)) for batch in batches]
        return np.concatenate([np.empty(0, np.bool_), *masks])

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """A column of numbers, of shape (rows,) and its own dtype; an arbitrary number if a value is missing."""
        with open_parquet(self._path, rows=self._rows) as file:
            return _plain(_read(file, name).combine_chunks())

    def codes(self, name: str) -> Codes:
        """The column's different values, sorted, and the index of each row's value."""
        with open_parquet(self._path, rows=self._rows, dictionary=[name]) as file:
            cells = _read(file, name).dictionary_encode().unify_dictionaries().combine_chunks()
            return _sorted_codes(cells.dictionary.to_pylist(), np.where(_mask(cells), -1, _plain(cells.indices)))


def _read(file: Any, name: str) -> Any:
    # A name may also select columns of which it is a prefix.
    return file.read(columns=[name], use_threads=False).column(name)


def _plain(array: Any) -> npt.NDArray[Any]:
    """An Arrow array of numbers as it is in memory. Arrow's own conversions load pandas if it is installed."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _mask(array: Any) -> npt.NDArray[np.bool_]:
    """Which values of an Arrow array are missing."""
    return _plain(array.is_null().cast("uint8")).astype(np.bool_)


def _sorted_codes(found: list[Value], numbers: npt.NDArray[Any]) -> Codes:
    values = sorted(set(found))
    place = {value: number for number, value in enumerate(values)}
    # The last code is for missing values, whose number is -1.
    renumbered = np.array([*(place[value] for value in found), -1], np.int32)
    return Codes(tuple(values), renumbered[numbers])


def complete_rows(columns: Columns, names: Sequence[str], rows: int) -> Rows:
    """The numbers of the rows that have a value in every one of the columns."""
    is_complete = np.ones(rows, np.bool_)
    for name in names:
        is_complete &= ~columns.is_missing(name)
    return np.flatnonzero(is_complete)


def class_codes(columns: Columns, target: str, positive: Positive | None, kept: Rows) -> Codes:
    """The classes that the target has in the rows `kept`, and the class of each row."""
    codes = columns.codes(target)
    if positive is not None:
        is_positive = np.array([*map(positive.holds, codes.values), False], np.int32)
        return Codes((0, 1), is_positive[codes.numbers])
    rows_of = np.bincount(codes.numbers[kept], minlength=len(codes.values))
    left = np.flatnonzero(rows_of)
    renumbered = np.full(len(codes.values) + 1, -1, np.int32)
    renumbered[left] = np.arange(len(left))
    return Codes(tuple(codes.values[number] for number in left), renumbered[codes.numbers])


def select_rows(columns: Columns, spec: TableSpec, kept: Rows, *, has_classes: bool) -> Selection:
    """Split the rows `kept`. Raises CannotSplit if they cannot be split as the spec asks."""
    codes = class_codes(columns, spec.target, spec.positive, kept) if has_classes else None
    strata = codes.numbers[kept] if codes is not None and spec.stratify else None
    train, validation, test = split_parts(
        len(kept), spec.validation_fraction, spec.test_fraction, spec.split_seed, strata
    )
    return Selection(kept[train], kept[validation], codes, kept[test])


def part_sizes(
    rows: int, validation_fraction: float | None, test_fraction: float | None = None
) -> tuple[int, int, int]:
    """The number of rows in the training, validation and test part, if `rows` are split."""
    test = ceil((test_fraction or 0.0) * rows)
    validation = ceil((validation_fraction or 0.0) * (rows - test))
    return rows - test - validation, validation, test


def split_parts(
    rows: int,
    validation_fraction: float | None,
    test_fraction: float | None,
    seed: int,
    strata: npt.NDArray[Any] | None = None,
) -> tuple[Rows, Rows, Rows]:
    """The indices below `rows` of the training, validation and test part. Without its fraction a part is empty.

    The test part is split off first, then the validation part from the rest, each as in `split_rows`. Raises
    CannotSplit.
    """
    left, validation, test = np.arange(rows), np.empty(0, np.int64), np.empty(0, np.int64)
    if test_fraction is not None:
        left, test = split_rows(rows, test_fraction, seed, strata)
    if validation_fraction is not None:
        of_left = None if strata is None else strata[left]
        train, held = split_rows(len(left), validation_fraction, seed, of_left)
        left, validation = left[train], left[held]
    return left, validation, test


def split_rows(
    rows: int, validation_fraction: float, seed: int, strata: npt.NDArray[Any] | None = None
) -> tuple[Rows, Rows]:
    """The indices below `rows` of both parts, shuffled; with `strata` (class numbers), in proportion to the classes.

    Equal to `train_test_split(range(rows), test_size=…, random_state=seed, stratify=strata)` of scikit-learn with
    `strata` of shape (rows, 1). Raises CannotSplit if a part would be empty or lack a class.
    """
    train, validation, _ = part_sizes(rows, validation_fraction)
    if train < 1 or validation < 1:
        raise CannotSplit(f"of {rows} rows {train} are left to train on and {validation} to validate on")
    random = np.random.RandomState(seed)
    if strata is not None:
        return _split_strata(strata, train, validation, random)
    order = random.permutation(rows)
    return order[validation:], order[:validation]


def _split_strata(
    strata: npt.NDArray[Any], train: int, validation: int, random: np.random.RandomState
) -> tuple[Rows, Rows]:
    # scikit-learn sorts the class numbers of a column as texts: 0, 1, 10, 11, 2.
    numbers, of_row = np.unique(strata, return_inverse=True)
    rank = np.argsort(np.argsort(numbers.astype(str)))
    of_row = rank[of_row]
    sizes = np.bincount(of_row)
    members = np.split(np.argsort(of_row, kind="stable"), np.cumsum(sizes)[:-1])
    if sizes.min() < 2:
        raise CannotSplit("a class has only one row")
    if min(train, validation) < len(sizes):
        raise CannotSplit(f"the smaller part has {min(train, validation)} rows for {len(sizes)} classes")
    of_train = _shares(sizes, train, random)
    of_validation = _shares(sizes - of_train, validation, random)
    parts: tuple[list[Rows], list[Rows]] = ([], [])
    for rows, first, second in zip(members, of_train, of_validation, strict=True):
        shuffled = rows[random.permutation(len(rows))]
        parts[0].append(shuffled[:first])
        parts[1].append(shuffled[first : first + second])
    return random.permutation(np.concatenate(parts[0])), random.permutation(np.concatenate(parts[1]))


def _shares(sizes: npt.NDArray[np.int64], draws: int, random: np.random.RandomState) -> npt.NDArray[np.int64]:
    """The most probable number of draws from each class; ties are broken at random."""
    exact = sizes / sizes.sum() * draws
    shares = np.floor(exact)
    missing = int(draws - shares.sum())
    rest = exact - shares
    for value in np.sort(np.unique(rest))[::-1]:
        if missing <= 0:
            break
        (ties,) = np.where(rest == value)
        chosen = random.choice(ties, size=min(len(ties), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
    return np.asarray(shares, np.int64)


def first_beyond_float32(numbers: npt.NDArray[Any]) -> float | None:
    """The first number that is not finite as float32, or None."""
    beyond = np.flatnonzero(~(np.abs(numbers.astype(np.float64)) <= FLOAT32_MAX))
    return float(numbers[beyond[0]]) if len(beyond) else None
