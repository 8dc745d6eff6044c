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

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What a browser may do with an answer: nothing, unless a page says more of itself. No origin but ours may read it.
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
    """Name each request before its view runs; mark and log its answer."""
    app.before_request(_begin)
    app.after_request(_mark)


def request_id() -> str:
    """The id of the request that is being answered: the client's own where it sent a sane one."""
    if "request_id" not in g:
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if _SANE_ID.fullmatch(sent) else _IDS.new()
    return str(g.request_id)


class _RequestIds:
    """Ids that no two requests share: what is random is asked of the system once, not under a lock for each request."""

    def __init__(self) -> None:
        self.renew()

    def new(self) -> str:
        return f"req_{self._process}{next(self._numbers):08x}"

    def renew(self) -> None:
        self._process = secrets.token_hex(8)
        self._numbers = count()


_IDS = _RequestIds()
# Two processes that were forked from one would name their requests alike.
os.register_at_fork(after_in_child=_IDS.renew)


def _begin() -> None:
    g.started = time.monotonic()


def _mark(response: Response) -> Response:
    said = {name.lower() for name, _ in response.headers}
    response.headers["X-Request-Id"] = request_id()
    for name, value in SAFE_HEADERS.items():
        if name.lower() not in said:
            response.headers.add(name, value)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if response.mimetype in _JSON:
        response.headers["Cache-Control"] = "no-store"
    if log.isEnabledFor(logging.INFO):
        log.info("%s %s %d", request.method, _shown_path(), response.status_code, extra={"facts": _facts(response)})
    return response


def _shown_path() -> str:
    """A client chooses how long a path is, and JSON makes six characters of one that is no text."""
    if len(request.path) <= _MOST_PATH:
        return request.path
    # Half a key would not be taken for one.
    return without_keys(request.path)[: _MOST_PATH - 1] + "…"


def _facts(response: Response) -> dict[str, Any]:
    """What the log says of a request beside its line; the query and the headers may hold secrets."""
    return {
        "request_id": request_id(),
        "method": request.method,
        "path": _shown_path(),
        "status": response.status_code,
        "seconds": round(time.monotonic() - g.get("started", time.monotonic()), 4),
        "key_id": g.caller.key_id if "caller" in g else None,
        "client": request.remote_addr,
    }
