"""A bucket on this machine: moto's S3 behind an HTTP server that can misbehave."""

import io
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from urllib.request import Request, urlopen

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.store.bucket import BucketStore

Environ = dict[str, Any]
KEYS = {
    "AWS_ACCESS_KEY_ID": "key-of-a-test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-a-test",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
# Tests of a store that does not answer need not wait for the back-off.
QUICK = {"max_retries": 2, "backoff": {"init_backoff": timedelta(milliseconds=1)}}


@dataclass
class Server:
    """An S3 server that may misbehave.

    `lose_answer`: for which requests to close the connection without an answer, after they have been carried out.
    `ignores_conditions`: ignore If-None-Match, as some servers do. `requests`: number of requests by kind.
    """

    url: str = ""
    ignores_conditions: bool = False
    forgets_metadata: bool = False
    lists_late: bool = False
    lose_answer: Callable[[Environ], bool] = lambda _: False
    requests: Counter[str] = field(default_factory=Counter)

    def make_bucket(self, name: str = "") -> str:
        name = name or f"bucket-{secrets.token_hex(6)}"
        with urlopen(Request(f"{self.url}/{name}", method="PUT")):
            return name

    def store(self, bucket: str | None = None, prefix: str = "") -> BucketStore:
        access = {"endpoint": self.url, "region": "us-east-1", "access_key_id": "key", "secret_access_key": "secret"}
        return BucketStore(bucket or self.make_bucket(), prefix, access, QUICK)


class _LoseAnswer(Exception):
    pass


class _Misbehaving:
    """moto, with one request at a time, since it is not atomic by itself."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._last_list: dict[str, tuple[tuple[Any, ...], list[bytes]]] = {}

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        server = self._server
        server.requests[_kind(environ)] += 1
        if server.ignores_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if server.forgets_metadata:
            for name in [name for name in environ if name.startswith("HTTP_X_AMZ_META_")]:
                del environ[name]
        started: list[tuple[Any, ...]] = []
        # Before the lock: a client that is frozen in the middle of its body must not block the others.
        environ["wsgi.input"] = io.BytesIO(_body_of(environ))
        with self._one_at_a_time:
            body = list(self._moto(environ, lambda *how: started.append(how)))
        if server.lose_answer(environ):
            raise _LoseAnswer
        if server.lists_late and "list-type" in environ["QUERY_STRING"]:
            before = self._last_list.setdefault(environ["QUERY_STRING"], (started[0], body))
            started, body = [before[0]], before[1]
        start_response(*started[0])
        return body


def _body_of(environ: Environ) -> bytes:
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    if length:
        return bytes(stream.read(int(length)))
    return bytes(stream.read()) if environ.get("wsgi.input_terminated") else b""


def _kind(environ: Environ) -> str:
    query = environ["QUERY_STRING"]
    if "list-type" in query:
        return "LIST"
    return environ["REQUEST_METHOD"] + (" part" if "partNumber" in query else "")


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        """Log nothing, so that the output of a test shows only failures."""

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except _LoseAnswer:
            self.close_connection = True


@contextmanager
def running_server(port: int = 0, **faults: Any) -> Iterator[Server]:
    """A server on a port, by default a free one, until the end of the `with` block."""
    server = Server(**faults)
    http = make_server(
        "127.0.0.1", port, _Misbehaving(server), threaded=True, request_handler=_Quiet, passthrough_errors=True
    )
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


@contextmanager
def access_to(server: Server) -> Iterator[None]:
    """Set the environment variables that give access to the server."""
    with patch.dict(os.environ, {**KEYS, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}):
        yield
