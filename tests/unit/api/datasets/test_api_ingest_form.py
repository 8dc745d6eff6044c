"""The form of an upload: text around the data, column names, and columns without data."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from api.datasets.file_formats import format_of
from api.datasets.ingest.csv_file import read_csv
from api.datasets.ingest.csv_form import _may_hold_codes
from api.datasets.ingest.limits import Limits
from api.datasets.ingest.parquet_file import read_parquet
from api.datasets.ingest.reading import Reading
from api.datasets.ingest.table import check
from api.http.problems import HttpProblem
from shared.problems import Refused

LIMITS = Limits(columns=20, cells=1000)


@pytest.fixture
def ingest(tmp_path):
    def read(content, **reading):
        asked = Reading(**reading)
        (tmp_path / "upload").write_bytes(content if isinstance(content, bytes) else content.encode())
        draft = read_csv(tmp_path / "upload", LIMITS, asked)
        check(draft, LIMITS, asked)
        return draft

    return read


@pytest.fixture
def ingest_parquet(tmp_path):
    def read(columns, metadata=None):
        table = pa.table(columns)
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "upload")
        draft = read_parquet(tmp_path / "upload", LIMITS, Reading())
        check(draft, LIMITS, Reading())
        return draft

    return read


@pytest.mark.parametrize(
    "start",
    ["sep=;\n", "sep=;\r\n", "\ufeffsep=;\n", '"sep=;"\n', "SEP=;\n", "\n\nsep=;\n\n", "sep=;;\n"],
)
def test_a_line_that_names_the_separator_is_taken_at_its_word(ingest, start):
    draft = ingest(start + "a,1,2;b\n1;2\n3;4\n")
    assert draft.table.to_pydict() == {"a,1,2": [1, 3], "b": [2, 4]}


def test_rows_count_from_the_header_also_after_a_line_that_names_the_separator(ingest):
    with pytest.raises(Refused, match="row 2 holds 1 cell, expected 2"):
        ingest("\nsep=;\na;b\n1;2\n3\n")


def test_a_line_that_names_another_separator_is_refused_by_it(ingest):
    with pytest.raises(Refused, match='names the separator ":", expected one of'):
        ingest("sep=:\na:b\n1:2\n")


@pytest.mark.parametrize("end", [b"\x1a", b"\n\x1a", b"\r\n\x1a\r\n", b"\n\x1a\x1a\x1a", b"\n \x1a \n"])
def test_the_end_of_file_of_dos_is_cut_off(ingest, end):
    assert ingest(b"a,b\n1,x\n2,y" + end).table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_a_quote_after_a_blank_is_a_quote_where_blanks_follow_the_separators(ingest):
    draft = ingest('sep=,\na, "b, c", d\n1, "x, y", 2\n2, "say ""z""", 3\n')
    assert draft.table.to_pydict() == {"a": [1, 2], "b, c": ["x, y", 'say "z"'], "d": [2, 3]}
    assert ingest('a,b\n1,"x, ""y"""\n2,z\n').table["b"].to_pylist() == ['x, "y"', "z"]
    draft = ingest('z,a, "b, c"\n5,1, "7"\n6,2, 8\n')
    assert draft.table.to_pydict() == {"z": [5, 6], "a": [1, 2], "b, c": [7, 8]}


def test_a_name_after_a_blank_is_a_column_like_any_other(ingest):
    draft = ingest("a, b, c\n1, 007, 5\n2, 8, -9\n", missing_values=("-9",), column_kinds={"a": "text"})
    assert draft.table.to_pydict() == {"a": ["1", "2"], "b": ["007", "8"], "c": [5, None]}


@pytest.mark.parametrize(("row", "hint"), [("1,2,", 'the row ends with ","'), ("1,2,5", "in double quotes")])
def test_one_cause_of_many_ragged_rows_is_told_once(ingest, row, hint):
    with pytest.raises(Refused) as caught:
        ingest("a,b\n" + f"{row}\n" * 30)
    [problem] = caught.value.problems
    assert hint in problem.detail


