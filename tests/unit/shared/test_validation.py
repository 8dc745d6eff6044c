"""A refusal names the place, the received value and the expected one, for every field at once."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.problems import Refused
from shared.spec import JobSpec
from shared.validation import validate
from tests.unit.shared.records import places, replaced, resolved, spec

WHOLE = {**resolved().spec.model_dump(mode="json"), "metadata": {"team": "cellar"}}
PLACES = list(places(WHOLE))
ODD = st.sampled_from(
    [None, True, 0, -1, 10**9, 1.5, "", "5", "x\ny", "x" * 600, [], [True], [2.5], ["\x1b"], {}, {"a": 1}, [0] * 100]
)


def problems(document):
    try:
        validate(JobSpec, document)
    except Refused as refused:
        return refused.problems
    return ()


def parts_of(pointer):
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]


def value_at(document, parts):
    for part in parts:
        document = document[int(part) if isinstance(document, list) else part]
    return document


def check(document, problem):
    """Check that the pointer exists in the document or names a missing field; the detail shows the received value."""
    parts = parts_of(problem.pointer)
    if problem.code == "more_problems":
        assert re.fullmatch(r"\d+ more problems are not listed", problem.detail)
        return
    if problem.code == "missing":
        assert parts[-1] not in value_at(document, parts[:-1])
        assert problem.detail.startswith("missing; expected ")
        return
    value = value_at(document, parts)
    if problem.code == "unknown_field":
        assert re.match(r'unknown field\.( Did you mean "[\w.]+"\?)? Known here: \w+', problem.detail)
    elif problem.detail.startswith("received the name "):
        assert problem.detail.startswith("received the name " + json.dumps(parts[-1])[:59])
    else:
        shown = json.dumps(value)
        assert problem.detail.startswith("received " + shown[:59])
        assert re.search(r"""(, expected |: )["\w]""", problem.detail[len("received " + shown[:59]) :])
        assert "another value" not in problem.detail
    assert len(problem.detail) < 500
    assert problem.code


@given(st.sampled_from(PLACES[1:]), ODD)
@settings(max_examples=300)
def test_every_problem_points_at_its_place_and_says_what_came_and_what_was_expected(place, value):
    document = replaced(WHOLE, place, value)
    for problem in problems(document):
        check(document, problem)


@given(st.lists(st.tuples(st.sampled_from([place for place in PLACES if len(place) > 1]), ODD), max_size=6))
@settings(max_examples=80)
def test_each_of_several_problems_is_named_where_it_is(changes):
    document = WHOLE
    for place, value in changes:
        if place in set(places(document)):
            document = replaced(document, place, value)
    found = problems(document)
    assert len({problem.pointer for problem in found}) == len(found), "one problem for each place"
    for problem in found:
        check(document, problem)


@given(
    st.sampled_from([place for place in PLACES if isinstance(value_at(WHOLE, place), dict)]),
    st.text("epochs_/~ ", min_size=1),
)
@settings(max_examples=80)
def test_a_field_that_nobody_knows_is_named_with_those_that_are_known(place, name):
    here = value_at(WHOLE, place)
    if name in here or place == ("metadata",):
        return
    document = replaced(WHOLE, place, {**here, name: 5})
    (problem,) = problems(document)
    assert problem.code == "unknown_field"
    check(document, problem)


def test_every_problem_is_named_at_once():
    document = {
        "name": "",
        "dataset": {"target": 5, "validation_fraction": 2},
        "model": {"layers": [8, 0, "x"]},
        "hyperparameters": {"epoch": 5, "batch_size": 0},
        "callbacks": {"early_stopping": {"patience": 0}, "csv_logger": {"seperator": ";"}},
    }
    assert {problem.pointer: problem.detail for problem in problems(document)} == {
        "#/name": 'received "", expected a text of 1 to 128 characters or null',
        "#/dataset/id": "missing; expected a text that matches ^[a-z0-9][a-z0-9._-]{0,63}$",
        "#/dataset/target": "received 5, expected a text of 1 to 256 characters",
        "#/dataset/validation_fraction": "received 2, expected a number above 0 and below 1",
        "#/model/layers/1": "received 0, expected a whole number from 1 to 65536",
        "#/model/layers/2": 'received "x", expected a whole number from 1 to 65536',
        "#/hyperparameters/epoch": 'unknown field. Did you mean "epochs"? Known here: epochs, batch_size, optimizer, '
        "learning_rate, loss, metrics, seed, class_weight, engine, xla, devices, precision",
        "#/hyperparameters/batch_size": "received 0, expected a whole number from 1 to 65536",
        "#/callbacks/early_stopping/patience": "received 0, expected a whole number from 1 to 100000",
        "#/callbacks/csv_logger/seperator": 'unknown field. Did you mean "separator"? Known here: separator',
    }


@pytest.mark.parametrize(
    ("metadata", "pointer", "detail"),
    [
        ({"a": 5}, "#/metadata/a", "received 5, expected a text of at most 512 characters"),
        ({"": "x"}, "#/metadata/", 'received the name "", expected a text of 1 to 64 characters'),
        ({"a\x1b": "x"}, "#/metadata/a\x1b", 'received the name "a\\u001b": character U+001B at position 1'),
        ({"a": "\u200b"}, "#/metadata/a", 'received "\\u200b": character U+200B at position 0 is not allowed'),
        ({str(one): "" for one in range(17)}, "#/metadata", "received {"),
    ],
)  # fmt: skip
def test_a_name_or_a_text_of_the_clients_own_is_told_apart(metadata, pointer, detail):
    (problem,) = problems(spec("metadata", metadata))
    assert problem.pointer == pointer
    assert problem.detail.startswith(detail)


def test_too_many_fields_are_told_how_many_may_be():
    (problem,) = problems(spec("metadata", {str(one): "" for one in range(17)}))
    assert problem.detail.endswith("expected an object of at most 16 fields")


@pytest.mark.parametrize("document", [None, [], "x", 5, True, 1.5])
def test_what_is_no_object_is_refused_as_a_whole(document):
    (problem,) = problems(document)
    assert problem.pointer == "#"
    assert problem.detail.startswith(
        f"received {json.dumps(document)}, expected an object with name, priority, dataset"
    )


def test_a_long_value_is_cut_where_it_is_shown():
    (problem,) = problems(spec("model/activation", "x" * 100_000))
    assert len(problem.detail) < 250
    assert "…" in problem.detail


def test_what_fits_becomes_a_frozen_value():
    asked = validate(JobSpec, spec())
    with pytest.raises(ValueError, match="frozen"):
        asked.priority = 1
