"""Handling of every request: its id, the headers of its answer, and its log line."""

import logging
import os
import re
import secrets
import time
from itertools import count
from typing import Any

from flask import Flask, Response, g, request

from shared.api_key import without_keys

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# A browser may load nothing for an answer and show it in no frame, unless the answer sets its own policy. No other
# origin may read it.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MOST_PATH = 200
_JSON = frozenset({"application/json", "application/problem+json"})

log = logging.getLogger(__name__)


def install(app: Flask) -> None:
    """Start a clock for each request; add the headers to its answer, and log it."""
    app.before_request(_start_clock)
    app.after_request(_finish)


def request_id() -> str:
    """The id of the current request: the client's `X-Request-Id` if it is valid, else a new one."""
    if "request_id" not in g:
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if _VALID_ID.fullmatch(sent) else _IDS.new()
    return str(g.request_id)


class _RequestIds:
    """Unique ids: a random part per process and a counter. Random bytes need a lock, so they are read only once."""

    def __init__(self) -> None:
        self.renew()

    def new(self) -> str:
        return f"req_{self._process}{next(self._numbers):08x}"

    def renew(self) -> None:
        self._process = secrets.token_hex(8)
        self._numbers = count()


_IDS = _RequestIds()
# Otherwise two processes that are forked from one would give the same ids.
os.register_at_fork(after_in_child=_IDS.renew)


def _start_clock() -> None:
    g.started = time.monotonic()


def _finish(response: Response) -> Response:
    present = {name.lower() for name, _ in response.headers}
    response.headers["X-Request-Id"] = request_id()
    for name, value in SAFE_HEADERS.items():
        if name.lower() not in present:
            response.headers.add(name, value)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if response.mimetype in _JSON:
        response.headers["Cache-Control"] = "no-store"
    if log.isEnabledFor(logging.INFO):
        log.info("%s %s %d", request.method, _shorten_path(), response.status_code, extra={"facts": _facts(response)})
    return response


def _shorten_path() -> str:
    """The path, shortened: a client chooses its length, and in JSON a character can take six."""
    if len(request.path) <= _MOST_PATH:
        return request.path
    # Remove keys first: half of a key would not be recognized as one.
    return without_keys(request.path)[: _MOST_PATH - 1] + "…"


def _facts(response: Response) -> dict[str, Any]:
    """The fields of the log line. Not the query and the headers, which may contain secrets."""
    return {
        "request_id": request_id(),
        "method": request.method,
        "path": _shorten_path(),
        "status": response.status_code,
        "seconds": round(time.monotonic() - g.get("started", time.monotonic()), 4),
        "key_id": g.caller.key_id if "caller" in g else None,
        "client": request.remote_addr,
    }
