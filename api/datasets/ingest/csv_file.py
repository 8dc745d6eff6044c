"""Reads a CSV file into a draft. Ambiguous content is refused, with its row.

Rows count from 1 after the header; blank lines are not counted. pyarrow finds the types of the columns.
`api.datasets.ingest.text` then examines the columns of text. Columns of numbers are read a second time if they may
contain codes or marks of missing values.
"""

import io
import secrets
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from api.datasets.ingest.csv_form import BLOCK_BYTES, Form, read_form, row_too_long
from api.datasets.ingest.datetimes import DATETIME
from api.datasets.ingest.draft import Draft, DraftColumn
from api.datasets.ingest.limits import Limits, refusal
from api.datasets.ingest.names import unknown_names
from api.datasets.ingest.numbers import CODE, are_plain, are_signed, matches
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.text import settle_text
from shared.problems import Problem, Refused, pointer

_MOST_NAMED = 10


def read_csv(path: Path, limits: Limits, reading: Reading) -> Draft:
    """Read the whole file. Raises Refused for problems of its form or rows. The draft holds those of columns."""
    form = read_form(path)
    limits.check(1, len(form.header))
    _check_header(form, reading)
    _check_rows(path, form, limits)
    draft = _read_types(path, form, reading)
    _warn_of_data_in_header(draft, form)
    return draft


def _check_header(form: Form, reading: Reading) -> None:
    """Raise Refused for a header that makes the columns ambiguous, and for unknown names in `column_kinds`."""
    names = form.names
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    problems = [
        Problem(pointer("columns", name), "names two columns", "duplicate_name") for name in twice[:_MOST_NAMED]
    ]
    problems += unknown_names(list(reading.column_kinds), names)
    if len(names) < 2:
        detail = "has one column, expected two or more (separated by , ; tab or |)"
        problems.append(Problem("#", detail, "one_column"))
    if problems:
        raise Refused(problems)


def _check_rows(path: Path, form: Form, limits: Limits) -> None:
    """Raise Refused unless every row has as many cells as the header, and every quote is closed.

    One pass, block by block. A row with a random cell (`sentinel`) is appended to what pyarrow reads. If a quote is
    never closed, that row is part of the quoted cell, and so the last row is another one.
    """
    sentinel, ragged = secrets.token_hex(16), _Ragged(form)
    try:
        rows, last = _count_rows(path, form, sentinel, ragged, limits)
    except pa.ArrowInvalid as error:
        raise (Refused(ragged.problems) if ragged.problems else _unreadable(error)) from None
    if ragged.problems:
        raise Refused(ragged.problems)
    if last != sentinel:
        raise refusal("#", "has a quote that is never closed", "unclosed_quote")
    if rows < 2:
        raise refusal("#", "has a header but no rows", "no_rows")


def _count_rows(path: Path, form: Form, sentinel: str, ragged: "_Ragged", limits: Limits) -> tuple[int, str | None]:
    """The number of rows with the sentinel, and the first cell of the last row. Raises Refused above the limits."""
    rows, last = 0, None
    ending = f"\n{sentinel}{form.separator * (len(form.header) - 1)}\n".encode()
    with path.open("rb") as file:
        for batch in _stream(pa.PythonFile(_Extended(file, ending), mode="r"), form, form.header[:1], ragged):
            rows += batch.num_rows
            limits.check(rows - 1, len(form.header))
            last = batch.column(0)[-1].as_py() if batch.num_rows else last
    return rows, last


