"""One connection of gunicorn's event loop, with features that gunicorn does not have.

A client has five seconds for the head of its first request. It may close its sending half before the answer. What it
sends after an answer is read and dropped for ten seconds: most clients send everything before they read, and would get
a connection error in place of the answer. Data that is not HTTP gets a problem document, too.

`ASGIProtocol` and names that begin with an underscore are private to gunicorn: `pyproject.toml` bounds its version.
"""

import logging
import socket
from http import HTTPStatus
from typing import Any

from gunicorn.workers import gasgi  # type: ignore[import-untyped]
from ulid import ULID

from api.http.every_request import SAFE_HEADERS
from api.http.problems import MEDIA_TYPE, code_of, document_content

# For the head of the first request. A later one has `keepalive` seconds from the end of the previous answer.
_HEAD_SECONDS = 5.0
_LINGER_SECONDS = 10.0
# The kernel closes the connection of a client that acknowledges nothing for this time.
_STALLED_MILLISECONDS = 15_000
# Maximum number of bytes that wait in the kernel for a client that reads slowly. Unlike SO_SNDBUF it does not limit
# the data on its way to a distant client.
_UNSENT_BYTES = 128 * 1024

log = logging.getLogger(__name__)


def limit_writes(listener: socket.socket) -> None:
    """Limit the memory for clients that read slowly or never. Linux copies these options to each connection."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MILLISECONDS)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


class Connection(gasgi.ASGIProtocol):  # type: ignore[misc]
    """gunicorn's connection for HTTP/1.1, with the changes described above."""

    _closed: bool

    def connection_made(self, transport: Any) -> None:
        """Wait for the first byte before gunicorn's expensive preparation: an attacker may never send one."""
        self.transport = transport
        self.client = transport.get_extra_info("peername")[:2]
        self.abort = transport.abort
        self._keepalive = 0
        self.app.anonymous.connect(self)
        self._keepalive_handle = self.worker.loop.call_later(_HEAD_SECONDS, self._end_without_head)

    def data_received(self, data: bytes) -> None:
        if self._task is None:
            super().connection_made(self.transport)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.app.anonymous.disconnect(self.client)
        if self._task is not None:
            super().connection_lost(exc)

    def _end_without_head(self) -> None:
        if self._task is None:
            self.abort()
        else:
            self._keepalive_timeout()

    def keep(self) -> None:
        """Keep the connection open for further requests after the current one."""
        self._keepalive = self.cfg.keepalive

    def eof_received(self) -> bool:
        """Keep the connection for the answer, when the client has closed its sending half."""
        if self._closed or self._body_receiver is None:
            return False
        self._body_receiver.signal_disconnect()
        self._keepalive = 0
        return True

    def _close_transport(self) -> None:
        if self._closed or self._body_receiver is None or self._body_receiver._complete:
            super()._close_transport()
            return
        self._closed = True
        self._body_receiver.signal_disconnect()
        self._callback_parser = None
        self._resume_reading()
        self.transport.write_eof()
        self.worker.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:  # noqa: ARG002
        request_id = f"req_{ULID()}"
        log.warning("no request: %d %s", status, request_id)
        self._safe_write(raw_problem(status, request_id))


def raw_problem(status: int, request_id: str) -> bytes:
    """A complete HTTP response with a problem document. The connection is closed after it."""
    head, content = problem(HTTPStatus(status), request_id)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Connection": "close", **head}.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode() + content


def problem(status: HTTPStatus, request_id: str, code: str = "", detail: str = "") -> tuple[dict[str, str], bytes]:
    """The headers and the content of a problem document, outside of a Flask application."""
    text = detail or status.description or "this is not a request that can be read"
    content = document_content(status, code or code_of(status), text, request_id).encode()
    head = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(content)),
        "X-Request-Id": request_id,
        "Cache-Control": "no-store",
        **SAFE_HEADERS,
    }
    return head, content
