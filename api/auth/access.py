"""Authentication: every request except to a public route needs an API key with at least the route's scope.

The key comes in `Authorization: Bearer` and nowhere else: addresses end up in logs and histories. A browser that is
logged in at the page sends a cookie instead (`api.auth.cookie`), which represents its key. The header has precedence.
Flask-HTTPAuth is not used: it would only replace the reading of one header.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import urlencode

from flask import Flask, current_app, g, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from api.auth.cookie import check_origin, read_secret
from api.http.problems import HttpProblem
from api.state.key_store import KnownKey, Scope
from api.state.service import service

# "page" is "read" for people: a person who is not logged in is sent to the log-in page. "shared" is "read", also for
# those who have a link to the job that the path names.
RouteScope = Literal["public", "page", "shared"] | Scope

SIGN_IN = "/page/sign-in"

_KEY = "fitstop_scopes"
_REACH: dict[RouteScope, int] = {"public": 0, "page": 1, "shared": 1, "read": 1, "write": 2, "code": 3, "admin": 4}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOW = "send `Authorization: Bearer <key>`"
# A longer text cannot be a key and is not hashed.
_MOST_CHARACTERS = 512


@dataclass(frozen=True)
class Caller:
    """The identity behind a request."""

    key_id: str
    scope: Scope
    project: str
    is_session: bool
    """Whether the request comes with the key's browser session."""
    is_shared: bool = False
    """Whether it comes with a link to the one job that its path names. `key_id` is the link's id then."""


def install(app: Flask) -> None:
    """Check the key before any view runs."""
    app.extensions[_KEY] = {}
    app.before_request(_check)


def protect(app: Flask, endpoint: str, scope: RouteScope) -> None:
    """Set the scope that an endpoint needs. A request to an endpoint without one fails."""
    if scope not in _REACH:
        raise ValueError(f"{endpoint}: {scope!r} is not a scope; expected one of {', '.join(_REACH)}")
    app.extensions[_KEY][endpoint] = scope


def scope_of(app: Flask, endpoint: str) -> RouteScope:
    """The scope that an endpoint needs. Raises KeyError if none was set."""
    found: RouteScope = app.extensions[_KEY][endpoint]
    return found


def caller() -> Caller:
    """The caller of the current request, whose route is not public."""
    found = g.caller
    assert isinstance(found, Caller)
    return found


def shows_key(app: Flask, environ: dict[str, Any]) -> bool:
    """Whether a request (PEP 3333) shows an active key, or a session of one. Reads only the state folder.

    False also if that fails: the answer to the request reports the error.
    """
    with app.request_context(environ), suppress(OSError, ValueError, HTTPException):
        sent = request.headers.get("Authorization")
        known = _find_by_cookie() if sent is None else _find_by_header(sent)
        return known is not None and known.status == "active"
    return False


def may_run_code() -> bool:
    """Whether the caller may post programs and jobs that run them."""
    return _REACH[caller().scope] >= _REACH["code"]


def _check() -> Response | None:
    # An unknown path is 404 only with a key; without one it is 401, like every other path.
    needed: RouteScope = scope_of(current_app, request.endpoint) if request.endpoint else "read"
    if needed == "public":
        return None
    shared = _find_shared() if needed == "shared" else None
    if shared is not None:
        g.caller = shared
        return None
    is_session = "Authorization" not in request.headers
    known = _find_session_key() if is_session else _find_key()
    if known is None:
        # If the volume is missing, report that rather than a missing key.
        service().volume.identity.check()
        return _redirect_to_sign_in() if needed == "page" else _refuse()
    g.caller = Caller(known.id, known.scope, known.project, is_session)
    if _REACH[known.scope] < _REACH[needed]:
        raise HttpProblem(
            403,
            "scope",
            f'this key has the scope "{known.scope}", but this needs "{needed}"',
            headers={"WWW-Authenticate": f'Bearer realm="fitstop", error="insufficient_scope", scope="{needed}"'},
        )
    return None


def _find_shared() -> Caller | None:
    """The holder of a link to the job of the path, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    share = service().shares.find((request.view_args or {})["job_id"], token.strip(" "))
    if share is None or scheme.lower() != "bearer":
        return None
    return Caller(share.id, "read", share.project, is_session=False, is_shared=True)


def _find_session_key() -> KnownKey | None:
    """The key of the browser's session. Raises HttpProblem 403 for a write that another site's page sent."""
    known = _find_by_cookie()
    if known is not None and request.method not in _SAFE_METHODS:
        check_origin()
    return known


def _find_by_cookie() -> KnownKey | None:
    secret = read_secret()
    return service().sessions.find(secret) if secret is not None else None


def _find_by_header(sent: str) -> KnownKey | None:
    """The key of an Authorization header."""
    key = sent.partition(" ")[2].strip(" ")
    return service().keys.find(key) if key.isascii() and len(key) <= _MOST_CHARACTERS else None


def _redirect_to_sign_in() -> Response:
    """Redirect to the log-in page, which leads back to the requested page."""
    return redirect(f"{SIGN_IN}?{urlencode({'next': request.full_path.rstrip('?')})}", 303)


def _refuse() -> NoReturn:
    if read_secret() is not None:
        raise _unauthorized("session_over", f"this session has ended; log in again at {SIGN_IN}")
    raise _unauthorized("no_key", f"an API key is required: {_HOW}")


def _find_key() -> KnownKey:
    sent = request.headers["Authorization"]
    scheme, _, key = sent.partition(" ")
    if scheme.lower() != "bearer" or not key.strip(" "):
        raise _unauthorized("no_key", f"the Authorization header has no key: {_HOW}")
    known = _find_by_header(sent)
    if known is None:
        service().volume.identity.check()
        raise _unauthorized(
            "unknown_key",
            "unknown API key; a key is fs_, 12 characters, _ and 40 characters: check that it was copied whole",
            is_token=True,
        )
    if known.status != "active":
        raise _unauthorized(f"{known.status}_key", f"this key is {known.status}", is_token=True)
    return known


def _unauthorized(code: str, detail: str, *, is_token: bool = False) -> HttpProblem:
    challenge = 'Bearer realm="fitstop"' + (', error="invalid_token"' if is_token else "")
    return HttpProblem(401, code, detail, headers={"WWW-Authenticate": challenge})
