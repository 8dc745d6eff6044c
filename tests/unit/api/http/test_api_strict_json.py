"""The strict JSON parser: the same value as the plain parser, or a refusal, never anything else."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import HttpProblem
from api.http.strict_json import depth, parse_object, without_strings
from shared.problems import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.booleans())
def test_every_object_of_plain_values_is_read_as_it_was_written(document, ascii_only):
    written = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert parse_object(written, 100) == document


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\ue0129.-tn ', max_size=60).map(str.encode))
def test_whatever_comes_is_an_object_or_a_refusal(content):
    with contextlib.suppress(HttpProblem, Refused):
        assert isinstance(parse_object(content, 8), dict)


def measured(value):
    if isinstance(value, dict):
        return 1 + max(map(measured, value.values()), default=0)
    return 1 + max(map(measured, value), default=0) if isinstance(value, list) else 0


@given(VALUES)
def test_the_depth_counted_without_parsing_is_the_depth(value):
    assert depth(without_strings(json.dumps(value))) == measured(value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{} {}",
        b"{'a': 1}",
        b"{/**/}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b'{"b": {"a": 1, "\\u0061": 2}}',
        b'{"a": "\x01"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": 01}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_not_one_strict_json_document_is_400(content):
    with pytest.raises(HttpProblem) as caught:
        parse_object(content, 32)
    assert caught.value.status == 400


@pytest.mark.parametrize("content", [b"null", b"[]", b'"x"', b"5", b"true", b"1.5"])
def test_json_that_is_no_object_is_refused_at_the_root(content):
    with pytest.raises(Refused) as caught:
        parse_object(content, 32)
    assert [problem.pointer for problem in caught.value.problems] == ["#"]


def test_a_lone_surrogate_is_refused_at_its_place():
    with pytest.raises(Refused) as caught:
        parse_object(b'{"a": [1, "\\ud800"], "\\udfff": 1}', 32)
    assert {problem.pointer for problem in caught.value.problems} == {"#", "#/a/1"}


def test_a_pair_of_surrogates_is_one_character():
    assert parse_object(b'{"a": "\\ud83d\\ude00"}', 32) == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("written", "value"),
    [("5.0", 5), ("5e0", 5), ("1E2", 100), ("-0.0", 0), ("5.5", 5.5), ("9007199254740992.0", 2**53), ("1e300", 1e300)],
)
def test_a_whole_number_is_an_integer_however_it_is_written_as_json_schema_says(written, value):
    found = parse_object(f'{{"n": {written}}}'.encode(), 4)["n"]
    assert (found, type(found)) == (value, type(value))
