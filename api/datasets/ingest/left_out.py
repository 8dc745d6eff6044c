"""Columns of a file that are not data: an index written by pandas or R, and columns with neither name nor value."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from api.datasets.ingest.draft import Draft, DraftColumn
from api.datasets.ingest.reading import Reading

_SAVED_INDEX = re.compile(r"__index_level_[0-9]+__")
_UNNAMED = re.compile(r"(Unnamed: 0(\.[0-9]+)*)?")


def leave_out(draft: Draft, reading: Reading) -> None:
    """Remove such columns from the draft, with a warning for each. A column in `column_kinds` stays."""
    at_start = True
    for column in list(draft.columns):
        if column.name and column.name in reading.column_kinds:
            at_start = False
            continue
        why = _why_index(column, at_start=at_start) or _why_empty(column)
        if why:
            _remove(draft, column, why)
        else:
            at_start = False


def _why_index(column: DraftColumn, *, at_start: bool) -> str | None:
    if _SAVED_INDEX.fullmatch(column.name):
        return "it is the index of the DataFrame that was saved"
    if at_start and _UNNAMED.fullmatch(column.name) and _is_index(column.cells):
        return "it is the first column, has no name and numbers or names the rows"
    return None


def _why_empty(column: DraftColumn) -> str | None:
    if column.name == "" and column.cells.null_count == len(column.cells):
        return "it has neither a name nor a value"
    return None


def _is_index(cells: pa.ChunkedArray) -> bool:
    """Whether the cells are distinct whole numbers or distinct texts, and none is missing."""
    fits = pa.types.is_integer(cells.type) or pa.types.is_string(cells.type)
    return fits and not cells.null_count and pc.count_distinct(cells).as_py() == len(cells)


def _remove(draft: Draft, column: DraftColumn, why: str) -> None:
    draft.columns = [other for other in draft.columns if other is not column]
    draft.left_out.append(column.name)
    named = f'column "{column.name}"' if column.name else "a column without a name"
    draft.warnings.append(f"{named} is left out: {why}")