class _Ragged:
    """Collects the rows with more or fewer cells than the header. The reading ends after _MOST_NAMED of them."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._rows: dict[int, list[int]] = defaultdict(list)
        self._hints: dict[int, str] = {}

    def __call__(self, row: Any) -> str:
        # pyarrow counts the header as row 1.
        self._rows[row.actual_columns].append(row.number - 1 - self._form.lines_before)
        self._hints.setdefault(row.actual_columns, self._hint(row))
        return "skip" if sum(map(len, self._rows.values())) < _MOST_NAMED else "error"

    @property
    def problems(self) -> list[Problem]:
        """One problem for each number of cells, at its first row."""
        return [self._problem(cells, rows) for cells, rows in self._rows.items()]

    def _problem(self, cells: int, rows: list[int]) -> Problem:
        few = ", ".join(map(str, rows[:3])) + (" and others" if len(rows) > 3 else "")
        which = f"row {few} holds" if len(rows) == 1 else f"rows {few} hold"
        detail = f"{which} {cells} cell{'s' * (cells != 1)}, expected {len(self._form.header)}{self._hints[cells]}"
        return Problem(pointer("rows", rows[0]), detail, "ragged_row")

    def _hint(self, row: Any) -> str:
        if row.actual_columns < row.expected_columns:
            return ""
        if row.text.rstrip().endswith(self._form.separator):
            return f'; the row ends with "{self._form.separator}" and the header does not'
        return f'; put texts and numbers that hold a "{self._form.separator}" in double quotes'


def _stream(source: Any, form: Form, names: list[str], ragged: _Ragged | None = None) -> pcsv.CSVStreamingReader:
    """The columns with these names as strings, exactly as written, block by block."""
    return pcsv.open_csv(
        source,
        read_options=_read_options(form),
        parse_options=pcsv.ParseOptions(delimiter=form.separator, newlines_in_values=True, invalid_row_handler=ragged),
        convert_options=pcsv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string())),
    )


def _read_options(form: Form) -> pcsv.ReadOptions:
    return pcsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, skip_rows=form.lines_before)


class _Extended(io.RawIOBase):
    """A file with additional bytes at its end."""

    def __init__(self, file: BinaryIO, ending: bytes) -> None:
        self._file = file
        self._ending = io.BytesIO(ending)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # Always as many bytes as requested: pyarrow makes a block of each read, also of a short one.
        found = self._file.read(size)
        return found + self._ending.read(size - len(found))


def _read_types(path: Path, form: Form, reading: Reading) -> Draft:
    """Read the columns with the types of their cells."""
    try:
        table = _convert(path, form, reading, {name: pa.string() for name in _names_of_given_kinds(form, reading)})
        marks, texts = _examine_numbers(path, form, reading, table)
        texts += [field.name for field in table.schema if pa.types.is_time(field.type)]
        if texts:
            written = _convert(path, form, reading, dict.fromkeys(texts, pa.string()), only=texts)
            for name in texts:
                table = table.set_column(table.schema.get_field_index(name), name, written[name])
    except pa.ArrowInvalid as error:
        raise _unreadable(error) from None
    draft = Draft([DraftColumn(name, cells) for name, cells in zip(form.names, table.columns, strict=True)])
    for column, header in zip(draft.columns, form.header, strict=True):
        column.missing_marks = marks.get(header, {})
        _settle(draft, column, reading)
    return draft


def _settle(draft: Draft, column: DraftColumn, reading: Reading) -> None:
    kind = column.cells.type
    if pa.types.is_string(kind):
        settle_text(draft, column, reading)
    elif pa.types.is_temporal(kind):
        column.cells = pc.cast(column.cells, DATETIME, safe=False)


def _names_of_given_kinds(form: Form, reading: Reading) -> list[str]:
    """The names in the header of the columns whose kind the upload gives."""
    pairs = zip(form.header, form.names, strict=True)
    return [header for header, name in pairs if name in reading.column_kinds]


def _convert(
    path: Path, form: Form, reading: Reading, types: dict[str, pa.DataType], only: list[str] | None = None
) -> pa.Table:
    return pcsv.read_csv(
        path,
        read_options=_read_options(form),
        parse_options=pcsv.ParseOptions(delimiter=form.separator, newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(
            null_values=reading.number_marks, strings_can_be_null=False, column_types=types, include_columns=only
        ),
    )


def _examine_numbers(
    path: Path, form: Form, reading: Reading, table: pa.Table
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Read the columns that are not text again, as strings.

    Return the number of each mark of missing values by column, and the columns that must be read as strings: those with
    codes, or with marks between spaces that pyarrow has read as numbers.
    """
    fields = [field for field in table.schema if form.header.count(field.name) == 1]
    with_gaps = [field.name for field in fields if not pa.types.is_string(field.type) and table[field.name].null_count]
    numeric = [field.name for field in fields if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    marks_are_numbers = bool(pc.any(are_signed(pa.array(reading.number_marks))).as_py())
    suspects = numeric if form.may_hold_codes or marks_are_numbers else []
    marks: dict[str, dict[str, int]] = {name: defaultdict(int) for name in with_gaps}
    written: dict[str, None] = {}
    for name, cells in _cells(path, form, list(dict.fromkeys([*with_gaps, *suspects]))):
        if name in marks:
            _add_marks(marks[name], cells, reading.number_marks)
        if name in suspects and (_holds_code(cells) or _holds_padded_mark(cells, reading.number_marks)):
            written[name] = None
    return {name: dict(counts) for name, counts in marks.items() if name not in written}, list(written)


def _cells(path: Path, form: Form, names: list[str]) -> Iterator[tuple[str, pa.Array]]:
    """The columns with these names as strings, exactly as written, batch by batch."""
    for batch in _stream(path, form, names) if names else ():
        yield from zip(batch.schema.names, batch.columns, strict=True)


def _add_marks(counts: dict[str, int], cells: pa.Array, marks: list[str]) -> None:
    found = cells.filter(pc.is_in(cells, value_set=pa.array(marks))).value_counts()
    for one in found.to_pylist():
        counts[one["values"]] += one["counts"]


def _holds_code(cells: pa.Array) -> bool:
    first = pc.binary_slice(cells.cast(pa.binary()), 0, 1)
    few = cells.filter(pc.is_in(first, value_set=pa.array([b"0", b"+", b"-", b" ", b"\t"])))
    return bool(pc.any(matches(few, CODE), min_count=0).as_py())


def _holds_padded_mark(cells: pa.Array, marks: list[str]) -> bool:
    bare = pc.utf8_trim_whitespace(cells)
    padded = bare.filter(pc.not_equal(bare, cells))
    return bool(pc.any(pc.is_in(padded, value_set=pa.array(marks)), min_count=0).as_py())


def _warn_of_data_in_header(draft: Draft, form: Form) -> None:
    names = pa.array(form.names)
    numeric = names.filter(are_plain(names)).to_pylist()
    if len(numeric) * 2 > len(names):
        shown = ", ".join(f'"{name}"' for name in numeric[:3])
        draft.warnings.append(
            f"the names of {len(numeric)} columns are numbers, such as {shown}: if the first line holds data, put a "
            "line with the columns' names before it"
        )


def _unreadable(error: pa.ArrowInvalid) -> Refused:
    if "straddling" in str(error):
        return row_too_long()
    return refusal("#", "is not a CSV file that can be read", "unreadable")
