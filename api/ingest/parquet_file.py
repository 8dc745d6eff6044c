"""A Parquet file as a table, judged by its footer before anything is read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from api.ingest.limits import Limits, refused
from shared.problems import Problem, Refused, pointer


def read_parquet(path: Path, limits: Limits) -> pa.Table:
    """The whole file with whole numbers, numbers, booleans and texts. Raises Refused for everything else."""
    try:
        with pq.ParquetFile(path) as file:
            limits.check(file.metadata.num_rows, file.metadata.num_columns)
            _check_types(file.schema_arrow)
            table = file.read(use_threads=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError, pa.ArrowTypeError, OSError):
        raise refused("#", "is not a Parquet file that can be read", "unreadable") from None
    columns = [_plain(column) for column in table.columns]
    return pa.table(columns, schema=pa.schema(pa.field(*pair) for pair in _fields(table, columns)))


def _fields(table: pa.Table, columns: list[pa.ChunkedArray]) -> list[tuple[str, pa.DataType]]:
    return [(name, column.type) for name, column in zip(table.column_names, columns, strict=True)]


def _check_types(schema: pa.Schema) -> None:
    wrong = [field for field in schema if not _is_taken(field.type)]
    if wrong:
        raise Refused([_wrong_type(field) for field in wrong])


def _wrong_type(field: pa.Field) -> Problem:
    kind = str(field.type)[:60]
    return Problem(
        pointer("columns", field.name), f"holds {kind}, expected numbers, booleans or texts", "unsupported_type"
    )


def _is_taken(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return _is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind) or _is_text(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if _is_text(kind):
        return column.cast(pa.string())
    if pa.types.is_integer(kind):
        return _whole(column)
    return column if pa.types.is_boolean(kind) else pc.cast(column, pa.float64(), safe=False)


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """As 64-bit integers; as numbers where one is too large for them."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(column, pa.float64(), safe=False)
