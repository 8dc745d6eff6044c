"""A CSV file as a table: what cannot be read in exactly one way is refused with its row.

UTF-8 with or without a BOM, a header, the separator that occurs most in it (`,` `;` tab `|`), pyarrow's spellings of
a missing value. Rows count from 1 behind the header, blank lines not counted.
"""

import codecs
import csv
import io
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from api.ingest.limits import Limits, refused
from shared.problems import Problem, Refused, pointer

_SEPARATORS = ",;\t|"
# One row must fit into one block.
_BLOCK_BYTES = 4 * 1024 * 1024
_HEADER_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_MOST_NAMED = 10
_NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_COMMA_NUMBER = r"^\s*[+-]?[0-9]+,[0-9]+\s*$"


@dataclass(frozen=True)
class _Form:
    """How the file is written: the names in its header, and what stands between two cells."""

    header: list[str]
    separator: str


def read_csv(path: Path, limits: Limits) -> pa.Table:
    """The whole file. Raises Refused with what is wrong and where."""
    _check_text(path)
    form = _Form(*_header(path))
    limits.check(1, len(form.header))
    _check_rows(path, form, limits)
    table = _typed(path, form.separator)
    _check_numbers(table)
    return table


def _check_text(path: Path) -> None:
    """UTF-8 without NUL, all of it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as file:
        if file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            raise refused("#", "is UTF-16, expected UTF-8", "not_utf8")
        file.seek(0)
        for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
            _check_piece(piece, decoder, line)
            line += piece.count(b"\n")
        _check_piece(b"", decoder, line, final=True)


def _check_piece(piece: bytes, decoder: codecs.IncrementalDecoder, line: int, *, final: bool = False) -> None:
    if b"\0" in piece:
        line += piece[: piece.index(b"\0")].count(b"\n")
        raise refused("#", f"holds a NUL byte in line {line}, expected text", "nul_byte")
    try:
        decoder.decode(piece, final)
    except UnicodeDecodeError as error:
        line += bytes(error.object[: error.start]).count(b"\n")
        raise refused("#", f"is not UTF-8 in line {line}; save it as UTF-8", "not_utf8") from None


def _header(path: Path) -> tuple[list[str], str]:
    """The names in the first row, and the separator."""
    with path.open("rb") as file:
        start = file.read(_HEADER_BYTES)
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(start).lstrip("\r\n")
    line = _first_line(text)
    if not line.strip() and not text.startswith('"'):
        raise refused("#", "has no header: expected the columns' names in the first line", "no_header")
    if line == text and len(start) == _HEADER_BYTES:
        raise refused("#", f"has a header of more than {_HEADER_BYTES} bytes", "header_too_long")
    if text[len(line) : len(line) + 1] == '"':
        raise refused("#", "has a quote in its header that is never closed", "unclosed_quote")
    bare = re.sub(r'"[^"]*"', "", line)
    separator = max(_SEPARATORS, key=bare.count)
    try:
        return next(csv.reader(io.StringIO(line, newline=""), delimiter=separator, strict=True)), separator
    except (csv.Error, StopIteration):
        raise refused("#", "has a header that cannot be read", "unreadable") from None


def _first_line(text: str) -> str:
    """All before the first line break that stands outside quotes."""
    found = re.match(r'(?:[^"\r\n]|"[^"]*")*', text)
    return found.group() if found else ""


def _check_rows(path: Path, form: _Form, limits: Limits) -> None:
    """Every row has as many cells as the header, and the last quote is closed; all in one pass of little memory.

    Behind the file's end stands a row of our own: an open quote would swallow it.
    """
    _check_names(form.header)
    sentinel, ragged = secrets.token_hex(16), _Ragged()
    try:
        rows, last = _counted(path, form, sentinel, ragged, limits)
    except pa.ArrowInvalid as error:
        raise (Refused(ragged.problems) if ragged.problems else _unreadable(error)) from None
    if ragged.problems:
        raise Refused(ragged.problems)
    if last != sentinel:
        raise refused("#", "has a quote that is never closed", "unclosed_quote")
    if rows < 2:
        raise refused("#", "has a header and no rows", "no_rows")


def _counted(path: Path, form: _Form, sentinel: str, ragged: "_Ragged", limits: Limits) -> tuple[int, str | None]:
    """How many rows there are with the sentinel, and the last one's first cell. Stops at the first row too many."""
    rows, last = 0, None
    ending = f"\n{sentinel}{form.separator * (len(form.header) - 1)}\n".encode()
    with path.open("rb") as file:
        for batch in _first_column(_Extended(file, ending), form, ragged):
            rows += batch.num_rows
            limits.check(rows - 1, len(form.header))
            last = batch.column(0)[-1].as_py() if batch.num_rows else last
    return rows, last


