"""Short answers are computed one after the other, in the order in which they were asked for.

Python computes one of them at a time anyhow. Without turns its threads fight for that, each wakes again and again
meanwhile, and whoever loses several times in a row waits a multiple of what the others do.
"""

import re
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask

# Whoever has waited so long, behind a volume that hangs say, is answered beside the others.
MOST_SECONDS = 0.25
# The paths that are answered shortly, asked for with GET and without a query, which could ask to wait.
SHORT = r"(?:/healthz|/jobs/[^/? ]+)"


class Turns:
    """One turn at a time, first come, first served."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._is_taken = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it inside; after `most_seconds` go on without one."""
        is_ours = self._take()
        try:
            yield
        finally:
            if is_ours:
                self._pass_on()

    def _take(self) -> bool:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            ours = threading.Lock()
            ours.acquire()
            self._waiting.append(ours)
        return ours.acquire(timeout=self._most_seconds) or not self._has_left(ours)

    def _has_left(self, ours: threading.Lock) -> bool:
        """Leave the line; False where the turn has come meanwhile."""
        with self._lock:
            if ours not in self._waiting:
                return False
            self._waiting.remove(ours)
            return True

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


def install(app: Flask) -> None:
    """Let `app` take turns with what it answers shortly; what may wait or streams takes none."""
    turns, answer = Turns(), app.wsgi_app

    def in_turn(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not _is_short(environ):
            return answer(environ, start_response)
        with turns.turn():
            return answer(environ, start_response)

    app.wsgi_app = in_turn  # type: ignore[method-assign]


def _is_short(environ: dict[str, Any]) -> bool:
    """Whether this is GET /healthz or GET /jobs/{id} without a query."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not environ["QUERY_STRING"]
        and re.fullmatch(SHORT, environ["PATH_INFO"]) is not None
    )
