"""What holds for every dataset, whatever file it came in: its checks, its profile, its file."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from api.ingest.limits import Limits, refused
from shared.dataset import MOST_LISTED_VALUES, Column, ColumnKind, ValueCount
from shared.durable import sync_file
from shared.problems import Problem, Refused, pointer
from shared.spec import Column as ColumnName

_NAME: TypeAdapter[str] = TypeAdapter(ColumnName)
_MOST_NAMED = 10
# Longer texts are no categories; listing them would swell every answer that shows the dataset.
_MOST_VALUE_CHARACTERS = 256


def checked(table: pa.Table, limits: Limits) -> pa.Table:
    """The table with NaN as missing and empty columns as numbers. Raises Refused with every problem."""
    limits.check(table.num_rows, table.num_columns)
    if table.num_columns < 2:
        raise refused("#", "has one column, expected two or more", "one_column")
    if table.num_rows == 0:
        raise refused("#", "has no rows", "no_rows")
    problems = [*_wrong_names(table.column_names), *_infinities(table)]
    if problems:
        raise Refused(problems)
    columns = [_with_missing(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def profiled(table: pa.Table) -> list[Column]:
    """What is known of each column."""
    return [_profile(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]


def write(table: pa.Table, path: Path) -> None:
    """The table as a Parquet file, on the disk when this returns."""
    pq.write_table(table, path, compression="zstd")
    sync_file(path)


def _wrong_names(names: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        place = pointer("columns", name if name and len(name) <= 60 else index)
        if names.index(name) < index:
            yield Problem(place, "names two columns", "duplicate_name")
        elif not name.strip():
            yield Problem(place, f"column {index + 1} has an empty name", "empty_name")
        elif not _is_name(name):
            detail = f"the name of column {index + 1} is longer than 256 characters or holds a control character"
            yield Problem(pointer("columns", index), detail, "invalid_name")


def _is_name(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _infinities(table: pa.Table) -> Iterator[Problem]:
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_floating(column.type):
            continue
        rows = pc.indices_nonzero(pc.fill_null(pc.is_inf(column), fill_value=False))
        if len(rows):
            shown = ", ".join(str(row + 1) for row in rows.slice(0, _MOST_NAMED).to_pylist())
            detail = f"holds an infinite number in row {shown}; expected finite numbers or empty cells"
            yield Problem(pointer("columns", name), detail, "infinite")


def _with_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_null(column.type):
        return column.cast(pa.float64())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    return column


def _profile(name: str, column: pa.ChunkedArray) -> Column:
    distinct = pc.count_distinct(column, mode="only_valid").as_py()
    return Column(
        name=name,
        kind=_kind(column.type),
        missing=column.null_count,
        distinct=distinct,
        values=_values(column) if distinct <= MOST_LISTED_VALUES else None,
        **_range(column),
    )


def _kind(kind: pa.DataType) -> ColumnKind:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    return "float" if pa.types.is_floating(kind) else "text"


def _values(column: pa.ChunkedArray) -> tuple[ValueCount, ...] | None:
    counts = [(one["values"], one["counts"]) for one in column.drop_null().value_counts().to_pylist()]
    if any(isinstance(value, str) and len(value) > _MOST_VALUE_CHARACTERS for value, _ in counts):
        return None
    return tuple(ValueCount(value=value, rows=rows) for value, rows in sorted(counts))


def _range(column: pa.ChunkedArray) -> dict[str, float | None]:
    if pa.types.is_string(column.type):
        return {}
    numbers = pc.cast(column, pa.float64(), safe=False)
    extremes: dict[str, Any] = pc.min_max(numbers).as_py()
    return {
        "minimum": extremes["min"],
        "maximum": extremes["max"],
        "mean": _finite(pc.mean(numbers).as_py()),
    }


def _finite(number: float | None) -> float | None:
    """None for a mean whose sum no double holds."""
    return number if number is not None and math.isfinite(number) else None
