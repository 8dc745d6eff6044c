"""The ASGI application for gunicorn: the event loop waits for clients, and a thread handles a complete request.

a2wsgi and asgiref cannot be used. a2wsgi accepts a truncated chunked upload as complete, and occupies a thread for each
client that reads or writes slowly. asgiref writes every body to the disk before the key is checked.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from ulid import ULID

from api.auth.access import SIGN_IN
from api.http.body import PIECE_SECONDS
from api.serving.anonymous import AnonymousClients
from api.serving.connection import problem
from api.state.changes import LOOK_SECONDS

_ALIVE = "/healthz"
# A body up to this size is received before a thread sees its request. A larger one is read while the view runs.
_SMALL_BODY_BYTES = 64 * 1024
_SMALL_BODY_SECONDS = 10.0
# An answer up to this size is sent in one piece.
_WHOLE_ANSWER_BYTES = 1024 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """`app` as an ASGI application, with `threads` threads for requests.

    A request occupies a thread while `app` computes, and while it reads a large body. Each piece of a large answer is
    computed after the client has received the previous one. An empty piece means that there is nothing yet (PEP 3333):
    the next one is computed after `LOOK_SECONDS`, unless the client has disconnected.

    An anonymous client waits for one of few threads and gets one answer per connection. Its body is read only for a
    log-in. `GET /healthz` is answered on the event loop, since it neither reads nor waits.
    """

    def __init__(self, app: Flask, threads: int, anonymous: AnonymousClients) -> None:
        self.app = app
        self.anonymous = anonymous
        self._threads = ThreadPoolExecutor(threads, "request")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        client = _Client(receive)
        environ = _environ(scope, client)
        is_anonymous = await self.anonymous.includes(environ)
        threads = self._choose_threads(environ, is_anonymous=is_anonymous)
        if threads is None:
            await _refuse(send)
            return
        if not is_anonymous:
            self.anonymous.trust(scope["client"])
        if _has_small_body(environ, is_anonymous=is_anonymous):
            await client.fill(sys.maxsize, _SMALL_BODY_SECONDS)
        await self._answer(environ, client, send, threads)

    async def _answer(self, environ: dict[str, Any], client: "_Client", send: Send, threads: Executor) -> None:
        answer = _Answer(self.app, environ)
        step: Future[Any] = threads.submit(answer.begin)
        try:
            head, body = await asyncio.wrap_future(step)
            if not client.has_sent_all:
                head["headers"].append((b"connection", b"close"))
            await send(head)
            while body is None:
                step = threads.submit(answer.next)
                piece = await asyncio.wrap_future(step)
                if piece is None or (not piece and await client.has_left_within(LOOK_SECONDS)):
                    body = b""
                elif piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": body})
        finally:
            client.forget()
            # After the step: if the client disconnects, gunicorn cancels this task while the thread may still run.
            if not answer.is_closed:
                step.add_done_callback(lambda _: threads.submit(answer.close))

    def _choose_threads(self, environ: dict[str, Any], *, is_anonymous: bool) -> Executor | None:
        """The threads for a request; None for an anonymous one above the limit."""
        if environ["PATH_INFO"] == _ALIVE:
            return _EVENT_LOOP
        if not is_anonymous:
            return self._threads
        return self.anonymous.threads if self.anonymous.admit(environ) else None


class _EventLoop(Executor):
    """Runs the work at once, on the event loop itself."""

    def submit(self, work: Callable[[], Any], /) -> Future[Any]:  # type: ignore[override]
        future: Future[Any] = Future()
        future.set_result(work())
        return future


_EVENT_LOOP = _EventLoop()


async def _refuse(send: Send) -> None:
    """Answer a request above the limit with 429, without a thread."""
    headers, content = problem(HTTPStatus.TOO_MANY_REQUESTS, f"req_{ULID()}")
    encoded = [(name.lower().encode(), value.encode()) for name, value in (*headers.items(), ("Retry-After", "1"))]
    await send({"type": "http.response.start", "status": HTTPStatus.TOO_MANY_REQUESTS.value, "headers": encoded})
    await send({"type": "http.response.body", "body": content})


def _has_small_body(environ: dict[str, Any], *, is_anonymous: bool) -> bool:
    """Whether the event loop receives the whole body (also an empty one) before a thread handles the request."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return False
    is_wanted = not is_anonymous or environ["PATH_INFO"] == SIGN_IN
    return int(environ.get("CONTENT_LENGTH", 0)) <= (_SMALL_BODY_BYTES if is_wanted else 0)


