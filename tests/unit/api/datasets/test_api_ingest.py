"""Reading uploads: written values come back, and ambiguous ones are refused."""

import csv
import io
import math
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.datasets.ingest.csv_file import read_csv
from api.datasets.ingest.limits import Limits
from api.datasets.ingest.parquet_file import read_parquet
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.table import check, profile
from shared.problems import Refused
from tests.support.ingesting import run_ingest

ROOT = Path(__file__).parents[4]
LIMITS = Limits(columns=20, cells=1000)
USUAL = Reading()


@pytest.fixture
def ingest(tmp_path):
    """Return the checked draft of a CSV file with these bytes."""

    def read(content, reading=USUAL):
        path = tmp_path / "upload"
        path.write_bytes(content)
        draft = read_csv(path, LIMITS, reading)
        check(draft, LIMITS, reading)
        return draft

    return read


@pytest.fixture
def refusal(ingest):
    """Return the codes and pointers of the problems in a CSV file with these bytes."""

    def read(content):
        with pytest.raises(Refused) as caught:
            ingest(content)
        return [(problem.code, problem.pointer) for problem in caught.value.problems]

    return read


@pytest.fixture
def parquet(tmp_path):
    def read(columns, **options):
        path = tmp_path / "upload"
        pq.write_table(pa.table(columns, **options), path)
        draft = read_parquet(path, LIMITS, USUAL)
        check(draft, LIMITS, USUAL)
        return draft

    return read


def kinds(draft):
    return {column.name: column.kind for column in profile(draft)}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_every_separator_line_end_and_mark_is_read_alike(ingest, separator, line_end, mark):
    rows = ["a,b,c,d", "1,2.5,true,x", "2,,false,NA", "3,1e3,true,y"]
    draft = ingest(mark + line_end.join(rows).replace(",", separator).encode())
    assert draft.table.to_pydict() == {
        "a": [1, 2, 3],
        "b": [2.5, None, 1000.0],
        "c": [True, False, True],
        "d": ["x", None, "y"],
    }
    assert kinds(draft) == {"a": "integer", "b": "float", "c": "boolean", "d": "text"}


def test_a_separator_inside_quotes_decides_nothing(ingest):
    assert ingest(b'"a,b,c";d\n1;2\n').names == ["a,b,c", "d"]


def test_a_column_without_any_value_is_numbers_all_missing(ingest):
    [_, empty] = profile(ingest(b"a,b\n1,\n2,NA\n"))
    assert (empty.kind, empty.missing, empty.distinct, empty.values) == ("float", 2, 0, ())


@pytest.mark.parametrize(
    ("content", "code", "pointer"),
    [
        (b"\n", "no_header", "#"),
        (b"a\n1\n", "one_column", "#"),
        (b"a,b\n", "no_rows", "#"),
        (b"a,b", "no_rows", "#"),
        (b"a,b\n\n\n", "no_rows", "#"),
        (b"a,a\n1,2\n", "duplicate_name", "#/columns/a"),
        (b"a,\n1,2\n", "empty_name", "#/columns/1"),
        (b"a, \n1,2\n", "empty_name", "#/columns/1"),
        (b"a,a \n1,2\n", "duplicate_name", "#/columns/a"),
        (b"a,b\x1b\n1,2\n", "invalid_name", "#/columns/1"),
        (b"a,b\n1,2\n3\n", "ragged_row", "#/rows/2"),
        (b"a,b\n1,2,3\n", "ragged_row", "#/rows/1"),
        (b'a,b\n1,"x\n3,4\n', "unclosed_quote", "#"),
        (b'a,b\n1,"x', "unclosed_quote", "#"),
        (b'a,"b\n1,2\n', "unclosed_quote", "#"),
        (b"a,b\n1,inf\n", "infinite", "#/columns/b"),
        (b"a,b\n1,1e999\n2,3\n", "infinite", "#/columns/b"),
        (b"a,b\n1,-Infinity\n2,3\n", "infinite", "#/columns/b"),
        (b"a;b\n1;1,5\n2;2,5\n", "decimal_comma", "#/columns/b"),
        (b"a,b\n1,\x00\n", "nul_byte", "#"),
        ("a,b\n1,é\n".encode("latin-1"), "not_utf8", "#"),
        ("a,b\n1,é\n".encode("utf-16"), "not_utf8", "#"),
        ("a,b\n1,2\n".encode("utf-16-le"), "nul_byte", "#"),
        (b"a,b\n" + b"1,2\n" * 501, "too_many_cells", "#"),
        (b",".join(b"c%d" % n for n in range(21)) + b"\n", "too_many_columns", "#"),
        (b",".join(b"c%d" % n for n in range(300_000)) + b"\n", "header_too_long", "#"),
        (b"a,b\n1," + b"x" * 9_000_000 + b"\n", "row_too_long", "#"),
    ],
)
def test_a_file_that_cannot_be_read_in_one_way_is_refused_at_its_place(refusal, content, code, pointer):
    assert (code, pointer) in refusal(content)


