"""The server at the API's address while the bucket does not answer. It reports that it is alive, and not ready.

It needs no volume. A container's health check passes, and the container's log says why the API is not ready. It starts
to listen after the first failed try.
"""

import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any

from ulid import ULID

from api.http.problems import RETRY_SECONDS
from api.serving.connection import problem

_DETAIL = "the bucket that holds the volume does not answer; the log of the API says why"


class StandIn:
    """A server in place of an API at `host` and `port`. It stops at the end of its block."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def serve_for(self, seconds: float) -> None:
        """Wait for `seconds` while the server answers. Raises OSError if the address is in use."""
        if self._server is None:
            self._server = (_Server6 if ":" in self._place[0] else ThreadingHTTPServer)(self._place, _Handler)
            threading.Thread(target=self._server.serve_forever, name="stand-in", daemon=True).start()
        time.sleep(seconds)


class _Server6(ThreadingHTTPServer):
    address_family = AF_INET6


class _Handler(BaseHTTPRequestHandler):
    # Seconds after which a client that sends nothing is disconnected.
    timeout = 5

    def _answer(self) -> None:
        if self.path == "/healthz":
            headers, content = {"Content-Type": "application/json"}, b'{"status":"ok"}\n'
            status = HTTPStatus.OK
        else:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            headers, content = problem(status, f"req_{ULID()}", "volume_unavailable", _DETAIL)
            headers["Retry-After"] = str(RETRY_SECONDS)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  the names of http.server

    def log_message(self, *_: Any) -> None:
        """Log no request: the log has the reason already."""
