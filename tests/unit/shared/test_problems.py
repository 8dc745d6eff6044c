"""Problems, their pointers, and the help that they give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.problems import Conflict, FitstopError, NotFound, Problem, Refused, list_names, nearest, pointer


def parts_of(text):
    """Return the parts of a pointer as RFC 6901 reads them."""
    assert text.startswith("#")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.removeprefix("#").split("/")[1:]]


@given(st.lists(st.text() | st.integers(0, 99)))
def test_a_pointer_says_each_part_whatever_it_holds(parts):
    assert parts_of(pointer(*parts)) == [str(part) for part in parts]


def test_the_pointer_of_the_whole_document_is_a_hash():
    assert pointer() == "#"
    assert pointer("model", "layers", 1) == "#/model/layers/1"


def test_a_refusal_carries_every_problem_and_says_them_all():
    problems = [Problem("#/a", "received 1", "x"), Problem("#/b", "missing", "y")]
    refused = Refused(problems)
    assert refused.problems == tuple(problems)
    assert str(refused) == "#/a: received 1; #/b: missing"


@pytest.mark.parametrize(("error", "code"), [(Refused, "refused"), (NotFound, "not_found"), (Conflict, "conflict")])
def test_each_error_is_ours_and_has_a_code(error, code):
    assert issubclass(error, FitstopError)
    assert error.code == code


def test_the_nearest_name_is_suggested_and_a_far_one_is_not():
    assert nearest("epoch", ["epochs", "batch_size"]) == ' Did you mean "epochs"?'
    assert nearest("zzz", ["epochs", "batch_size"]) == ""
    assert nearest("epoch", []) == ""


def test_a_long_row_of_names_is_cut_and_says_by_how_much():
    assert list_names(["a", "b", "c"]) == "a, b, c"
    assert list_names(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert list_names([]) == ""
