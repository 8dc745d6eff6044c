import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitstop.spec_file import read_spec

YAML = b"""
# a comment
base: &base {units: [64, 32], dropout: 0.5}
dataset: {id: wine, positive: no}
hyperparameters:
  learning_rate: 1e-3
  class_weight: {0: 1, 1: 2.5}
  epochs: 50
model:
  <<: *base
  dropout: 0.1
budget: {deadline: 2027-01-31T06:00:00Z}
name: "1"
"""
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def test_yaml_is_read_as_its_writer_means_it():
    spec = read_spec(YAML, "job.yaml")
    assert spec["dataset"] == {"id": "wine", "positive": "no"}
    assert spec["hyperparameters"] == {"learning_rate": 0.001, "class_weight": {"0": 1, "1": 2.5}, "epochs": 50}
    assert spec["model"] == {"units": [64, 32], "dropout": 0.1}
    assert (spec["budget"], spec["name"]) == ({"deadline": "2027-01-31T06:00:00Z"}, "1")


@settings(max_examples=25)
@given(st.dictionaries(st.text(), VALUES))
def test_a_json_file_is_read_as_it_is(spec):
    assert read_spec(json.dumps(spec).encode(), "job.json") == spec


def test_what_comes_from_a_pipe_is_json_or_yaml():
    assert read_spec(b'{"a": 1e-3}', "-") == {"a": 0.001}
    assert read_spec(b"a: 1e-3", "-") == {"a": 0.001}
    assert read_spec(b"\xef\xbb\xbfa: 1", "job.yml") == {"a": 1}


BOMB = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))])
WRONG = {
    "twice in JSON": ("job.json", '{"a": {"b/c": {"x": 1, "x": 2}}, "a": 3}', ['a.b/c: the key "x" appears twice',
                                                                              'the key "a" appears twice']),
    "twice in YAML": ("job.yaml", "a:\n  b: 1\n  b: 2\nc: 1\nc: 1", ['job.yaml: line 3: a: the key "b" appears twice',
                                                                   'line 5: the key "c" appears twice']),
    "twice as number and text": ("job.yaml", "{0: a, '0': b}", ['the key "0" appears twice']),
    "a class of Python": ("job.yaml", "a: !!python/object/apply:os.system [x]", ["line 1: a: !!python/object"]),
    "no number of JSON": ("job.yaml", "a: [1, .inf]", ["line 1: a.1: .inf is not a number of JSON"]),
    "NaN": ("job.json", '{"a": NaN}', ["job.json: NaN is not a number of JSON"]),
    "no text as a key": ("job.yaml", "true: 1", ["line 1: a key is not text"]),
    "itself": ("job.yaml", "a: &a [*a]", ["line 1: a.0: contains itself"]),
    "a bomb": ("job.yaml", BOMB, ["has more than 200000 values"]),
    "broken YAML": ("job.yaml", "a: 1\n b: 2", ["job.yaml: line 2, column 3: "]),
    "broken JSON": ("job.json", '{\n"a": }', ["job.json: line 2, column 6: "]),
    "two documents": ("job.yaml", "a: 1\n---\na: 2", ["job.yaml: line 2, column 1: "]),
    "nothing": ("job.yaml", "", ["the spec is empty"]),
    "a list": ("job.json", "[1]", ["the spec is a list"]),
    "text": ("job.yaml", "hello", ['the spec is the value "hello"']),
    "no UTF-8": ("job.yaml", b"a: \xff", ["byte 3 is not UTF-8"]),
    "a character that YAML has not": ("job.yaml", "a: \x00", ["job.yaml: "]),
    "deep": ("job.json", "[" * 100_000, ["nested too deeply"]),
    "deep YAML": ("job.yaml", "[" * 5_000, ["nested too deeply"]),
    "an alias of nothing": ("job.yaml", "a: *b", ["line 1, column 4"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_cannot_be_read_in_one_way_is_refused_with_its_places(case):
    name, content, expected = WRONG[case]
    with pytest.raises(ValueError, match=name) as refused:
        read_spec(content if isinstance(content, bytes) else content.encode(), name)
    for words in expected:
        assert words in str(refused.value)
    assert not isinstance(refused.value, UnicodeError)
