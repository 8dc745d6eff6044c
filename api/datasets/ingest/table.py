"""The checks, the profile and the stored file of a table, for every format of upload."""

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from api.datasets.ingest.draft import Draft, DraftColumn
from api.datasets.ingest.left_out import leave_out
from api.datasets.ingest.limits import Limits
from api.datasets.ingest.names import wrong_names
from api.datasets.ingest.reading import Reading
from shared.dataset import MOST_LISTED_VALUES, MOST_PROFILE_BYTES, Column, ColumnKind, ValueCount
from shared.durable import sync_file
from shared.problems import Problem, Refused, pointer

_MOST_NAMED = 10
# Longer texts are not categories, and would make every answer with the dataset large.
_MOST_VALUE_CHARACTERS = 256


def check(draft: Draft, limits: Limits, reading: Reading) -> None:
    """Remove columns that are not data. Make NaN missing, and empty columns float. Raises Refused with all problems."""
    limits.check(draft.rows, len(draft.columns))
    leave_out(draft, reading)
    problems = [*wrong_names(draft.names), *draft.problems, *_infinities(draft)]
    if len(draft.columns) < 2:
        problems.append(Problem("#", "has one column, expected two or more", "one_column"))
    elif draft.rows == 0:
        problems.append(Problem("#", "has no rows", "no_rows"))
    if problems:
        raise Refused(problems)
    for column in draft.columns:
        column.cells = _with_missing(column.cells)


def profile(draft: Draft) -> list[Column]:
    """The profile of each column."""
    return leave_out_lists([_profile(column) for column in draft.columns])


def write(table: pa.Table, path: Path) -> None:
    """Write the table as a Parquet file, and flush it to the disk."""
    pq.write_table(table, path, compression="zstd")
    sync_file(path)


def _infinities(draft: Draft) -> Iterator[Problem]:
    for column in draft.columns:
        if not pa.types.is_floating(column.cells.type):
            continue
        rows = pc.indices_nonzero(pc.fill_null(pc.is_inf(column.cells), fill_value=False))
        if len(rows):
            shown = ", ".join(str(row + 1) for row in rows.slice(0, _MOST_NAMED).to_pylist())
            detail = f"holds an infinite number in row {shown}; expected finite numbers or empty cells"
            yield Problem(pointer("columns", column.name), detail, "infinite")


def _with_missing(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_null(column.type):
        return column.cast(pa.float64())
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    return column


def leave_out_lists(columns: list[Column], most_bytes: int = MOST_PROFILE_BYTES) -> list[Column]:
    """Remove the longest lists of values, until the columns have at most `most_bytes` as JSON."""
    bare = [column.model_copy(update={"values": None}) for column in columns]
    lists = [
        len(whole.model_dump_json()) - len(one.model_dump_json()) for whole, one in zip(columns, bare, strict=True)
    ]
    room = most_bytes - sum(len(one.model_dump_json()) for one in bare)
    kept = set()
    for index in sorted(range(len(columns)), key=lists.__getitem__):
        room -= lists[index]
        if room >= 0:
            kept.add(index)
    return [column if index in kept else bare[index] for index, column in enumerate(columns)]


def _profile(column: DraftColumn) -> Column:
    cells = column.cells
    distinct = pc.count_distinct(cells, mode="only_valid").as_py()
    is_datetime = pa.types.is_timestamp(cells.type)
    return Column(
        name=column.name,
        kind=_kind(cells.type),
        missing=cells.null_count,
        distinct=distinct,
        values=_values(cells) if distinct <= MOST_LISTED_VALUES and not is_datetime else None,
        missing_marks=column.missing_marks,
        datetime_format=column.datetime_format,
        **(_span(cells) if is_datetime else _range(cells)),
    )


def _kind(kind: pa.DataType) -> ColumnKind:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind):
        return "datetime"
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


def _span(column: pa.ChunkedArray) -> dict[str, str | None]:
    extremes = pc.min_max(column)
    return {"earliest": _iso(extremes["min"].as_py()), "latest": _iso(extremes["max"].as_py())}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _finite(number: float | None) -> float | None:
    """The number; None if it is not finite, such as a mean whose sum overflows."""
    return number if number is not None and math.isfinite(number) else None
