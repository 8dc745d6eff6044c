"""Reads a Parquet file into a draft. Its footer is checked before anything else is read."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from api.datasets.ingest.datetimes import DATETIME
from api.datasets.ingest.draft import Draft, DraftColumn
from api.datasets.ingest.limits import Limits, refusal
from api.datasets.ingest.names import unknown_names
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.text import convert_kind, remove_marks, settle_text
from shared.column_names import clean_name
from shared.problems import Problem, Refused, pointer


def read_parquet(path: Path, limits: Limits, reading: Reading) -> Draft:
    """Read the whole file, as integers, floats, booleans, texts and datetimes. Raises Refused for other types."""
    try:
        with pq.ParquetFile(path) as file:
            limits.check(file.metadata.num_rows, file.metadata.num_columns)
            names = [clean_name(name) for name in file.schema_arrow.names]
            _check_columns(file.schema_arrow, names, reading)
            table = file.read(use_threads=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError, pa.ArrowTypeError, OSError) as error:
        if "crypt" in str(error):
            raise refusal("#", "holds encrypted columns; write it without encryption", "encrypted") from None
        raise refusal("#", "is not a Parquet file that can be read", "unreadable") from None
    draft = Draft([DraftColumn(*pair) for pair in zip(names, map(_plain, table.columns), strict=True)])
    for column in draft.columns:
        _settle(draft, column, reading)
    _warn_of_named_index(draft, table.schema)
    return draft


def _settle(draft: Draft, column: DraftColumn, reading: Reading) -> None:
    if not pa.types.is_string(column.cells.type):
        remove_marks(column, reading)
        convert_kind(draft, column, reading.column_kinds.get(column.name))
    else:
        settle_text(draft, column, reading, is_typed=True)


def _check_columns(schema: pa.Schema, names: list[str], reading: Reading) -> None:
    problems = [
        _wrong_type(name, field.type) for name, field in zip(names, schema, strict=True) if not _is_taken(field.type)
    ]
    problems += unknown_names(list(reading.column_kinds), names)
    if problems:
        raise Refused(problems)


def _wrong_type(name: str, kind: pa.DataType) -> Problem:
    detail = f"holds {str(kind)[:60]}, expected numbers, booleans, texts, dates or times"
    return Problem(pointer("columns", name), detail, "unsupported_type")


def _is_taken(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return _is_number(kind) or _is_moment(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind) or _is_text(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if _is_text(kind) or pa.types.is_time(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pc.cast(column, DATETIME, safe=False)
    if pa.types.is_integer(kind):
        return _whole(column)
    return column if pa.types.is_boolean(kind) else pc.cast(column, pa.float64(), safe=False)


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as 64-bit integers, or as floats if one is too large."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(column, pa.float64(), safe=False)


def _warn_of_named_index(draft: Draft, schema: pa.Schema) -> None:
    """Warn of an index of a DataFrame that has a name: it is stored as a column, and may not be data."""
    for name in _index_names(schema):
        if name in draft.names and not name.startswith("__index_level_"):
            draft.warnings.append(
                f'column "{name}" is the index of the DataFrame that was saved; drop it if it is not data'
            )


def _index_names(schema: pa.Schema) -> list[str]:
    """The names of the columns of the index that pandas has saved. A range is not stored as a column."""
    try:
        found = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError):
        return []
    return [clean_name(name) for name in found if isinstance(name, str)] if isinstance(found, list) else []