def test_ragged_rows_of_one_length_are_one_problem_that_names_the_first(ingest):
    with pytest.raises(Refused) as caught:
        ingest(b"a,b\n1,2\n3\n\n5,6,7\n8,9\n10\n")
    short, long = caught.value.problems
    assert (short.pointer, short.detail) == ("#/rows/2", "rows 2, 5 hold 1 cell, expected 2")
    assert (long.pointer, long.detail[:33]) == ("#/rows/3", "row 3 holds 3 cells, expected 2; ")


def test_reading_ends_at_the_tenth_ragged_row(refusal):
    assert refusal(b"a,b\n" + b"1\n" * 400) == [("ragged_row", "#/rows/1")]


names = st.lists(
    st.text(st.characters(categories=["L", "N"], max_codepoint=0x2FF), min_size=1, max_size=8),
    min_size=2,
    max_size=4,
    unique=True,
)
words = st.text(st.characters(categories=["L", "P", "Zs"]), min_size=1, max_size=8).map(lambda text: f"w {text} w")
columns = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        words | st.none(),
        st.text(st.sampled_from('x,";\n|'), min_size=1, max_size=6).map(lambda text: f"w{text}w"),
    ]
)


@st.composite
def tables(draw):
    header = draw(names)
    rows = draw(st.integers(1, 6))
    cells = [draw(st.lists(draw(columns), min_size=rows, max_size=rows)) for _ in header]
    return dict(zip(header, cells, strict=True))


@given(tables())
def test_a_written_table_is_read_as_it_was(tmp_path_factory, written):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(written)
    writer.writerows(zip(*written.values(), strict=True))
    path = tmp_path_factory.mktemp("table") / "upload"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    draft = read_csv(path, LIMITS, USUAL)
    check(draft, LIMITS, USUAL)
    read = draft.table.to_pydict()
    assert list(read) == list(written)
    for name, cells in written.items():
        assert all(same(one, other) for one, other in zip(read[name], cells, strict=True)), (read[name], cells)


def same(read, written):
    if isinstance(written, float) and isinstance(read, int | float):
        return math.isclose(read, written, rel_tol=1e-15, abs_tol=5e-324)
    return read == written


def test_a_profile_counts_values_missing_cells_and_extremes(ingest):
    whole, text, flag = profile(ingest(b"n,t,f\n3,b,true\n1,a,false\n,b,\n3,,true\n"))
    assert (whole.missing, whole.distinct, whole.minimum, whole.maximum) == (1, 2, 1.0, 3.0)
    assert whole.mean == pytest.approx(7 / 3)
    assert [(one.value, one.rows) for one in whole.values] == [(1, 1), (3, 2)]
    assert [(one.value, one.rows) for one in text.values] == [("a", 1), ("b", 2)]
    assert (text.minimum, text.mean) == (None, None)
    assert (flag.kind, flag.mean) == ("boolean", pytest.approx(2 / 3))


