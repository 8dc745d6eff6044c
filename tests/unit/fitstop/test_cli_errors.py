import pytest

from fitstop.cli.exit_codes import exit_code
from fitstop.errors import ApiError, Denied, FieldProblem, NotFound, Problem, Refused, error_of


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Refused, 6),
        (401, Denied, 4),
        (403, Denied, 4),
        (404, NotFound, 3),
        (409, Refused, 6),
        (413, Refused, 6),
        (422, Refused, 6),
        (500, ApiError, 7),
        (503, ApiError, 7),
    ],
)
def test_each_answer_has_its_error_and_exit_status(status, kind, code):
    error = error_of(status, {"title": "No", "detail": "because"})
    assert type(error) is kind
    assert exit_code(error) == code
    assert str(error) == "because"


def test_a_problem_document_is_kept_whole():
    document = {
        "title": "Refused",
        "detail": "1 problem",
        "code": "bad_spec",
        "request_id": "r1",
        "errors": [{"pointer": "#/a", "detail": "received 0", "code": "too_small"}],
    }
    problem = Problem.from_document(422, document)
    assert problem.errors == (FieldProblem("#/a", "received 0", "too_small"),)
    assert (problem.code, problem.request_id, problem.status) == ("bad_spec", "r1", 422)


@pytest.mark.parametrize("document", [None, [], "gateway", {"errors": "x"}, {"errors": [1, None]}, {"title": None}])
def test_a_body_that_is_no_problem_document_does_no_harm(document):
    assert Problem.from_document(502, document).title == "HTTP 502"
