"""gunicorn's thread worker with three things added: slow clients are cut off, who asks for something short again and
again is answered in the lane, and a request that is not HTTP gets a problem document too.
"""

import json
import select
import threading
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.util import write_nonblock  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]
from ulid import ULID

from api.http.every_request import SAFE_HEADERS
from api.http.slow_clients import DEADLINES
from api.http.turns import MOST_SECONDS
from api.serving.lane import Lane, asks_shortly

# For the request line and all headers together.
HEADER_SECONDS = 5.0
# So long a thread waits for the next request of a client, and so many threads of a process at once.
LINGER_SECONDS = 0.02
_LINGERING = threading.BoundedSemaphore(32)

_STATUSES: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.UnsupportedTransferCoding: 501,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """One API process."""

    def init_process(self) -> None:
        self._lane = Lane(self._handled, self._left_lane)
        super().init_process()

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """A kept connection has its next request: a short one is answered in the lane, any other by a thread."""
        if not asks_shortly(client):
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        if not self._lane.enter(conn):
            self.enqueue_req(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Called by the worker's loop, without a pause."""
        super().wait_for_and_dispatch_events(min(timeout, MOST_SECONDS))
        if self._lane.hangs or not self.alive:
            self._lane.end()
        elif self._lane.is_over and not self._lane.is_busy:
            self._lane = Lane(self._handled, self._left_lane)

    def _left_lane(self, conn: Any, *, is_kept: bool) -> None:
        outcome: Future[bool] = Future()
        outcome.set_result(is_kept)
        self.method_queue.defer(self.finish_request, conn, outcome)

    def handle(self, conn: Any) -> Any:
        """Answer a request, and those that follow it at once on its connection.

        Handing a connection to the main loop and back for each request costs more than most requests do.
        """
        outcome = self._handled(conn)
        while outcome is True and self._is_followed(conn) and not asks_shortly(conn.sock):
            outcome = self._handled(conn)
        return outcome

    def _handled(self, conn: Any) -> Any:
        DEADLINES.set(conn.sock, HEADER_SECONDS)
        try:
            return super().handle(conn)
        finally:
            DEADLINES.clear(conn.sock)

    def _is_followed(self, conn: Any) -> bool:
        """Whether the client asks again on this connection within a moment, and threads are left to wait for that."""
        if not self.alive or conn.parser.unreader.buf.getvalue() or not _LINGERING.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            return bool(poll.poll(LINGER_SECONDS * 1000)) and self.alive
        finally:
            _LINGERING.release()

    def handle_request(self, req: Any, conn: Any) -> Any:
        DEADLINES.clear(conn.sock)
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Called about once in a second by the worker's loop."""
        DEADLINES.enforce()
        super().murder_pending()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer what never became a request of the app."""
        status = status_of(exc)
        request_id = f"req_{ULID()}"
        if status == 500:
            self.log.exception("unforeseen (request %s)", request_id)
        else:
            self.log.warning("no request: %s %d %s", type(exc).__name__, status, request_id)
        try:
            write_nonblock(client, raw_problem(status, request_id))
        except OSError:
            self.log.debug("the client of %s is gone", request_id)


def status_of(error: Exception) -> int:
    """What a client hears of gunicorn's own errors."""
    known = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    return known or (400 if isinstance(error, errors.ParseException) else 500)


def raw_problem(status: int, request_id: str) -> bytes:
    """A whole HTTP response that says so; the connection ends behind it."""
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    body = {
        "type": f"urn:fitstop:problem:{code}",
        "title": phrase,
        "status": status,
        "detail": HTTPStatus(status).description or "this is not a request that can be read",
        "code": code,
        "request_id": request_id,
    }
    content = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(content)}\r\nX-Request-Id: {request_id}\r\nCache-Control: no-store\r\n"
    )
    safe = "".join(f"{name}: {value}\r\n" for name, value in SAFE_HEADERS.items())
    return f"{head}{safe}\r\n".encode() + content
