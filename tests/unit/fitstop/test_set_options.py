import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitstop.set_options import assign, parse_assignment

KEYS = st.lists(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), min_size=1, max_size=4)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(KEYS, VALUES)
def test_every_json_value_arrives_as_it_was(keys, value):
    assert parse_assignment(f"{'.'.join(keys)}={json.dumps(value)}") == (keys, value)


@given(KEYS, VALUES)
def test_an_assignment_makes_the_objects_on_its_way(keys, value):
    place = assign({}, [f"{'.'.join(keys)}={json.dumps(value)}"])
    for key in keys:
        place = place[key]
    assert place == value


@pytest.mark.parametrize("text", ["wine", "a=b=c", "NaN", "-Infinity", "", "[1"])
def test_what_is_no_json_is_text(text):
    assert parse_assignment(f"name={text}") == (["name"], text)


@pytest.mark.parametrize("text", ["epochs", "=5", "a..b=5", ".a=1", "a.=1", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ValueError, match="is not an assignment"):
        parse_assignment(text)


def test_a_value_with_a_key_twice_is_refused():
    with pytest.raises(ValueError, match='the key "b" appears twice'):
        parse_assignment('a={"x": [{"b": 1, "b": 2}]}')


def test_later_assignments_win_and_the_given_spec_stays_as_it_was():
    spec = {"dataset": {"id": "wine"}, "callbacks": {"early_stopping": {"patience": 3}}}
    result = assign(spec, ["dataset.id=a", "dataset.id=b", "callbacks.early_stopping=null"])
    assert result == {"dataset": {"id": "b"}, "callbacks": {"early_stopping": None}}
    assert spec["dataset"] == {"id": "wine"}


def test_a_path_through_a_number_is_refused():
    with pytest.raises(ValueError, match=r"dataset\.id is 5, not an object"):
        assign({"dataset": {"id": 5}}, ["dataset.id.x=1"])