def test_more_than_a_hundred_values_are_counted_and_not_listed(ingest):
    column = profile(ingest(b"a,b\n" + b"".join(b"%d,x\n" % number for number in range(101))))[0]
    assert (column.distinct, column.values) == (101, None)


def test_a_mean_that_no_number_holds_is_left_out(ingest):
    assert profile(ingest(b"a,b\n1e308,1\n1.7e308,2\n"))[0].mean is None


def test_parquet_types_become_the_five_kinds(parquet):
    draft = parquet(
        {
            "small": pa.array([1, None], pa.int8()),
            "huge": pa.array([2**64 - 1, 1], pa.uint64()),
            "half": pa.array([1.5, float("nan")], pa.float32()),
            "money": pa.array([1, 2], pa.decimal128(5, 2)),
            "flag": pa.array([True, None]),
            "text": pa.array(["x", None], pa.large_string()),
            "coded": pa.array(["x", "y"]).dictionary_encode(),
            "nothing": pa.nulls(2),
            "tiny": pa.array([1.5, None], pa.float16()),
            "day": pa.array([0, None], pa.date32()),
            "days": pa.array([0, None], pa.date64()),
            "seconds": pa.array([0, 1], pa.timestamp("s")),
            "zoned": pa.array([0, 1], pa.timestamp("ns", "Europe/Berlin")),
            "clock": pa.array([0, 1], pa.time32("s")),
        }
    )
    assert kinds(draft) == {
        "small": "integer",
        "huge": "float",
        "half": "float",
        "money": "float",
        "flag": "boolean",
        "text": "text",
        "coded": "text",
        "nothing": "float",
        "tiny": "float",
        "day": "datetime",
        "days": "datetime",
        "seconds": "datetime",
        "zoned": "datetime",
        "clock": "text",
    }
    assert {draft.table[name].type for name in ("day", "days", "seconds", "zoned")} == {pa.timestamp("us")}
    assert draft.table["half"].to_pylist() == [1.5, None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0], pa.duration("s")),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"]),
    ],
)
def test_other_parquet_types_are_refused_by_their_columns(parquet, column):
    with pytest.raises(Refused) as caught:
        parquet({"fine": [1], "odd": column})
    assert [(one.code, one.pointer) for one in caught.value.problems] == [("unsupported_type", "#/columns/odd")]


def test_parquet_is_judged_by_its_footer(parquet):
    with pytest.raises(Refused, match="at most 1000 cells"):
        parquet({"a": [1] * 501, "b": [1] * 501})


@pytest.mark.parametrize(
    ("columns", "code"),
    [({"a": [1]}, "one_column"), ({"a": [], "b": []}, "no_rows"), ({"a": [1.0], "b": [math.inf]}, "infinite")],
)
def test_parquet_is_held_to_the_same_rules(parquet, columns, code):
    with pytest.raises(Refused) as caught:
        parquet(columns)
    assert [one.code for one in caught.value.problems] == [code]


def test_two_parquet_columns_of_one_name_are_refused(parquet):
    with pytest.raises(Refused) as caught:
        parquet([[1], [2]], names=["a", "a"])
    assert [one.code for one in caught.value.problems] == ["duplicate_name"]


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\xff" * 60 + b"PAR1", b"PAR1\x00PAR1"])
def test_a_broken_parquet_file_is_refused(tmp_path, content):
    (tmp_path / "upload").write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_parquet(tmp_path / "upload", LIMITS, USUAL)
    assert [one.code for one in caught.value.problems] == ["unreadable"]


def test_the_parser_ends_without_the_interpreters_end_where_pyarrows_threads_may_wait_for_each_other(tmp_path):
    (tmp_path / "upload").write_bytes(b"a,b\n1,2\n3,4\n")
    (tmp_path / "sitecustomize.py").write_text("import atexit, os; atexit.register(os._exit, 3)")
    answer = run_ingest(tmp_path, {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert answer["facts"]["rows"] == 2