def test_utf_16_without_its_mark_is_named_once_with_the_remedy(ingest):
    with pytest.raises(Refused, match="NUL byte in line 1, expected text; save it as UTF-8"):
        ingest("a,b\n1,2\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"a": 1}\n{"a": 2}\n', "JSON"),
        (b'\xef\xbb\xbf\n [{"a": 1,\n', "JSON"),
        (b'[\n  {"a": 1}\n]', "JSON"),
        (b"{\n", "JSON"),
        (b"[1, 2]\n[3, 4]\n", "JSON"),
        (b"{'a': 1}\n", "JSON"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"% a comment\n@relation iris\n", "an ARFF file"),
        (b"<?xml version='1.0'?>", "an XML file"),
        (b"PARE" + b"\0" * 40, "an encrypted Parquet file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "gzip data"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    ],
)
def test_another_format_is_named(head, name):
    with pytest.raises(HttpProblem, match=name):
        format_of(head)


@pytest.mark.parametrize("head", [b"[id],[name]\n", b"[50-60),3\n", b"{a},b\n", b"@id,x\n", b"<a>,b\n", b"%,b\n"])
def test_a_header_may_begin_as_other_formats_do(head):
    assert format_of(head) == "csv"


def test_an_encrypted_column_is_named(tmp_path):
    pytest.importorskip("pyarrow.parquet.encryption")
    import pyarrow.parquet.encryption as pe

    class Kms(pe.KmsClient):
        def wrap_key(self, key_bytes, master_key_identifier):
            return key_bytes

        def unwrap_key(self, wrapped_key, master_key_identifier):
            return wrapped_key

    factory = pe.CryptoFactory(lambda _: Kms())
    asked = pe.EncryptionConfiguration(footer_key="f", column_keys={"k": ["a"]}, plaintext_footer=True)
    keys = factory.file_encryption_properties(pe.KmsConnectionConfig(), asked)
    with pq.ParquetWriter(
        tmp_path / "upload", pa.schema({"a": "int64", "b": "int64"}), encryption_properties=keys
    ) as file:
        file.write_table(pa.table({"a": [1], "b": [2]}))
    with pytest.raises(Refused) as caught:
        read_parquet(tmp_path / "upload", LIMITS, Reading())
    assert [one.code for one in caught.value.problems] == ["encrypted"]


@pytest.mark.parametrize(
    "content",
    [
        ",a,b\n0,1,x\n1,2,y\n",
        "Unnamed: 0,a,b\n0,1,x\n1,2,y\n",
        "Unnamed: 0.1,Unnamed: 0,a,b\n5,0,1,x\n3,1,2,y\n",
        '"",a,b\n"Mazda",1,x\n"Datsun",2,y\n',
        ",a,b\n17,1,x\n4,2,y\n",
        "a,b,,\n1,x,,\n2,y,,\n",
        "__index_level_0__,a,b\n4,1,x\n4,2,y\n",
    ],
)
def test_a_saved_index_and_columns_without_name_and_value_are_left_out_and_told(ingest, content):
    draft = ingest(content)
    assert draft.table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert draft.left_out
    assert len(draft.warnings) == len(draft.left_out)


def test_a_first_column_that_is_no_index_or_that_the_upload_names_stays(ingest):
    assert ingest("Unnamed: 0,a\n1,2\n1,3\n").names == ["Unnamed: 0", "a"]
    assert ingest("Unnamed: 0,a\n1,2\n2,3\n", column_kinds={"Unnamed: 0": "number"}).names == ["Unnamed: 0", "a"]
    with pytest.raises(Refused, match="column 1 has an empty name"):
        ingest(",a,b\n1,2,3\n1,3,4\n")


def test_an_index_with_a_name_stays_and_is_told(ingest_parquet):
    told = {b"pandas": json.dumps({"index_columns": ["day"]}).encode()}
    draft = ingest_parquet({"a": [1, 2], "b": [1, 2], "day": [3, 4]}, told)
    assert (draft.names, len(draft.warnings)) == (["a", "b", "day"], 1)
    for odd in (b"{", b"[]", b"null", b'{"index_columns": 5}', b'{"index_columns": [{"kind": "range"}]}'):
        assert ingest_parquet({"a": [1], "b": [1]}, {b"pandas": odd}).warnings == []


def test_every_unsupported_type_of_parquet_is_named_at_once(ingest_parquet):
    with pytest.raises(Refused) as caught:
        ingest_parquet({"fine": [1], "list": [[1]], "map": [{"x": 1}], "bytes": [b"x"]})
    assert [one.pointer for one in caught.value.problems] == ["#/columns/list", "#/columns/map", "#/columns/bytes"]


def test_names_are_kept_in_one_unicode_form_without_blanks_around_them(ingest, ingest_parquet):
    assert ingest("cafe\u0301 , b\n1,2\n").names == ["caf\u00e9", "b"]
    assert ingest_parquet({"cafe\u0301": [1], " b": [1]}).names == ["caf\u00e9", "b"]
    for read, two in ((ingest, "\u00e9,e\u0301\n1,2\n"), (ingest_parquet, {"\u00e9": [1], "e\u0301": [2]})):
        with pytest.raises(Refused) as caught:
            read(two)
        assert [one.code for one in caught.value.problems] == ["duplicate_name"]


@pytest.mark.parametrize(
    "name",
    [
        "👩\u200d👩\u200d👧",
        "\u0645\u06cc\u200c\u062e\u0648",
        "❤\ufe0f",
        "👍🏽",
        "\U0001f3f4\U000e0067\U000e0062\U000e007f",
        "क्\u200dष",
    ],
)
def test_joiners_and_emoji_are_names(ingest, name):
    assert ingest(f"a,{name}\n1,2\n").names == ["a", name]


@pytest.mark.parametrize("name", ["b\u202e", "b\u200b", "b\u2066", "b\ufeff", "b\U000e0067", "b\x7f"])
def test_characters_that_hide_or_turn_text_are_no_part_of_a_name(ingest, name):
    with pytest.raises(Refused, match="control character"):
        ingest(f"a,{name}c\n1,2\n")


def test_names_that_are_numbers_are_told(ingest):
    draft = ingest("39,State-gov,77516,13\n50,Private,83311,9\n")
    assert 'names of 3 columns are numbers, such as "39", "77516", "13"' in draft.warnings[0]


@pytest.mark.parametrize("text", [",007", "\n+1", ",-01", '"0x1F"', "; 05", "|00"])
def test_where_a_code_may_stand_is_seen_wherever_a_piece_ends(text):
    content = b"\n1.05,2e+05,10:05,200,a-01" + text.encode() + b",1"
    for end in range(1, len(content)):
        before, rest = content[:end], content[max(0, end - 3) :]
        assert _may_hold_codes(before) or _may_hold_codes(rest)


def test_numbers_hold_no_codes():
    numbers = np.random.default_rng(0).normal(size=2000)
    plain = ",".join([*map(str, numbers), "0", "100", "1e-05", "2e+05", "-0.5", "x-01", "2020-01-05", "10:05"])
    assert not _may_hold_codes(b"\n" + plain.encode() + b"\n")
