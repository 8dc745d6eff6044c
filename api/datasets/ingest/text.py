"""Finds the kind of a column of texts: numbers, booleans, datetimes, or texts, which stay as they were written.

Only the distinct cells are examined. A column holds numbers if all cells except marks of missing values are numbers. If
only most of them are, it is text, with a warning that names the other cells.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from api.datasets.ingest import numbers
from api.datasets.ingest.datetimes import is_ambiguous, read_datetimes
from api.datasets.ingest.draft import Draft, DraftColumn
from api.datasets.ingest.reading import Reading
from shared.dataset import NUMBER_MARKS, AskedKind
from shared.problems import Problem, pointer

_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
# This number of distinct cells is tested first, which excludes most kinds quickly.
_FIRST_LOOK = 20
_SAMPLE = 1000
_LEAST_NUMBER_LIKE = 0.25
_MOST_SHOWN_CELLS = 3
_MOST_SHOWN_CHARACTERS = 40
# If at least this fraction of the cells are numbers, some in another notation, the column is meant as numbers.
_MEANT_AS_NUMBERS = 0.9


@dataclass(frozen=True)
class _Words:
    """The distinct cells of a column in the order of their first rows, and the number of rows of each."""

    all: pa.Array
    rows: pa.Array

    def filter(self, mask: pa.BooleanArray) -> "_Words":
        return _Words(self.all.filter(mask), self.rows.filter(mask))

    def without(self, marks: list[str]) -> "_Words":
        return self.filter(pc.invert(self._are(marks)))

    def only(self, marks: list[str]) -> "_Words":
        return self.filter(self._are(marks))

    @property
    def cells(self) -> int:
        return pc.sum(self.rows).as_py() or 0

    def _are(self, marks: list[str]) -> pa.BooleanArray:
        return pc.is_in(self.all, value_set=pa.array(marks, self.all.type))


def settle_text(draft: Draft, column: DraftColumn, reading: Reading, *, is_typed: bool = False) -> None:
    """Convert a column of texts to its kind, and add its problems and warnings to the draft.

    In a file with types (`is_typed`), such as Parquet, texts stay exactly as they are, unless all are datetimes, or the
    upload requests another kind or names marks of missing values.
    """
    _Settler(draft, column, reading, is_typed=is_typed).settle()


class _Settler:
    def __init__(self, draft: Draft, column: DraftColumn, reading: Reading, *, is_typed: bool) -> None:
        self._draft, self._column, self._reading = draft, column, reading
        self._is_typed, self._written = is_typed, column.cells
        self._words = _trim(column)
        self._filled = self._words.without(reading.number_marks)

    def settle(self) -> None:
        asked = self._reading.column_kinds.get(self._column.name)
        if asked == "number":
            self._force_numbers()
        elif asked == "datetime":
            self._force_datetimes()
        elif asked == "text":
            self._keep_text()
        elif not (not self._is_typed and self._find_numbers()) and not self._find_datetimes():
            self._keep_text()
            self._examine_text()

    def _find_numbers(self) -> bool:
        """Convert the filled cells if all are numbers or booleans (or there are none). Return whether this was done."""
        words = self._filled.all
        if _all(numbers.are_plain(words[:_FIRST_LOOK])) and _all(numbers.are_plain(words)):
            self._become(numbers.to_numbers(words))
        elif _all(pc.is_in(words, value_set=pa.array([*_TRUE, *_FALSE], words.type))):
            self._become(pc.is_in(words, value_set=pa.array(_TRUE, words.type)))
        else:
            return False
        return True

    def _find_datetimes(self) -> bool:
        found = read_datetimes(self._filled.all) if len(self._filled.all) else None
        if found is None:
            return False
        self._column.datetime_format = found.format
        self._become(found.values)
        return True

    def _become(self, values: pa.Array) -> None:
        """Replace each filled cell by its value. The others become missing."""
        self._count_marks(self._reading.number_marks)
        self._column.cells = values.take(pc.index_in(self._column.cells, value_set=self._filled.all))

    def _keep_text(self) -> None:
        if self._is_typed and self._reading.missing_values is None:
            self._column.cells = self._written
            return
        marks = self._reading.text_marks
        self._count_marks(marks)
        if self._column.missing_marks:
            is_mark = pc.is_in(self._column.cells, value_set=pa.array(marks, pa.string()))
            self._column.cells = pc.if_else(is_mark, pa.scalar(None, pa.string()), self._column.cells)

    def _count_marks(self, marks: list[str]) -> None:
        found = self._words.only(marks)
        self._column.missing_marks = dict(zip(found.all.to_pylist(), found.rows.to_pylist(), strict=True))

    def _force_numbers(self) -> None:
        odd = self._filled.filter(pc.invert(numbers.are_signed(self._filled.all)))
        if len(odd.all):
            self._refuse(f"holds {self._show(odd)}, expected numbers as column_kinds says", "not_a_number")
        else:
            self._become(numbers.to_numbers(pc.utf8_ltrim(self._filled.all, characters="+")))

    def _force_datetimes(self) -> None:
        if self._find_datetimes():
            return
        if is_ambiguous(self._filled.all):
            reason = "dates whose day and month are ambiguous"
        else:
            reason = "expected dates in one format, as column_kinds says"
        detail = f"holds {self._show(self._filled)}: {reason}; write them as 2020-01-31 or 2020-01-31 12:30:00"
        self._refuse(detail, "not_a_datetime")

    def _examine_text(self) -> None:
        """Warn of a column that was probably meant as numbers or datetimes, or refuse it."""
        if len(self._filled.all) and is_ambiguous(self._filled.all):
            self._warn(
                f"the day and month of dates such as {self._show(self._filled, 1)} are ambiguous; write them as "
                "2020-01-31 to have datetimes"
            )
        elif not self._is_typed:
            self._examine_numbers()

    def _examine_numbers(self) -> None:
        words, cells = self._filled, self._filled.cells
        if not self._may_be_meant_as_numbers():
            return
        plain = numbers.are_plain(words.all)
        signed = words.filter(numbers.are_signed(words.all)).cells
        otherwise = words.filter(numbers.are_written_otherwise(words.all))
        odd = words.filter(pc.invert(plain))
        if otherwise.cells and signed + otherwise.cells >= _MEANT_AS_NUMBERS * cells:
            self._refuse_notation(otherwise)
        elif _all(pc.or_(numbers.are_signed(words.all), numbers.matches(words.all, numbers.CODE))):
            self._warn(
                f"cells such as {self._show(odd)} would lose leading zeros, a sign or a base as numbers; upload with "
                f"column_kinds={self._column.name}:number to read them as numbers anyway"
            )
        elif words.filter(plain).cells * 2 > cells or self._lacks_usual_marks(odd):
            self._warn(
                f"{odd.cells} of {cells} cells are not numbers, such as {self._show(odd)}; if they mean missing "
                "values, name them in missing_values"
            )

    def _lacks_usual_marks(self, odd: _Words) -> bool:
        """Whether the cells that are not numbers are all usual marks that `missing_values` of the upload lacks."""
        return self._reading.missing_values is not None and not len(odd.without(list(NUMBER_MARKS)).all)

    def _may_be_meant_as_numbers(self) -> bool:
        """Whether enough cells look like numbers. Tests a sample, so that a long column of names costs little."""
        words = self._filled.all
        sample = words[:: max(1, len(words) // _SAMPLE)]
        return (pc.mean(numbers.matches(sample, numbers.NUMBER_LIKE)).as_py() or 0) >= _LEAST_NUMBER_LIKE

    def _refuse_notation(self, otherwise: _Words) -> None:
        named = numbers.name_notation(otherwise.all)
        code = "decimal_comma" if named == "decimal commas" else "number_notation"
        self._refuse(
            f"holds numbers with {named}: {self._show(otherwise)}; write them as 1234.5, or upload with "
            f"column_kinds={self._column.name[:60]}:text to keep them as text",
            code,
        )

    def _refuse(self, detail: str, code: str) -> None:
        self._draft.problems.append(Problem(pointer("columns", self._column.name), detail, code))

    def _warn(self, detail: str) -> None:
        name = self._column.name
        self._draft.warnings.append(f'column "{name}" is text: {detail}. column_kinds={name}:text takes it as text')

    def _show(self, words: _Words, most: int = _MOST_SHOWN_CELLS) -> str:
        """The first words, each with its first row, for a message."""
        shown = words.all[:most].to_pylist()
        return ", ".join(f'"{_printable(word)}" in row {self._first_row(word)}' for word in shown)

    def _first_row(self, word: str) -> int:
        return int(pc.index(self._column.cells, word).as_py()) + 1


def remove_marks(column: DraftColumn, reading: Reading) -> None:
    """Replace the numbers that the upload names as marks with missing cells, in a column that is not text."""
    if not (pa.types.is_integer(column.cells.type) or pa.types.is_floating(column.cells.type)):
        return
    for mark in reading.missing_values or ():
        number = pa.scalar(mark).cast(pa.float64()).as_py() if _all(numbers.are_signed(pa.array([mark]))) else None
        is_mark = pc.equal(column.cells, number)
        if number is not None and (count := pc.sum(is_mark).as_py()):
            column.missing_marks[mark] = count
            column.cells = pc.if_else(is_mark, pa.scalar(None, column.cells.type), column.cells)


def convert_kind(draft: Draft, column: DraftColumn, asked: AskedKind | None) -> None:
    """Convert a column that is not text to the requested kind, or add a problem to the draft."""
    kind = column.cells.type
    if asked == "text":
        column.cells = column.cells.cast(pa.string())
    elif asked == "number" and pa.types.is_boolean(kind):
        column.cells = column.cells.cast(pa.int64())
    elif (asked == "datetime") != pa.types.is_timestamp(kind) and asked is not None:
        detail = f"holds {kind}, which cannot be taken as {asked}, as column_kinds says"
        draft.problems.append(Problem(pointer("columns", column.name), detail, "other_kind"))


def _all(mask: pa.BooleanArray) -> bool:
    return bool(pc.all(mask, min_count=0).as_py())


def _trim(column: DraftColumn) -> _Words:
    """Remove the spaces around the cells of the column. Return its distinct cells."""
    words = _count(column.cells)
    if pc.utf8_trim_whitespace(words.all).equals(words.all):
        return words
    column.cells = pc.utf8_trim_whitespace(column.cells)
    return _count(column.cells)


def _count(cells: pa.ChunkedArray) -> _Words:
    counted = cells.drop_null().value_counts()
    return _Words(counted.field("values"), counted.field("counts"))


def _printable(word: str) -> str:
    cut = word if len(word) <= _MOST_SHOWN_CHARACTERS else word[:_MOST_SHOWN_CHARACTERS] + "…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in cut)
