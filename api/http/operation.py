"""The OpenAPI description of a route, written above its view: query, body, answers and errors.

The view's docstring is the long description. `api.document.openapi` collects them; a test walks the route table so that
no route is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

Schema = dict[str, Any]
Content = dict[str, type[BaseModel] | Schema]
_View = TypeVar("_View", bound=Callable[..., Any])

JSON, PROBLEM, STREAM = "application/json", "application/problem+json", "text/event-stream"

ERRORS = {
    400: "The request cannot be read.",
    401: "API key missing, unknown, expired or revoked.",
    403: "The scope of the API key does not allow this, or its project has reached a quota.",
    404: "Not found.",
    405: "Method not allowed; `Allow` lists the allowed methods.",
    408: "The body was sent too slowly.",
    409: "Conflict with the current state of the resource.",
    411: "Content-Length missing; it is required for a body without an API key.",
    413: "The body is too large.",
    415: "Unsupported media type of the body.",
    414: "The address is longer than 8,190 bytes.",
    416: "Range outside the file.",
    422: "Invalid request; `errors` lists every problem.",
    429: "Limit of the API key or its project reached; `Retry-After` says when to try again.",
    500: "Internal error; the log has the details under the request's id.",
    503: "Service unavailable; try again later.",
    507: "The volume is full; nothing was stored.",
}


@dataclass(frozen=True)
class Answer:
    """A successful answer: its media types, each with a model or a plain schema."""

    description: str
    content: Content = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One route: `name` is its operationId."""

    name: str
    tag: str
    summary: str
    answers: dict[int, Answer]
    query: dict[str, Schema] = field(default_factory=dict)
    headers: dict[str, Schema] = field(default_factory=dict)
    body: Content = field(default_factory=dict)
    example: Any = None
    errors: tuple[int, ...] = ()


_OPERATIONS: dict[Callable[..., Any], Operation] = {}


def operation(name: str, tag: str, summary: str, answers: dict[int, Answer], **more: Any) -> Callable[[_View], _View]:
    """Decorate a view with its description; `more` are the other fields of `Operation`."""

    def describe(view: _View) -> _View:
        _OPERATIONS[view] = Operation(name, tag, summary, answers, **more)
        return view

    return describe


def operation_of(view: Callable[..., Any]) -> Operation:
    """The description of a view."""
    return _OPERATIONS[view]


def json_answer(description: str, model: type[BaseModel], **more: Any) -> Answer:
    """An answer in JSON; `more` are the other fields of `Answer`."""
    return Answer(description, {JSON: model}, **more)


def integer(low: int, high: int, default: int | None = None, description: str = "") -> Schema:
    """The schema of a whole number."""
    schema: Schema = {"type": "integer", "minimum": low, "maximum": high}
    return {**schema, **({"default": default} if default is not None else {}), "description": description}


def text(description: str, **more: Any) -> Schema:
    """The schema of a string; `more` are other keywords of JSON Schema."""
    return {"type": "string", "description": description, **more}


NOT_MODIFIED = Answer("Not modified.")
# The errors of every route that takes a body.
BODY_ERRORS = (400, 408, 413, 415)
IF_NONE_MATCH = {"If-None-Match": text("ETag of the client's copy.")}
AFTER_JOB = text("Last id of the previous page.", pattern=r"^job_[0-9A-HJKMNP-TV-Z]{26}$")