class _Ragged:
    """Notes the rows of another length than the header's; enough of them end the reading."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def __call__(self, row: Any) -> str:
        # pyarrow counts the header as row 1.
        self.problems.append(_ragged(row.number - 1, row.expected_columns, row.actual_columns))
        return "skip" if len(self.problems) < _MOST_NAMED else "error"


def _first_column(source: Any, form: _Form, ragged: _Ragged) -> pcsv.CSVStreamingReader:
    return pcsv.open_csv(
        pa.PythonFile(source, mode="r"),
        read_options=pcsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pcsv.ParseOptions(delimiter=form.separator, newlines_in_values=True, invalid_row_handler=ragged),
        convert_options=pcsv.ConvertOptions(
            include_columns=form.header[:1], column_types={form.header[0]: pa.string()}
        ),
    )


class _Extended(io.RawIOBase):
    """A file with some bytes more at its end."""

    def __init__(self, file: BinaryIO, ending: bytes) -> None:
        self._file = file
        self._ending = io.BytesIO(ending)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # Always as much as was asked for: pyarrow takes a short read for a block.
        found = self._file.read(size)
        return found + self._ending.read(size - len(found))


def _typed(path: Path, separator: str) -> pa.Table:
    """The table with whole numbers, numbers, booleans and texts; dates stay texts."""
    try:
        table = _converted(path, separator, {})
        dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
        return _converted(path, separator, dates) if dates else table
    except pa.ArrowInvalid as error:
        raise _unreadable(error) from None


def _converted(path: Path, separator: str, types: dict[str, pa.DataType]) -> pa.Table:
    return pcsv.read_csv(
        path,
        read_options=pcsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pcsv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pcsv.ConvertOptions(strings_can_be_null=True, column_types=types),
    )


def _check_names(header: list[str]) -> None:
    """The two mistakes of a header that would make the columns' types ambiguous."""
    twice = sorted({name for name in header if header.count(name) > 1 and name})
    if twice:
        named = twice[:_MOST_NAMED]
        raise Refused([Problem(pointer("columns", name), "names two columns", "duplicate_name") for name in named])
    if len(header) < 2:
        raise refused("#", "has one column, expected two or more (separated by , ; tab or |)", "one_column")


def _check_numbers(table: pa.Table) -> None:
    """Refuse a text column most of whose cells are numbers: one cell would silently turn its numbers into texts."""
    columns = zip(table.column_names, table.columns, strict=True)
    texts = [(name, column) for name, column in columns if pa.types.is_string(column.type)]
    problems = [problem for name, column in texts if (problem := _mixed(name, column))]
    if problems:
        raise Refused(problems)


def _mixed(name: str, column: pa.ChunkedArray) -> Problem | None:
    filled = len(column) - column.null_count
    if _matches(column, _COMMA_NUMBER) * 2 > filled:
        return Problem(pointer("columns", name), "holds numbers with a comma, expected a point: 1.5", "decimal_comma")
    if _matches(column, _NUMBER) * 2 <= filled:
        return None
    odd = pc.invert(pc.match_substring_regex(column, _NUMBER))
    rows = pc.indices_nonzero(odd).slice(0, 3).to_pylist()
    cells = ", ".join(f'"{_cut(column[row].as_py())}" in row {row + 1}' for row in rows)
    return Problem(
        pointer("columns", name), f"holds {cells} among numbers, expected a number or an empty cell", "not_a_number"
    )


def _matches(column: pa.ChunkedArray, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0


def _ragged(row: int, expected: int, actual: int) -> Problem:
    return Problem(pointer("rows", row), f"row {row} holds {actual} cells, expected {expected}", "ragged_row")


def _unreadable(error: pa.ArrowInvalid) -> Refused:
    if "straddling" in str(error):
        detail = f"has a row of more than {_BLOCK_BYTES} bytes; perhaps a quote is never closed"
        return refused("#", detail, "row_too_long")
    return refused("#", "is not a CSV file that can be read", "unreadable")


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
