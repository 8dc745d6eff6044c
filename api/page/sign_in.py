"""POST /page/sign-in, /page/sign-out and /page/codes: log in with a key or a code, log out, and create a code."""

from flask import Response, request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.auth.access import caller
from api.auth.cookie import check_origin, read_secret, remove_cookie, set_cookie
from api.http.answer import json_response
from api.http.operation import BODY_ERRORS, JSON, Answer, json_answer, operation
from api.http.problems import HttpProblem
from api.http.query import Query, no_query
from api.http.strict_json import read_object
from api.page.shapes import Session, SessionKey, SignInCode
from api.state.key_store import KnownKey
from api.state.service import service
from api.state.sessions import SECONDS
from shared.times import time_in
from shared.validation import validate

MOST_FAILURES = 20
_MINUTE_SECONDS = 60
_MOST_BYTES = 4096


class SignInRequest(BaseModel):
    """Body of POST /page/sign-in: an API key, or a one-time code."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)

    key: str | None = Field(default=None, min_length=1, max_length=512)
    """An API key of this service."""
    code: str | None = Field(default=None, min_length=1, max_length=512)
    """Code from POST /page/codes, valid once."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "SignInRequest":
        if (self.key is None) == (self.code is None):
            raise ValueError("give exactly one of key, code")
        return self


@operation(
    "signIn",
    "page",
    "Start a browser session",
    {200: json_answer("Session started. The cookie replaces the key.", Session)},
    body={JSON: SignInRequest},
    example={"key": "fs_…"},
    errors=(*BODY_ERRORS, 401, 403, 411, 507),
)
def sign_in() -> Response:
    """Start a session: 200 with the cookie. A wrong key is 401, the twenty-first in a minute from one address 429."""
    no_query()
    check_origin()
    asked = validate(SignInRequest, read_object(_MOST_BYTES, 4))
    known = service().sessions.take_code(asked.code) if asked.code is not None else _of_key(asked.key or "")
    if known is None or known.status != "active":
        _count_failure()
        raise _refusal(asked, known)
    key = SessionKey(id=known.id, name=known.name, scope=known.scope)
    response = json_response(Session(object="session", key=key, expires_at=time_in(SECONDS["session"])))
    set_cookie(response, service().sessions.begin(known))
    return response


@operation(
    "signOut",
    "page",
    "End a browser session",
    {204: Answer("Session ended.")},
    query={
        "everywhere": {
            "type": "boolean",
            "default": False,
            "description": "Whether to end all other sessions of the same key, too.",
        }
    },
    errors=(403,),
)
def sign_out() -> tuple[Response, int]:
    """End the browser session: 204, also without a session. With `everywhere` all sessions and codes of its key end."""
    with Query("everywhere") as query:
        is_everywhere = query.flag("everywhere")
    check_origin()
    secret = read_secret()
    if secret is not None:
        key = service().sessions.find(secret) if is_everywhere else None
        service().sessions.end(secret)
        if key is not None:
            service().sessions.end_all(key.id)
    response = Response(status=204)
    remove_cookie(response)
    return response, 204


@operation(
    "makeCode",
    "page",
    "Create a one-time login code",
    {201: json_answer("The only answer with the secret.", SignInCode)},
    errors=(403, 507),
)
def code() -> Response:
    """Create a code that logs one browser in as the caller within ten minutes. `fitstop open` uses it.

    A browser's session cannot create one: the code would stay valid after the session.
    """
    no_query()
    if caller().is_session:
        raise HttpProblem(403, "needs_key", "only an API key gets a code, sent as `Authorization: Bearer <key>`")
    key = service().keys.of_id(caller().key_id)
    assert key is not None, "the caller has a key"
    secret = service().sessions.begin(key, "code")
    return json_response(SignInCode(object="code", code=secret, expires_at=time_in(SECONDS["code"])), 201)


def _of_key(key: str) -> KnownKey | None:
    return service().keys.find(key) if key.isascii() else None


def _refusal(asked: SignInRequest, known: KnownKey | None) -> HttpProblem:
    if asked.code is not None:
        return HttpProblem(
            401, "unknown_code", "this code has been used or has expired; get a new one with `fitstop open`"
        )
    if known is not None:
        return HttpProblem(401, f"{known.status}_key", f"this key is {known.status}")
    return HttpProblem(401, "unknown_key", "unknown API key")


def _count_failure() -> None:
    """Count a failure of the caller's address. Raises HttpProblem 429 above MOST_FAILURES in a minute.

    A valid key is never locked out: others may have the same address, and no key can be guessed.
    """
    name = f"sign-in-failures:{request.remote_addr}"
    count = service().counts.ask(lambda kind: kind.add(name, 1, _MINUTE_SECONDS))
    if count.total > MOST_FAILURES:
        raise HttpProblem(
            429,
            "too_many_failures",
            f"received more than {MOST_FAILURES} wrong keys from this address within a minute",
            retry_after=max(1, round(count.resets_in)),
        )
