"""The kind that cells give their column: numbers, booleans, datetimes, or texts as they were written."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.datasets.ingest.csv_file import read_csv
from api.datasets.ingest.limits import Limits
from api.datasets.ingest.parquet_file import read_parquet
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.table import check, profile
from shared.problems import Refused

LIMITS = Limits(columns=20, cells=1000)


@pytest.fixture
def column(tmp_path):
    """Return the profile, the cells and the warnings of a column with these cells, between two others."""

    def read(*cells, **reading):
        lines = "".join(f'{row},"{cell}",x\n' for row, cell in enumerate(cells))
        (tmp_path / "upload").write_text(f"a,b,c\n{lines}", encoding="utf-8")
        asked = Reading(**reading)
        draft = read_csv(tmp_path / "upload", LIMITS, asked)
        check(draft, LIMITS, asked)
        return profile(draft)[1], draft.table["b"].to_pylist(), draft.warnings

    return read


@pytest.fixture
def parquet(tmp_path):
    def read(cells, **reading):
        asked = Reading(**reading)
        pq.write_table(pa.table({"a": range(len(cells)), "b": cells, "c": range(len(cells))}), tmp_path / "upload")
        draft = read_parquet(tmp_path / "upload", LIMITS, asked)
        check(draft, LIMITS, asked)
        return profile(draft)[1], draft.table["b"].to_pylist(), draft.warnings

    return read


def refusal(read, *cells, **reading):
    with pytest.raises(Refused) as caught:
        read(*cells, **reading)
    [problem] = caught.value.problems
    assert problem.pointer == "#/columns/b"
    return problem.code, problem.detail


@pytest.mark.parametrize(
    "cells",
    [
        ("71053", "85123A", "22752"),  # Online Retail's StockCode
        ("536365", "C536366", "536367"),  # its InvoiceNo
        ("1", "2", "#DIV/0!"),
        ("12", "13", "1O"),
        ("3", "4", "5+"),
        ("100", "200", "about 300"),
        ("1e5", "12", "1e5x"),
    ],
)
def test_a_column_of_mostly_numbers_is_text_with_a_warning(column, cells):
    profile, values, warnings = column(*cells)
    assert (profile.kind, values) == ("text", list(cells))
    assert "1 of 3 cells are not numbers" in warnings[0]
    assert column(*cells, column_kinds={"b": "text"})[2] == []


@pytest.mark.parametrize(
    "cells",
    [
        ("00704", "10115"),
        ("10704", "00115"),
        ("007", "?"),
        (" 007", "10"),
        ("01.5", "2.5"),
        ("-01", "12"),
        ("+1", "-1"),
        ("0x1F", "12"),
        ("+4930123", "+4940123"),
        *(("1", "2", "02.0"), ("5", "+5"), ("00", "01", "02")),
    ],
)
def test_numbers_that_are_written_as_codes_stay_as_they_were_written(column, cells):
    profile, values, warnings = column(*cells)
    assert (profile.kind, values) == ("text", [cell.strip() for cell in cells])
    assert "leading zeros" in warnings[0]


@pytest.mark.parametrize("cells", [("0", "10"), ("0.5", "-0.25"), ("1e+05", "2"), ("1e-05", "-3"), ("-0", "100")])
def test_a_zero_a_fraction_and_an_exponent_make_no_code(column, cells):
    profile, values, warnings = column(*cells)
    assert (profile.kind in {"integer", "float"}, warnings) == (True, [])
    assert values == [float(cell) for cell in cells]


def test_codes_become_numbers_where_the_upload_says_so(column):
    assert column("00704", "+1", "", column_kinds={"b": "number"})[1] == [704, 1, None]


@pytest.mark.parametrize(
    "mark", ["", "  ", "?", " ?", "-", "--", ".", "NA", "N/A", "null", "NULL", "NaN", "None", "\\N"]
)
@pytest.mark.parametrize(("value", "kind"), [("5", "integer"), ("true", "boolean"), ("2020-01-31", "datetime")])
def test_the_usual_marks_are_missing_among_numbers_whatever_their_share(column, mark, value, kind):
    profile, values, warnings = column(mark, mark, value, mark)
    assert (profile.kind, profile.missing, profile.missing_marks) == (kind, 3, {mark.strip(): 3})
    assert (values.count(None), warnings) == (3, [])


def test_each_mark_is_counted_by_itself(column):
    assert column("?", "1", "", "NA", "?")[0].missing_marks == {"?": 2, "": 1, "NA": 1}
    assert column("x", "", "NA", "?")[0].missing_marks == {"": 1, "NA": 1}


@pytest.mark.parametrize("cell", ["?", "-", "None", "."])
def test_marks_that_are_usual_among_numbers_are_categories_among_texts(column, cell):
    assert column("Private", cell)[1] == ["Private", cell]


def test_marks_of_the_upload_replace_the_usual_ones(column):
    assert column("1", "-999", missing_values=("-999",))[1] == [1, None]
    assert column("x", "unknown", "NA", missing_values=("unknown",))[1] == ["x", None, "NA"]
    assert column("x", "", "NA", missing_values=())[1] == ["x", None, "NA"]
    profile, _, warnings = column("1", "NA", "NA", missing_values=("-999",))
    assert profile.kind == "text"
    assert "name them in missing_values" in warnings[0]
    assert column("1", "2", "nan ")[1] == [1, 2, None]


@pytest.mark.parametrize("marks", [("99", "missing"), ("-999", "99")])
def test_blanks_around_a_mark_are_no_part_of_it_where_it_is_a_number(column, marks):
    profile, values, _ = column("99", "5", " 99", "99 ", "\t99", "7", missing_values=marks)
    assert (profile.kind, values) == ("integer", [None, 5, None, None, None, 7])
    assert (profile.missing, profile.missing_marks) == (4, {"99": 4})
    assert column("1.5", " 99", missing_values=marks)[1] == [1.5, None]


def test_a_cell_that_contradicts_a_kind_is_refused_with_its_row(column):
    code, detail = refusal(column, "1", "x", "2", "y", "z", "w", column_kinds={"b": "number"})
    assert (code, detail) == (
        "not_a_number",
        'holds "x" in row 2, "y" in row 4, "z" in row 5, expected numbers as column_kinds says',
    )
    assert refusal(column, "2020-01-01", "soon", column_kinds={"b": "datetime"})[0] == "not_a_datetime"
    assert refusal(column, "01/02/2020", column_kinds={"b": "datetime"})[0] == "not_a_datetime"


def test_a_name_in_column_kinds_that_no_column_has_is_refused_with_those_there_are(column):
    with pytest.raises(Refused, match=r"no such column\. The data has a, b, c") as caught:
        column("1", column_kinds={"B": "number", "zip": "text"})
    assert [one.pointer for one in caught.value.problems] == ["#/query/column_kinds"] * 2


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (("1,5", "2,25"), "decimal commas"),
        (("1,234", "950", "12,345.67"), "thousands separators"),
        (("1.234.567", "950"), "thousands separators"),
        (("1'234.50", "5"), "thousands separators"),
        (("1\u00a0234,5", "5"), "thousands separators"),
        (("$1,200.00", "$5"), "currency signs"),
        (("5 €", "7 €"), "currency signs"),
        (("10.5%", "3 %", "?"), "percent signs"),
        (("$5", "10%"), "percent signs and currency signs"),
    ],
)
def test_numbers_in_another_notation_are_refused_with_its_name_and_a_way_out(column, cells, named):
    code, detail = refusal(column, *cells)
    assert code in {"decimal_comma", "number_notation"}
    assert f"holds numbers with {named}: " in detail
    assert "column_kinds=b:text" in detail
    assert column(*cells, column_kinds={"b": "text"})[0].kind == "text"


@pytest.mark.parametrize(
    "cells", [("10.0.0.1", "192.168.100.200"), ("1.2.3", "1.10.0"), ("030 123", "040 456"), ("5%", "x")]
)
def test_texts_that_only_hold_digits_and_signs_are_texts(column, cells):
    assert column(*cells)[0].kind == "text"


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    (tmp_path / "upload").write_text("a;b;c;d\n1,5;10 %;1e999;\n2,5;20 %;1;x\n")
    with pytest.raises(Refused) as caught:
        check(read_csv(tmp_path / "upload", LIMITS, Reading()), LIMITS, Reading())
    assert [(one.pointer, one.code) for one in caught.value.problems] == [
        ("#/columns/a", "decimal_comma"),
        ("#/columns/b", "number_notation"),
        ("#/columns/c", "infinite"),
    ]


@pytest.mark.parametrize(
    ("cells", "form", "first"),
    [
        (("2020-01-31", "2020-02-01"), None, "2020-01-31T00:00:00"),
        (("2020-01-31 08:26", "2020-02-01 08:27"), None, "2020-01-31T08:26:00"),
        (("2020-01-31T08:26:05Z",), None, "2020-01-31T08:26:05"),
        (("2020-01-31T08:26:05+02:00", "?"), None, "2020-01-31T06:26:05"),
        (("2020-01-31 08:26:05.123456", "-"), None, "2020-01-31T08:26:05.123456"),
        (("2020-01-31 08:26:05.123456789", "-"), None, "2020-01-31T08:26:05.123456"),
        (("2020/01/31",), "%Y/%m/%d", "2020-01-31T00:00:00"),
        (("31.12.2020", "1.1.2021"), "%d.%m.%Y", "2020-12-31T00:00:00"),
        (("12/31/2020 8:26", "1/2/2021 18:05"), "%m/%d/%Y %H:%M", "2020-12-31T08:26:00"),
        (("31/12/2020", "01/02/2021"), "%d/%m/%Y", "2020-12-31T00:00:00"),
        (("12/31/2020 8:26 PM",), "%m/%d/%Y %I:%M %p", "2020-12-31T20:26:00"),
        (("05-Jan-2020",), "%d-%b-%Y", "2020-01-05T00:00:00"),
        (("5 May 2020", "6 June 2020"), "%d %B %Y", "2020-05-05T00:00:00"),
    ],
)
def test_dates_and_times_that_are_written_in_one_way_are_datetimes_in_utc(column, cells, form, first):
    profile, values, warnings = column(*cells)
    assert (profile.kind, profile.datetime_format, profile.earliest) == ("datetime", form, first)
    assert (profile.values, profile.minimum, warnings) == (None, None, [])
    assert values[0].tzinfo is None


@pytest.mark.parametrize(
    "cells",
    [("12:30:00", "13:00:00"), ("2020-01-01", "soon"), ("31.02.2020", "01.01.2021"), ("2020-02-30",), ("20/01/02",)],
)
def test_what_is_no_moment_stays_text(column, cells):
    profile, values, _ = column(*cells)
    assert (profile.kind, values) == ("text", list(cells))


def test_dates_whose_day_and_month_cannot_be_told_apart_are_text_with_a_warning(column):
    profile, _, warnings = column("01/02/2020", "03/04/2020")
    assert profile.kind == "text"
    assert 'the day and month of dates such as "01/02/2020" in row 1 are ambiguous' in warnings[0]


def test_texts_of_parquet_stay_as_they_are_but_datetimes_are_found(parquet):
    assert parquet(["007", " NA", "", "5"])[1] == ["007", " NA", "", "5"]
    profile, values, _ = parquet(["2020-01-31", None, "2020-02-01"])
    assert (profile.kind, profile.missing, values[1]) == ("datetime", 1, None)


def test_parquet_is_read_as_the_upload_asks(parquet):
    assert parquet(["7", "?", None], column_kinds={"b": "number"})[1] == [7, None, None]
    assert parquet([7, 8], column_kinds={"b": "text"})[1] == ["7", "8"]
    assert parquet([True, False], column_kinds={"b": "number"})[1] == [1, 0]
    assert parquet(["x", "-999", "NA"], missing_values=("-999",))[1] == ["x", None, "NA"]
    profile, values, _ = parquet([5, -999, 7], missing_values=("-999", "x"))
    assert (values, profile.missing_marks) == ([5, None, 7], {"-999": 1})
    with pytest.raises(Refused, match="holds int64, which cannot be taken as datetime"):
        parquet([7, 8], column_kinds={"b": "datetime"})


def test_a_cell_is_shown_without_its_control_characters(column):
    assert "\\u001b[31m" in column("1", "2", "\x1b[31m")[2][0]
