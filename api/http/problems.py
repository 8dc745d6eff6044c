"""Every error as an RFC 9457 problem document, `application/problem+json`. No other module makes one.

    FitstopError
    ├── Refused        422, with every problem by its place
    ├── NotFound       404
    ├── Conflict       409
    └── HttpProblem    its own status, for problems of HTTP (sizes, media types, time-outs, too many streams)

A full volume is 507. A volume that fails is 503, and so is a document on it that a newer version has written. Any other
exception is 500 and logged with the request's id. No problem document contains a path or a traceback.
"""

import errno
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated

from flask import Flask, Response
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import HTTPException

from api.http.every_request import request_id
from shared.document import NewerFormat, UnusableDocument
from shared.problems import Conflict, FitstopError, NotFound, Problem, Refused

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 5
_UPGRADE_SECONDS = 60
_NO_ANSWER = (
    "the bucket that holds the volume does not answer; the request may still have taken effect: check, or repeat "
    "a post with its Idempotency-Key"
)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

log = logging.getLogger(__name__)


class ProblemItem(BaseModel):
    """One problem at one place of the request."""

    model_config = ConfigDict(strict=True, extra="forbid")

    pointer: Annotated[str, Field(description="JSON pointer as a URI fragment")]
    detail: str
    code: str


class ProblemDocument(BaseModel):
    """Problem details (RFC 9457). `errors` lists every problem of a 422."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Error code for programs")]
    request_id: str
    errors: list[ProblemItem] = []


class HttpProblem(FitstopError):
    """An error with an HTTP status; `code` is for programs, `retry_after` is in seconds."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.headers = {**(headers or {}), **({} if retry_after is None else {"Retry-After": str(retry_after)})}
        super().__init__(detail)


def install(app: Flask) -> None:
    """Answer every exception of a view with a problem document."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(HttpProblem, _http_problem)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(NotFound, lambda error: document(404, error.code, str(error)))
    app.register_error_handler(Conflict, lambda error: document(409, error.code, str(error)))
    app.register_error_handler(UnusableDocument, _unusable)
    app.register_error_handler(OSError, _volume)
    app.register_error_handler(Exception, _answer_unexpected)


def document(
    status: int, code: str, detail: str, *, errors: Sequence[Problem] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A response with one problem document. `detail` is Fitstop's own text, never that of a library's exception."""
    items = {"errors": [ProblemItem(**vars(one)) for one in errors]} if errors else {}
    content = document_content(status, code, detail, request_id(), **items)
    return Response(content, status, headers or {}, content_type=MEDIA_TYPE)


def document_content(status: int, code: str, detail: str, request_id: str, **errors: list[ProblemItem]) -> str:
    """The JSON of a problem document; works outside of a Flask application, too."""
    shape = ProblemDocument(
        type=f"urn:fitstop:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        **errors,
    )
    return shape.model_dump_json(exclude_unset=True) + "\n"


def code_of(status: int) -> str:
    """The code of a problem that has only a status: the status phrase in snake case."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


def _http(error: HTTPException) -> Response:
    """Answer an error of Flask or Werkzeug, with its headers: `Allow` for a 405, `Content-Range` for a 416."""
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    status = error.code or 500
    return document(status, code_of(status), error.description or HTTPStatus(status).description, headers=headers)


def _http_problem(error: HttpProblem) -> Response:
    return document(error.status, error.code, str(error), headers=error.headers)


def _refused(error: Refused) -> Response:
    count = len(error.problems)
    return document(422, error.code, f"the request has {count} problem{'s' * (count > 1)}", errors=error.problems)


def _unusable(error: UnusableDocument) -> Response:
    """Answer 503 for a document of a newer version, which an upgraded API can read, and 500 for a damaged one."""
    log.error("a document on the volume cannot be used (request %s)", request_id(), exc_info=error)
    if isinstance(error, NewerFormat):
        return document(503, error.code, str(error), headers={"Retry-After": str(_UPGRADE_SECONDS)})
    return document(500, error.code, str(error))


def _volume(error: OSError) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    if error.errno == errno.EREMOTEIO:
        log.warning("the bucket failed (request %s): %s", request_id(), error.strerror)
        return document(503, "volume_unavailable", _NO_ANSWER, headers=headers)
    log.error("the volume failed (request %s)", request_id(), exc_info=error)
    if error.errno in _FULL:
        return document(507, "volume_full", "the volume is full; nothing was stored")
    return document(503, "volume_unavailable", "the volume cannot be used now; try again later", headers=headers)


def _answer_unexpected(error: Exception) -> Response:
    log.error("unexpected error (request %s)", request_id(), exc_info=error)
    return document(500, "internal_error", "internal error; the log has the details under this request_id")