class _Client:
    """The body that a client sends, as `wsgi.input`, and whether the client has disconnected."""

    def __init__(self, receive: Receive) -> None:
        self.has_sent_all = False
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._error: Exception | None = None
        self._leaving: asyncio.Task[None] | None = None

    async def fill(self, size: int, seconds: float) -> None:
        """Receive until there are `size` bytes or the whole body. An error is raised by `read`."""
        try:
            async with asyncio.timeout(seconds):
                while len(self._received) < size and not self.has_sent_all:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError("the client disconnected before the end of its body")
                    self._received += message["body"]
                    self.has_sent_all = not message["more_body"]
        except (TimeoutError, ConnectionError) as error:
            self._error = error

    def read(self, size: int = -1) -> bytes:
        """Read from a thread. Raises TimeoutError for a slow client, ConnectionError for one that disconnected."""
        size = sys.maxsize if size < 0 else size
        if len(self._received) < size and not self.has_sent_all and self._error is None:
            asyncio.run_coroutine_threadsafe(self.fill(size, PIECE_SECONDS), self._loop).result()
        if self._error is not None:
            raise self._error
        piece = bytes(self._received[:size])
        del self._received[:size]
        return piece

    async def has_left_within(self, seconds: float) -> bool:
        """Wait until the client disconnects, for at most `seconds`; True if it did. Drops the rest of its body."""
        self._leaving = self._leaving or asyncio.create_task(self._leave())
        done, _ = await asyncio.wait({self._leaving}, timeout=seconds)
        return bool(done)

    def leaves_within(self, seconds: float) -> bool:
        """`has_left_within` for a thread."""
        return asyncio.run_coroutine_threadsafe(self.has_left_within(seconds), self._loop).result()

    async def _leave(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def forget(self) -> None:
        """Stop waiting for the client at the end of the request."""
        if self._leaving is not None:
            self._leaving.cancel()


class _Answer:
    """Flask's answer to one request. Its methods run in threads, one after the other."""

    def __init__(self, app: Flask, environ: dict[str, Any]) -> None:
        self.is_closed = False
        self._app = app
        self._environ = environ
        self._head: tuple[str, list[tuple[str, str]]] = ("", [])
        self._result: Iterable[bytes] = ()

    def begin(self) -> tuple[dict[str, Any], bytes | None]:
        """Call the application. Return the head of the answer, and its body if it is small, else None."""
        self._result = self._app.wsgi_app(self._environ, self._start)  # type: ignore[arg-type]
        status, headers = self._head
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        head = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        if length is None or length > _WHOLE_ANSWER_BYTES:
            self._pieces = iter(self._result)
            return head, None
        body = b"".join(self._result)
        self.close()
        return head, body

    def next(self) -> bytes | None:
        """The next piece of the body; None after the last one."""
        return next(self._pieces, None)

    def close(self) -> None:
        """Release the resources of the answer, such as an open file."""
        self.is_closed = True
        if hasattr(self._result, "close"):
            self._result.close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ARG002
        self._head = status, headers


def _environ(scope: dict[str, Any], client: _Client) -> dict[str, Any]:
    """The request as a WSGI environment (PEP 3333)."""
    path: bytes = scope["raw_path"]
    if path.startswith(b"http"):
        path = urlsplit(path).path or b"/"
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": client,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "fitstop.leaves_within": client.leaves_within,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in {"CONTENT_LENGTH", "CONTENT_TYPE"} else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
